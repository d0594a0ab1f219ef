"""Sizes of a block's programs, chosen by nominal costs: runs per block, steps per segment.

A sweep therefore uses the same programs whenever it runs on the same kind of device.
"""

import math
from collections.abc import Callable

from rnnjax.lanes import Lanes
from rnnjax.sweep import cost
from rnnjax.training import Setup

__all__ = ["runs_per_save", "segment_steps", "shrinking_rule"]


def runs_per_save(setup: Setup, count: int, layout: Lanes) -> int:
    """Largest number of runs per block, of `count`: a few minutes' worth at map width 1.

    Larger blocks are no faster there, and an interruption loses more of their work.
    """
    if layout.map_width != 1:
        return count
    # With a threshold most networks stop within a tenth of their steps: a rule of thumb.
    steps = setup.recipe.steps / (10 if setup.recipe.stop == "threshold" else 1)
    runs = 2e13 / (steps * cost.step_flops(setup))
    return min(count, max(1, round(runs / layout.lanes)) * layout.lanes)


def shrinking_rule(setup: Setup, layout: Lanes, compact: bool | None) -> Callable[[int, int], bool]:
    """Rule for continuing with fewer runs: `Engine.compact`, or a step of half the time or less.

    Times are estimated by nominal rates, so that a sweep always uses the same programs.
    """
    if compact is not None:
        return lambda now, fewer: compact
    if layout.map_width == 1:  # stopped runs cost nothing there
        return lambda now, fewer: False
    machine = cost.nominal_machine(layout)

    def pays(now: int, fewer: int) -> bool:
        present, smaller = (cost.step_seconds(setup, n, layout, machine) for n in (now, fewer))
        return smaller <= present / 2

    return pays


def segment_steps(setup: Setup, runs: int, layout: Lanes) -> int:
    """Steps per segment: about two seconds at the nominal rate of the device, at most 100."""
    steps = setup.recipe.steps_per_epoch if setup.recipe.validates else setup.recipe.steps
    seconds = cost.step_seconds(setup, runs, layout, cost.nominal_machine(layout))
    most = max(1, math.floor(min(100, 2 / seconds)))
    segments = -(-steps // most)
    return -(-steps // segments)  # equal segments, so that the last one is not mostly masked
