"""Forecast of the remaining time of a sweep, from its steps so far.

The model of `rnnjax.sweep.cost`, with its two rates fitted to the steps that were timed:

    seconds of a block = a * arithmetic + b * overhead + pause.

`arithmetic` is the model's at the measured rate of matrix products, `overhead` its nominal value; a
and b start at 1. The pause lasts from the last segment of one block to the end of the first segment
of the next, less the steps of that segment: most of it is compilation, evaluation and storage. The
mean of the pauses so far, without the first, stands for those to come.
"""

import dataclasses
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


@dataclasses.dataclass
class _Sums:
    """Run-steps of the blocks with one model: all that are planned, left, and of blocks to come."""

    planned: int = 0
    left: int = 0
    to_come: int = 0


class Forecast:
    """The remaining time of the blocks of a sweep.

    The share of steps that runs skip, because they stop, is taken from the blocks that have ended.
    `since` is when the work began, on the clock `time.perf_counter`; now by default. Sums are kept
    from segment to segment, as sweeps have tens of thousands of blocks.
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
        self._timing, self._timed = "", [0.0, 0.0]  # a block's steps, and seconds, after the first
        self._gram, self._right = _TRUST * np.eye(2), _TRUST * np.ones(2)  # of those before
        self._first_pause: float | None = None
        self._pauses = [0.0, 0]  # sum and number of the later ones
        self._sums: dict[_Work, _Sums] = {work: _Sums() for work in self._work.values()}
        self._open: set[str] = set()  # blocks that have begun and not ended
        self._over, self._ended = 0, [0, 0]  # blocks that have ended; steps planned and taken
        for name in self._work:
            self._sum(name, 1)
        self._begin = self._last = time.perf_counter() if since is None else since
        self._block, self._remote = "", False

    def advance(self, block: Block, segment: Segment) -> None:
        """Takes account of a segment that has just ended."""
        name = self._planned_name(block.name)
        self._sum(name, -1)
        self._advance(block, segment, name)
        self._sum(name, 1)

    def _sum(self, name: str, sign: int) -> None:
        """Adds a planned block to the sums, or takes it out of them with the sign -1."""
        sums, planned, left = self._sums[self._work[name]], self._planned[name], self._left[name]
        sums.planned += sign * planned
        sums.left += sign * left
        self._over += sign * (left <= 0)
        self._open.discard(name)
        if name not in self._taken:
            sums.to_come += sign * planned
        elif left > 0:
            self._open.add(name)
        else:
            self._ended[0] += sign * planned
            self._ended[1] += sign * self._taken[name]

    def _advance(self, block: Block, segment: Segment, name: str) -> None:
        now = time.perf_counter()
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
            pause = max(seconds - usual, 0.0)
            if self._first_pause is None:
                self._first_pause = pause
            else:
                self._pauses = [self._pauses[0] + pause, self._pauses[1] + 1]
            return
        if name != self._timing:
            row = self._row()
            self._gram, self._right = self._gram + np.outer(row, row), self._right + row
            self._timing, self._timed = name, [0.0, 0.0]
        self._timed[0] += segment.steps
        self._timed[1] += seconds

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
        steps = {work: share * sums.to_come for work, sums in self._sums.items()}
        for name in self._open:
            left, taken = self._left[name], self._taken[name]
            # Runs that take longer than usual are not ignored.
            rest = max(share * self._planned[name] - taken, share / 2 * left)
            steps[self._work[name]] += min(left, rest)
        seconds = sum(count * float(np.dot(rates, work)) for work, count in steps.items())
        return seconds + (len(self._left) - len(self._taken)) * self._pause()

    def _pause(self) -> float:
        """The mean pause between two blocks."""
        total, count = self._pauses
        if count:
            return total / count
        return _FIRST_PAUSE if self._first_pause is None else self._first_pause

    def assumes_all_steps(self) -> bool:
        """Whether runs may stop early, but no block has ended and shown when they do."""
        return self._may_stop and not self._over

    def share_done(self) -> float:
        """Share of the work that is done, by the model."""
        total = sum(sum(work) * sums.planned for work, sums in self._sums.items())
        return 1 - sum(sum(work) * sums.left for work, sums in self._sums.items()) / total

    def _rates(self) -> np.ndarray:
        """The factors a and b: least squares of relative errors over the blocks."""
        row = self._row()
        gram, right = self._gram + np.outer(row, row), self._right + row
        return np.maximum(np.linalg.solve(gram, right), 0.05)

    def _row(self) -> np.ndarray:
        """Modelled seconds over those measured, of the block being timed; 0 if there is none."""
        steps, seconds = self._timed
        if not steps:
            return np.zeros(2)
        return np.array(self._work[self._timing]) * steps / max(seconds, 1e-9)

    def _share(self) -> float:
        """Share of the planned steps that the blocks which have ended computed."""
        planned, taken = self._ended
        return taken / planned if planned else 1.0


def _before(block: Block) -> int:
    """Run-steps that a block has from a training of fewer epochs."""
    return block.runs * block.epochs_before * block.setup.recipe.steps_per_epoch


def _model(block: Block, layout: Lanes, machine: cost.Machine) -> _Work:
    runs = block.runs
    seconds = cost.step_seconds(block.setup, runs, layout, machine) / runs
    arithmetic = cost.step_flops(block.setup) / (0.5 * machine.flops)
    return _Work(arithmetic, seconds - arithmetic)
