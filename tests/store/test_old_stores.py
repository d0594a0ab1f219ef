"""A sweep and a population stored by an earlier version open, and the sweep resumes."""

import tarfile
from pathlib import Path

import chex
import numpy as np
import pytest

import rnnjax
from rnnjax import Status, load_parameters, load_population
from rnnjax.store import merge
from rnnjax.sweep import FIELDS, Engine, LossRecord, MemoryStore, load_sweep

ARCHIVE = Path(__file__).parents[1] / "data" / "stores.tar.gz"
VALUES = [name for name in (*FIELDS, "loss") if name != "seconds"]
ROUNDING = {"rtol": 1e-4, "atol": 1e-6}  # another processor may round otherwise


@pytest.fixture
def stores(tmp_path):
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


@pytest.mark.slow
def test_an_unfinished_sweep_resumes(stores):
    path = stores / "sweep"
    before = rnnjax.load_results(path)
    pending = before["status"].values == Status.PENDING
    assert pending.sum() == 2
    sweep, engine = load_sweep(path), Engine(block_runs=2, points=4, spacing="log")
    resumed = rnnjax.run_sweep(sweep, path, engine=engine, keep_parameters=True)
    memory = MemoryStore()
    fresh = rnnjax.run_sweep(sweep, memory, engine=engine, keep_parameters=True)
    assert resumed.sizes == fresh.sizes
    for name in VALUES:
        old, new = resumed[name].values, fresh[name].values
        np.testing.assert_array_equal(old[pending], new[pending], err_msg=name)
        np.testing.assert_allclose(old, new, err_msg=name, **ROUNDING)
        np.testing.assert_array_equal(old[~pending], before[name].values[~pending], err_msg=name)
    labels = {"hidden": 4, "nuclear": 0.01}
    one, other = (load_population(store, **labels) for store in (path, memory))
    chex.assert_trees_all_close(one.params, other.params, **ROUNDING)
    chex.assert_trees_all_close(one.initial, other.initial, **ROUNDING)
    assert one.recorded == other.recorded == LossRecord(4, "log")
    single = load_parameters(path, seed=1, **labels)
    chex.assert_trees_all_equal(single, {name: leaf[1] for name, leaf in one.params.items()})


@pytest.mark.slow
def test_a_saved_population_loads_and_resumes(stores):
    path = stores / "population"
    population = load_population(path)
    settings = {"learning_rate": 0.1, "gamma": 2.0, "l1": 1e-3}
    assert {name: getattr(population.hyper, name) for name in settings} == settings
    assert population.seeds.tolist() == [3, 0, 7]
    assert population.recorded == LossRecord(5)
    markers = list((path / "blocks").iterdir())
    how = {"seeds": (3, 0, 7), "evaluation_trials": 8, "engine": Engine(points=5), **settings}
    parts = population.task, population.cell, population.recipe
    again = rnnjax.train_population(*parts, store=path, **how)
    assert list((path / "blocks").iterdir()) == markers  # nothing is computed again
    chex.assert_trees_all_equal(again.params, population.params)
    fresh = rnnjax.train_population(*parts, **how)
    chex.assert_trees_all_close(population.params, fresh.params, **ROUNDING)
    assert population.status == fresh.status
    np.testing.assert_allclose(
        population.results["held_out_loss"], fresh.results["held_out_loss"], **ROUNDING
    )
    both = population[:1].join(fresh[1:])
    assert both.seeds.tolist() == population.seeds.tolist()


@pytest.mark.slow
def test_an_old_population_is_saved_anew(stores, tmp_path):
    population = load_population(stores / "population")
    population.save(tmp_path / "new")
    chex.assert_trees_all_equal(load_population(tmp_path / "new").params, population.params)


@pytest.mark.slow
def test_an_old_sweep_grows_and_joins(stores, tmp_path):
    path = stores / "sweep"
    before, labels = rnnjax.load_results(path), {"hidden": 4, "nuclear": 0.01, "seed": 1}
    weights = load_parameters(path, **labels)
    sweep = load_sweep(path).with_axes(seed=(7, 1, 0), hidden=(4, 5, 3))
    engine = Engine(points=4, spacing="log")
    nothing = np.zeros(sweep.shape, bool)
    grown = rnnjax.run_sweep(sweep, path, engine=engine, mask=nothing)
    assert grown.sizes["seed"] == grown.sizes["hidden"] == 3
    both = merge(path, stores / "sweep", into=tmp_path / "both")
    for found in (grown, rnnjax.load_results(path), both):
        for name in VALUES:
            old = found[name].sel(seed=[0, 1], hidden=[3, 4]).values
            np.testing.assert_array_equal(old, before[name], err_msg=name)
        assert int((found["status"] > 0).sum()) == int((before["status"] > 0).sum())
    for store in (path, tmp_path / "both"):
        chex.assert_trees_all_equal(load_parameters(store, **labels), weights)
