"""What a folder holds, and whether all of it is as it was written."""

import contextlib
import hashlib
import math
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnnjax.store import load_results, read_file
from rnnjax.store.checkpoints import restore_weights
from rnnjax.store.earlier import earlier_folders
from rnnjax.store.layout import read_settled
from rnnjax.store.markers import finished_cells, read_markers
from rnnjax.store.reading import read_blocks
from rnnjax.store.running import damaged_checkpoints, underway
from rnnjax.store.states import require_whole_states
from rnnjax.studies.measures_file import read_measures
from rnnjax.studies.results_file import NAME, read_results
from rnnjax.studies.workdir import CACHES, INDEX, MEASURED_AGAIN, read_index, read_values

__all__ = ["Progress", "damages", "progress", "stores", "underway"]

_DIGESTS = "report.sha256"
"""As `rnnjax.report.write.DIGESTS`, which takes long to import."""

_PARTS = ("manifest.json", "blocks", "results.zarr", "metadata.sha256")
"""Any of these shows that a folder is a store, also one that has lost the others."""

_PAGE = re.compile(r"report\.(md|html)|figures/[\w.-]+")
"""Files of a report."""

_LOOKS, _PAUSE, _MOMENT = 100, 0.1, 2.0
"""Looks at a report that is being written, the seconds between two, and the age in seconds from
which a file is not."""


def stores(folder: Path) -> list[Path]:
    """The stores in a folder: itself, or those below its `store`."""
    candidates = (folder, folder / "store", *sorted(folder.glob("store/*")))
    return [path for path in candidates if any((path / part).exists() for part in _PARTS)]


class Progress(NamedTuple):
    """What a store has."""

    finished: int
    """Runs that are finished."""
    runs: int
    """Runs on its axes; a study may need only some of them."""
    blocks: int
    """Files that hold the finished runs."""
    seconds: float
    """Duration of their training."""
    missing: tuple[tuple[str, int, int], ...]
    """Condition, missing runs and all runs, where any are missing."""


def progress(store: Path) -> Progress:
    """What a store has and lacks; raises `ValueError` for a store that is damaged."""
    manifest, markers = read_settled(store, lambda: read_blocks(store))  # with present cells
    config = manifest["config"]
    try:
        names = config.get("dimensions", list(config["axes"]))
        shape = tuple(len(config["axes"][name]) for name in names)
        labels = {
            name: [str(label) for label in config["labels"][name]] for name in config["labels"]
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"store: {store} has a manifest without axes ({error})") from None
    done = finished_cells(store, shape, markers)
    seconds = sum(marker.get("seconds", 0.0) for marker in markers.values())
    return Progress(
        int(done.sum()), done.size, len(markers), seconds, _missing(done, names, labels)
    )


def _missing(
    done: np.ndarray, names: Sequence[str], labels: dict[str, list[str]]
) -> tuple[tuple[str, int, int], ...]:
    """The conditions, one per labels of the axes that have them, with missing runs."""
    here = [axis for axis, name in enumerate(names) if name in labels]
    rest = tuple(axis for axis in range(done.ndim) if axis not in here)
    lacking, size = (~done).sum(axis=rest), math.prod(done.shape[axis] for axis in rest)
    found = []
    for place in np.ndindex(lacking.shape):
        if not lacking[place]:
            continue
        parts = [f"{names[a]}={labels[names[a]][i]}" for a, i in zip(here, place, strict=True)]
        found.append((" ".join(parts) or "all", int(lacking[place]), size))
    return tuple(found)


def damages(folder: str | Path) -> Iterator[str]:
    """Reads all files of a workdir or store; yields a sentence for each damage found."""
    folder = Path(folder)
    for store in stores(folder):
        yield from _damaged_store(store)
        try:
            earlier = earlier_folders(store)
        except (ValueError, OSError) as error:
            yield str(error)
            continue
        for each in earlier:
            yield from _damaged_store(each)
    if (folder / INDEX).exists():
        yield from _try(read_index, folder)
    for name in CACHES:
        if (folder / name).exists():
            yield from _try(read_values, folder / name, MEASURED_AGAIN)
    for file in sorted(folder.glob("measures/*.nc")):
        yield from _try(read_measures, file)
    if (folder / NAME).exists():
        yield from (_written_again(folder / NAME) for _ in _try(read_results, folder))
    yield from _damaged_pages(folder)


def _damaged_store(store: Path) -> Iterator[str]:
    """A sentence for each damage; what a store lacks only while it grows is none."""
    try:
        yield from read_settled(store, lambda: list(_damages_now(store)))
    except (ValueError, OSError) as error:
        yield str(error)


def _damages_now(store: Path) -> Iterator[str]:
    yield from _try(load_results, store)
    for block, marker in _markers(store).items():
        if marker.get("weights"):
            yield from _try(restore_weights, store, block, marker["weights"])
        yield from _try(require_whole_states, store, {block: marker})
    yield from damaged_checkpoints(store)


def _markers(store: Path) -> dict[str, dict]:
    """The markers of the blocks that the store has now, without those that it is leaving."""
    for read in (lambda: read_blocks(store)[1], lambda: read_markers(store)):
        with contextlib.suppress(ValueError, OSError):  # reported by the results already
            return read()
    return {}


def _try(read: Callable[..., object], *arguments: object) -> Iterator[str]:
    try:
        read(*arguments)
    except (ValueError, OSError) as error:
        yield str(error)


def _damaged_pages(folder: Path) -> list[str]:
    """Files of the report that are not those that were written; one being written is waited for."""
    for _ in range(_LOOKS):
        found = list(_damaged_pages_now(folder))
        if not found or not _is_written_now(folder):
            return found
        time.sleep(_PAUSE)
    return found


def _is_written_now(folder: Path) -> bool:
    """Whether a file of the report was written a moment ago: its digest may follow, or precede."""
    ages = []
    for file in (*folder.glob("report.*"), *folder.glob("figures/*")):
        with contextlib.suppress(OSError):
            ages.append(abs(time.time() - file.lstat().st_mtime))
    return min(ages, default=math.inf) < _MOMENT


def _damaged_pages_now(folder: Path) -> Iterator[str]:
    listed = folder / _DIGESTS
    if not os.path.lexists(listed):
        return
    try:
        lines = read_file(listed).decode(errors="replace").splitlines()
    except (ValueError, OSError) as error:
        yield str(error)
        return
    written = {name: value for value, _, name in (line.partition("  ") for line in lines)}
    for name in {"report.md", "report.html", *written}:
        file = folder / name
        try:
            content = read_file(file) if _PAGE.fullmatch(name) and file.is_file() else b""
        except (ValueError, OSError) as error:
            yield str(error)
            continue
        if hashlib.sha256(content).hexdigest() != written.get(name):
            yield _written_again(file)


def _written_again(file: Path) -> str:
    return f"report: {file} is missing or damaged; the command of the study writes it again"
