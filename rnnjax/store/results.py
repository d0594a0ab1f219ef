"""Results on disk: a zarr group that is filled block by block and survives a killed process.

    STORE/manifest.json         description of the sweep, with its hash; versions; written first
    STORE/manifest.backup.json  copy of the manifest of a store that has grown
    STORE/results.zarr          every variable over all axes, one chunk per program and rate
    STORE/metadata.sha256       digest of zarr's metadata in it
    STORE/blocks/*.json         one marker per finished block, written after its data: cells, times,
                                and a digest of every variable's values
    STORE/parameters/           weights, one orbax checkpoint per block, on request
    STORE/states/*.npz          states of training of finished blocks, on request
    STORE/attempts/             blocks as workers leave them (`rnnjax.store.attempts`)
    STORE/running/              states of blocks being trained, until their markers are written
    STORE/earlier/              stores of fewer epochs from which the runs were resumed
    STORE/growing-*/            results over more axis values, until they take their place
    STORE/lock                  held, by the system's own file lock, while a process writes

A cell is finished if and only if a marker names it: data that a process wrote before it died, but
without the marker, are read as not run and are written again. Files are replaced as a whole, so a
killed process loses only what it has computed since the last state of its current block. Chunks,
which hold results of earlier blocks too, are on the disk before they are replaced and before the
marker is written. A power cut may still damage weights of the latest block; the digests detect it.

Opening a store for writing restores a lost or damaged manifest, where all markers name the same
config, and lost or damaged metadata of zarr. An error about anything else lists the files to
delete, so that the same command computes their blocks again.
"""

import contextlib
import errno
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import xarray as xr

from rnnjax.store.attempts import (
    Report,
    finished_attempts,
    fits,
    has_parts,
    move_parts,
    remove_abandoned,
    remove_attempts,
)
from rnnjax.store.checked import write_checked
from rnnjax.store.checkpoints import Weights, has_weights, save_weights
from rnnjax.store.combining import require_combination
from rnnjax.store.damage import DamageError
from rnnjax.store.earlier import earlier_stores, keep_earlier, more_epochs, with_epochs
from rnnjax.store.grid import Places, config_grid, grid_of, lacking, places, united
from rnnjax.store.growing import (
    grow,
    new_manifest,
    now,
    over,
    part,
    settle,
    spread,
    write_group,
)
from rnnjax.store.layout import DATA, METADATA
from rnnjax.store.limits import require_plain_files
from rnnjax.store.locking import acquire
from rnnjax.store.manifest import StoreError, digest, versions
from rnnjax.store.markers import finished_cells, located, marker_file, read_markers
from rnnjax.store.opening import existing_manifest, has_lost_manifest
from rnnjax.store.reading import coordinate_digests, read_results, value_digest
from rnnjax.store.restoring import (
    remove_store_leftovers,
    restored_metadata,
    write_metadata_digest,
)
from rnnjax.store.running import Running, remove_finished, remove_running, running_of
from rnnjax.store.scatter import canonical, open_group, read_only, replaced_chunks, scatter
from rnnjax.store.states import save_state
from rnnjax.validate import path_of

__all__ = ["ResultStore"]


class ResultStore:
    """The store of one sweep, open for writing; a context manager that holds its lock.

    Args:
        path: the store's folder; created if it does not exist.
        template: the dataset before any run, with every dimension and variable.
        config: description of the sweep, as plain data (see `describe`).
        block_dims: dimensions along which a chunk spans the whole axis.

    Raises:
        StoreError: the folder cannot be written, is open for writing already, holds other files,
            is damaged, or was made with another config (the error names the first difference).
    """

    def __init__(
        self,
        path: str | Path,
        template: xr.Dataset,
        config: Mapping[str, Any],
        block_dims: tuple[str, ...] = ("seed", "step", "epoch"),
    ):
        self.path = path_of("path", path)
        self._template = template
        self._config = dict(config)
        self._block_dims = block_dims

    def __enter__(self) -> Self:
        try:
            existing_manifest(self.path, self._config)  # raises before anything is changed
        except DamageError:
            if not (self.path / "lock").exists():
                raise
            # Perhaps another process is just changing it: what is damaged is seen under the lock.
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"store: expected a folder that can be written, got {self.path} "
                f"({error.strerror or error})"
            ) from None
        self._lock = acquire(self.path)
        try:
            self._open()
        except BaseException as error:
            self._lock.release()
            if isinstance(error, OSError):
                raise _without_access(self.path, error) from None
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._lock.release()

    def _open(self) -> None:
        """Mends what a killed process left and checks all data; the lock is held."""
        # Another process may have written since.
        manifest = existing_manifest(self.path, self._config, states=True)
        if manifest is None:
            manifest = new_manifest(self._config, self._template)
            write_checked(self.path / "manifest.json", manifest)
        elif has_lost_manifest(self.path):
            write_checked(self.path / "manifest.json", manifest)
        settle(self.path, manifest)
        remove_store_leftovers(self.path)
        self._manifest, self._checked, self._held = manifest, None, None
        self._prepared, self._states = False, None
        self._more = more_epochs(manifest["config"], self._config)
        grids = (config_grid(config) for config in (manifest["config"], self._config))
        self._same = not self._more and len(set(grids)) == 1
        if read_markers(self.path):
            self._checked = self._read_or_restore()
            done = self._checked["status"].values != 0
            remove_finished(self.path, manifest["config"], done)
        else:
            remove_finished(self.path, manifest["config"])
            self._require_blocks()
            if self._same:
                self._begin()

    def _require_blocks(self) -> None:
        """Makes the folder of markers; raises `StoreError` where it must have been there."""
        if (self.path / DATA).exists() and not (self.path / "blocks").exists():
            raise StoreError(
                f"store: {self.path} has lost its folder blocks, which says what is finished; put "
                "it back, or choose another folder"
            )
        (self.path / "blocks").mkdir(exist_ok=True)

    def _begin(self) -> None:
        """Writes all variables, empty, where no block is finished."""
        folder = self.path / DATA
        require_plain_files(folder)
        begun = {**self._manifest, "coordinates": coordinate_digests(self._template)}
        if begun != self._manifest:  # of runs with other variables, none of which is finished
            self._manifest = begun
            write_checked(self.path / "manifest.json", begun)
            settle(self.path, begun)
        write_group(folder, self._template, self._block_dims)
        write_metadata_digest(self.path)

    def _read_or_restore(self) -> xr.Dataset:
        """Checks all data; where zarr's metadata are damaged, it tries again with new ones."""
        try:
            return self._read_all()
        except DamageError as error:
            template = self._template if self._same else self._whole_template()
            if template is None or (not error.restorable and (self.path / METADATA).exists()):
                raise
            if not self._written() <= {*template.coords, *template.data_vars}:
                raise  # only a call with the runs that have these can write their metadata
            dims = self._block_dims
            with restored_metadata(self.path, lambda at: write_group(at, template, dims)):
                return self._read_all()

    def _written(self) -> set[str]:
        """Coordinates and variables of the store, by its manifest and markers."""
        found = set(self._manifest["coordinates"])
        return found.union(*(marker["digests"] for marker in self._blocks().values()))

    def _whole_template(self) -> xr.Dataset | None:
        """The template over all labels of the store; None for one of fewer epochs."""
        here, there = config_grid(self._config), config_grid(self._manifest["config"])
        if self._more or here is None or there is None:
            return None
        return over(self._template, here, there)

    def _read_all(self) -> xr.Dataset:
        """The dataset over all axes of the store."""
        return read_results(self.path, self._manifest, self._blocks())

    def _blocks(self) -> dict[str, dict[str, Any]]:
        """The markers, with their cells on the store's axes."""
        return located(self.path, self._manifest, read_markers(self.path))

    def _places(self) -> Places | None:
        """Positions of this config's runs in the store; None where the axes are the same."""
        here, there = config_grid(self._config), config_grid(self._manifest["config"])
        return None if here is None or there is None or here == there else places(here, there)

    def finished(self) -> np.ndarray:
        """Boolean array over the run dimensions: which cells are computed."""
        if self._more:
            return np.zeros(self._template["status"].shape, bool)
        blocks, at = self._blocks(), self._places()
        if at is None:
            return finished_cells(self.path, self._template["status"].shape, blocks)
        shape = grid_of(self._manifest["config"]).shape
        return at.take(finished_cells(self.path, shape, blocks), False)

    def prepare(self) -> None:
        """Makes room for the runs: a store of fewer labels or variables grows.

        One of fewer epochs moves. All labels that the store has had stay.
        """
        if not self._prepared:
            with _naming(self.path):
                self._prepare()

    def _prepare(self) -> None:
        old, blocks = self._manifest["config"], read_markers(self.path)
        grows = not self._same and (not blocks or self._more or lacking(old, self._config))
        if self._checked is not None:  # runs without a variable may have begun a later store
            grows = grows or not set(self._template) <= set(self._checked)
        if grows:
            config, template = self._config, self._template
            if blocks:
                before = with_epochs(old, config) if self._more else old
                config = united(before, self._config)
                parts = before, self._config
                require_combination(f"{self.path} and of this call", config, parts)
                assert self._checked is not None
                held = self._checked
                if self._more:  # all runs are pending: of what was read, only coordinates stay
                    held = held.drop_vars(held.data_vars)
                    held = held.drop_dims(set(held.dims) - set(grid_of(old).names))
                    keep_earlier(self.path, self._manifest)
                template = spread(held, template, grid_of(old), grid_of(config))
            arguments = self._manifest, blocks, config, template, self._block_dims, self._more
            self._manifest, self._more = grow(self.path, *arguments), False
        self._checked = None
        self._group = open_group(self.path / DATA)
        self._arrays: dict[str, Any] = {}
        self._prepared = True

    def require_parameters(self) -> None:
        """Raises `StoreError` if a finished block was written without weights."""
        blocks = () if self._more else self._blocks()
        without = [name for name in blocks if not has_weights(self.path, name)]
        if without:
            raise DamageError(
                f"store: {self.path} has no weights of {len(without)} finished blocks; choose "
                "another folder, or train them again",
                [marker_file(self.path, name) for name in without],
            )

    def keeps_parameters(self) -> bool:
        """Whether there are finished blocks, all of them with weights."""
        blocks = () if self._more else self._blocks()
        return bool(blocks) and all(has_weights(self.path, name) for name in blocks)

    def epochs_before(self, cells: np.ndarray) -> np.ndarray:
        """The epochs that each of the runs `cells`, [S, axes], has taken in an earlier store."""
        found = np.zeros(len(cells), int)
        for states in self._earlier():
            has = np.array([tuple(cell) in states.cells for cell in cells.tolist()])
            found[has & (found == 0)] = states.epochs
        return found

    def load_states(self, cells: np.ndarray, epochs: int) -> dict[str, np.ndarray]:
        """The states of training of the runs `cells` after these epochs, stacked."""
        return next(one for one in self._earlier() if one.epochs == epochs).load(cells)

    def _earlier(self) -> list[Any]:
        """The states of the runs in stores of fewer epochs; their markers are read once."""
        if self._states is None:
            self._states = list(earlier_stores(self.path, self._config))
        return self._states

    def running(self) -> Running | None:
        """Where the states of blocks being trained are kept."""
        return running_of(self.path, self._config)

    def write(
        self,
        name: str,
        cells: np.ndarray,
        values: Mapping[str, np.ndarray],
        weights: Weights | None = None,
        states: Mapping[str, np.ndarray] | None = None,
        **facts: Any,
    ) -> None:
        """Writes a finished block, and then its marker; see `Sink.write`.

        The marker's file has the block's name, with a suffix where the store has other axes or
        has grown; the marker also holds the `facts`.
        """

        def save(block: str) -> dict[str, str]:
            kept = {}
            if weights is not None:
                kept["weights"] = save_weights(self.path, block, weights)
            if states is not None:
                kept["state"] = save_state(self.path, block, states)
            return kept

        self._finish(name, cells, values, facts, save)

    def adopt(self, name: str, folder: Path, report: Report) -> None:
        """Writes a block that a worker has trained and left in `folder`, which is then removed."""

        def move(block: str) -> dict[str, str]:
            move_parts(folder, name, report, self.path, block)
            return {}

        self._finish(name, report.cells, report.values, report.facts, move)
        remove_attempts(self.path, report.work, {name})

    def adopt_left(self, work: str) -> None:
        """Writes the blocks of this work that workers of an earlier process have left.

        Attempts, of whatever work, in which nothing was written for a week are removed.
        """
        done = None
        with _naming(self.path):
            left = list(finished_attempts(self.path, work))
        for name, folder, report in left:
            if not fits(report, self._template):
                continue
            done = self.finished() if done is None else done
            if done[tuple(report.cells.T)].any():
                remove_attempts(self.path, work, {name})
                continue
            self.prepare()
            moved = self._on_axes(name, report.cells)[0]
            with _naming(self.path):
                is_whole = has_parts(folder, name, report, self.path, moved)
            if is_whole:
                self.adopt(name, folder, report)
                done[tuple(report.cells.T)] = True
        remove_abandoned(self.path)

    def remove_left(self, work: str) -> None:
        """Removes all attempts at this work, once every run of it is finished."""
        if self.finished().all():
            remove_attempts(self.path, work)

    def _on_axes(self, name: str, cells: np.ndarray) -> tuple[str, np.ndarray]:
        """Name and cells of a block on the axes of the store."""
        at = self._places()
        if at is not None or self._manifest.get("grids"):
            cells = cells if at is None else at.cells(cells)
            name = f"{name}-{digest([self._manifest['hash'], cells.tolist()])[:8]}"
        return name, cells

    def _finish(
        self,
        name: str,
        cells: np.ndarray,
        values: Mapping[str, np.ndarray],
        facts: Mapping[str, Any],
        keep: Callable[[str], Mapping[str, Any]],
    ) -> None:
        """Writes a block; `keep(name)` puts its weights and states in place, and gives digests."""
        self.prepare()
        block = name
        name, cells = self._on_axes(name, cells)
        file = marker_file(self.path, name)
        if file.exists():
            raise StoreError(f"store: block {name!r} is finished already")
        with _naming(self.path):
            self._write(file, cells, values, {**keep(name), **facts})
            remove_running(self.path, block, self._manifest["config"], cells)

    def _write(
        self,
        file: Path,
        cells: np.ndarray,
        values: Mapping[str, np.ndarray],
        facts: Mapping[str, Any],
    ) -> None:
        # Digests are of what is kept, in the precision of the store.
        values = {
            variable: canonical(np.asarray(block, self._template[variable].dtype))
            for variable, block in values.items()
        }
        held = self._held
        with replaced_chunks(self._group):
            for variable, block in values.items():
                known = None if held is None else held[variable].values
                scatter(self._array(variable), cells, block, known)
        if held is not None:
            for variable, block in values.items():
                held[variable].values[tuple(cells.T)] = block
        marker = {
            "versions": versions(),
            **facts,
            "cells": cells.tolist(),
            "finished": now(),
            "sweep": self._manifest["hash"],
            "digests": {variable: value_digest(block) for variable, block in values.items()},
        }
        write_checked(file, marker, indent=None)

    def _array(self, variable: str) -> Any:
        file = self.path / DATA / variable / "zarr.json"
        if not file.exists():  # somebody has moved the folder, or a network drive is gone
            raise OSError(errno.ENOENT, "it is no longer there", str(file.parent))
        if variable not in self._arrays:
            self._arrays[variable] = self._group[variable]
        return self._arrays[variable]

    def read(self) -> xr.Dataset:
        """The dataset with all blocks written so far, read from the disk and checked."""
        self.prepare()
        return self._part(self._read_all())

    def view(self) -> xr.Dataset:
        """The same without reading again what is written from the first call on.

        Its arrays are those from which blocks are written, and cannot be written to.
        """
        self.prepare()
        if self._held is None:
            self._held = self._read_all()
        return self._part(read_only(self._held))

    def _part(self, dataset: xr.Dataset) -> xr.Dataset:
        at = self._places()
        return dataset if at is None else part(dataset, self._template, at)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turns an `OSError` into one that says what to do."""
    try:
        yield
    except OSError as error:
        raise _without_access(path, error) from None


def _without_access(path: Path, error: OSError) -> OSError:
    """The same error with the folder's name, and what to do about a full disk."""
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        reason += "; finished blocks are kept: make room and give the same command again"
    return OSError(f"store: cannot read or write {error.filename or path}: {reason}")
