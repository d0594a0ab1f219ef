"""Markers: one file per finished block, written after its data."""

from pathlib import Path
from typing import Any

import numpy as np

from rnnjax.store.checked import read_checked
from rnnjax.store.damage import DamageError
from rnnjax.store.limits import require_block_name
from rnnjax.store.manifest import StoreError

__all__ = ["finished_cells", "marker_file", "read_markers"]


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
            np.array(marker["cells"], int)
            marker["digests"].items()
        except StoreError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise DamageError(f"store: {file} is damaged ({error})", [file]) from None
        markers[file.stem] = marker
    return markers


def finished_cells(
    path: Path, shape: tuple[int, ...], markers: dict[str, dict[str, Any]]
) -> np.ndarray:
    """Which cells the markers name; raises `DamageError` for a cell that does not exist."""
    done = np.zeros(shape, bool)
    for name, marker in markers.items():
        cells = np.array(marker["cells"], int)
        if cells.shape[1:] != (len(shape),) or np.any((cells < 0) | (cells >= shape)):
            file = marker_file(path, name)
            raise DamageError(f"store: {file} names runs that do not exist", [file])
        done[tuple(cells.T)] = True
    return done
