"""Results on disk: a zarr group that is filled block by block and survives a killed process.

    STORE/manifest.json    description of the sweep, with its hash; versions; written first
    STORE/results.zarr     every variable over all axes, one chunk per program and learning rate
    STORE/metadata.sha256  digest of zarr's metadata in it
    STORE/blocks/*.json    one marker per finished block, written after its data: cells, times, and
                           a digest of every variable's values
    STORE/parameters/      weights, one orbax checkpoint per block, on request
    STORE/lock             held, by the system's own file lock, while a process writes

A cell is finished if and only if a marker names it: data that a process wrote before it died, but
without the marker, are read as not run and are written again. Files are replaced as a whole, so a
killed process loses only its current block. The system flushes data in its own time, so a power cut
may damage the latest block; the digests detect that.

Opening a store for writing restores a lost or damaged manifest, where the markers name the same
config, and lost or damaged metadata of zarr. An error about anything else names the files to
delete, so that the same command computes their blocks again.
"""

import errno
import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import filelock
import numpy as np
import xarray as xr

from rnnjax.store.checked import read_checked, write_checked
from rnnjax.store.checkpoints import Weights, has_weights, save_weights
from rnnjax.store.limits import (
    require_arrays,
    require_block_name,
    require_plain_files,
    require_size,
)
from rnnjax.store.manifest import (
    StoreError,
    delete_command,
    digest,
    first_difference,
    marker_file,
    remove_leftovers,
    versions,
    write_atomically,
)

__all__ = ["ResultStore", "load_results", "read_manifest", "read_markers"]

FORMAT = 1

_REPEAT = "the command that made the store restores it"


_METADATA = "metadata.sha256"


class _ManifestError(StoreError):
    """A manifest that is missing or cannot be read."""


def read_manifest(path: str | Path) -> dict[str, Any]:
    """The manifest of the store at `path`; raises `StoreError` if it is missing or damaged."""
    file = Path(path) / "manifest.json"
    try:
        manifest = read_checked(file, "store", _REPEAT, _ManifestError)
        known = manifest["format"], manifest["hash"], manifest["config"]
    except FileNotFoundError:
        raise _ManifestError(f"store: expected a results store, found no {file}") from None
    except KeyError as error:
        raise _ManifestError(f"store: {file} is damaged (no {error}); {_REPEAT}") from None
    if known[0] != FORMAT:
        raise StoreError(f"store: {file} has format {known[0]}, expected {FORMAT}")
    if known[1] != digest(known[2]):
        raise _ManifestError(
            f"store: {file} is damaged (its hash does not match its config); {_REPEAT}"
        )
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
            _remove_leftovers(self.path)
            if not read_markers(self.path):
                require_plain_files(self.path / "results.zarr")
                self._write_template(self.path / "results.zarr")
                self._write_metadata_digest()
            self._read_or_restore()
            import zarr  # slow to import

            self._group = zarr.open_group(self.path / "results.zarr", mode="r+", zarr_format=3)
        except BaseException as error:
            self._lock.release()
            if isinstance(error, OSError):
                raise _cannot_write(self.path, error) from None
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
        # The manifest is written first: a process that died before left at most these.
        if all(name == "lock" or name.startswith(".manifest.json.") for name in names):
            return False
        try:
            manifest = read_manifest(self.path)
        except _ManifestError as error:
            if self._is_named_by_markers():
                return False
            if not (self.path / "manifest.json").exists():
                raise StoreError(
                    f"store: {self.path} holds files that are not a results store"
                ) from None
            raise StoreError(f"{error}, if its settings are those of all blocks") from None
        difference = first_difference(manifest["config"], self._config)
        if difference is not None:
            field, old, new = difference
            raise StoreError(
                f"store: {self.path} was made with another config: {field} is {old!r} there and "
                f"{new!r} here; choose another folder, or the same config"
            )
        return True

    def _is_named_by_markers(self) -> bool:
        """Whether there are finished blocks, and all of them name this config."""
        try:
            markers = read_markers(self.path)
        except StoreError:
            return False
        return {marker.get("sweep") for marker in markers.values()} == {digest(self._config)}

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
        write_checked(self.path / "manifest.json", manifest)

    def _read_or_restore(self) -> None:
        """Checks all data; where that fails, it tries again with new metadata of zarr."""
        try:
            self.read()
        except StoreError:
            require_plain_files(self.path / "results.zarr")  # nothing is written through a link
            with tempfile.TemporaryDirectory(dir=self.path, prefix=".results.zarr.") as folder:
                self._write_template(Path(folder))
                before = _overwrite(Path(folder), self.path / "results.zarr")
            listed = self.path / _METADATA
            before[listed] = listed.read_bytes() if listed.exists() else None
            self._write_metadata_digest()
            try:
                self.read()
            except BaseException:
                for file, content in before.items():
                    file.unlink() if content is None else file.write_bytes(content)
                raise

    def _write_metadata_digest(self) -> None:
        write_atomically(self.path / _METADATA, _metadata_digest(self.path) + "\n")

    def _write_template(self, folder: Path) -> None:
        """Writes all variables, empty, into `folder`, where nothing is kept."""
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
            folder, mode="w", consolidated=False, zarr_format=3, encoding=encoding
        )

    def finished(self) -> np.ndarray:
        """Boolean array over the run dimensions: which cells are computed."""
        return _finished(self.path, self._template["status"].shape, read_markers(self.path))

    def require_parameters(self) -> None:
        """Raises `StoreError` if a finished block was written without weights."""
        lacking = [name for name in read_markers(self.path) if not has_weights(self.path, name)]
        if lacking:
            raise StoreError(
                f"store: {self.path} has no weights of {len(lacking)} finished blocks; "
                f"{_delete_advice(self.path, lacking)}, or choose another folder"
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
        file = marker_file(self.path, name)
        if file.exists():
            raise StoreError(f"store: block {name!r} is finished already")
        try:
            if weights is not None:
                facts = {"weights": save_weights(self.path, name, weights), **facts}
            self._write(file, cells, values, facts)
        except OSError as error:
            raise _cannot_write(self.path, error) from None

    def _write(
        self,
        file: Path,
        cells: np.ndarray,
        values: Mapping[str, np.ndarray],
        facts: Mapping[str, Any],
    ) -> None:
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
            "sweep": digest(self._config),
            "versions": versions(),
            "digests": {variable: _digest(block) for variable, block in values.items()},
            **facts,
        }
        write_checked(file, marker, indent=None)

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
        advice = _delete_advice(path, [file.stem])
        marker = read_checked(file, "store", advice, StoreError)
        try:
            np.array(marker["cells"], int)
            marker["digests"].items()
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise StoreError(f"store: {file} is damaged ({error}); {advice}") from None
        markers[file.stem] = marker
    return markers


def _finished(path: Path, shape: tuple[int, ...], markers: dict[str, dict[str, Any]]) -> np.ndarray:
    """Which cells the markers name; raises `StoreError` for a cell that does not exist."""
    done = np.zeros(shape, bool)
    for name, marker in markers.items():
        cells = np.array(marker["cells"], int)
        if cells.shape[1:] != (len(shape),) or np.any((cells < 0) | (cells >= shape)):
            raise StoreError(
                f"store: {marker_file(path, name)} is damaged: it names runs that do not exist; "
                f"{_delete_advice(path, [name])}"
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
        if not markers:
            raise StoreError(
                f"store: {path} has no finished block yet; the command that made it goes on"
            ) from None
        raise _damaged_data(path, markers, error) from None
    listed = path / _METADATA
    if markers and listed.exists() and listed.read_text("latin").strip() != _metadata_digest(path):
        raise StoreError(f"store: the metadata in {folder} are not what was written; {_REPEAT}")
    texts = {
        name: (coordinate.dims, np.array(coordinate.values.tolist()))
        for name, coordinate in dataset.coords.items()
        if coordinate.dtype.kind in "OT"
    }
    dataset = dataset.assign_coords(texts)
    if _coordinate_digests(dataset) != manifest.get("coordinates") or "status" not in dataset:
        raise StoreError(
            f"store: {folder} is damaged: its axes are not those that were written; {_REPEAT}"
        )
    done = _finished(path, dataset["status"].shape, markers)
    _verify(path, dataset, markers)
    for variable in dataset.data_vars.values():
        variable.values[~done] = np.nan if variable.dtype.kind == "f" else 0
    return dataset


def _verify(path: Path, dataset: xr.Dataset, markers: dict[str, dict[str, Any]]) -> None:
    """Raises `StoreError`, with all blocks whose values are not those that were written."""
    damaged = {
        name: variable
        for name, marker in markers.items()
        for variable, expected in marker["digests"].items()
        if variable not in dataset
        or _digest(dataset[variable].values[tuple(np.array(marker["cells"], int).T)]) != expected
    }
    if damaged:
        name, variable = next(iter(damaged.items()))
        raise StoreError(
            f"store: {path / 'results.zarr' / variable} is damaged: the values of {len(damaged)} "
            f"blocks, such as {name!r}, are not those that were written; "
            f"{_delete_advice(path, damaged)}"
        )


def _damaged_data(path: Path, markers: dict[str, dict[str, Any]], error: Exception) -> StoreError:
    """The error for data that cannot be decoded: names the chunks, and the blocks in them."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    chunks = _unreadable_chunks(path / "results.zarr", markers)
    if not chunks:
        return StoreError(
            f"store: {path / 'results.zarr'} is damaged ({reason}); the command that made the "
            "store restores its metadata"
        )
    blocks = dict.fromkeys(name for names in chunks.values() for name in names)
    return StoreError(
        f"store: {next(iter(chunks))} is damaged ({reason}); {_delete_advice(path, blocks, chunks)}"
    )


def _unreadable_chunks(folder: Path, markers: dict[str, dict[str, Any]]) -> dict[Path, list[str]]:
    """Chunks of the blocks that cannot be decoded, each with its blocks; none without metadata."""
    import zarr

    chunks: dict[Path, list[str]] = {}
    try:
        group = zarr.open_group(folder, mode="r")
        arrays: dict[str, Any] = {str(name): array for name, array in group.arrays()}
    except Exception:  # of the metadata
        return chunks
    for name, marker in markers.items():
        for variable in set(marker["digests"]) & set(arrays):
            array = arrays[variable]
            for place in {tuple(cell[:-1]) for cell in marker["cells"]}:
                try:
                    array[place]
                except Exception:
                    index = (*place, *[0] * (array.ndim - len(place)))
                    key = array.metadata.encode_chunk_key(index)
                    chunks.setdefault(folder / variable / key, []).append(name)
    return chunks


def _delete_advice(path: Path, blocks: Iterable[str], chunks: Iterable[Path] = ()) -> str:
    """What to delete so that the command that made the store computes `blocks` again."""
    files = [*chunks, *(marker_file(path, block) for block in blocks)]
    return f"to compute them again, run {delete_command(files)!r}, and then the same command"


def _metadata_digest(path: Path) -> str:
    """SHA-256 of all files of zarr's metadata, with their names."""
    folder, found = path / "results.zarr", hashlib.sha256()
    for file in sorted(folder.rglob("zarr.json")):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        found.update(f"{file.relative_to(folder).as_posix()} {content}\n".encode())
    return found.hexdigest()


def _overwrite(source: Path, target: Path) -> dict[Path, bytes | None]:
    """Copies all files that differ; returns their content before, None where there was none."""
    before: dict[Path, bytes | None] = {}
    for file in sorted(source.rglob("*")):
        place = target / file.relative_to(source)
        if not file.is_file():
            continue
        old = place.read_bytes() if place.is_file() else None
        if old != file.read_bytes():
            before[place] = old
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)
    return before


def _remove_leftovers(path: Path) -> None:
    """Removes what killed processes left half-written; the lock is held, so that none is alive."""
    for folder in (path, path / "blocks"):
        remove_leftovers(folder, age=0)
    for folder in (path / "parameters").glob("*.orbax-checkpoint-tmp*"):
        shutil.rmtree(folder, ignore_errors=True)
    for folder in path.glob(".results.zarr.*"):
        shutil.rmtree(folder, ignore_errors=True)


def _cannot_write(path: Path, error: OSError) -> OSError:
    """The same error with the folder's name, and what to do about a full disk."""
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        reason += "; finished blocks are kept: make room and give the same command again"
    return OSError(f"store: cannot write in {path}: {reason}")
