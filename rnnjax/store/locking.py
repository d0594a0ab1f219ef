"""The lock of a folder, which one process holds while it writes."""

import contextlib
import errno
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock

from rnnjax.store.manifest import StoreError, StoreInUse

__all__ = ["acquire", "held"]

_WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)


def acquire(folder: Path) -> filelock.BaseFileLock:
    """Takes the lock of a folder; its `release` gives it back, and so does the end of the process.

    Raises `StoreInUse` if it is taken, `StoreError` where the folder or its system has no locks.
    """
    # A marker file in place of a lock would outlive a killed process, and lock the folder for good.
    known = inspect.signature(filelock.FileLock.__init__).parameters
    options: Any = {"fallback_to_soft": False} if "fallback_to_soft" in known else {}
    lock = filelock.FileLock(folder / "lock", **options)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise StoreInUse(
            f"store: {folder} is already open for writing, here or in another process"
        ) from None
    except (OSError, NotImplementedError) as error:
        if isinstance(error, NotImplementedError) or error.errno in _WITHOUT_LOCKS:
            raise StoreError(
                f"store: expected a file system with locks, got that of {folder}"
            ) from None
        raise StoreError(
            f"store: expected a folder that can be written, got {folder} "
            f"({error.strerror or error})"
        ) from None
    return lock


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Holds the lock of a folder; raises as `acquire`."""
    lock = acquire(folder)
    try:
        yield
    finally:
        lock.release()
