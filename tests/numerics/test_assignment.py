"""Linear assignment of many matrices, by scipy in threads and by optax."""

import itertools

import jax.numpy as jnp
import numpy as np

from rnnjax.numerics.assignment import _on_device, assign

COSTS = np.random.default_rng(0).normal(size=(37, 5, 5)).astype(np.float32)


def test_scipy_and_optax_find_the_least_cost_of_all_permutations():
    every = np.array(list(itertools.permutations(range(5))))
    best = every[np.argmin([[cost[range(5), p].sum() for p in every] for cost in COSTS], axis=1)]
    np.testing.assert_array_equal(assign(COSTS), best)
    np.testing.assert_array_equal(assign(jnp.asarray(COSTS)), best)
    np.testing.assert_array_equal(np.asarray(_on_device(jnp.asarray(COSTS))), best)


def test_an_index_selects_matrices():
    index = np.array([30, 2, 2])
    np.testing.assert_array_equal(assign(COSTS, index), assign(COSTS)[index])
