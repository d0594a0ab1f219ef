"""Specs that compile in about a second and train in milliseconds.

Tests share them to save compilation time: one program per (setup, block size, layout).
"""

import rnnjax
from rnnjax import cells, tasks
from rnnjax.sweep import block, programs

TASKS = {
    "delayed_cue": tasks.delayed_cue(2, 3, 2),
    "delayed_match": tasks.delayed_match(2, 2, 2),
    "flip_flop": tasks.flip_flop(2, 0.3, 8),
}
STEPS, BATCH, TRIALS = 20, 4, 12
CELL = cells.rate(5)
CELLS = {"flip_flop": cells.rate(5, bias=True, init="xavier")}
"""Cells of tasks that do not use CELL, so that tests train two arms."""


def recipe(optimizer: str = "sgd", **options) -> rnnjax.Recipe:
    return rnnjax.Recipe(optimizer, **{"epochs": STEPS, "batch": BATCH, **options})


def sweep(task: str = "delayed_cue", axes=None, **options) -> rnnjax.Sweep:
    """A sweep of 2 learning rates x 2 seeds, under SGD by default."""
    axes = {"learning_rate": (0.03, 0.3), "seed": (0, 1), **(axes or {})}
    return rnnjax.Sweep(
        task=None if "task" in axes else TASKS[task],
        cell=CELLS.get(task, CELL),
        recipe=recipe(**options),
        axes=axes,
        evaluation_trials=TRIALS,
    )


def mostly_diverging():
    """Twelve runs, of which the ten at the larger rates diverge at once."""
    rates = (0.3, 1e30, 1e31, 1e32, 1e33, 1e34)
    return sweep("delayed_match", {"learning_rate": rates, "seed": (0, 1)})


def block_sizes(monkeypatch):
    """Will hold the number of runs of a block at each of its segments."""
    sizes, advance = [], programs.advance_block

    def recorded(setup, layout, runs, length):
        sizes.append(runs.status.shape[0])
        return advance(setup, layout, runs, length)

    monkeypatch.setattr(block, "advance_block", recorded)
    return sizes
