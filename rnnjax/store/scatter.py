"""Writing the values of a block into the chunks of a zarr array."""

import asyncio
import concurrent.futures
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from rnnjax.store.damage import reraise_unreadable
from rnnjax.store.growing import flush_folder
from rnnjax.store.manifest import new_file

__all__ = ["canonical", "open_group", "read_only", "replaced_chunks", "scatter"]

_AT_ONCE = 32  # files that are flushed side by side


def open_group(folder: Path) -> Any:
    """The zarr group in a folder, open for writing within `replaced_chunks`."""
    import zarr  # slow to import
    from zarr.storage import LocalStore

    class NewChunks(LocalStore):
        """Writes each chunk beside the one that it is to replace."""

        def __init__(self, root: Path | str, *, read_only: bool = False):
            super().__init__(root, read_only=read_only)
            self.written: dict[Path, Path] = {}
            """Place of a chunk -> the file that is to take it."""

        async def set(self, key: str, value: Any) -> None:
            await asyncio.to_thread(self.set_sync, key, value)

        def set_sync(self, key: str, value: Any) -> None:
            path = self.root / key
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, file = new_file(path.parent, path.name)
            self.written[path] = file
            with os.fdopen(handle, "wb") as opened:
                opened.write(value.to_bytes())

    return zarr.open_group(NewChunks(folder), mode="r+", zarr_format=3, use_consolidated=False)


@contextlib.contextmanager
def replaced_chunks(group: Any) -> Iterator[None]:
    """Chunks of a group that are written in this context take their places at its end.

    All are on the disk before, since each replaces one that holds the results of earlier blocks:
    zarr leaves the time to the system, and a power cut could cost all of them. They are flushed
    together, which takes much less time than one after another.
    """
    written = group.store.written
    try:
        yield
        with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(_flush_file, written.values()))
            for path, file in written.items():
                os.replace(file, path)
            above = {
                place for path in written for place in path.relative_to(group.store.root).parents
            }
            list(pool.map(lambda place: flush_folder(group.store.root / place), above))
    except BaseException:
        for file in list(written.values()):  # threads may still be adding some
            file.unlink(missing_ok=True)
        raise
    finally:
        written.clear()


def _flush_file(file: Path) -> None:
    with open(file, "r+b") as opened:  # some systems flush no file that is open for reading
        os.fsync(opened.fileno())


def scatter(
    array: Any, cells: np.ndarray, block: np.ndarray, held: np.ndarray | None = None
) -> None:
    """Writes rows chunk by chunk: each chunk is read, changed and replaced as a whole.

    `held` are the values of the whole array, if they are known. Then nothing is read, and chunks
    that fill a box are written at once, several times faster than one after another.
    """
    chunks = np.unique(cells[:, :-1], axis=0)
    low, high = chunks.min(axis=0), chunks.max(axis=0) + 1
    if held is not None and np.prod(high - low) == len(chunks):
        box = tuple(slice(*ends) for ends in zip(low, high, strict=True))
        rows = held[box].copy()
        rows[(*(cells[:, :-1] - low).T, cells[:, -1])] = block
        array[box] = rows
        return
    for chunk in chunks:
        inside = np.all(cells[:, :-1] == chunk, axis=1)
        at = tuple(chunk)
        rows = _rows(array, at) if held is None else held[at].copy()
        rows[cells[inside, -1]] = block[inside]
        array[at] = rows


def _rows(array: Any, chunk: tuple[int, ...]) -> np.ndarray:
    """A chunk's values; empty ones where it cannot be decoded.

    Opening the store has checked all finished blocks, so that no such chunk holds any.
    """
    try:
        return array[chunk]
    except Exception as error:  # codecs raise errors of their own
        reraise_unreadable(error)
        fill = np.nan if array.dtype.kind == "f" else 0
        return np.full(array.shape[len(chunk) :], fill, array.dtype)


def read_only(dataset: xr.Dataset) -> xr.Dataset:
    """A dataset of its own with the same arrays, which cannot be written to through it."""
    found = dataset.copy(deep=False)
    for name, variable in dataset.data_vars.items():
        values = variable.values.view()
        values.flags.writeable = False
        found[name] = (variable.dims, values, variable.attrs)
    return found


def canonical(block: np.ndarray) -> np.ndarray:
    """The same values with one bit pattern of NaN: zarr does not store chunks of NaN alone."""
    if block.dtype.kind != "f":
        return block
    return np.where(np.isnan(block), block.dtype.type(np.nan), block)
