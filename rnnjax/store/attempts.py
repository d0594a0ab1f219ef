"""Attempts: folders in which workers leave the blocks that they have trained.

    STORE/attempts/BLOCK.ATTEMPT/report.npz     results and facts, written last
    STORE/attempts/BLOCK.ATTEMPT/parameters/    weights, if they are kept
    STORE/attempts/BLOCK.ATTEMPT/states/        states of training, if they are kept
    STORE/attempts/BLOCK.ATTEMPT/error.txt      why the attempt failed

Every attempt at a block has a folder of its own, so that two of them never mix. The process that
holds the store's lock moves what a worker left to its place and removes the folder. A worker that
outlives that process still leaves its block here, where the next call finds it.
"""

import contextlib
import io
import json
import os
import re
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from rnnjax.store.checkpoints import Weights, save_weights, weights_digest, weights_folder
from rnnjax.store.limits import read_file, require_memory, require_plain_files
from rnnjax.store.manifest import StoreError, write_atomically
from rnnjax.store.states import load_state, save_state, state_file

__all__ = [
    "Report",
    "attempt_folder",
    "failed_attempts",
    "finished_attempts",
    "fits",
    "has_parts",
    "left_attempts",
    "move_parts",
    "pack_report",
    "read_report",
    "remove_attempts",
    "save_attempt",
    "save_error",
]

_ATTEMPTS = "attempts"
_REPORT, _ERROR = "report.npz", "error.txt"
_NAME = re.compile(r"([\w-]+)\.([0-9a-f]{1,32})")


class Report(NamedTuple):
    """A block that a worker has trained, without its weights and states."""

    cells: np.ndarray
    """Indices of its runs on the axes of its sweep, [S, axes]."""
    values: dict[str, np.ndarray]
    """Results by variable, [S] or [S, ...]."""
    facts: dict[str, Any]
    """Plain data for the marker, the digests of weights and states among them."""
    sweep: str
    """Hash of the sweep's config."""


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
    content = io.BytesIO()
    text = json.dumps({"facts": report.facts, "sweep": report.sweep}).encode()
    arrays = {f"value {name}": value for name, value in report.values.items()}
    arrays |= {"cells": report.cells, "text": np.frombuffer(text, np.uint8)}
    np.savez(content, allow_pickle=False, **arrays)
    return content.getvalue()


def read_report(content: bytes) -> Report:
    """The report in the content of a file; raises `ValueError` for damaged content."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            require_memory("a report", sum(info.file_size for info in archive.infolist()))
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            values = {
                name.removeprefix("value "): arrays[name]
                for name in arrays.files
                if name.startswith("value ")
            }
            text = json.loads(arrays["text"].tobytes())
            return Report(arrays["cells"], values, dict(text["facts"]), str(text["sweep"]))
    except (KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"it is damaged ({error})") from None


def _attempts(store: Path) -> Iterator[tuple[str, Path]]:
    """Block and folder of every attempt."""
    root = store / _ATTEMPTS
    for folder in sorted(root.iterdir()) if root.is_dir() and not root.is_symlink() else ():
        named = _NAME.fullmatch(folder.name)
        if named and folder.is_dir() and not folder.is_symlink():
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
    found = {}
    for block, folder in _attempts(store):
        if (folder / _ERROR).is_file():
            found[block] = read_file(folder / _ERROR).decode(errors="replace").strip()
    return found


def finished_attempts(store: Path, sweep: str) -> Iterator[tuple[str, Path, Report]]:
    """Blocks of this sweep that workers have left: name, folder and report."""
    for block, folder in _attempts(store):
        try:
            report = read_report(read_file(folder / _REPORT))
        except (ValueError, OSError):  # none yet, or damaged: the block is trained again
            continue
        if report.sweep == sweep:
            yield block, folder, report


def fits(report: Report, template: xr.Dataset) -> bool:
    """Whether a report has results of runs of this dataset, in all of its variables."""
    shape, cells = template["status"].shape, report.cells
    if cells.dtype.kind != "i" or cells.ndim != 2 or cells.shape[1] != len(shape):
        return False
    if not len(cells) or np.any(cells < 0) or np.any(cells >= shape):
        return False
    expected = {n: (len(cells), *v.shape[len(shape) :]) for n, v in template.data_vars.items()}
    return {name: value.shape for name, value in report.values.items()} == expected


def has_parts(folder: Path, block: str, report: Report) -> bool:
    """Whether the weights and states of a report are in a folder, as they were written."""
    expected = {kind: report.facts.get(kind) for kind in ("weights", "state")}
    try:
        if expected["weights"] is not None:
            weights = weights_folder(folder, block)
            require_plain_files(weights)
            if not weights.is_dir() or weights_digest(weights) != expected["weights"]:
                return False
        if expected["state"] is not None:
            load_state(folder, block, expected["state"])
    except (ValueError, OSError):
        return False
    return True


def move_parts(attempt: Path, block: str, store: Path, name: str) -> None:
    """Moves the weights and states of an attempt at `block` into the store, as those of `name`."""
    for source, target in (
        (weights_folder(attempt, block), weights_folder(store, name)),
        (state_file(attempt, block), state_file(store, name)),
    ):
        if not source.exists():
            continue
        if target.parent.is_symlink() or target.is_symlink():
            raise StoreError(f"store: expected a folder, got the link {target}")
        target.parent.mkdir(exist_ok=True)
        if target.is_dir():
            shutil.rmtree(target)
        os.replace(source, target)


def remove_attempts(store: Path, finished: set[str] | None = None) -> None:
    """Removes the attempts at the `finished` blocks, or all of them."""
    for block, folder in _attempts(store):
        if finished is None or block in finished:
            shutil.rmtree(folder, ignore_errors=True)
    root = store / _ATTEMPTS
    if root.is_dir() and not root.is_symlink() and not any(root.iterdir()):
        root.rmdir()
