"""Fast keys give what JAX's keys give, bit for bit."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnjax import cells, tasks
from rnnjax.numerics import threefry
from rnnjax.numerics.threefry import fast, fold_in, split

pytestmark = pytest.mark.skipif(jax.default_backend() != "cpu", reason="JAX's own keys are used")

DRAWS = {
    "split": lambda key: jax.random.key_data(jax.random.split(key, (3, 2))),
    "fold_in": lambda key: jax.random.key_data(jax.random.fold_in(key, 5)),
    "clone": lambda key: jax.random.key_data(jax.random.split(jax.random.clone(key))),
    "uniform": lambda key: jax.random.uniform(key, (7, 3)),
    "normal": lambda key: jax.random.normal(key, (5,)),
    "scalar": jax.random.normal,
    "none": lambda key: jax.random.normal(key, (0, 3)),
    "randint": lambda key: jax.random.randint(key, (40,), 0, 17),
    "permutation": lambda key: jax.random.permutation(key, 23),
    "categorical": lambda key: jax.random.categorical(key, jnp.zeros(4), shape=(9,)),
    "gamma": lambda key: jax.random.gamma(key, 2.0, (4,)),
    "nested": lambda key: jax.vmap(jax.random.uniform)(jax.random.split(key, 6)),
    **{
        f"fold in {data}": lambda key, data=data: jax.random.key_data(jax.random.fold_in(key, data))
        for data in (np.int32(-1), 2**31 - 1, np.uint32(2**32 - 1))
    },
    **{
        f"{width} bits": lambda key, width=width: jax.random.bits(key, (2, 3, 4), f"uint{width}")
        for width in (8, 16, 32)
    },
}


@pytest.fixture(scope="module")
def drawn():
    """All draws with several of JAX's keys, with the fast ones, and with a fast one alone."""
    keys = jax.random.split(jax.random.key(3), 4)
    assert fast(keys).dtype != keys.dtype

    def draw(key):
        return {name: one(key) for name, one in DRAWS.items()}

    several = jax.jit(jax.vmap(draw))
    return several(keys), several(fast(keys)), jax.jit(lambda key: draw(fast(key)))(keys[1])


@pytest.mark.parametrize("name", DRAWS)
def test_the_numbers_are_those_of_jax(name, drawn):
    expected, several, alone = (np.asarray(draws[name]) for draws in drawn)
    np.testing.assert_array_equal(several, expected)
    np.testing.assert_array_equal(alone, expected[1])


def test_the_numbers_are_those_of_jax_in_double_precision(float64):
    key = jax.random.key(2**40 + 1)
    for draw in (jax.random.uniform, lambda key: jax.random.bits(key, (9,), "uint64")):
        np.testing.assert_array_equal(draw(fast(key)), draw(key))


@pytest.fixture
def no_programs():
    """None of another test, and none is left to others."""
    jax.clear_caches()
    yield
    jax.clear_caches()


@pytest.mark.usefixtures("no_programs")
def test_arrays_too_large_to_count_are_drawn_by_jax(monkeypatch):
    key = jax.random.key(5)
    expected = [DRAWS[name](key) for name in ("split", "8 bits", "32 bits")]
    monkeypatch.setattr(threefry, "_MOST", 3)
    monkeypatch.delattr(threefry, "_hash_counts")
    for name, wanted in zip(("split", "8 bits", "32 bits"), expected, strict=True):
        np.testing.assert_array_equal(DRAWS[name](fast(key)), wanted)


def test_keys_for_draws_of_any_kind():
    for key in (jax.random.key(6), jax.random.key(6, impl="rbg")):
        for ours, theirs in ((split(key, 5), jax.random.split(key, 5)),
                             (fold_in(key, 7), jax.random.fold_in(key, 7))):  # fmt: skip
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(jax.random.key_data(ours), jax.random.key_data(theirs))
    assert jax.random.poisson(split(jax.random.key(6), 2)[0], 3.0) >= 0


def test_leaves_have_the_keys_of_their_positions():
    cell, key = cells.rate(8, init="xavier", bias=True, inputs=2), jax.random.key(1)
    for index, (name, leaf) in enumerate(cell.leaves().items()):
        rule = cell.parametrization.rule(leaf, hidden=8, optimizer="adam")
        drawn = jax.random.uniform(
            jax.random.fold_in(key, index), leaf.shape, minval=-rule.scale, maxval=rule.scale
        )
        np.testing.assert_array_equal(cell.init(key)[name], drawn)


@pytest.mark.parametrize("task", [tasks.flip_flop(), tasks.path_integration()])
def test_draws_outside_of_programs_compile_once(task, caplog):
    task.batch(jax.random.key(0), 3)
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        task.batch(jax.random.key(1), 3)
        again = sum("Finished XLA compilation" in line for line in caplog.messages)
        task.batch(jax.random.key(1), 4)
    other = sum("Finished XLA compilation" in line for line in caplog.messages)
    assert other > again == 0


def test_other_keys_stay(monkeypatch):
    old, other = jax.random.PRNGKey(4), jax.random.key(4, impl="rbg")
    np.testing.assert_array_equal(jax.random.uniform(fast(old)), jax.random.uniform(old))
    assert fast(other) is other
    key = jax.random.key(4)
    assert fast(fast(key)).dtype == fast(key).dtype != key.dtype
    with jax.threefry_partitionable(False):
        assert fast(key) is key
    monkeypatch.setattr(threefry, "on_cpu", lambda: False)
    assert fast(key) is key
