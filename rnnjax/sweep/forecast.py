"""Forecast of the remaining time of a sweep, from its steps so far.

The model of `rnnjax.sweep.cost`, with its two rates fitted to the steps that were timed:

    seconds of a block = a * arithmetic + b * overhead + pause.

`arithmetic` is the model's at the measured rate of matrix products, `overhead` its nominal value; a
and b start at 1. The pause lasts from the last segment of one block to the end of the first segment
of the next, less the steps of that segment: most of it is compilation, evaluation and storage. The
mean of the pauses so far, without the first, stands for those to come.
"""

import time
from typing import NamedTuple

import numpy as np

from rnnjax.lanes import Lanes
from rnnjax.sweep import cost
from rnnjax.sweep.block import Segment
from rnnjax.sweep.engine import Block

__all__ = ["Forecast"]

_TRUST = 0.1
"""Weight of a = b = 1; every block that was timed weighs 1."""

_FIRST_PAUSE = 3.0
"""Pause before any was timed, seconds."""


class _Work(NamedTuple):
    """Modelled seconds of one run-step: products, and the rest."""

    arithmetic: float
    overhead: float


class Forecast:
    """The remaining time of the blocks of a sweep.

    The share of steps that runs skip, because they stop, is taken from the blocks that have ended.
    `since` is when the work began, on the clock `time.perf_counter`; now by default.
    """

    def __init__(
        self,
        blocks: list[Block],
        layout: Lanes,
        machine: cost.Machine,
        since: float | None = None,
    ):
        self._work = {block.name: _model(block, layout, machine) for block in blocks}
        self._left = {
            block.name: block.runs * block.setup.recipe.steps - _before(block) for block in blocks
        }
        self._planned = dict(self._left)
        self._may_stop = any(block.setup.recipe.stop != "never" for block in blocks)
        self._parts: dict[str, tuple[int, int]] = {}  # steps done, and steps taken
        self._taken: dict[str, int] = {}
        self._timed: dict[str, list[float]] = {}  # steps and their seconds, without the first
        self._pauses: list[float] = []
        self._begin = self._last = time.perf_counter() if since is None else since
        self._block, self._remote = "", False

    def advance(self, block: Block, segment: Segment) -> None:
        """Takes account of a segment that has just ended."""
        now, name = time.perf_counter(), self._planned_name(block.name)
        seconds, self._last = now - self._last, now
        if block.name != name and block.name not in self._parts:
            self._undo(block.name.rpartition("-")[0], name)
        if block.name == name and name not in self._parts:  # less what a stopped call computed
            self._planned[name] -= max(block.runs * segment.begin - _before(block), 0)
        done, taken = self._parts.get(block.name, (0, 0))
        now_done = segment.done - _before(block)
        self._parts[block.name] = now_done, taken + segment.steps
        self._left[name] -= now_done - done
        self._taken[name] = self._taken.get(name, 0) + segment.steps
        self._remote = segment.remote
        if block.name != self._block:
            self._block = block.name
            usual = segment.steps * float(np.dot(self._rates(), self._work[name]))
            self._pauses.append(max(seconds - usual, 0.0))
            return
        timed = self._timed.setdefault(name, [0.0, 0.0])
        timed[0] += segment.steps
        timed[1] += seconds

    def _planned_name(self, name: str) -> str:
        """The planned block that a block is, or is a part of where it did not fit into memory."""
        while name not in self._work:
            name, dash, _ = name.rpartition("-")
            if not dash:
                raise KeyError(f"a block that was not planned: {name!r}")
        return name

    def _undo(self, part: str, name: str) -> None:
        """Takes back what was counted of a part that now trains again, in halves."""
        done, taken = self._parts.pop(part, (0, 0))
        self._left[name] += done
        if taken:
            self._taken[name] -= taken

    def remaining(self) -> float:
        """Seconds that remain."""
        if self._remote:  # how many workers there are, and how fast, is seen in the whole alone
            share = self.share_done()
            return (self._last - self._begin) * (1 - share) / share
        rates, share = self._rates(), self._share()
        seconds = 0.0
        for name, planned in self._planned.items():
            left, taken = self._left[name], self._taken.get(name, 0)
            steps = share * planned
            if taken:  # runs that take longer than usual are not ignored
                steps = min(left, max(steps - taken, share / 2 * left))
            seconds += steps * float(np.dot(rates, self._work[name]))
        to_come = len(self._left) - len(self._taken)
        later = self._pauses[1:] or self._pauses
        return seconds + to_come * (float(np.mean(later)) if later else _FIRST_PAUSE)

    def assumes_all_steps(self) -> bool:
        """Whether runs may stop early, but no block has ended and shown when they do."""
        return self._may_stop and all(left > 0 for left in self._left.values())

    def share_done(self) -> float:
        """Share of the work that is done, by the model."""
        work = {name: sum(parts) for name, parts in self._work.items()}
        total = sum(work[name] * steps for name, steps in self._planned.items())
        return 1 - sum(work[name] * steps for name, steps in self._left.items()) / total

    def _rates(self) -> np.ndarray:
        """The factors a and b: least squares of relative errors over the blocks."""
        gram, right = _TRUST * np.eye(2), _TRUST * np.ones(2)
        for name, (steps, seconds) in self._timed.items():
            if steps:
                row = np.array(self._work[name]) * steps / max(seconds, 1e-9)
                gram += np.outer(row, row)
                right += row
        return np.maximum(np.linalg.solve(gram, right), 0.05)

    def _share(self) -> float:
        """Share of the planned steps that the blocks which have ended computed."""
        ended = [name for name in self._taken if self._left[name] <= 0]
        planned = sum(self._planned[name] for name in ended)
        return sum(self._taken[name] for name in ended) / planned if planned else 1.0


def _before(block: Block) -> int:
    """Run-steps that a block has from a training of fewer epochs."""
    return block.runs * block.epochs_before * block.setup.recipe.steps_per_epoch


def _model(block: Block, layout: Lanes, machine: cost.Machine) -> _Work:
    runs = block.runs
    seconds = cost.step_seconds(block.setup, runs, layout, machine) / runs
    arithmetic = cost.step_flops(block.setup) / (0.5 * machine.flops)
    return _Work(arithmetic, seconds - arithmetic)
