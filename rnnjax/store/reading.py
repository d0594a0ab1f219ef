"""Reading a store: everything is compared with the digests that were written with it."""

import errno
import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from rnnjax.store.checked import digest_files, read_checked
from rnnjax.store.damage import DamageError, first_line, reraise_unreadable
from rnnjax.store.grid import Grid, config_grid
from rnnjax.store.layout import DATA, METADATA, data_folder, metadata_file, read_settled
from rnnjax.store.limits import (
    read_file,
    require_arrays,
    require_plain_entries,
    require_plain_files,
    require_size,
)
from rnnjax.store.manifest import StoreError, digest
from rnnjax.store.markers import finished_cells, located, marker_file, read_markers
from rnnjax.validate import path_of

__all__ = [
    "FORMAT",
    "GROWN",
    "checked_manifest",
    "coordinate_digests",
    "load_results",
    "metadata_digest",
    "read_blocks",
    "read_manifest",
    "read_results",
    "value_digest",
]

FORMAT = 1
GROWN = 2
"""Format of a store that has grown, whose markers may name cells of earlier grids."""

Markers = dict[str, dict[str, Any]]


def read_manifest(path: str | Path) -> dict[str, Any]:
    """The manifest of the store at `path`; raises `StoreError` if it is missing or damaged."""
    return checked_manifest(path_of("path", path) / "manifest.json")


def checked_manifest(file: Path) -> dict[str, Any]:
    """The manifest in a file; raises `StoreError` if it is missing or damaged."""
    try:
        manifest = read_checked(file)
        known = manifest["format"], manifest["hash"], manifest["config"]
        reason = None if known[1] == digest(known[2]) else "its hash does not match its config"
        if known[0] == GROWN:
            _check_grids(manifest)
        if not re.fullmatch("[0-9a-f]*", manifest.get("growth", "")):  # part of a folder's name
            reason = "its growth is no digest"
    except FileNotFoundError:
        raise DamageError(f"store: expected a results store, found no {file}") from None
    except StoreError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged_manifest(file, str(error)) from None
    if known[0] not in (FORMAT, GROWN):
        raise StoreError(f"store: {file} has format {known[0]}, expected {FORMAT} or {GROWN}")
    if reason:
        raise _damaged_manifest(file, reason)
    require_size(known[2])
    return manifest


def _check_grids(manifest: dict[str, Any]) -> None:
    """Raises `ValueError` unless a grown store's grids, earlier and present, have the same axes."""
    present = config_grid(manifest["config"])
    if present is None or not set(map(type, manifest.get("left", ()))) <= {str, type(None)}:
        raise ValueError("it names no grids")
    for earlier in manifest.get("grids", ()):
        grid = Grid.of(earlier["axes"])
        if set(grid.names) != set(present.names) or not set(map(type, earlier["sweeps"])) <= {
            str,
            type(None),
        }:
            raise ValueError("its earlier grids are not those of its config")


def _damaged_manifest(file: Path, reason: str) -> DamageError:
    """Its blocks must name their sweep for it to be restored."""
    named = any("sweep" in marker for marker in read_markers(file.parent).values())
    return DamageError(f"store: {file} is damaged ({reason})", restorable=named)


def load_results(path: str | Path) -> xr.Dataset:
    """The results in the store at `path`, finished or not, checked against their digests.

    Another process may be writing. Raises `StoreError` if anything is missing or damaged,
    `ValueError` for anything but a path, and `OSError` if a file cannot be read.
    """
    path = path_of("path", path)
    require_plain_entries(path)

    def read() -> xr.Dataset:
        return read_results(path, *read_blocks(path))  # data precede markers

    return read_settled(path, read)


def read_blocks(path: Path) -> tuple[dict[str, Any], Markers]:
    """The manifest and the markers, with their cells on the present axes."""
    manifest = read_manifest(path)
    return manifest, located(path, manifest, read_markers(path))


def read_results(
    path: Path, manifest: dict[str, Any], markers: Markers, below: Path | None = None
) -> xr.Dataset:
    """The dataset, checked against manifest and markers; cells without marker are empty.

    The data are those of the store, or those in the folder `below`.
    """
    folder = data_folder(path, manifest) if below is None else below / DATA
    listed = metadata_file(path, manifest) if below is None else below / METADATA
    if not markers and not folder.exists():
        raise StoreError(
            f"store: {path} has no finished block yet; repeat the call or command that made it"
        )
    require_plain_files(folder)
    _check_metadata(folder, listed, markers)
    require_arrays(folder)
    dataset = _load(path, folder, markers)
    texts = {
        name: (coordinate.dims, np.array(coordinate.values.tolist()))
        for name, coordinate in dataset.coords.items()
        if coordinate.dtype.kind in "OT"
    }
    dataset = dataset.assign_coords(texts)
    if coordinate_digests(dataset) != manifest.get("coordinates") or "status" not in dataset:
        raise DamageError(
            f"store: {folder} is damaged: its axes are not those that were written",
            restorable=True,
        )
    done = finished_cells(path, dataset["status"].shape, markers)
    _verify(path, folder, dataset, markers)
    for variable in dataset.data_vars.values():
        variable.values[~done] = np.nan if variable.dtype.kind == "f" else 0
    return dataset


def _check_metadata(folder: Path, listed: Path, markers: Markers) -> None:
    """Compares zarr's metadata with their digest, which older stores lack."""
    if not markers or not listed.exists():
        return
    if read_file(listed).decode("latin").strip() != metadata_digest(folder):
        raise DamageError(
            f"store: the metadata in {folder} are not what was written", restorable=True
        )


def metadata_digest(folder: Path) -> str:
    """SHA-256 of all files of a group's metadata, with their names."""
    return digest_files(folder, folder.rglob("zarr.json"))


def _load(path: Path, folder: Path, markers: Markers) -> xr.Dataset:
    """All variables in memory.

    Where a chunk cannot be decoded, variables are read chunk by chunk: one that no finished block
    needs counts as empty.
    """
    try:
        dataset = xr.open_zarr(folder, consolidated=False, chunks=None, zarr_format=3)
        for coordinate in dataset.coords.values():
            coordinate.load()
    except Exception as error:  # metadata readers raise errors of their own
        reraise_unreadable(error)
        raise DamageError(
            f"store: {folder} is damaged ({first_line(error)})", restorable=True
        ) from None
    try:
        return dataset.load()
    except Exception as error:  # and so do codecs
        reraise_unreadable(error)
        return _load_chunks(path, folder, dataset, markers)


def _load_chunks(path: Path, folder: Path, dataset: xr.Dataset, markers: Markers) -> xr.Dataset:
    """The chunks of all finished blocks; raises `DamageError` for those that cannot be decoded."""
    import zarr  # slow to import

    group = zarr.open_group(folder, mode="r", zarr_format=3, use_consolidated=False)
    places: dict[tuple[int, ...], list[str]] = {}
    for name, marker in markers.items():
        for place in {tuple(cell[:-1]) for cell in marker["cells"]}:
            places.setdefault(place, []).append(name)
    damaged: dict[Path, list[str]] = {}
    loaded = {}
    for name, variable in dataset.data_vars.items():
        array: Any = group[str(name)]
        fill = np.nan if variable.dtype.kind == "f" else 0
        values = np.full(variable.shape, fill, variable.dtype)
        for place, blocks in places.items():
            try:
                values[place] = array[place]
            except Exception as error:
                reraise_unreadable(error)
                index = (*place, *[0] * (array.ndim - len(place)))
                damaged[folder / str(name) / array.metadata.encode_chunk_key(index)] = blocks
        loaded[name] = (variable.dims, values, variable.attrs)
    if damaged:
        blocks = dict.fromkeys(block for names in damaged.values() for block in names)
        files = [*damaged, *(marker_file(path, block) for block in blocks)]
        raise DamageError(f"store: {files[0]} cannot be decoded", files)
    return dataset.assign(loaded)


def _verify(path: Path, folder: Path, dataset: xr.Dataset, markers: Markers) -> None:
    """Raises `DamageError`, with all blocks whose values are not those that were written."""
    damaged = {
        name: variable
        for name, marker in markers.items()
        for variable, expected in marker["digests"].items()
        if variable not in dataset
        or value_digest(dataset[variable].values[tuple(np.array(marker["cells"], int).T)])
        != expected
    }
    if damaged:
        if not folder.exists():
            raise OSError(errno.ENOENT, "it is no longer there", str(folder))
        name, variable = next(iter(damaged.items()))
        raise DamageError(
            f"store: {folder / variable} is damaged: the values of {len(damaged)} "
            f"blocks, such as {name!r}, are not those that were written",
            [marker_file(path, block) for block in damaged],
            restorable=variable not in dataset,
        )


def value_digest(block: np.ndarray) -> str:
    """SHA-256 of an array's type and values."""
    values = np.ascontiguousarray(block)
    return hashlib.sha256(values.dtype.str.encode() + values.tobytes()).hexdigest()


def coordinate_digests(dataset: xr.Dataset) -> dict[str, str]:
    """SHA-256 of the values of every coordinate."""
    return {str(name): digest(c.values.tolist()) for name, c in sorted(dataset.coords.items())}
