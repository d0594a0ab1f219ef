"""Numbers do not depend on JAX's settings: networks train in single precision, draws are fixed."""

import contextlib

import chex
import jax
import numpy as np
import pytest

import rnnjax
import tiny
from rnnjax.dynamics import visited_states
from rnnjax.metrics import SolverOptions
from rnnjax.metrics.delays import delay_errors
from rnnjax.metrics.dsa import compare_dynamics
from rnnjax.sweep import Engine, run_sweep

RECIPE = tiny.recipe("adam")


def results(folder):
    """Numbers of a sweep, a single network and a population."""
    sweep = tiny.sweep("delayed_match")
    swept = run_sweep(sweep, folder, keep_parameters=True, engine=Engine(ahead=1))
    again = run_sweep(sweep, folder, keep_parameters=True)  # reads what was written
    how = {"learning_rate": 0.03, "evaluation_trials": tiny.TRIALS}
    single = rnnjax.train_one(sweep.task, sweep.cell, RECIPE, **how)
    population = rnnjax.train_population(
        sweep.task, sweep.cell, RECIPE, seeds=2, engine=Engine(ahead=1), **how
    )
    key = jax.random.key(0)
    return {
        **{f"sweep {n}": v.values for n, v in swept.data_vars.items() if n != "seconds"},
        **{f"again {n}": v.values for n, v in again.data_vars.items() if n != "seconds"},
        **{f"single {n}": v for n, v in single.params.items()},
        **{f"population {n}": v for n, v in population.params.items()},
        "rates": population.trajectories(key, 3).rates,
        "losses": population.losses(key, 3),
        "gram": population.ntk_gram(key, trials=2),
    }


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return results(tmp_path_factory.mktemp("expected") / "store")


@contextlib.contextmanager
def changed(setting, value):
    """A setting of JAX, changed for all threads."""
    before = getattr(jax.config, setting)
    jax.config.update(setting, value)
    try:
        yield
    finally:
        jax.config.update(setting, before)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "value"), [("jax_enable_x64", True), ("jax_threefry_partitionable", False)]
)
def test_numbers_are_the_same_under_other_settings_of_jax(setting, value, expected, tmp_path):
    with changed(setting, value):
        found = results(tmp_path / "store")
    for name, wanted in expected.items():
        assert found[name].dtype == wanted.dtype, name
        np.testing.assert_array_equal(found[name], wanted, err_msg=name)


@pytest.mark.slow
def test_draws_do_not_depend_on_how_jax_divides_keys():
    key, cell, task = jax.random.key(3), tiny.CELL, tiny.TASKS["flip_flop"]
    weights = {name: np.ones((1, *leaf.shape), "f4") for name, leaf in cell.leaves().items()}
    inputs, few = np.ones((4, 6, 1), "f4"), SolverOptions(starts=2, steps=1)
    states = np.random.default_rng(0).normal(size=(2, 7, 6, 3))
    programs = (
        lambda key: jax.random.normal(key, (3,)),
        jax.jit(lambda key: (cell.init(key), task.batch(key, 3))),
        lambda key: visited_states(cell, weights, inputs, count=5, key=key, noise=0.1),
        lambda key: delay_errors(states, candidates=(1, 2), key=key),
        lambda key: compare_dynamics(states, key=key, delays=(1, 2), solver=few).distances,
    )
    before = [draw(key) for draw in programs]
    with changed("jax_threefry_partitionable", False):
        after = [draw(key) for draw in programs]
    assert not np.array_equal(before[0], after[0])
    chex.assert_trees_all_equal(before[1:], after[1:])
