"""A progress bar of a sweep, with the forecast of its remaining time."""

import functools
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from tqdm import tqdm

from rnnjax.devices import all_devices
from rnnjax.lanes import RemoteLanes, Resources
from rnnjax.sweep import cost
from rnnjax.sweep.block import Segment
from rnnjax.sweep.engine import Block
from rnnjax.sweep.forecast import Forecast

__all__ = ["ProgressBar"]


_WORKER = RemoteLanes(Resources("cpu", 1, 1), 1)
"""Stands for workers, whose speed shows in the whole alone."""


_LOG_INTERVAL = 10.0
"""Seconds between lines in a log."""


def _redraws(file: TextIO) -> bool:
    """Whether a file is a screen, on which a line can be overwritten: a terminal or a notebook."""
    file = getattr(file, "_wrapped", file)  # by tqdm
    is_terminal = getattr(file, "isatty", bool)()
    return is_terminal or type(file).__module__.startswith("ipykernel.")


class _Bar(tqdm):
    """A bar that shows `left`, the seconds that remain, in place of its own estimate."""

    left: float | None = None
    all_steps = False
    """Whether `left` assumes that no run stops early."""

    @staticmethod
    def status_printer(file: TextIO) -> Callable[[str], None]:
        """Redraws the bar in place on a screen; in a log, writes it as a line of its own."""
        if _redraws(file):
            return tqdm.status_printer(file)
        return functools.partial(print, file=file, flush=True)

    @property
    def format_dict(self) -> dict[str, Any]:
        """The fields of the bar's format."""
        left = "?" if self.left is None else tqdm.format_interval(self.left)
        left = f"{left} for all steps" if self.all_steps else left
        return {**super().format_dict, "left": left}


class ProgressBar:
    """A tqdm bar of a sweep: share of the work done, remaining time, run-steps per second.

    In a file that is no terminal, such as the log of a batch job, it is a line every ten seconds.
    """

    def __init__(self, label: str = "training", file: TextIO | None = None):
        self._label, self._file = label, file or sys.stderr
        self._bar: _Bar | None = None
        self._announced = False
        self._machine: cost.Machine | None = None
        self._forecast: Forecast | None = None

    def begin(self, blocks: list[Block], finished: int, found: int) -> None:
        """Shows the empty bar, unless there are no blocks to compute.

        The bar shows the share of these; a line above it states how many the store has.
        """
        if not blocks:
            return
        if finished and self._bar is None and not self._announced:
            print(self.announcement(blocks, finished, found), file=self._file)
        self._announced = True
        screen = _redraws(self._file)
        self._bar = _Bar(
            total=1.0, desc=self._label, file=self._file, miniters=0,
            mininterval=0.5 if screen else _LOG_INTERVAL,
            bar_format=f"{{desc}} {{percentage:3.0f}}%{'|{bar}|' if screen else ','} "
            "{elapsed}<{left}{postfix}",
        )  # fmt: skip
        self._numbers = {block.name: number for number, block in enumerate(blocks, start=1)}
        self._blocks, self._forecast = blocks, None
        self._steps, self._since = 0, time.perf_counter()

    def announcement(self, blocks: list[Block], finished: int, found: int) -> str:
        """How much of the work the store has."""
        if found:
            rest = len(blocks)
            return f"{self._label}: {found} of {found + rest} blocks found, {rest} to do"
        total = finished + sum(block.runs for block in blocks)
        return f"{self._label}: {finished} of {total} runs found"

    def compile(self, block: Block) -> None:
        """Shows which block is being compiled."""
        assert self._bar is not None
        self._started(remote=False)
        number, count = self._numbers[block.name], len(self._numbers)
        text = f"compiling block {number} of {count}: {_condition(block)}"
        self._bar.set_postfix_str(text, refresh=number == 1 or _redraws(self._file))

    def advance(self, block: Block, segment: Segment) -> None:
        """Advances the bar by a segment."""
        assert self._bar is not None
        forecast = self._started(segment.remote)
        forecast.advance(block, segment)
        self._steps += segment.steps
        rate = self._steps / (time.perf_counter() - self._since)
        self._bar.set_postfix_str(f"{rate:,.0f} run-steps/s, {_condition(block)}", refresh=False)
        self._bar.left = forecast.remaining()
        self._bar.all_steps = forecast.assumes_all_steps()
        self._bar.update(max(forecast.share_done() - self._bar.n, 0.0))

    def _started(self, remote: bool) -> Forecast:
        """The forecast; where workers train, this process uses no device and measures none."""
        if self._forecast is None and remote:
            machine = cost.nominal_machine(_WORKER)
            self._forecast = Forecast(self._blocks, _WORKER, machine, self._since)
        elif self._forecast is None:
            layout = all_devices()
            self._machine = self._machine or cost.measure_machine(layout)
            self._since = time.perf_counter()
            self._forecast = Forecast(self._blocks, layout, self._machine)
        return self._forecast

    def end(self) -> None:
        """Closes the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _condition(block: Block) -> str:
    setup = block.setup
    return f"{setup.task.name} {setup.recipe.optimizer} N={setup.cell.hidden}"
