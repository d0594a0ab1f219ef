"""Logs to event files that TensorBoard reads; needs `rnnjax[tensorboard]`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["TensorBoard"]


class TensorBoard:
    """Writes scalars into a folder; `tensorboard --logdir FOLDER` shows them.

    Raises `ImportError` if tensorboardX is not installed.
    """

    def __init__(self, folder: str | Path, writer: Any = None):
        """`writer`: in place of a `tensorboardX.SummaryWriter` of the folder, with its methods."""
        self._writer = _open(folder) if writer is None else writer

    def log(self, name: str, step: int, values: Mapping[str, float]) -> None:
        """Writes every value as the scalar VALUE/NAME, so that blocks share a plot."""
        for value, number in values.items():
            self._writer.add_scalar(f"{value}/{name}", number, step)

    def flush(self) -> None:
        """Writes what is still in memory."""
        self._writer.flush()

    def close(self) -> None:
        """Closes the file."""
        self._writer.close()


def _open(folder: str | Path) -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise ImportError(
            "tensorboardX is not installed; to install it: pip install 'rnnjax[tensorboard]'"
        ) from error
    return SummaryWriter(str(folder))
