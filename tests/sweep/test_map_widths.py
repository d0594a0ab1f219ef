"""Networks that train side by side, as on accelerators; compared to rounding.

Results at one map width, to the last bit: test_engine.
"""

import functools

import numpy as np
import pytest

import tiny
from alike import close, identical
from rnnjax import Engine, Status, run_sweep

pytestmark = pytest.mark.slow

RATES, SEEDS = (0.003, 0.03, 0.1, 0.3), (0, 1, 2)


@functools.cache
def results(optimizer="sgd", width=None, rates=RATES):
    sweep = tiny.sweep(
        "delayed_match", {"learning_rate": rates, "seed": SEEDS}, optimizer=optimizer
    )
    return run_sweep(sweep, engine=Engine(map_width=width, compact=False))


@pytest.mark.parametrize(("width", "optimizer"), [("all", "sgd"), ("all", "adam"), (3, "sgd")])
def test_other_map_widths_agree_to_rounding(width, optimizer):
    """`all`, one vmap per device, is what accelerators do; 3 maps six runs in two halves."""
    close(results(optimizer, width), results(optimizer))


def test_one_diverging_run_changes_no_other():
    others = {"learning_rate": slice(None, 3)}
    wild = results("sgd", "all", (*RATES[:3], 1e30))
    identical(results("sgd", "all").isel(others), wild.isel(others))
    assert np.all(wild.isel(others)["status"] == Status.EXHAUSTED)
    assert np.all(wild["status"].isel(learning_rate=3) == Status.DIVERGED)
    assert np.all(np.isnan(wild["final_loss"].isel(learning_rate=3)))
    assert np.all(wild["accuracy_decision"].isel(learning_rate=3) == 0)
    assert np.all(wild["steps_taken"].isel(learning_rate=3) < tiny.STEPS)


def test_compaction_changes_nothing(monkeypatch):
    """Ten of twelve runs diverge at once: a block of 12 continues as one of 2."""
    sizes, sweep = tiny.block_sizes(monkeypatch), tiny.mostly_diverging()
    how = {"segment": 10, "map_width": "all"}
    whole = run_sweep(sweep, engine=Engine(compact=False, **how))
    assert set(sizes) == {12}
    sizes.clear()
    compacted = run_sweep(sweep, engine=Engine(compact=True, **how))
    assert sizes == [12, 2]
    close(compacted, whole)
    assert np.all(compacted["status"].isel(learning_rate=0) == Status.EXHAUSTED)
    assert np.all(compacted["status"].isel(learning_rate=slice(1, None)) == Status.DIVERGED)
