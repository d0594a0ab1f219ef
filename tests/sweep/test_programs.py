"""Programs are shared by what is traced, and give the results of single runs."""

import chex
import jax
import numpy as np
import pytest

import rnnjax
import tiny
from alike import close, identical
from rnnjax import Engine, run_sweep, train_one
from rnnjax.sweep import programs

RATES = (0.003, 0.03, 0.1, 0.3)


@pytest.mark.slow
def test_one_program_per_setup_and_block_size(monkeypatch):
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, *_, **__: compiled.append(name) if "backend_compile" in name else None
    )
    chex.clear_trace_counter()
    monkeypatch.setattr(programs, "advance", chex.assert_max_traces(programs.advance, n=3))

    def count(seeds, how=None, hidden=(3, 4)):
        before = programs.advance_block._cache_size()
        axes = {"hidden": hidden, "learning_rate": RATES, "seed": range(seeds)}
        run_sweep(tiny.sweep("delayed_cue", axes, batch=3), engine=how)
        return programs.advance_block._cache_size() - before

    assert count(2) == 2  # two widths; rates and seeds are traced
    del compiled[:]
    assert count(2) == 0
    assert compiled == []  # nor is anything else compiled again
    assert count(5, Engine(block_runs=8)) == 0  # blocks of the same size
    assert count(2, Engine(block_runs=3), hidden=(3,)) == 1  # two runs per device, not four
    assert count(1, Engine(block_runs=4), hidden=(3,)) == 0


@pytest.mark.slow
def test_gamma_is_traced_and_its_runs_equal_those_of_train_one(monkeypatch):
    chex.clear_trace_counter()
    monkeypatch.setattr(programs, "advance", chex.assert_max_traces(programs.advance, n=1))
    cell = rnnjax.cells.rate(5, parametrization=rnnjax.parametrization.MuPAdam())
    axes = {"seed": (0, 1), "learning_rate": (0.03, 0.1), "gamma": (0.5, 1.0, 4.0)}
    sweep = rnnjax.Sweep(
        tiny.TASKS["delayed_match"], cell, tiny.recipe("adam"), axes, evaluation_trials=tiny.TRIALS
    )
    dataset = run_sweep(sweep)
    monkeypatch.undo()
    assert dataset["final_loss"].dims == ("gamma", "learning_rate", "seed")
    assert len(np.unique(dataset["final_loss"])) == 12
    for gamma in (0.5, 4.0):
        alone = train_one(
            sweep.task, cell, sweep.recipe, learning_rate=0.03, seed=1, gamma=gamma,
            evaluation_trials=tiny.TRIALS,
        )  # fmt: skip
        at = dataset.sel(gamma=gamma, learning_rate=0.03, seed=1)
        assert alone.results["final_loss"] == float(at["final_loss"])
        np.testing.assert_array_equal(alone.losses, at["loss"])


@pytest.mark.slow
def test_devices_can_share_the_units_of_every_run():
    cell = rnnjax.cells.latent(21, rank=2)
    axes = {"learning_rate": (0.03, 0.3), "seed": (0, 1, 2)}
    sweep = rnnjax.Sweep(tiny.TASKS["delayed_cue"], cell, tiny.recipe("adam"), axes, tiny.TRIALS)
    alone = run_sweep(sweep)
    shared = run_sweep(sweep, engine=Engine(share="units"))
    close(alone, shared)
    identical(shared, run_sweep(sweep, engine=Engine(share="units", block_runs=2)))
    with pytest.raises(ValueError, match="^hidden: expected a multiple of the 2 devices .* got 5"):
        run_sweep(tiny.sweep(), engine=Engine(share="units"))
    with pytest.raises(ValueError, match="share: expected one of runs, units"):
        Engine(share="unit")
