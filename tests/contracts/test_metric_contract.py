"""Every registered distance: zero of itself, symmetry, its invariances, clear errors."""

import functools
import inspect
from typing import get_args

import chex
import jax
import numpy as np
import pytest

from rnnjax import metrics
from rnnjax.analysis.degeneracy import DegeneracyOptions
from rnnjax.analysis.measures import MEASURES, measures_at
from rnnjax.metrics import METRICS
from rnnjax.metrics.base import Invariance, Level, Metric, Takes

KEY = jax.random.key(0)
UNITS, NETWORKS = 9, 3
SAME = 1e-3
"""Distances that should be zero, or equal, to the tolerance of iterative solvers."""


def networks(metric: Metric, seed: int = 0) -> np.ndarray:
    """A small population in the form that the metric takes: noisy linear systems, or weights."""
    rng = np.random.default_rng(seed)
    weights = 0.9 * np.linalg.qr(rng.normal(size=(NETWORKS, UNITS, UNITS)))[0]
    weights *= rng.uniform(0.5, 1, size=(NETWORKS, UNITS, 1))
    if metric.takes == "weights":
        return weights
    state, states = rng.normal(size=(NETWORKS, 20, UNITS)), []
    for _ in range(15):
        state = np.einsum("sij,sbj->sbi", weights, state) + 0.3 * rng.normal(size=state.shape)
        states.append(state)
    trajectories = np.stack(states, axis=2)
    return trajectories if metric.takes == "trajectories" else trajectories.reshape(
        NETWORKS, -1, UNITS
    )  # fmt: skip


@functools.cache
def distances(name: str) -> np.ndarray:
    """Those of the population as it is; shared by tests."""
    found = METRICS[name].distances(networks(METRICS[name]), key=KEY)
    found.setflags(write=False)
    return found


def changed(metric: Metric, network: np.ndarray, how: str) -> np.ndarray:
    """One network after a change; weights turn on both sides, states on the unit axis."""
    rng = np.random.default_rng(7)
    if how == "scaling":
        return 3.0 * network
    square = np.eye(UNITS)[rng.permutation(UNITS)]
    if how == "rotation":
        square = np.linalg.qr(rng.normal(size=(UNITS, UNITS)))[0]
    return square @ network @ square.T if metric.takes == "weights" else network @ square.T


@pytest.fixture(params=sorted(METRICS))
def metric(request) -> Metric:
    return METRICS[request.param]


def test_the_entry_describes_the_function(metric):
    parameters = inspect.signature(metric.function).parameters
    assert metric.function is getattr(metrics, f"{metric.name}_distances")
    assert set(metric.options) <= set(parameters)
    assert metric.level in get_args(Level)
    assert metric.level != "features"  # that of single networks
    assert metric.takes in get_args(Takes)
    assert metric.invariances <= set(get_args(Invariance))


def test_titles_differ():
    titles = {metric.title.strip() for metric in METRICS.values()}
    assert len(titles) == len(METRICS)
    assert all(titles)


@pytest.mark.slow
def test_shared_options_are_options_of_the_comparison_and_change_distances(metric):
    defaults, networks_ = DegeneracyOptions(), networks(metric)
    given = {name: getattr(defaults, name) for name in metric.options}
    expected = distances(metric.name)
    np.testing.assert_array_equal(metric.distances(networks_, key=KEY, **given), expected)
    for name in metric.options:
        changed = metric.distances(networks_, key=KEY, **{name: 0.5})
        assert np.abs(changed - expected).max() > 10 * SAME


def test_the_metric_is_a_measure_of_its_level(metric):
    measure = MEASURES[metric.name]
    assert (measure.statistic, measure.variable) == ("pairs", metric.name)
    assert measure.title == metric.title
    assert metric.name in measures_at(metric.level)


@pytest.mark.slow
def test_a_matrix_of_distances(metric):
    found = distances(metric.name)
    assert isinstance(found, np.ndarray)
    chex.assert_shape(found, (NETWORKS, NETWORKS))
    chex.assert_tree_all_finite(found)
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_array_equal(np.diagonal(found), 0)
    assert (found[np.triu_indices(NETWORKS, 1)] > 10 * SAME).all()


def test_copies_are_alike(metric):
    copies = np.repeat(networks(metric)[:1], NETWORKS, axis=0)
    found = metric.distances(copies, key=KEY)
    assert (found[~np.eye(NETWORKS, dtype=bool)] < SAME).all()


def test_order_does_not_matter_and_inputs_are_left_as_they_are(metric):
    population = networks(metric)[::-1].copy()
    kept = population.copy()
    back = metric.distances(population, key=KEY)[::-1, ::-1]
    np.testing.assert_allclose(distances(metric.name), back, atol=SAME)
    np.testing.assert_array_equal(population, kept)


@pytest.mark.parametrize("how", ["relabelling", "rotation", "scaling"])
def test_invariances_are_those_claimed(metric, how):
    population = networks(metric)
    moved = population.copy()
    moved[0] = changed(metric, population[0], how)
    before = distances(metric.name)[0, 1]
    after = metric.distances(moved, key=KEY)[0, 1]
    if how in metric.invariances:
        assert after == pytest.approx(before, abs=SAME)
    else:
        assert abs(after - before) > 10 * SAME


def test_bad_populations_are_named(metric):
    population = networks(metric)
    spoiled = population.copy()
    spoiled[1].flat[5] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity.*network 1|network 1.*NaN or infinity"):
        metric.distances(spoiled, key=KEY)
    with pytest.raises(ValueError, match="at least 2"):
        metric.distances(population[:1], key=KEY)
    with pytest.raises(ValueError, match="expected shape"):
        metric.distances(population[:, 0, 0] if population.ndim > 3 else population[0], key=KEY)
    if metric.takes != "weights":
        few = population[:, :1, :2] if population.ndim == 4 else population[:, :2]
        with pytest.raises(ValueError, match="samples|transitions"):
            metric.distances(few, key=KEY)
