"""A store grows: its results move to more labels or variables; markers and weights stay.

The results are written again into a folder beside the others, read back and compared with all
digests. Replacing the manifest is the one moment from which the store has grown: a process that
dies before leaves the old store, and one that dies later leaves the new one, whose parts the next
writer puts in place (`settle`).
"""

import contextlib
import os
import shutil
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from rnnjax.store.checked import write_checked
from rnnjax.store.earlier import remove_left
from rnnjax.store.grid import Grid, Places, grid_of, places
from rnnjax.store.layout import BACKUP, DATA, GROWING, METADATA, growing_folder
from rnnjax.store.limits import require_size
from rnnjax.store.manifest import StoreError, digest, new_folder, versions, write_atomically
from rnnjax.store.markers import located
from rnnjax.store.reading import (
    FORMAT,
    GROWN,
    checked_manifest,
    coordinate_digests,
    metadata_digest,
    read_results,
)

__all__ = [
    "flush",
    "flush_folder",
    "grow",
    "new_manifest",
    "now",
    "over",
    "part",
    "read_backup",
    "settle",
    "spread",
    "write_group",
]

Markers = Mapping[str, Mapping[str, Any]]


def now() -> str:
    """The time, for manifests and markers."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def new_manifest(config: Mapping[str, Any], template: xr.Dataset) -> dict[str, Any]:
    """The manifest of a new store."""
    require_size(config)
    return {
        "format": FORMAT,
        "hash": digest(config),
        "config": config,
        "coordinates": coordinate_digests(template),
        "versions": versions(),
        "created": now(),
    }


def write_group(folder: Path, dataset: xr.Dataset, block_dims: tuple[str, ...]) -> None:
    """Writes a dataset as a new zarr group; chunks span the axes in `block_dims`."""
    encoding = {
        name: {"chunks": tuple(n if d in block_dims else 1 for d, n in v.sizes.items())}
        for name, v in dataset.data_vars.items()
    }
    texts = {
        name: coordinate.astype(object)
        for name, coordinate in dataset.coords.items()
        if coordinate.dtype.kind == "U"
    }
    with warnings.catch_warnings():
        # Other tools open a group with consolidated metadata at once, and warn of one without.
        warnings.filterwarnings("ignore", "Consolidated metadata")
        dataset.assign_coords(texts).to_zarr(
            folder, mode="w", consolidated=True, zarr_format=3, encoding=encoding
        )


def spread(old: xr.Dataset, template: xr.Dataset, here: Grid, grid: Grid) -> xr.Dataset:
    """The results `old`, of the grid `here`, over all labels of `grid`, pending elsewhere.

    Coordinates and variables that one of the two lacks are those of the other.
    """
    at = places(grid, here)
    coordinates: dict[str, Any] = {
        name: ((name,), np.array(labels))
        for name, labels in zip(grid.names, grid.labels, strict=True)
    }
    for name in dict.fromkeys([*template.coords, *old.coords]):
        if name not in coordinates:
            coordinates[str(name)] = _joined(str(name), old, template, coordinates)
    variables = {}
    for name in dict.fromkeys([*template.data_vars, *old.data_vars]):
        like = (template if name in template else old)[name]
        fill = np.nan if like.dtype.kind == "f" else 0
        further = [d for d in like.dims if d not in grid.names]
        shape = (*grid.shape, *(like.sizes[d] for d in further))
        values = np.full(shape, fill, like.dtype)
        if name in old:
            kept = old[name].transpose(*here.names, *further).values
            values = at.take(kept, fill)
        variables[name] = ([*grid.names, *further], values, like.attrs)
    return xr.Dataset(variables, coordinates)


def over(template: xr.Dataset, here: Grid, grid: Grid) -> xr.Dataset | None:
    """A template of the runs of `here`, over all labels of `grid`; None where they share no run."""
    found = places(here, grid)
    known = [np.flatnonzero(at >= 0) for at in found.index]
    if not all(map(len, known)):
        return None
    some = template.isel(dict(zip(grid.names, known, strict=True)))
    axes = zip(found.order, known, strict=True)
    labels = tuple(tuple(here.labels[axis][i] for i in at) for axis, at in axes)
    return spread(some, some, Grid(grid.names, labels, grid.traced), grid)


def part(dataset: xr.Dataset, template: xr.Dataset, at: Places) -> xr.Dataset:
    """The runs of `template` in a dataset of more of them."""
    found = template.copy()
    for name, like in template.data_vars.items():
        values = at.take(dataset[name].values, np.nan if like.dtype.kind == "f" else 0)
        found[name] = (like.dims, values, dataset[name].attrs)
    return found


def _joined(
    name: str, old: xr.Dataset, template: xr.Dataset, axes: Mapping[str, tuple[Any, np.ndarray]]
) -> tuple[tuple[Any, ...], np.ndarray, dict[Any, Any]]:
    """A coordinate along axes, with the values of `old` and `template` at their labels."""
    sources = [source for source in (old, template) if name in source.coords]
    like = sources[-1][name]
    if not set(like.dims) & set(axes):
        return like.dims, like.values, like.attrs
    shape = tuple(len(axes[str(d)][1]) if d in axes else like.sizes[d] for d in like.dims)
    fill = np.nan if like.dtype.kind == "f" else 0
    values = np.full(shape, fill, like.dtype)
    for source in sources:
        rows = []
        for d in source[name].dims:
            position = {label: i for i, label in enumerate(axes[str(d)][1].tolist())}
            rows.append([position[label] for label in source[d].values.tolist()])
        given = source[name].values
        known = ~np.isnan(given) if like.dtype.kind == "f" else np.ones(given.shape, bool)
        values[np.ix_(*rows)] = np.where(known, given, values[np.ix_(*rows)])
    return like.dims, values, like.attrs


def grow(
    path: Path,
    manifest: Mapping[str, Any],
    markers: Markers,
    config: Mapping[str, Any],
    dataset: xr.Dataset,
    block_dims: tuple[str, ...],
    start_over: bool = False,
) -> dict[str, Any]:
    """Replaces the store's results by `dataset`, over the axes of `config`; returns its manifest.

    The lock is held. `markers` are those in the files, which stay as they are, unless the runs
    `start_over`: the store then holds none of them.
    """
    grown = {**new_manifest(config, dataset), "created": manifest["created"], "grown": now()}
    if grown["hash"] == manifest["hash"]:  # another folder than one that the old manifest names
        grown["growth"] = digest([grown["coordinates"], grown["grown"]])
    left = list(manifest.get("left", ()))
    if markers and start_over:
        sweeps = {marker.get("sweep") for marker in markers.values()}
        left += sorted(sweeps - set(left), key=str)
    elif markers:
        grown |= {"format": GROWN, "grids": _grids(manifest, markers)}
    if left:
        grown |= {"format": GROWN, "left": left}
    folder = new_folder(path, f".{GROWING}")
    try:
        write_group(folder / DATA, dataset, block_dims)
        write_atomically(folder / METADATA, metadata_digest(folder / DATA) + "\n")
        plain = {name: dict(marker) for name, marker in markers.items()}
        read_results(path, grown, located(path, grown, plain), below=folder)
        flush(folder)
        target = growing_folder(path, grown)
        folder.rename(target)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    flush_folder(path)
    write_checked(path / "manifest.json", grown)
    flush_folder(path)  # before the old results are removed
    settle(path, grown)
    return grown


def _grids(manifest: Mapping[str, Any], markers: Markers) -> list[dict[str, Any]]:
    """The earlier grids of a store that grows: the hashes in its markers, and their axes."""
    earlier = list(manifest.get("grids", ()))
    known = {sweep for grid in earlier for sweep in grid["sweeps"]}
    sweeps = {marker.get("sweep") for marker in markers.values()} | {manifest["hash"]}
    present = grid_of(manifest["config"])
    return [*earlier, {"sweeps": sorted(sweeps - known, key=str), "axes": present.plain()}]


def settle(path: Path, manifest: Mapping[str, Any]) -> None:
    """Puts the parts of a store that has grown in place, and removes those of one that has not.

    The lock is held. Each step can be the last one of a killed process.
    """
    folder = growing_folder(path, manifest)
    if (folder / DATA).exists():
        if (path / DATA).exists():
            away = new_folder(path, f".{DATA}.")
            (path / DATA).rename(away / DATA)
        (folder / DATA).rename(path / DATA)
    if (folder / METADATA).exists():
        os.replace(folder / METADATA, path / METADATA)
    for left in path.glob(f"{GROWING}*"):
        shutil.rmtree(left, ignore_errors=True)
    remove_left(path, manifest)
    if manifest["format"] == GROWN:
        if read_backup(path) != manifest:
            write_checked(path / BACKUP, manifest)
    else:
        (path / BACKUP).unlink(missing_ok=True)
    for left in path.glob(f".{DATA}.*"):
        shutil.rmtree(left, ignore_errors=True)


def read_backup(path: Path) -> dict[str, Any] | None:
    """The copy of the manifest of a store that has grown; None if it is missing or damaged."""
    with contextlib.suppress(StoreError, OSError):
        return checked_manifest(path / BACKUP)
    return None


def flush(folder: Path) -> None:
    """Waits until all files are on the disk, so that a power cut cannot damage finished blocks."""
    for place, _, files in os.walk(folder):
        for name in files:
            with open(os.path.join(place, name), "rb") as file:
                os.fsync(file.fileno())
        flush_folder(Path(place))


def flush_folder(folder: Path) -> None:
    """Waits until the names in a folder are on the disk, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
