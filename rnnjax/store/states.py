"""States of training on disk: all that a run needs to take further steps, one file per block."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rnnjax.store.archive import write_arrays
from rnnjax.store.checked import file_digest
from rnnjax.store.damage import DamageError
from rnnjax.store.limits import require_memory
from rnnjax.store.manifest import StoreError, atomic_file
from rnnjax.store.markers import marker_file

__all__ = [
    "load_state",
    "require_whole_state",
    "require_whole_states",
    "save_state",
    "state_file",
]


def state_file(store: Path, block: str) -> Path:
    """The file with the states of a block's runs."""
    return store / "states" / f"{block}.npz"


def save_state(store: Path, block: str, arrays: Mapping[str, np.ndarray]) -> str:
    """Writes the states of a block, arrays [S, ...]; returns their digest."""
    target = state_file(store, block)
    target.parent.mkdir(exist_ok=True)
    with atomic_file(target) as file:  # array by array, without a copy of all of them
        return write_arrays(file, ((name, np.asarray(array)) for name, array in arrays.items()))


def load_state(store: Path, block: str, expected: str) -> dict[str, np.ndarray]:
    """The states of a block, compared with their digest; raises `DamageError`.

    Raises `StoreError` for states that do not fit into memory.
    """
    require_whole_state(store, block, expected)
    file = state_file(store, block)
    try:
        with zipfile.ZipFile(file) as archive:
            require_memory(str(file), sum(info.file_size for info in archive.infolist()))
        with np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files if name != "allow_pickle"}
    except StoreError:  # too large for the memory
        raise
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DamageError(f"store: {file} is damaged ({error})", [file]) from None


def require_whole_state(store: Path, block: str, expected: str) -> None:
    """Raises `DamageError` unless the states of a block have this digest.

    Raises `FileNotFoundError` for a block without states.
    """
    file = state_file(store, block)
    if file_digest(file) != expected:
        raise DamageError(f"store: {file} is not what was written", [file])


def require_whole_states(store: Path, markers: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises `DamageError` where states that the markers name are lost or damaged.

    Its files are these and the markers of their blocks, which are computed again without them.
    """
    files, problems = [], []
    for block, marker in markers.items():
        file = state_file(store, block)
        try:
            if "state" in marker:
                require_whole_state(store, block, marker["state"])
            continue
        except FileNotFoundError:
            problems.append(f"{file} is missing")
        except DamageError:
            problems.append(f"{file} is not what was written")
            files.append(file)
        files.append(marker_file(store, block))
    if problems:
        raise DamageError(f"store: {problems[0]}", files)
