"""Attempts: folders in which workers leave the blocks that they have trained.

    STORE/attempts/BLOCK.ATTEMPT/report.npz     results and facts, written last
    STORE/attempts/BLOCK.ATTEMPT/parameters/    weights, if they are kept
    STORE/attempts/BLOCK.ATTEMPT/states/        states of training, if they are kept
    STORE/attempts/BLOCK.ATTEMPT/error.txt      why the attempt failed

Every attempt at a block has a folder of its own, so that two of them never mix; its name begins
with the hash of the work, which is the sweep and what is kept of it. The process that holds the
store's lock moves what a worker left to its place and removes the folder. A worker that outlives
that process still leaves its block here, where the next call of the same work finds it.
"""

import contextlib
import errno
import io
import json
import os
import re
import shutil
import time
import uuid
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from rnnjax.stopping import stop_if_due
from rnnjax.store.archive import pack_arrays
from rnnjax.store.checkpoints import Weights, has_digest, save_weights, weights_folder
from rnnjax.store.limits import read_file, require_declared, require_plain_files
from rnnjax.store.manifest import StoreError, write_atomically
from rnnjax.store.states import require_whole_state, save_state, state_file

__all__ = [
    "Report",
    "attempt_folder",
    "failed_attempts",
    "finished_attempts",
    "fits",
    "has_parts",
    "left_attempts",
    "move_parts",
    "new_attempt",
    "pack_report",
    "read_report",
    "remove_abandoned",
    "remove_attempts",
    "save_attempt",
    "save_error",
]

_ATTEMPTS = "attempts"
_REPORT, _ERROR = "report.npz", "error.txt"
_PREFIX = 12
_LOOKS, _PAUSE = 240, 0.25  # for a part that appears late: a count, and seconds between two
_NAME = re.compile(rf"([\w-]+)\.([0-9a-f]{{{_PREFIX}}})[0-9a-f]{{12}}")
_ABANDONED = 7 * 24 * 3600.0
"""Age in seconds from which attempts are taken for those of killed processes."""

_ODD = (
    ValueError, KeyError, TypeError, EOFError, MemoryError, RuntimeError, zipfile.BadZipFile,
    zlib.error,
)  # fmt: skip
"""What NumPy, zipfile and json raise for files that were never written by them."""


class Report(NamedTuple):
    """A block that a worker has trained, without its weights and states."""

    cells: np.ndarray
    """Indices of its runs on the axes of its sweep, [S, axes]."""
    values: dict[str, np.ndarray]
    """Results by variable, [S] or [S, ...]."""
    facts: dict[str, Any]
    """Plain data for the marker, the digests of weights and states among them."""
    work: str
    """Hash of the sweep's config and of what is kept."""


def new_attempt(work: str) -> str:
    """The name of another attempt at a block of this work."""
    return work[:_PREFIX] + uuid.uuid4().hex[:12]


def attempt_folder(store: Path, block: str, attempt: str) -> Path:
    """The folder of an attempt at a block."""
    return store / _ATTEMPTS / f"{block}.{attempt}"


def save_attempt(
    folder: Path,
    block: str,
    report: Report,
    weights: Weights | None,
    states: Mapping[str, np.ndarray] | None,
) -> bytes:
    """Writes all of a trained block into the folder of its attempt; returns the packed report."""
    facts = dict(report.facts)
    if weights is not None:
        facts["weights"] = save_weights(folder, block, weights)
    if states is not None:
        facts["state"] = save_state(folder, block, states)
    content = pack_report(report._replace(facts=facts))
    write_atomically(folder / _REPORT, content)
    return content


def save_error(folder: Path, error: BaseException) -> None:
    """Leaves in an attempt's folder why it failed, in place of what it has written."""
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):  # the disk is full, perhaps
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / _ERROR, f"{type(error).__name__}: {error}\n")


def pack_report(report: Report) -> bytes:
    """A report as the content of a file; its parts have checksums."""
    text = json.dumps({"facts": report.facts, "work": report.work}).encode()
    arrays = {f"value {name}": value for name, value in report.values.items()}
    arrays |= {"cells": report.cells, "text": np.frombuffer(text, np.uint8)}
    return pack_arrays(arrays)


def read_report(content: bytes) -> Report:
    """The report in the content of a file; raises `ValueError` for damaged content."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for info in archive.infolist():
                require_declared(archive, info, len(content))
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            values = {
                name.removeprefix("value "): arrays[name]
                for name in arrays.files
                if name.startswith("value ")
            }
            text = json.loads(arrays["text"].tobytes())
            return Report(arrays["cells"], values, dict(text["facts"]), str(text["work"]))
    except _ODD as error:
        raise ValueError(f"it is damaged ({error})") from None


def _attempts(
    store: Path, work: str | None = None, blocks: set[str] | None = None
) -> Iterator[tuple[str, Path]]:
    """Block and folder of every attempt, or of those at one work or at some blocks."""
    root, names = store / _ATTEMPTS, []
    if not root.is_symlink():
        with contextlib.suppress(OSError):  # there are none, or the last one is just removed
            names = sorted(os.listdir(root))
    for name in names:
        named = _NAME.fullmatch(name)
        if not named or (work is not None and named[2] != work[:_PREFIX]):
            continue
        if blocks is not None and named[1] not in blocks:
            continue
        folder = root / name
        if folder.is_dir() and not folder.is_symlink():
            yield named[1], folder


def left_attempts(store: Path) -> list[str]:
    """Blocks with an attempt that has neither ended nor failed: a worker may be training them."""
    ends = (_REPORT, _ERROR)
    running = (
        block for block, at in _attempts(store) if not any((at / end).exists() for end in ends)
    )
    return list(dict.fromkeys(running))


def failed_attempts(store: Path) -> dict[str, str]:
    """Blocks with an attempt that failed, and the error of the latest one."""
    found = []
    for block, folder in _attempts(store):
        file = folder / _ERROR
        with contextlib.suppress(FileNotFoundError):  # none, or the attempt is just removed
            found.append((file.stat().st_mtime, block, read_file(file)))
    found.sort(key=lambda one: one[0])
    return {block: text.decode(errors="replace").strip() for _, block, text in found}


def finished_attempts(
    store: Path, work: str, blocks: set[str] | None = None
) -> Iterator[tuple[str, Path, Report]]:
    """Blocks of this work, or some of them, that workers have left: name, folder and report.

    A block whose report is missing or damaged is left out, and trained again. Raises `OSError` or
    `StoreError` for one that cannot be read for another reason.
    """
    for block, folder in _attempts(store, work, blocks):
        if not _is_plain(folder):  # nothing is moved from elsewhere by a link
            continue
        try:
            content = read_file(folder / _REPORT)
        except FileNotFoundError:
            continue
        try:
            report = read_report(content)
        except ValueError:
            continue
        if report.work == work:
            yield block, folder, report


def _is_plain(folder: Path) -> bool:
    """Whether a folder has plain files and folders alone."""
    try:
        require_plain_files(folder)
    except StoreError:
        return False
    return True


def fits(report: Report, template: xr.Dataset) -> bool:
    """Whether a report has results of runs of this dataset, in all of its variables."""
    shape, cells = template["status"].shape, report.cells
    if cells.dtype.kind != "i" or cells.ndim != 2 or cells.shape[1] != len(shape):
        return False
    if not len(cells) or np.any(cells < 0) or np.any(cells >= shape):
        return False
    expected = {
        name: (value.dtype, (len(cells), *value.shape[len(shape) :]))
        for name, value in template.data_vars.items()
    }
    return {name: (value.dtype, value.shape) for name, value in report.values.items()} == expected


def has_parts(attempt: Path, block: str, report: Report, store: Path, name: str) -> bool:
    """Whether the weights and states of a report are there, as they were written.

    Each is in the folder of the attempt at `block`, or moved to the block `name` of the store.
    Raises `OSError` for one that is there but cannot be read.
    """
    return all(
        _is_whole(part, attempt, block, report) or _is_whole(part, store, name, report)
        for part in _parts(report)
    )


def _parts(report: Report) -> list[str]:
    """What a worker has left besides the report."""
    return [part for part in ("weights", "state") if part in report.facts]


def _is_whole(part: str, folder: Path, block: str, report: Report) -> bool:
    expected = report.facts[part]
    try:
        if part == "state":
            require_whole_state(folder, block, expected)
            return True
        weights = weights_folder(folder, block)
        return _is_plain(weights) and weights.is_dir() and has_digest(weights, expected)
    except (StoreError, FileNotFoundError):
        return False


def move_parts(attempt: Path, block: str, report: Report, store: Path, name: str) -> None:
    """Moves the weights and states of a report into the store, as those of the block `name`.

    Raises `OSError` for a part that is not there, also not within a minute: network file systems
    show what others have written with a delay, of NFS half a minute by default.
    """
    places = {"weights": weights_folder, "state": state_file}
    for part in _parts(report):
        source, target = places[part](attempt, block), places[part](store, name)
        if not source.exists() and _is_whole(part, store, name, report):
            continue  # moved by a process that was killed
        if not _appears(source):
            raise OSError(errno.ENOENT, "a worker has left a block without it", str(source))
        require_plain_files(source.parent)
        if target.parent.is_symlink() or target.is_symlink():
            raise StoreError(f"store: expected a folder, got the link {target}")
        target.parent.mkdir(exist_ok=True)
        if target.is_dir():
            shutil.rmtree(target)
        os.replace(source, target)


def _appears(path: Path) -> bool:
    """Whether a path exists, or does so within a minute; raises where training is to stop."""
    for _ in range(_LOOKS):
        if path.exists():
            return True
        stop_if_due()  # the next call finds the attempt
        with contextlib.suppress(OSError):  # what NFS remembers of a folder ends when it is listed
            os.listdir(path.parent)
        time.sleep(_PAUSE)
    return path.exists()


def remove_attempts(store: Path, work: str, finished: set[str] | None = None) -> None:
    """Removes the attempts of this work at the `finished` blocks, or all of them."""
    for _, folder in _attempts(store, work, finished):
        shutil.rmtree(folder, ignore_errors=True)
    _remove_root(store)


def remove_abandoned(store: Path) -> None:
    """Removes attempts, of whatever work, in which nothing was written for a week."""
    for _, folder in _attempts(store):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > _ABANDONED:
                shutil.rmtree(folder, ignore_errors=True)
    _remove_root(store)


def _remove_root(store: Path) -> None:
    root = store / _ATTEMPTS
    if not root.is_symlink():
        with contextlib.suppress(OSError):  # it holds others, perhaps since a moment ago
            root.rmdir()
