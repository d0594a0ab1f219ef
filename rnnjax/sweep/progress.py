"""A progress bar whose time left knows that wide networks take longer."""

import sys
import time
from typing import TextIO

from tqdm import tqdm

from rnnjax.sweep import cost
from rnnjax.sweep.block import Segment
from rnnjax.sweep.engine import Block

__all__ = ["ProgressBar"]

# Proportions are what matters: the bar learns the machine's speed as it goes.
_NOMINAL = cost.Machine(flops=2e11, step_overhead=5e-6)


def _step_cost(block: Block) -> float:
    """Relative cost of one step of one run."""
    overhead = block.setup.task.steps * _NOMINAL.step_overhead
    return cost.step_flops(block.setup) / (0.5 * _NOMINAL.flops) + overhead


class ProgressBar:
    """A tqdm bar over a sweep: share of the work done, time left, run-steps per second."""

    def __init__(self, label: str = "training", file: TextIO | None = None):
        self._label, self._file = label, file or sys.stderr
        self._bar: tqdm | None = None
        self._settled: dict[str, int] = {}
        self._steps, self._since = 0, 0.0

    def begin(self, blocks: list[Block]) -> None:
        """Shows the empty bar, unless nothing is left to compute."""
        if not blocks:
            return
        total = sum(_step_cost(b) * b.runs * b.setup.recipe.steps for b in blocks)
        self._bar = tqdm(
            total=total, desc=self._label, file=self._file, mininterval=0.5,
            bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}",
        )  # fmt: skip
        self._settled, self._steps, self._since = {}, 0, time.perf_counter()

    def advance(self, block: Block, segment: Segment) -> None:
        """Moves the bar by a segment."""
        assert self._bar is not None
        gained = segment.settled - self._settled.get(block.name, 0)
        self._settled[block.name] = segment.settled
        self._steps += segment.steps
        rate = self._steps / (time.perf_counter() - self._since)
        recipe = block.setup.recipe
        self._bar.set_postfix_str(
            f"{rate:,.0f} run-steps/s, {block.setup.task.name} {recipe.optimizer} "
            f"N={block.setup.cell.hidden}",
            refresh=False,
        )
        left = self._bar.total - self._bar.n  # rounding must not carry the bar past its end
        self._bar.update(min(max(gained, 0) * _step_cost(block), left))

    def end(self) -> None:
        """Leaves the bar as it stands."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
