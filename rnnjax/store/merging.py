"""Joining stores whose sweeps differ in the labels on their axes alone."""

import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from rnnjax.store.checked import file_digest, write_checked
from rnnjax.store.checkpoints import has_digest, has_weights, weights_folder
from rnnjax.store.combining import require_combination
from rnnjax.store.damage import DamageError
from rnnjax.store.grid import Grid, config_grid, grid_of, places, same_runs, united
from rnnjax.store.growing import flush, new_manifest, spread, write_group
from rnnjax.store.layout import DATA, read_settled
from rnnjax.store.limits import (
    plain_size,
    require_plain_entries,
    require_plain_files,
    require_size,
)
from rnnjax.store.manifest import StoreError, digest, new_folder
from rnnjax.store.markers import marker_file
from rnnjax.store.parameters import held_weights
from rnnjax.store.reading import load_results, read_blocks, read_results, value_digest
from rnnjax.store.restoring import write_metadata_digest
from rnnjax.store.states import state_file
from rnnjax.validate import counted, path_of

__all__ = ["merge"]

_TIMES = ("seconds",)
"""Variables that differ between two computations of one run."""

_BLOCK_DIMS = ("seed", "step", "epoch")


class _Store(NamedTuple):
    """A store to join: all of it but the weights."""

    path: Path
    config: Mapping[str, Any]
    blocks: Mapping[str, Mapping[str, Any]]
    """Its markers, with cells on its own axes."""
    results: xr.Dataset

    @property
    def grid(self) -> Grid:
        return grid_of(self.config)


class _Part(NamedTuple):
    """What the joined store takes of a block."""

    store: int
    name: str
    cells: np.ndarray
    """Cells on the joined axes, [S, axes]."""
    rows: list[int] | None
    """Their rows in the block's weights; None where these are all, in order."""


def merge(first: str | Path, *others: str | Path, into: str | Path) -> xr.Dataset:
    """Joins stores in a new folder, with weights and states; returns all their results.

    Their sweeps may differ in the values on their axes. Runs that several stores hold must agree to
    the last bit, times apart; they are taken from the first store that keeps their weights, or else
    from the first. Where a file with states is lost, its block is joined without, after a warning.

    Raises:
        StoreError: a folder `into` that is not new, a store that is damaged, sweeps that differ in
            more than the values on their axes (the error names the first difference) or whose
            values do not combine to one sweep, or results of one run that differ.
    """
    target = path_of("into", into).resolve()  # a link cannot be replaced by a folder
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise StoreError(f"store: expected a new folder, got {target}, which is not empty")
    paths = [path_of("first", first), *(path_of("others", path) for path in others)]
    stores = [_read(path) for path in paths]
    config = _united(stores)
    parts = list(_parts(stores, grid_of(config)))
    results = _joined(stores, parts, grid_of(config))
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = new_folder(target.parent, f".{target.name}.")
    try:
        _write(folder, stores, parts, config, results)
        load_results(folder)
        flush(folder)
        folder.replace(target)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return load_results(target)


def _read(path: Path) -> _Store:
    def read() -> _Store:
        require_plain_entries(path)
        manifest, blocks = read_blocks(path)
        return _Store(path, manifest["config"], blocks, read_results(path, manifest, blocks))

    return read_settled(path, read)


def _united(stores: list[_Store]) -> dict[str, Any]:
    """The config with all labels.

    Raises `StoreError` where more than labels differ, or where these do not combine.
    """
    config = dict(stores[0].config)
    if config_grid(config) is None:
        raise StoreError(f"store: expected a sweep, got {stores[0].path}, which names no axes")
    for store in stores[1:]:
        if difference := same_runs(config, store.config):
            field, here, there = difference
            raise StoreError(
                "store: expected sweeps that differ in the values on their axes alone, got "
                f"{field} = {here!r} in {stores[0].path} and {there!r} in {store.path}"
            )
        config = united(config, store.config)
    require_size(config)
    names = " and ".join(str(store.path) for store in stores)
    require_combination(names, config, [store.config for store in stores])
    return config


def _parts(stores: list[_Store], grid: Grid) -> Iterator[_Part]:
    """The runs to take from every block: each run once, with its weights where they are kept."""
    taken = np.full(grid.shape, -1)
    kept = [(k, name) for k, store in enumerate(stores) for name in store.blocks]
    weights = {(k, name): has_weights(stores[k].path, name) for k, name in kept}
    for k, name in sorted(kept, key=lambda block: not weights[block]):
        marker = stores[k].blocks[name]
        cells = places(stores[k].grid, grid).cells(marker["cells"])
        earlier = taken[tuple(cells.T)]
        for other in set(earlier.tolist()) - {-1}:
            both = cells[earlier == other]
            if weights[k, name]:
                _require_equal_weights(stores[other], stores[k], grid, both)
        new = earlier == -1
        if not new.any():
            continue
        taken[tuple(cells[new].T)] = k
        rows = marker.get("rows")
        if not new.all():
            rows = np.arange(len(cells)) if rows is None else np.array(rows, int)
            rows = rows[new].tolist()
        yield _Part(k, name, cells[new], rows)


def _require_equal_weights(one: _Store, other: _Store, grid: Grid, cells: np.ndarray) -> None:
    """Raises `StoreError` unless two stores hold the same weights of the runs `cells`."""
    here, there = (
        held_weights(
            store.path, store.config, store.blocks, places(grid, store.grid).cells(cells).tolist()
        )
        for store in (one, other)
    )
    kept = {when: leaves for when, leaves in here._asdict().items() if leaves is not None}
    for row, cell in enumerate(cells):
        for when, leaves in kept.items():
            for name, leaf in leaves.items():
                if leaf[row].tobytes() != getattr(there, when)[name][row].tobytes():
                    raise _differ(f"{when} weights {name!r}", grid, cell, (one, other))


def _differ(what: str, grid: Grid, cell: Sequence[int], stores: Sequence[_Store]) -> StoreError:
    return StoreError(
        f"store: expected one result per run, got two {what} of {grid.run(cell)}, in "
        f"{stores[0].path} and {stores[1].path}"
    )


def _joined(stores: list[_Store], parts: list[_Part], grid: Grid) -> xr.Dataset:
    """The results over all labels, each from its part.

    Raises `StoreError` for a run that has others in another store.
    """
    joined = spread(stores[0].results, stores[0].results, stores[0].grid, grid)
    for store in stores[1:]:  # with the variables and coordinates of all
        joined = spread(joined, spread(store.results, joined, store.grid, grid), grid, grid)
    source = np.full(grid.shape, -1)
    for part in parts:
        source[tuple(part.cells.T)] = part.store
    for k, store in enumerate(stores):  # one at a time: each copy is as large as the whole
        one = spread(store.results, joined, store.grid, grid)
        for name, variable in joined.data_vars.items():
            variable.values[source == k] = one[name].values[source == k]
    for k, store in enumerate(stores):
        one = spread(store.results, joined, store.grid, grid)
        for name, variable in joined.data_vars.items():
            if name in _TIMES or name not in store.results:
                continue
            unequal = _unequal(variable.values, one[name].values, len(grid.shape))
            differ = (one["status"].values != 0) & unequal
            if differ.any():
                cell = np.argwhere(differ)[0]
                raise _differ(str(name), grid, cell, (stores[source[tuple(cell)]], stores[k]))
    return joined


def _unequal(here: np.ndarray, there: np.ndarray, axes: int) -> np.ndarray:
    """Which runs, on the first `axes` dimensions, have another value in two arrays."""
    equal = (here == there) | (np.isnan(here) & np.isnan(there))
    return ~equal.all(axis=tuple(range(axes, equal.ndim)))


def _write(
    folder: Path,
    stores: list[_Store],
    parts: list[_Part],
    config: Mapping[str, Any],
    results: xr.Dataset,
) -> None:
    """Writes the joined store into an empty folder."""
    manifest = new_manifest(config, results)
    write_checked(folder / "manifest.json", manifest)
    write_group(folder / DATA, results, _BLOCK_DIMS)
    write_metadata_digest(folder)
    (folder / "blocks").mkdir()
    lost: list[Path] = []
    for part in parts:
        store, name = stores[part.store], part.name
        if marker_file(folder, name).exists():
            name = f"{name}-{digest([part.store, part.cells.tolist()])[:8]}"
        marker = dict(store.blocks[part.name])
        at = tuple(part.cells.T)
        marker |= {
            "cells": part.cells.tolist(),
            "sweep": manifest["hash"],
            "digests": {v: value_digest(results[v].values[at]) for v in marker["digests"]},
        }
        if part.rows is not None:
            marker["rows"] = part.rows
        _copy_weights(store.path, part.name, marker.get("weights"), folder, name)
        state = marker.get("state")
        if state and not _copy_state(store.path, part.name, state, folder, name):
            lost.append(state_file(store.path, part.name))
            del marker["state"]
        write_checked(marker_file(folder, name), marker, indent=None)
    if lost:
        warnings.warn(
            f"store: {counted(len(lost), 'block')} will not resume with more epochs, as the state "
            f"of training is lost: {lost[0]} is missing",
            stacklevel=3,
        )


def _copy_weights(store: Path, block: str, expected: str | None, folder: Path, name: str) -> None:
    """Copies the weights of a block, if it has any, to the block `name` of the store `folder`.

    Raises `DamageError` where they are not there as they were written.
    """
    source, target = weights_folder(store, block), weights_folder(folder, name)
    if not source.is_dir():
        if expected is not None:
            raise DamageError(f"store: {source} is missing", [marker_file(store, block)])
        return
    require_plain_files(source)
    shutil.copytree(source, target)
    if expected is not None and not has_digest(target, expected):
        raise DamageError(f"store: {source} is not what was written", [marker_file(store, block)])


def _copy_state(store: Path, block: str, expected: str, folder: Path, name: str) -> bool:
    """Copies the states of a block in the same way; returns whether they are there."""
    source, target = state_file(store, block), state_file(folder, name)
    try:
        plain_size(source)
    except FileNotFoundError:
        return False
    target.parent.mkdir(exist_ok=True)
    shutil.copyfile(source, target)
    if file_digest(target) != expected:
        files = [source, marker_file(store, block)]
        raise DamageError(f"store: {source} is not what was written", files)
    return True
