"""Programs are shared by what is traced, and devices share runs or units."""

import chex
import jax
import pytest

import rnnjax
import tiny
from alike import close, identical
from rnnjax import Engine, run_sweep
from rnnjax.sweep import programs


@pytest.fixture
def compiled():
    """The events of all compilations, as they happen; no program of another test is kept."""
    jax.clear_caches()
    events = []

    def record(event, duration, **_):
        if "backend_compile" in event:
            events.append(event)

    jax.monitoring.register_event_duration_secs_listener(record)
    yield events
    jax.monitoring.unregister_event_duration_listener(record)


@pytest.mark.slow
def test_one_program_per_setup_and_block_size(monkeypatch, compiled):
    """The programs are those of test_recovery."""
    chex.clear_trace_counter()
    monkeypatch.setattr(programs, "advance", chex.assert_max_traces(programs.advance, n=3))

    def count(seeds, how=None, hidden=(3, 4)):
        before = programs.advance_block._cache_size()
        run_sweep(tiny.sweep("delayed_match", {"hidden": hidden, "seed": range(seeds)}), engine=how)
        return programs.advance_block._cache_size() - before

    assert count(2) == 2  # two widths; rates and seeds are traced
    assert len(compiled) > 2
    del compiled[:]
    assert count(2) == 0
    assert compiled == []  # nor is anything else compiled again
    assert count(5, Engine(block_runs=4)) == 0  # blocks of the same size
    assert count(2, Engine(block_runs=3), hidden=(3,)) == 0  # two runs per device, as before
    assert count(4, Engine(block_runs=8), hidden=(3,)) == 1  # four runs per device


@pytest.mark.slow
def test_devices_can_share_the_units_of_every_run():
    cell = rnnjax.cells.latent(21, rank=2)
    axes = {"learning_rate": (0.03, 0.3), "seed": (0, 1)}
    sweep = rnnjax.Sweep(tiny.TASKS["delayed_cue"], cell, tiny.recipe("adam"), axes, tiny.TRIALS)
    alone = run_sweep(sweep, engine=Engine(segment=5))
    shared = run_sweep(sweep, engine=Engine(share="units", segment=5))
    close(alone, shared)
    pairs = Engine(share="units", segment=5, block_runs=2)
    identical(shared, run_sweep(sweep, engine=pairs))
    with pytest.raises(ValueError, match="share: expected one of runs, units"):
        Engine(share="unit")
