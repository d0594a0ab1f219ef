"""Networks train and are evaluated in single precision, also where JAX has 64 bits enabled."""

import jax
import numpy as np
import pytest

import rnnjax
import tiny
from rnnjax.sweep import Engine, run_sweep

RECIPE = tiny.recipe("adam")


def results(folder):
    """Numbers of a sweep, a single network and a population."""
    sweep = tiny.sweep("delayed_match")
    swept = run_sweep(sweep, folder, keep_parameters=True, engine=Engine(ahead=1))
    again = run_sweep(sweep, folder, keep_parameters=True)  # reads what was written
    single = rnnjax.train_one(sweep.task, sweep.cell, RECIPE, learning_rate=0.03)
    population = rnnjax.train_population(
        sweep.task, sweep.cell, RECIPE, seeds=2, learning_rate=0.03, engine=Engine(ahead=1)
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


@pytest.mark.slow
def test_numbers_are_the_same_with_64_bits_enabled(tmp_path):
    expected = results(tmp_path / "32")
    jax.config.update("jax_enable_x64", True)  # for all threads
    try:
        found = results(tmp_path / "64")
    finally:
        jax.config.update("jax_enable_x64", False)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype, name
        np.testing.assert_array_equal(found[name], value, err_msg=name)
