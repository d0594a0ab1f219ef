"""Linear assignment of many matrices, by threads and by the accelerator's route."""

import itertools

import jax.numpy as jnp
import numpy as np

from rnnjax.numerics.assignment import _on_device, assign

COSTS = np.random.default_rng(0).normal(size=(37, 5, 5)).astype(np.float32)


def test_both_routes_find_the_least_cost_of_all_permutations():
    every = np.array(list(itertools.permutations(range(5))))
    best = every[np.argmin([[cost[range(5), p].sum() for p in every] for cost in COSTS], axis=1)]
    np.testing.assert_array_equal(assign(COSTS), best)
    np.testing.assert_array_equal(assign(jnp.asarray(COSTS)), best)
    np.testing.assert_array_equal(np.asarray(_on_device(jnp.asarray(COSTS))), best)


def test_some_of_them():
    which = np.array([30, 2, 2])
    np.testing.assert_array_equal(assign(COSTS, which), assign(COSTS)[which])
