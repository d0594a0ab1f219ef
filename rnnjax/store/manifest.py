"""Manifests of stores: plain, comparable descriptions of specs, and their hash."""

import contextlib
import dataclasses
import enum
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

__all__ = [
    "StoreError",
    "StoreInUse",
    "atomic_file",
    "describe",
    "digest",
    "first_difference",
    "leftovers",
    "new_file",
    "new_folder",
    "rebuild",
    "remove_leftovers",
    "versions",
    "write_atomically",
]


class StoreError(ValueError):
    """A store that cannot be used: of another sweep, damaged, in use, or no store at all."""


class StoreInUse(StoreError):  # noqa: N818 - a StoreError by its name too
    """A store that another process has open for writing."""


def describe(value: Any) -> Any:
    """Describes a spec as JSON: dataclasses become dicts with their class name, tuples lists.

    A field with the metadata `later`, one that did not exist when stores were written, is left out
    where it has its default.

    Raises `TypeError` for a value with no stable description, such as a function.
    """
    if isinstance(value, enum.Enum):
        return value.name
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            f.name: describe(getattr(value, f.name))
            for f in dataclasses.fields(value)
            if not (f.metadata.get("later") and getattr(value, f.name) == f.default)
        }
        return {"type": type(value).__name__, **fields}
    if isinstance(value, Mapping):
        return {str(key): describe(item) for key, item in value.items()}
    if isinstance(value, list | tuple | range | np.ndarray):
        return [describe(item) for item in value]
    raise TypeError(f"describe: expected plain data or a dataclass, got {value!r}")


def rebuild(description: Any, kinds: Mapping[str, Callable[..., Any]]) -> Any:
    """Inverts `describe`: dicts that name a class of `kinds` become its instances.

    Lists become tuples. Raises `KeyError` for a class that is not among `kinds`.
    """
    if isinstance(description, list):
        return tuple(rebuild(item, kinds) for item in description)
    if not isinstance(description, dict):
        return description
    fields = {key: rebuild(item, kinds) for key, item in description.items() if key != "type"}
    return kinds[description["type"]](**fields) if "type" in description else fields


def digest(description: Any) -> str:
    """SHA-256 of a description, independent of the order of keys."""
    text = json.dumps(description, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def first_difference(old: Any, new: Any, path: str = "") -> tuple[str, Any, Any] | None:
    """The first place where two descriptions differ: (field, old, new), or None."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            here = f"{path}.{key}" if path else str(key)
            if found := first_difference(old.get(key), new.get(key), here):
                return found
        return None
    return None if old == new else (path, old, new)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    packages = ("rnnjax", "jax", "jaxlib", "optax", "numpy", "xarray", "zarr")
    return {"python": platform.python_version()} | {name: _version(name) for name in packages}


@functools.cache  # milliseconds for each package
def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


_PARTIAL = ".partial"
"""Suffix of files that are being written."""

_ABANDONED = 60.0
"""Age in seconds from which such a file is taken for that of a killed process."""


def new_file(folder: Path, name: str) -> tuple[int, Path]:
    """Opens a new file that `leftovers` finds; returns its handle and path.

    Its mode follows the umask and the folder, where that of a file of `tempfile` is private.
    """
    path = folder / f".{name}.{uuid.uuid4().hex[:8]}{_PARTIAL}"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666), path


def new_folder(parent: Path, prefix: str) -> Path:
    """Makes a folder whose name begins with `prefix`; its mode follows the umask."""
    path = parent / f"{prefix}{uuid.uuid4().hex[:8]}"
    path.mkdir()
    return path


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write, which is on the disk when it takes the place of `path`, at the end.

    A process that dies leaves `path` absent, as it was before, or complete. Raises `OSError`, with
    the name of `path`, where it cannot be written.
    """
    temporary = None
    try:
        handle, temporary = new_file(path.parent, path.name)
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes a file by `atomic_file`."""
    with atomic_file(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def leftovers(folder: Path) -> Iterator[Path]:
    """Files that `write_atomically` is writing, or has left half-written."""
    return folder.glob(f".*.????????{_PARTIAL}")


def remove_leftovers(folder: Path, age: float = _ABANDONED) -> None:
    """Removes files that `write_atomically` left half-written at least `age` seconds ago."""
    for file in leftovers(folder):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - file.stat().st_mtime >= age:
                file.unlink()
