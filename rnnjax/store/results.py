"""Results on disk: a zarr group that is filled block by block and survives a killed process.

    STORE/manifest.json    description of the sweep, with its hash; versions; written first
    STORE/results.zarr     every variable over all axes, one chunk per program and learning rate
    STORE/blocks/*.json    one marker per finished block, written after its data: cells, times, and
                           a digest of every variable's values
    STORE/parameters/      weights, one orbax checkpoint per block, on request
    STORE/lock             held, by the system's own file lock, while a process writes

A cell is finished if and only if a marker names it: data that a process wrote before it died, but
without the marker, are read as not run and are written again. Files are replaced as a whole, so a
killed process loses only its current block. The system flushes data in its own time, so a power cut
may damage the latest block; the digests detect that.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import filelock
import numpy as np
import xarray as xr

from rnnjax.store.checkpoints import Weights, has_weights, save_weights
from rnnjax.store.limits import (
    read_json,
    require_arrays,
    require_block_name,
    require_plain_files,
    require_size,
)
from rnnjax.store.manifest import (
    StoreError,
    digest,
    first_difference,
    versions,
    write_atomically,
)

__all__ = ["ResultStore", "load_results", "read_manifest", "read_markers"]

FORMAT = 1


def read_manifest(path: str | Path) -> dict[str, Any]:
    """The manifest of the store at `path`; raises `StoreError` if it is missing or damaged."""
    file = Path(path) / "manifest.json"
    try:
        manifest = read_json(file)
        known = manifest["format"], manifest["hash"], manifest["config"]
    except FileNotFoundError:
        raise StoreError(f"store: expected a results store, found no {file}") from None
    except StoreError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"store: {file} is damaged ({error})") from None
    if known[0] != FORMAT:
        raise StoreError(f"store: {file} has format {known[0]}, expected {FORMAT}")
    if known[1] != digest(known[2]):
        raise StoreError(f"store: {file} is damaged (its hash does not match its config)")
    require_size(known[2])
    return manifest


def load_results(path: str | Path) -> xr.Dataset:
    """The results in the store at `path`, finished or not, checked against their digests.

    Another process may be writing. Raises `StoreError` if anything is missing or damaged.
    """
    manifest, markers = read_manifest(path), read_markers(Path(path))  # data precede markers
    return _read(Path(path), manifest, markers)


class ResultStore:
    """The store of one sweep, open for writing; a context manager that holds its lock.

    Args:
        path: the store's folder; created if it does not exist.
        template: the dataset before any run, with every dimension and variable.
        config: description of the sweep, as plain data (see `describe`).
        block_dims: dimensions along which a chunk spans the whole axis.

    Raises:
        StoreError: the folder cannot be written, is in use by another process, holds other files,
            is damaged, or was made with another config (the error names the first difference).
    """

    def __init__(
        self,
        path: str | Path,
        template: xr.Dataset,
        config: Mapping[str, Any],
        block_dims: tuple[str, ...] = ("seed", "step", "epoch"),
    ):
        self.path = Path(path)
        self._template = template
        self._config = dict(config)
        self._block_dims = block_dims
        self._lock = filelock.FileLock(self.path / "lock")

    def __enter__(self) -> Self:
        self._existing()  # raises before anything is changed
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise StoreError(f"store: {self.path} is in use by another process") from None
        except (OSError, NotImplementedError) as error:  # a file system without locks
            raise StoreError(
                f"store: expected a folder that can be written, got {self.path} "
                f"({getattr(error, 'strerror', None) or error})"
            ) from None
        try:
            if not self._existing():  # another process may have written in between
                self._write_manifest()
            if not read_markers(self.path):
                require_plain_files(self.path / "results.zarr")
                self._write_template()
            self.read()
            import zarr  # slow to import

            self._group = zarr.open_group(self.path / "results.zarr", mode="r+", zarr_format=3)
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._lock.release()

    def _existing(self) -> bool:
        """Whether the folder holds a store of this config already; changes nothing."""
        if not self.path.exists():
            return False
        if not self.path.is_dir():
            raise StoreError(f"store: expected a folder, got the file {self.path}")
        names = {entry.name for entry in self.path.iterdir()}
        if "manifest.json" not in names:
            # The manifest is written first: a process that died before left at most these.
            if all(name == "lock" or name.startswith(".manifest.json.") for name in names):
                return False
            raise StoreError(f"store: {self.path} holds files that are not a results store")
        difference = first_difference(read_manifest(self.path)["config"], self._config)
        if difference is not None:
            field, old, new = difference
            raise StoreError(
                f"store: {self.path} was made with another config: {field} is {old!r} there and "
                f"{new!r} here; choose another folder, or the same config"
            )
        return True

    def _write_manifest(self) -> None:
        require_size(self._config)
        manifest = {
            "format": FORMAT,
            "hash": digest(self._config),
            "config": self._config,
            "coordinates": _coordinate_digests(self._template),
            "versions": versions(),
            "created": _now(),
        }
        write_atomically(self.path / "manifest.json", json.dumps(manifest, indent=1) + "\n")

    def _write_template(self) -> None:
        """Writes all variables, empty; no finished block is lost, since there is no marker."""
        (self.path / "blocks").mkdir(exist_ok=True)
        encoding = {
            name: {"chunks": tuple(n if d in self._block_dims else 1 for d, n in v.sizes.items())}
            for name, v in self._template.data_vars.items()
        }
        texts = {
            name: coordinate.astype(object)
            for name, coordinate in self._template.coords.items()
            if coordinate.dtype.kind == "U"
        }
        self._template.assign_coords(texts).to_zarr(
            self.path / "results.zarr", mode="w", consolidated=False, zarr_format=3,
            encoding=encoding,
        )  # fmt: skip

    def finished(self) -> np.ndarray:
        """Boolean array over the run dimensions: which cells are computed."""
        return _finished(self._template["status"].shape, read_markers(self.path))

    def require_parameters(self) -> None:
        """Raises `StoreError` if a finished block was written without weights."""
        for name in read_markers(self.path):
            if not has_weights(self.path, name):
                raise StoreError(
                    f"store: block {name!r} was finished without keeping its weights; choose "
                    "another folder"
                )

    def write(
        self,
        name: str,
        cells: np.ndarray,
        values: Mapping[str, np.ndarray],
        weights: Weights | None = None,
        **facts: Any,
    ) -> None:
        """Writes a finished block, and then its marker; see `Sink.write`.

        The marker's file has the block's name; the marker also holds the `facts`.
        """
        file = self.path / "blocks" / f"{name}.json"
        if file.exists():
            raise StoreError(f"store: block {name!r} is finished already")
        if weights is not None:
            save_weights(self.path, name, weights)
        # Digests are of what is kept, in the precision of the store.
        values = {
            variable: _canonical(np.asarray(block, self._template[variable].dtype))
            for variable, block in values.items()
        }
        for variable, block in values.items():
            _scatter(self._group[variable], cells, block)
        marker = {
            "cells": cells.tolist(),
            "finished": _now(),
            "versions": versions(),
            "digests": {variable: _digest(block) for variable, block in values.items()},
            **facts,
        }
        write_atomically(file, json.dumps(marker) + "\n")

    def read(self) -> xr.Dataset:
        """The dataset with all blocks written so far."""
        return _read(self.path, read_manifest(self.path), read_markers(self.path))


def _scatter(array: Any, cells: np.ndarray, block: np.ndarray) -> None:
    """Writes rows chunk by chunk: each chunk is read, changed and replaced as a whole."""
    for chunk in np.unique(cells[:, :-1], axis=0):
        inside = np.all(cells[:, :-1] == chunk, axis=1)
        rows = array[tuple(chunk)]
        rows[cells[inside, -1]] = block[inside]
        array[tuple(chunk)] = rows


def _canonical(block: np.ndarray) -> np.ndarray:
    """The same values with one bit pattern of NaN: zarr does not store chunks of NaN alone."""
    if block.dtype.kind != "f":
        return block
    return np.where(np.isnan(block), block.dtype.type(np.nan), block)


def _digest(block: np.ndarray) -> str:
    values = np.ascontiguousarray(block)
    return hashlib.sha256(values.dtype.str.encode() + values.tobytes()).hexdigest()


def _coordinate_digests(dataset: xr.Dataset) -> dict[str, str]:
    return {str(name): digest(c.values.tolist()) for name, c in sorted(dataset.coords.items())}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def read_markers(path: Path) -> dict[str, dict[str, Any]]:
    """The finished blocks of the store at `path`: name -> cells, times, digests.

    Raises `StoreError` for a damaged marker.
    """
    markers = {}
    for file in sorted((path / "blocks").glob("*.json")):
        require_block_name(file.stem)
        try:
            marker = read_json(file)
            np.array(marker["cells"], int)
            marker["digests"].items()
        except StoreError:
            raise
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise StoreError(f"store: {file} is damaged ({error})") from None
        markers[file.stem] = marker
    return markers


def _finished(shape: tuple[int, ...], markers: dict[str, dict[str, Any]]) -> np.ndarray:
    """Which cells the markers name; raises `StoreError` for a cell that does not exist."""
    done = np.zeros(shape, bool)
    for name, marker in markers.items():
        cells = np.array(marker["cells"], int)
        if cells.shape[1:] != (len(shape),) or np.any((cells < 0) | (cells >= shape)):
            raise StoreError(
                f"store: blocks/{name}.json is damaged: it names runs that do not exist"
            )
        done[tuple(cells.T)] = True
    return done


def _read(path: Path, manifest: dict[str, Any], markers: dict[str, dict[str, Any]]) -> xr.Dataset:
    """The dataset, checked against manifest and markers; cells without marker are empty."""
    folder = path / "results.zarr"
    require_arrays(folder)
    try:
        dataset = xr.open_zarr(folder, consolidated=False, chunks=None, zarr_format=3).load()
    except Exception as error:  # codecs and metadata readers raise errors of their own
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StoreError(f"store: {folder} is damaged ({reason})") from None
    texts = {
        name: (coordinate.dims, np.array(coordinate.values.tolist()))
        for name, coordinate in dataset.coords.items()
        if coordinate.dtype.kind in "OT"
    }
    dataset = dataset.assign_coords(texts)
    if _coordinate_digests(dataset) != manifest.get("coordinates") or "status" not in dataset:
        raise StoreError(f"store: {folder} is damaged: its axes are not those that were written")
    done = _finished(dataset["status"].shape, markers)
    for name, marker in markers.items():
        _verify(dataset, name, marker)
    for variable in dataset.data_vars.values():
        variable.values[~done] = np.nan if variable.dtype.kind == "f" else 0
    return dataset


def _verify(dataset: xr.Dataset, name: str, marker: dict[str, Any]) -> None:
    cells = tuple(np.array(marker["cells"], int).T)
    for variable, expected in marker["digests"].items():
        if variable not in dataset or _digest(dataset[variable].values[cells]) != expected:
            raise StoreError(
                f"store: results.zarr/{variable} is damaged: the values of block {name!r} are not "
                f"those that were written; to compute the block again, delete blocks/{name}.json"
            )
