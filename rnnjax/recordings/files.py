"""Recordings from files: arrays of NumPy, netCDF, and the recording that comes with the package."""

import importlib.resources
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from rnnjax.metrics import trials
from rnnjax.recordings.nwb import Binning, read_nwb
from rnnjax.validate import one_of, path_of, sequence, shown

__all__ = ["example_file", "read"]


def example_file() -> Path:
    """The file `head_direction.npz`: spike counts of a mouse, asleep and awake, in bins of 0.1 s.

    Arrays [T, N] of 600 s each: `adn_sleep` and `adn_wake`, 7 units of the anterodorsal thalamic
    nucleus; `ca1_sleep` and `ca1_wake`, 8 units of the hippocampus. Session A2929-200711 among the
    test files of pynapple (MIT License, beside the file).
    """
    return Path(str(importlib.resources.files("rnnjax.recordings"))) / "data/head_direction.npz"


def read(
    files: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    binning: Binning | None = None,
) -> dict[str, np.ndarray]:
    """Recordings by name, from one or several files, for `rnnjax.compare`.

    * `.npy`: a recording [B, T, N] or [T, N], named after the file; an array [S, B, T, N] has
      the recordings `file/0`, `file/1`, ...
    * `.npz`: the same for each of its arrays, named after the array.
    * `.nc`: each variable of a netCDF file; one with a dimension `network` has a recording for
      each of its coordinates, `variable/coordinate` where two variables share one. Dimensions
      named trial, time, unit may have any order.
    * `.nwb`: the units of a Neurodata Without Borders file (`read_nwb`).

    Where two recordings have the same name, the names of all begin with the path of their file,
    without its suffix unless two files differ in it alone.

    Args:
        files: paths.
        binning: bins of NWB files; bins of 0.1 s without smoothing by default.

    Returns:
        Arrays [B, T, N] or [T, N] by name.

    Raises:
        ValueError: no file, another suffix, a damaged file, arrays of another shape or kind, or two
            recordings of the same name.
        FileNotFoundError: a file that does not exist.
        ImportError: a missing package, with what to install.
    """
    alone = isinstance(files, str | os.PathLike)
    listed = [files] if alone else sequence("files", files)
    paths = [path_of("files", file, "file") for file in listed]
    if not paths:
        raise ValueError("files: expected at least one, got none")
    found = [(path, _recordings(path, binning)) for path in paths]
    names = [name for _, recordings in found for name in recordings]
    repeated = len(set(names)) < len(names)
    places = [path.with_suffix("") for path in paths]
    result: dict[str, np.ndarray] = {}
    for path, recordings in found:
        for name, array in recordings.items():
            full = _full_name(path, places, name) if repeated else name
            if full in result:
                raise ValueError(f"files: expected different names, got {shown(full)} twice")
            result[full] = array
    return result


def _full_name(path: Path, places: list[Path], name: str) -> str:
    """A recording's name with the path of its file, which it may be named after."""
    place = path.with_suffix("")
    first, *rest = name.split("/")
    inner = "/".join(rest) if first == path.stem else name
    return str((path if places.count(place) > 1 else place) / inner)


def _recordings(path: Path, binning: Binning | None) -> dict[str, np.ndarray]:
    """The recordings of one file."""
    one_of(f"files, suffix of {path.name}", path.suffix.lower(), (*_READERS, ".nwb"))
    if not path.exists():
        raise FileNotFoundError(f"files: expected an existing file, got {path}")
    if path.suffix.lower() == ".nwb":
        return {path.stem: read_nwb(path, binning)}
    suffix = path.suffix.lower()
    if not _begins_with(path, _MAGIC[suffix]):
        raise ValueError(
            f"files: expected a {suffix} file, but {path} is not a valid {suffix} file"
        )
    try:
        found = _READERS[suffix](path)
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # a reader of a damaged file raises errors of all kinds
        reason = " ".join(str(error).split()) or type(error).__name__
        if "pickle" in reason:
            reason = "it holds Python objects, not numbers"
        raise ValueError(f"files: expected a {suffix} file, got {path} ({reason})") from error
    if not found:
        raise ValueError(f"files: expected at least one array, got none in {path}")
    separate = {
        name: _separate(f"files, {path.name}, {name}", name, value) for name, value in found.items()
    }
    names = [name for recordings in separate.values() for name in recordings]
    if len(set(names)) < len(names):  # coordinates of several variables
        for name, value in found.items():
            if isinstance(value, xr.DataArray) and trials.NETWORK in value.dims:
                separate[name] = {f"{name}/{n}": x for n, x in separate[name].items()}
    return _joined(path, separate)


def _joined(path: Path, separate: dict[str, dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The recordings of all arrays of a file."""
    owners: dict[str, str] = {}
    for array, recordings in separate.items():
        for name in recordings:
            if name in owners:
                raise ValueError(
                    f"files, {path.name}: expected different names, got the recording "
                    f"{shown(name)} in {shown(owners[name])} and in {shown(array)}"
                )
            owners[name] = array
    return {name: separate[array][name] for name, array in owners.items()}


def _separate(label: str, name: str, value: Any) -> dict[str, np.ndarray]:
    """The recordings in one array."""
    if isinstance(value, xr.DataArray) and trials.NETWORK in value.dims:
        members, names = trials.unnamed(label, value)
        assert names is not None
        return {n: trials.recording(label, x) for n, x in zip(names, members, strict=True)}
    if not isinstance(value, xr.DataArray) and np.ndim(value) == 4:
        return {f"{name}/{s}": trials.recording(label, x) for s, x in enumerate(value)}
    return {name: trials.recording(label, value)}


_MAGIC = {".npy": (b"\x93NUMPY",), ".npz": (b"PK",), ".nc": (b"CDF", b"\x89HDF")}
"""First bytes of a file, by suffix."""


def _read_npy(path: Path) -> dict[str, Any]:
    return {path.stem: np.load(path, allow_pickle=False)}


def _read_npz(path: Path) -> dict[str, Any]:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _read_netcdf(path: Path) -> dict[str, Any]:
    hdf5 = _begins_with(path, _MAGIC[".nc"][1:])
    if hdf5:
        _require_hdf5(path)
    engine = "h5netcdf" if hdf5 else "scipy"
    # Times such as "seconds since stimulus onset" are no dates; only names of networks may be.
    with xr.open_dataset(path, engine=engine, decode_times=False) as dataset:
        if trials.NETWORK in dataset.coords:
            names = xr.decode_cf(dataset[[trials.NETWORK]])
            dataset = dataset.assign_coords({trials.NETWORK: names[trials.NETWORK]})
        return {str(name): values.load() for name, values in dataset.data_vars.items()}


def _begins_with(path: Path, starts: tuple[bytes, ...]) -> bool:
    with path.open("rb") as file:
        return file.read(8).startswith(starts)


def _require_hdf5(path: Path) -> None:
    try:
        import h5netcdf  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"files: {path} is a netCDF file of version 4, which needs another package: "
            "pip install 'rnnjax[nwb]'"
        ) from error


_READERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".nc": _read_netcdf,
}
