"""Arrays in one file: an archive in NumPy's format npz, without pickled objects."""

import hashlib
import io
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

__all__ = ["pack_arrays", "write_arrays"]


def pack_arrays(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The content of a file with these arrays, which `numpy.load` reads.

    `numpy.savez` takes `allow_pickle` for the name of an array before NumPy 2.2.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, array in arrays.items():
            _write_array(archive, name, np.asarray(array))
    return content.getvalue()


class _Digesting:
    """A file that is written from its beginning to its end, and the digest of its content."""

    def __init__(self, file: Any):
        self._file, self.sha256 = file, hashlib.sha256()

    def write(self, content: Any) -> int:
        self.sha256.update(content)
        return self._file.write(content)

    def flush(self) -> None:
        self._file.flush()


def write_arrays(file: Any, arrays: Iterable[tuple[str, np.ndarray]]) -> str:
    """Writes arrays one by one into a file, which `numpy.load` reads; returns its SHA-256."""
    digesting: Any = _Digesting(file)
    with zipfile.ZipFile(digesting, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays:
            _write_array(archive, name, array)
    return digesting.sha256.hexdigest()


def _write_array(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    """Adds an array to an archive; raises `ValueError` for one of objects."""
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        np.lib.format.write_array(member, array, allow_pickle=False)
