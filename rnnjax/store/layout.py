"""Where the parts of a store lie, also while it grows, and reading beside a writer.

A store grows in a folder of its own, `growing-` and the hash of the new config, or of the growth
where only its variables grow. The manifest that names this hash is the moment from which the store
has grown; what lies in the folder then is moved into place by the next process that opens the store
for writing.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from rnnjax.store.manifest import StoreError

__all__ = [
    "BACKUP",
    "DATA",
    "GROWING",
    "METADATA",
    "data_folder",
    "growing_folder",
    "metadata_file",
    "read_settled",
]

DATA = "results.zarr"
METADATA = "metadata.sha256"
GROWING = "growing-"
BACKUP = "manifest.backup.json"
"""Copy of the manifest of a store that has grown: its markers alone cannot restore that one."""

_ATTEMPTS = 5

T = TypeVar("T")


def growing_folder(path: Path, manifest: Mapping[str, Any]) -> Path:
    """Where the store at `path` grows to what this manifest describes."""
    return path / f"{GROWING}{manifest.get('growth', manifest['hash'])[:16]}"


def _part(path: Path, manifest: dict[str, Any], name: str) -> Path:
    grown = growing_folder(path, manifest) / name
    return grown if grown.exists() else path / name


def data_folder(path: Path, manifest: dict[str, Any]) -> Path:
    """The zarr group with the results of the store with this manifest."""
    return _part(path, manifest, DATA)


def metadata_file(path: Path, manifest: dict[str, Any]) -> Path:
    """The file with the digest of zarr's metadata in that group."""
    return _part(path, manifest, METADATA)


def read_settled(path: Path, read: Callable[[], T]) -> T:
    """`read()`, repeated if another process has let the store grow meanwhile.

    Raises `StoreError` if it grows during every attempt.
    """
    for _ in range(_ATTEMPTS):
        before = _generation(path)
        try:
            found = read()
        except (StoreError, OSError):
            if _generation(path) == before:
                raise
            continue
        if _generation(path) == before:
            return found
    raise StoreError(f"store: expected {path} to stay as it is while it is read; try again")


def _generation(path: Path) -> list[tuple[int, int] | None]:
    """What changes when a store grows."""
    found: list[tuple[int, int] | None] = []
    for name in ("manifest.json", DATA, METADATA):
        try:
            facts = os.lstat(path / name)
            found.append((facts.st_ino, facts.st_mtime_ns if name != DATA else 0))
        except OSError:
            found.append(None)
    return found
