"""Markers: one file per finished block, written after its data."""

from pathlib import Path
from typing import Any

import numpy as np

from rnnjax.store.checked import read_checked
from rnnjax.store.damage import DamageError
from rnnjax.store.grid import Grid, grid_of, places
from rnnjax.store.limits import MOST_RUNS, require_block_name
from rnnjax.store.manifest import StoreError

__all__ = ["finished_cells", "located", "marker_file", "read_markers"]


def marker_file(store: Path, block: str) -> Path:
    """The file that says that a block is finished."""
    return store / "blocks" / f"{block}.json"


def read_markers(path: Path) -> dict[str, dict[str, Any]]:
    """The finished blocks of the store at `path`: name -> cells, times, digests.

    Raises `DamageError` for a damaged marker.
    """
    markers = {}
    for file in sorted((path / "blocks").glob("*.json")):
        require_block_name(file.stem)
        try:
            marker = read_checked(file)
            _check(marker)
        except FileNotFoundError:  # its block has just been left for more epochs
            continue
        except StoreError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise DamageError(f"store: {file} is damaged ({error})", [file]) from None
        markers[file.stem] = marker
    return markers


def _check(marker: dict[str, Any]) -> None:
    """Raises an error unless a marker has fields of the types that are read."""
    cells = np.array(marker["cells"], int)
    rows = np.array(marker.get("rows", range(len(cells))), int)
    if rows.shape != cells.shape[:1] or np.any(rows < 0) or np.any(rows >= MOST_RUNS):
        raise ValueError("its rows are not those of its cells")
    if not isinstance(marker.get("sweep"), str | None):
        raise ValueError("it names no sweep")
    if not isinstance(marker.get("seconds", 0.0), int | float):
        raise ValueError("its time is no number")
    marker["digests"].items()


def located(
    path: Path, manifest: dict[str, Any], markers: dict[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """The markers with their cells on the present axes.

    A store that has grown has markers of earlier grids, whose files stay as they are. Raises
    `DamageError` for a marker of a grid or a cell that does not exist.
    """
    if left := set(manifest.get("left", ())):  # blocks of fewer epochs
        markers = {name: m for name, m in markers.items() if m.get("sweep") not in left}
    if not manifest.get("grids"):
        return markers
    present = grid_of(manifest["config"])
    grids = {manifest["hash"]: (present, places(present, present))}
    for earlier in manifest["grids"]:
        grid = Grid.of(earlier["axes"])
        grids |= dict.fromkeys(earlier["sweeps"], (grid, places(grid, present)))
    found = {}
    for name, marker in markers.items():
        file = marker_file(path, name)
        if marker.get("sweep") not in grids:
            raise DamageError(f"store: {file} names another sweep than the manifest", [file])
        grid, there = grids[marker.get("sweep")]
        cells = np.array(marker["cells"], int)
        if not _exist(cells, grid.shape):
            raise DamageError(f"store: {file} names runs that do not exist", [file])
        at = there.cells(cells)
        if np.any(at < 0):
            raise DamageError(f"store: {file} names runs that are no longer on the axes", [file])
        found[name] = {**marker, "cells": at.tolist()}
    return found


def _exist(cells: np.ndarray, shape: tuple[int, ...]) -> bool:
    return cells.shape[1:] == (len(shape),) and bool(np.all((cells >= 0) & (cells < shape)))


def finished_cells(
    path: Path, shape: tuple[int, ...], markers: dict[str, dict[str, Any]]
) -> np.ndarray:
    """Which cells the markers name; raises `DamageError` for a cell that does not exist."""
    done = np.zeros(shape, bool)
    for name, marker in markers.items():
        cells = np.array(marker["cells"], int)
        if not _exist(cells, shape):
            file = marker_file(path, name)
            raise DamageError(f"store: {file} names runs that do not exist", [file])
        done[tuple(cells.T)] = True
    return done
