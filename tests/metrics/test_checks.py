"""Checks of arguments return arrays, and name argument and network in errors."""

import numpy as np
import pytest

from rnnjax.metrics import checks

ONES = np.ones((3, 4, 4))


def with_nan(where):
    array = ONES.copy()
    array[where] = np.nan
    return array


def test_a_valid_population_is_returned_without_a_copy():
    assert checks.population("w", ONES, "S N N") is ONES
    left, right = checks.matched_operators("a", ONES, "b", ONES + 1)
    assert left is ONES
    np.testing.assert_array_equal(right, ONES + 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: checks.population("w", ONES[:1], "S N N"), "w: expected at least 2 networks"),
        (
            lambda: checks.matched_operators("a", ONES[..., :3], "b", ONES[..., :3]),
            r"a: expected shape \[M, R, R\], square",
        ),
        (lambda: checks.matched_operators("a", ONES, "b", ONES[:2]), "b: expected the shape of a"),
        (lambda: checks.matched_operators("a", ONES, "b", with_nan(1)), "b: .* network 1"),
    ],
)
def test_errors_name_argument_and_network(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_samples_of_trajectories_keep_their_order_under_their_labels():
    states = np.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5)
    shared = checks.shared_samples(checks.labelled("states", [states[0], states[1, ..., :2]]))
    assert list(shared) == ["states, network 0", "states, network 1"]
    np.testing.assert_array_equal(shared["states, network 0"][5], states[0, 1, 1])
    np.testing.assert_array_equal(shared["states, network 1"][5], states[1, 1, 1, :2])


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        (ONES[:2], r"y: expected the samples of x, \(3, 4\), got \(2, 4\)"),
        (ONES.reshape(4, 3, 4), "y: expected the samples of x"),  # the same number in other trials
        (ONES[0, 0], r"y: expected shape \[samples, N\] or \[B, T, N\], got \(4,\)"),
        (ONES[..., :0], "y: expected shape"),
        (with_nan(0), "y: expected finite numbers"),
    ],
)
def test_different_samples_are_refused(odd, message):
    with pytest.raises(ValueError, match=message):
        checks.shared_samples({"x": ONES, "y": odd})
