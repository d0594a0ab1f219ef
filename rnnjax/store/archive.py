"""Arrays in one file: an archive in NumPy's format npz, without pickled objects."""

import io
import zipfile
from collections.abc import Mapping

import numpy as np

__all__ = ["pack_arrays", "write_array"]


def pack_arrays(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The content of a file with these arrays, which `numpy.load` reads.

    `numpy.savez` takes `allow_pickle` for the name of an array before NumPy 2.2.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, array in arrays.items():
            write_array(archive, name, np.asarray(array))
    return content.getvalue()


def write_array(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    """Adds an array to an archive; raises `ValueError` for one of objects."""
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        np.lib.format.write_array(member, array, allow_pickle=False)
