"""Blocks being trained: their state between two segments, in files that come and go.

    STORE/running/BLOCK-IDENTITY/about.json               runs of the block, steps that they take
    STORE/running/BLOCK-IDENTITY/STEP-ATTEMPT-SHA256.npz  its state after so many steps

The identity is a digest of all that the state depends on, so that a block of other settings never
reads it. Every attempt at a block writes files under a name of its own, and keeps its last two.
These are plain arrays and not checkpoints of orbax: one file is replaced as a whole, its name holds
its digest, and two attempts share no bookkeeping.
"""

import contextlib
import datetime
import itertools
import os
import re
import shutil
import time
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rnnjax.store.archive import write_arrays
from rnnjax.store.checked import file_digest, read_checked, write_checked
from rnnjax.store.damage import DamageError
from rnnjax.store.earlier import epochs_of
from rnnjax.store.grid import Grid, config_grid, places
from rnnjax.store.limits import (
    plain_size,
    require_block_name,
    require_declared,
    require_memory,
    require_plain_files,
)
from rnnjax.store.manifest import new_file, new_folder, remove_leftovers

__all__ = [
    "Checkpoint",
    "Running",
    "RunningBlock",
    "Underway",
    "damaged_checkpoints",
    "read_checkpoint",
    "remove_finished",
    "remove_running",
    "running_of",
    "saved_checkpoints",
    "underway",
    "write_checkpoint",
]

_FOLDER, _ABOUT, _NEW = "running", "about.json", ".new-"
_FILE = re.compile(r"(\d{8,})-([0-9a-f]{8})-([0-9a-f]{64})\.npz")
_KEPT = 2
_ABANDONED = 600.0
"""Age in seconds from which a half-written file is taken for that of a killed process."""


class Running(NamedTuple):
    """Where a store keeps blocks being trained; plain data, for other processes too."""

    folder: Path
    about: Mapping[str, Any]
    """The store's axes, and the epochs of its runs."""

    def block(self, name: str, identity: str, cells: np.ndarray, steps: int) -> "RunningBlock":
        """Where the block with these runs, cells [S, axes] of `steps` steps, is kept."""
        require_block_name(name)
        about = {**self.about, "cells": cells.tolist(), "steps": steps}
        return RunningBlock(self.folder / f"{name}-{identity[:16]}", identity, about)


class RunningBlock(NamedTuple):
    """A block being trained, on disk."""

    folder: Path
    identity: str
    about: Mapping[str, Any]


class Checkpoint(NamedTuple):
    """The file with the state of a block after `step` steps."""

    file: Path
    step: int
    attempt: str
    sha256: str


def running_of(store: Path, config: Mapping[str, Any]) -> Running | None:
    """Where blocks of a config are kept while they train; None for one without axes."""
    grid = config_grid(config)
    if grid is None:
        return None
    return Running(store / _FOLDER, {"axes": grid.plain(), "epochs": epochs_of(config)})


def saved_checkpoints(block: RunningBlock) -> list[Checkpoint]:
    """The checkpoints of all attempts at a block, those with most steps first."""
    return sorted(_checkpoints(block.folder), key=lambda one: -one.step)


def _checkpoints(folder: Path) -> Iterator[Checkpoint]:
    for file in sorted(folder.glob("*.npz")):
        if found := _FILE.fullmatch(file.name):
            yield Checkpoint(file, int(found[1]), found[2], found[3])


def write_checkpoint(
    block: RunningBlock, step: int, attempt: str, arrays: Iterable[tuple[str, np.ndarray]]
) -> None:
    """Writes the state after `step` steps, and removes those that are no longer needed.

    Raises `OSError` where it cannot be written.
    """
    _make_folder(block)
    handle, temporary = new_file(block.folder, f"{step}-{attempt}")
    try:
        with os.fdopen(handle, "wb") as file:
            named = itertools.chain([("identity", np.array(block.identity))], arrays)
            sha256 = write_arrays(file, named)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, block.folder / f"{step:08d}-{attempt}-{sha256}.npz")
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _prune(block.folder, attempt)


def _make_folder(block: RunningBlock) -> None:
    """Makes the folder of a block; it is never without what the block is."""
    if block.folder.exists():
        return
    block.folder.parent.mkdir(exist_ok=True)
    new = new_folder(block.folder.parent, _NEW)
    try:
        write_checked(new / _ABOUT, block.about, indent=None)
        new.rename(block.folder)
    except OSError:
        if not block.folder.exists():  # else another attempt has made it
            raise
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _prune(folder: Path, attempt: str) -> None:
    """Removes all states that are older than the last two of this attempt."""
    steps = sorted(one.step for one in _checkpoints(folder) if one.attempt == attempt)
    if len(steps) < _KEPT:
        return
    for one in _checkpoints(folder):
        if one.step < steps[-_KEPT]:
            one.file.unlink(missing_ok=True)


def read_checkpoint(block: RunningBlock, one: Checkpoint) -> dict[str, np.ndarray]:
    """The arrays of a checkpoint, compared with their digest.

    Raises `DamageError` if it is damaged, `StoreError` for a link or a file that is larger than the
    free memory, and `OSError` for one that is missing or cannot be read.
    """
    require_plain_files(block.folder)
    size = _verify(one)
    # All of it: as it is what was written, its arrays are not copied but put in place one by one.
    require_memory(str(one.file), size, share=1.0)
    try:
        with zipfile.ZipFile(one.file) as archive:
            for info in archive.infolist():
                require_declared(archive, info, size)
        with np.load(one.file, allow_pickle=False) as loaded:
            arrays = {name: loaded[name] for name in loaded.files}
        if str(arrays.pop("identity")) != block.identity:
            raise ValueError("it is of another block")
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
        raise DamageError(f"store: {one.file} is damaged ({error})") from None
    return arrays


def _verify(one: Checkpoint) -> int:
    """Size of a checkpoint's file; raises `DamageError` unless it has its digest."""
    size = plain_size(one.file)
    if file_digest(one.file) != one.sha256:
        raise DamageError(f"store: {one.file} is not what was written")
    return size


def remove_running(store: Path, block: str, config: Mapping[str, Any], cells: np.ndarray) -> None:
    """Removes all states of a finished block, and of the parts into which it was split.

    `config` is the store's, `cells` are the block's runs on its axes. A block of another call, with
    other labels on its axes, may have the same name: without any of these runs its states stay.
    """
    finished, grid = None, config_grid(config)
    if grid is not None:
        finished = np.zeros(grid.shape, bool)
        finished[tuple(cells.T)] = True
    with contextlib.suppress(OSError):  # the block is safe; opening the store tries again
        for folder, about in _folders(store, f"{block}-*"):
            if about is None or not _is_pending(about, config, finished):
                shutil.rmtree(folder, ignore_errors=True)
        (store / _FOLDER).rmdir()  # unless there are others


def remove_finished(
    store: Path, config: Mapping[str, Any], finished: np.ndarray | None = None
) -> None:
    """Removes states of blocks that are finished, or of fewer epochs than the store has.

    `config` is the store's, `finished` are its finished runs, boolean over its axes; None for none.
    The state of a block none of whose runs are finished stays: some call may resume from it.
    """
    require_plain_files(store / _FOLDER)
    for folder in (store / _FOLDER).glob(f"{_NEW}*"):
        if time.time() - folder.stat().st_mtime >= _ABANDONED:
            shutil.rmtree(folder, ignore_errors=True)
    for folder, about in _folders(store):
        remove_leftovers(folder, age=_ABANDONED)
        if about is None or not _is_pending(about, config, finished):
            shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        (store / _FOLDER).rmdir()


def _folders(store: Path, pattern: str = "[!.]*") -> Iterator[tuple[Path, dict[str, Any] | None]]:
    """The folders of blocks, with what they are; None where that is lost or damaged."""
    for folder in sorted((store / _FOLDER).glob(pattern)):
        try:
            yield folder, read_checked(folder / _ABOUT)
        except (ValueError, FileNotFoundError, NotADirectoryError):
            yield folder, None


def _is_pending(
    about: Mapping[str, Any], config: Mapping[str, Any], finished: np.ndarray | None
) -> bool:
    here = config_grid(config)
    try:
        grid, epochs = Grid.of(about["axes"]), about["epochs"]
        if here is None or set(grid.names) != set(here.names) or epochs != epochs_of(config):
            return False
        at = places(grid, here).cells(about["cells"])
    except (KeyError, TypeError, ValueError, IndexError):
        return False
    known = at[np.all(at >= 0, axis=1)]
    return finished is None or not finished[tuple(known.T)].any()


class Underway(NamedTuple):
    """A block that is being trained, or was when its process ended."""

    block: str
    networks: int
    step: int
    """Steps that its latest checkpoint has."""
    steps: int
    saved: datetime.datetime


def underway(store: Path) -> list[Underway]:
    """The blocks of a store that have a checkpoint; raises `StoreError` for links."""
    require_plain_files(store / _FOLDER)
    found = []
    for folder, about in _folders(store):
        with contextlib.suppress(FileNotFoundError, KeyError, TypeError):  # it has just ended
            saved = sorted(_checkpoints(folder), key=lambda one: one.step)
            if about is not None and saved:
                when = datetime.datetime.fromtimestamp(saved[-1].file.stat().st_mtime)
                name = folder.name.rpartition("-")[0]
                networks, steps = len(about["cells"]), int(about["steps"])
                found.append(Underway(name, networks, saved[-1].step, steps, when))
    return found


def damaged_checkpoints(store: Path) -> Iterator[str]:
    """A sentence for each damaged checkpoint of a block being trained."""
    for folder, about in _folders(store):
        with contextlib.suppress(FileNotFoundError):  # the block has just ended
            if about is None and folder.exists():
                yield (
                    f"store: {folder / _ABOUT} is missing or damaged; the command that made the "
                    "store starts this block over"
                )
            for one in _checkpoints(folder):
                try:
                    _verify(one)
                except DamageError as error:
                    yield f"{error}; the command that made the store skips it"
