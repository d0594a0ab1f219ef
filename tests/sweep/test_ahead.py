"""Compilation ahead of training: nothing is compiled twice, and no result changes."""

import functools
import threading

import jax
import numpy as np
import pytest

import rnnjax
import tiny
from rnnjax import devices
from rnnjax.devices import Layout, default_layout
from rnnjax.sweep import Engine, programs, run_sweep
from rnnjax.sweep import ahead as module
from rnnjax.sweep.ahead import blocks_ahead, upcoming

COMPILED = "/jax/core/compile/backend_compile_duration"


@pytest.fixture
def compilations():
    """The threads of all compilations, as they happen; no program is kept between tests."""
    jax.clear_caches()
    events = []

    def record(event, duration, **_):
        if event == COMPILED:
            events.append(threading.current_thread())

    jax.monitoring.register_event_duration_secs_listener(record)
    yield events
    jax.clear_caches()
    jax.monitoring.unregister_event_duration_listener(record)


RECIPE = rnnjax.Recipe.until(
    0.5, epochs=2, patience=1, steps_per_epoch=5, batch=4, validation_trials=6
)


def sweep(widths=(5, 4), cell=None):
    return rnnjax.Sweep(
        task=tiny.TASKS["delayed_match"],
        cell=cell or rnnjax.cells.rate(),
        recipe=RECIPE,
        axes={"hidden": widths, "learning_rate": [0.01, 0.1], "seed": range(2)},
        evaluation_trials=tiny.TRIALS,
    )


@pytest.mark.slow
@pytest.mark.parametrize("layout", [{}, {"share": "units"}])
def test_results_are_the_same_and_nothing_is_compiled_twice(layout, compilations):
    widths, cell = (5, 4), None
    if "share" in layout:
        widths, cell = (6,), rnnjax.cells.latent(rank=2)
    plain = run_sweep(sweep(widths, cell), engine=Engine(ahead=0, **layout))
    needed = len(compilations)
    jax.clear_caches()
    compilations.clear()
    ahead = run_sweep(sweep(widths, cell), engine=Engine(ahead=1, **layout))
    assert len(compilations) == needed > 4
    # Five programs per network size, none of them when it is called.
    elsewhere = [thread for thread in compilations if thread is not threading.main_thread()]
    assert len(elsewhere) == 5 * len(widths)
    for name in set(plain.data_vars) - {"seconds"}:
        np.testing.assert_array_equal(ahead[name], plain[name])


class Watch:
    """Counts the blocks that had to wait for their programs."""

    def __init__(self):
        self.waited = []

    def begin(self, blocks, finished, found):
        self.blocks = [block.name for block in blocks]

    def compile(self, block):
        self.waited.append(block.name)

    def advance(self, block, segment):
        pass

    def end(self):
        pass


@pytest.mark.slow
@pytest.mark.parametrize("ahead", [0, 1])
def test_a_block_that_shares_its_programs_does_not_wait(ahead):
    watch = Watch()
    run_sweep(sweep((5,)), progress=watch, engine=Engine(ahead=ahead, block_runs=2))
    assert len(watch.blocks) == 2
    assert watch.waited == watch.blocks[:1]


@pytest.mark.slow
@pytest.mark.parametrize("ahead", [0, 1])
def test_programs_dropped_between_blocks_are_compiled_again(ahead, monkeypatch):
    whole = run_sweep(sweep((5,)))
    drop_all = functools.partial(devices.free_programs, 0.0)
    monkeypatch.setattr("rnnjax.sweep.ahead.free_programs", drop_all)
    watch = Watch()
    engine = Engine(ahead=ahead, block_runs=2)
    again = run_sweep(sweep((5,)), progress=watch, engine=engine)
    assert watch.waited == watch.blocks
    np.testing.assert_array_equal(again["loss"], whole["loss"])


@pytest.mark.slow
@pytest.mark.parametrize("ahead", [0, 1])
def test_errors_are_those_of_the_call(ahead, compilations, monkeypatch):
    def broken(*_, **__):
        raise ValueError("task: broken")

    monkeypatch.setattr(programs, "evaluate", broken)
    with pytest.raises(ValueError, match="^task: broken"):
        run_sweep(sweep((5,)), engine=Engine(ahead=ahead))


def test_every_block_is_followed_by_the_next_programs_that_differ():
    for keys in ("aaabbcaad", "a", "abab", ""):
        after = [tuple(dict.fromkeys(keys[i:]))[:3] for i in range(len(keys))]
        assert upcoming(keys, 2) == after


@pytest.mark.parametrize(("cores", "expected"), [(1, 0), (2, 0), (4, 2), (16, 2)])
def test_a_small_host_compiles_nothing_ahead(monkeypatch, cores, expected):
    monkeypatch.setattr(module, "available_cores", lambda: cores)
    layout = Layout(default_layout().devices[:1], 1)
    assert blocks_ahead(layout) == expected
    assert blocks_ahead(layout, 3) == 3
