"""Errors for damaged files: they say which command recovers, and hold the files to delete."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from rnnjax.store.manifest import StoreError

__all__ = ["DamageError", "first_line", "reraise_unreadable"]

_LISTED = 50
"""Most files in one error; the error after the next call lists the others."""


class DamageError(StoreError):
    """Files that are not what was written.

    A file that cannot be read for another reason (permissions, a network folder) is an `OSError`.
    """

    def __init__(self, problem: str, files: Sequence[Path] = (), *, restorable: bool = False):
        self.files = tuple(path.absolute() for path in files[:_LISTED])
        """Files to delete, so that the command that made the store computes their blocks again."""
        self.restorable = restorable
        """Whether the command that made the store restores what is damaged."""
        if self.files:
            count = f"the first {_LISTED} of {len(files)}" if len(files) > _LISTED else "these"
            problem += (
                f"; to compute the blocks again, delete {count} files and repeat the call or "
                f"command that made the store: rm -- {shlex.join(map(str, self.files))}"
            )
        elif restorable:
            problem += "; the call or command that made the store restores it"
        super().__init__(problem)


def reraise_unreadable(error: Exception) -> None:
    """Raises an error that says nothing about the data: of the disk, permissions or memory."""
    missing = isinstance(error, FileNotFoundError)
    if isinstance(error, OSError | MemoryError) and not missing:
        raise error


def first_line(error: Exception) -> str:
    """The first line of an error of another package, or the name of its class."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
