"""Arrays of valid numbers pass unchanged; every defect is an error that names the argument."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnjax import arrays, metrics, tasks

ONES = np.ones((3, 4, 4))


def changed(where, value):
    array = ONES.copy()
    array[where] = value
    return array


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (np.ones(2, "f4"), "f4"),
        (np.ones(2, "f8"), "f8"),
        (np.ones(2, "f2"), "f4"),
        (np.ones(2, np.longdouble), "f8"),
        (np.full(2, 1 + 2**-40, ">f8"), "f8"),
        ([1, 2], "f8"),
        ([True, False], "f8"),
        (jnp.ones(2, "bfloat16"), "f4"),
        (jnp.ones(2), "f4"),
    ],
)
def test_real_numbers_become_floating(value, dtype):
    array = arrays.floating("x", value)
    assert isinstance(array, np.ndarray) and array.dtype == dtype
    np.testing.assert_array_equal(array, np.asarray(value))


def test_a_valid_array_is_returned_without_a_copy():
    assert arrays.array("w", ONES, "S N N") is ONES
    assert arrays.array("w", ONES[0], "N M | S N M", each=None).base is ONES
    assert arrays.array("w", np.zeros((2, 3)), "S N").sum() == 0


@pytest.mark.parametrize("scale", [1e-99, 1e-30, 1e30, 1e99])
def test_magnitudes_within_the_bounds_pass(scale):
    scaled = changed((0, 1, 2), 0) * scale
    np.testing.assert_array_equal(arrays.array("w", scaled, "S N N"), scaled)


@pytest.mark.parametrize(
    ("value", "axes", "message"),
    [
        (["a"], "S", "w: expected real numbers"),
        ([1j], "S", "w: expected real numbers"),
        ([None, 1], "S", "w: expected real numbers"),
        (np.zeros(2, "M8[s]"), "S", "w: expected real numbers"),
        ([[1, 2], [3]], "S N", "w: expected an array of numbers"),
        (jax.random.key(0), "S", "w: expected an array of numbers"),
        (np.ma.ones(3), "S", "w: expected an array without a mask"),
        ([np.ma.ones(3)], "S N", "w: expected an array without a mask"),
        (ONES[0], "S N N", r"w: expected shape \[S, N, N\], got \(4, 4\)"),
        (ONES[:, :0], "S N N", r"w: .*got \(3, 0, 4\)"),
        (ONES[..., :3], "S N N", r"w: expected shape \[S, N, N\], square in N"),
        (ONES[0, 0], "N M | S N M", r"w: expected shape \[N, M\] or \[S, N, M\]"),
        (changed((2, 0, 1), np.nan), "S N N", "w: expected finite numbers, .* in network 2"),
        (changed((1, 0, 1), -np.inf), "S N N", "w: expected finite numbers, .* in network 1"),
        (changed(1, 1e-200), "S N N", "w: expected magnitudes .* in network 1"),
        (changed((2, 0, 0), -1e200), "S N N", "w: expected magnitudes .* in network 2"),
        ([1e-200, -1e-300], "S", "w: expected magnitudes"),
    ],
)
def test_errors_name_argument_and_network(value, axes, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        arrays.array("w", value, axes)


def test_the_reason_why_a_list_is_no_array_is_named():
    class Tensor:
        def __array__(self, *_, **__):
            raise RuntimeError("use tensor.detach()\nand more")

    with pytest.raises(ValueError, match=r"^w: expected an array.*list.*: use tensor.detach\(\)$"):
        arrays.array("w", [Tensor()], "S")


def test_gaps_are_allowed_where_networks_are_left_out_or_diverged():
    gaps = [1.0, np.nan, np.inf]
    np.testing.assert_array_equal(arrays.array("w", gaps, "S", gaps="missing"), gaps)
    assert arrays.array("w", np.zeros((0, 0)), "S S", gaps="missing").shape == (0, 0)
    with pytest.raises(ValueError, match="w: expected magnitudes"):
        arrays.array("w", [1e200, np.nan], "S", gaps="missing")
    np.testing.assert_array_equal(arrays.array("w", [1e200], "S", gaps="diverged"), [1e200])


def test_numbers_of_a_list_are_small_beside_the_largest_of_them():
    assert arrays.array("w", [1.0, 1e-200], "S")[1] == 1e-200


@pytest.mark.parametrize("value", [np.nan, 1e200, [1e-200], "a", 1j, np.zeros(0)])
def test_leaves_outside_single_precision_are_refused(value):
    with pytest.raises(ValueError, match="^w: expected"):
        arrays.leaf("w", value)


def test_traced_leaves_are_checked_by_their_type_alone():
    passed = jax.jit(lambda x: arrays.leaf("w", x))(jnp.array([1.0, jnp.nan]))
    np.testing.assert_array_equal(passed, [1.0, np.nan])
    with pytest.raises(ValueError, match="^w: expected real numbers"):
        jax.jit(lambda x: arrays.leaf("w", x))(1)


def test_an_asymmetric_matrix_is_refused():
    known = np.array([[0, 1], [1, 0.0]])
    assert arrays.symmetric("d", known) is known
    small = np.array([[1.0, 2e-8], [0.0, np.nan]])  # beside the largest, a difference by rounding
    assert arrays.symmetric("d", small) is small
    for other in (np.triu(known), np.array([[1.0, 1e-3], [1.002e-3, 0.0]])):
        with pytest.raises(ValueError, match="^d: expected a symmetric matrix"):
            arrays.symmetric("d", other)


def test_members_of_sequences_and_arrays():
    assert len(arrays.members("x", ONES)) == 3
    assert arrays.members("x", iter("ab")) == ["a", "b"]
    for value in ("ab", {"a": 1}, 3, None, np.array(3), np.ma.ones(3)):
        with pytest.raises(ValueError, match="^x: expected"):
            arrays.members("x", value)


@pytest.mark.parametrize("seed", [0, 7, np.int64(7), 2**31 - 1])
def test_a_seed_is_the_key_of_that_seed(seed):
    found = arrays.random_key("key", seed)
    np.testing.assert_array_equal(
        jax.random.key_data(found), jax.random.key_data(jax.random.key(int(seed)))
    )


def test_other_keys_are_refused():
    for odd in (-1, 2**31, 1.0, True, "0", None, jax.random.split(jax.random.key(0))):
        with pytest.raises(ValueError, match="^key: expected"):
            arrays.random_key("key", odd)


def test_a_seed_gives_the_same_trials_and_distances_as_its_key():
    task, key = tasks.delayed_cue(2, 3, 2), jax.random.key(3)
    for one, other in zip(task.batch(3, 4), task.batch(key, 4), strict=True):
        np.testing.assert_array_equal(one, other)
    weights = np.random.default_rng(0).normal(size=(2, 4, 4))
    np.testing.assert_array_equal(
        metrics.pif_distances(weights, key=3), metrics.pif_distances(weights, key=key)
    )
