"""A progress bar whose remaining time accounts for the cost of wide networks."""

import sys
import time
from typing import TextIO

from tqdm import tqdm

from rnnjax.sweep import cost
from rnnjax.sweep.block import Segment
from rnnjax.sweep.engine import Block

__all__ = ["ProgressBar"]

# Only proportions matter: the bar measures the machine's speed.
_NOMINAL = cost.Machine(flops=2e11, step_overhead=5e-6)


def _step_cost(block: Block) -> float:
    """Relative cost of one step of one run."""
    overhead = block.setup.task.steps * _NOMINAL.step_overhead
    return cost.step_flops(block.setup) / (0.5 * _NOMINAL.flops) + overhead


class ProgressBar:
    """A tqdm bar of a sweep: share of the work done, remaining time, run-steps per second."""

    def __init__(self, label: str = "training", file: TextIO | None = None):
        self._label, self._file = label, file or sys.stderr
        self._bar: tqdm | None = None
        self._announced = False
        self._done: dict[str, int] = {}
        self._steps, self._since = 0, 0.0

    def begin(self, blocks: list[Block], finished: int) -> None:
        """Shows the empty bar, unless there are no blocks to compute.

        The bar shows the share of these; a line above it states how many runs the store has.
        """
        if not blocks:
            return
        if finished and self._bar is None and not self._announced:
            runs = sum(block.runs for block in blocks)
            total = finished + runs
            print(f"{self._label}: {finished} of {total} runs found", file=self._file)
        self._announced = True
        total = sum(_step_cost(b) * b.runs * b.setup.recipe.steps for b in blocks)
        self._bar = tqdm(
            total=total, desc=self._label, file=self._file, mininterval=0.5,
            bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}",
        )  # fmt: skip
        self._done, self._steps, self._since = {}, 0, time.perf_counter()

    def advance(self, block: Block, segment: Segment) -> None:
        """Advances the bar by a segment."""
        assert self._bar is not None
        gained = segment.done - self._done.get(block.name, 0)
        self._done[block.name] = segment.done
        self._steps += segment.steps
        rate = self._steps / (time.perf_counter() - self._since)
        recipe = block.setup.recipe
        self._bar.set_postfix_str(
            f"{rate:,.0f} run-steps/s, {block.setup.task.name} {recipe.optimizer} "
            f"N={block.setup.cell.hidden}",
            refresh=False,
        )
        left = self._bar.total - self._bar.n  # limits rounding errors at the end
        self._bar.update(min(max(gained, 0) * _step_cost(block), left))

    def end(self) -> None:
        """Closes the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
