"""Progress of a sweep that also goes to a logger."""

import math
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from rnnjax.sweep import Block, Progress, Segment
from rnnjax.sweep.engine import require_progress
from rnnjax.validate import shown

__all__ = ["LoggedProgress", "Logger"]


class Logger(Protocol):
    """Receives numbers; any object with these methods is one."""

    def log(self, name: str, step: int, values: Mapping[str, float]) -> None:
        """Keeps the `values` of the block `name` after `step` training steps."""

    def flush(self) -> None:
        """Called at the end of a sweep, also after an error."""


class LoggedProgress:
    """A callback of `run_sweep` that logs after every segment of a block.

    The values are `loss`, the median of the training losses of the block's running networks,
    `running`, the number of these, `steps_per_second`, run-steps per second of the segment, and at
    the end of an epoch with validation `held_out_loss`, their median. The rate of a block's first
    segment includes the time to compile it; blocks of workers, which train side by side, have none.
    Values that are not finite are left out. Nothing is computed on the device for them. A logger
    that fails gets no more values of the sweep, after a warning; training goes on. Raises
    `ValueError` for other objects.
    """

    def __init__(self, logger: Logger, progress: Progress | None = None):
        """`progress`: called too, such as `rnnjax.ProgressBar()`."""
        methods = (getattr(logger, name, None) for name in ("log", "flush"))
        if isinstance(logger, type) or not all(map(callable, methods)):
            raise ValueError(
                "logger: expected an object with the methods log and flush, such as "
                f"rnnjax.loggers.tensorboard.TensorBoard(folder), got {shown(logger)}"
            )
        require_progress(progress)
        self._logger, self._progress = logger, progress
        self._fails = False
        self._since = time.perf_counter()

    def begin(self, blocks: list[Block], finished: int, found: int) -> None:
        """Begins the other progress, if there is one; the logger is tried again."""
        self._fails = False
        self._since = time.perf_counter()
        if self._progress is not None:
            self._progress.begin(blocks, finished, found)

    def compile(self, block: Block) -> None:
        """Passes the block on."""
        if self._progress is not None:
            self._progress.compile(block)

    def advance(self, block: Block, segment: Segment) -> None:
        """Logs the values of a segment."""
        elapsed = max(time.perf_counter() - self._since, 1e-9)
        values = {
            "loss": segment.loss,
            "held_out_loss": segment.held_out_loss,
            "running": float(segment.running),
            # Blocks of workers are trained side by side, and known when they end.
            "steps_per_second": math.nan if segment.remote else segment.steps / elapsed,
        }
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        if not self._fails:
            self._try(self._logger.log, block.name or "block", segment.step, finite)
        self._since = time.perf_counter()
        if self._progress is not None:
            self._progress.advance(block, segment)

    def end(self) -> None:
        """Flushes the logger and ends the other progress."""
        try:
            self._try(self._logger.flush)
        finally:
            if self._progress is not None:
                self._progress.end()

    def _try(self, call: Callable[..., None], *arguments: Any) -> None:
        """Calls the logger; warns of its first error: training is worth more than a log."""
        try:
            call(*arguments)
        except Exception as error:
            if not self._fails:
                warnings.warn(
                    "the logger failed and gets no more values of this sweep: "
                    f"{type(error).__name__}: {error}",
                    stacklevel=2,
                )
            self._fails = True
