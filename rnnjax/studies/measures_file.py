"""The file of a condition's measures (netCDF), with the digest of its content beside it."""

import hashlib
import io
from pathlib import Path

import xarray as xr

from rnnjax.store import read_file, write_atomically
from rnnjax.store.damage import reraise_unreadable

__all__ = ["read_measures", "remove_measures", "write_measures"]


def _digest_file(file: Path) -> Path:
    return file.with_name(f"{file.name}.sha256")


def write_measures(dataset: xr.Dataset, file: Path) -> None:
    """Writes the file and its digest; a process that dies leaves no file, or a complete one."""
    content = bytes(dataset.to_netcdf(engine="scipy"))
    write_atomically(_digest_file(file), hashlib.sha256(content).hexdigest() + "\n")
    write_atomically(file, content)


def remove_measures(file: Path) -> None:
    """Removes the file, if it is there, and its digest."""
    file.unlink(missing_ok=True)
    _digest_file(file).unlink(missing_ok=True)


def read_measures(file: Path) -> xr.Dataset:
    """The measures; a file from before there were digests is read as it is.

    Raises `ValueError` for a damaged file, and `OSError` for one that is missing.
    """
    content, expected = read_file(file), _digest_file(file)
    if expected.exists():
        written = read_file(expected).decode(errors="replace").strip()
        if written != hashlib.sha256(content).hexdigest():
            raise _damaged(file, "its content is not what was written")
    try:
        return _load(content)
    except Exception as error:  # a reader of a damaged file raises errors of all kinds
        reraise_unreadable(error)
        raise _damaged(file, str(error) or type(error).__name__) from None


def _load(content: bytes) -> xr.Dataset:
    return xr.load_dataset(io.BytesIO(content), engine="scipy")


def _damaged(file: Path, reason: str) -> ValueError:
    return ValueError(
        f"measures: {file} is damaged ({reason}); to measure the condition again, delete the "
        "file and repeat the command of the study"
    )
