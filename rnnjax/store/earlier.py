"""More epochs: a store resumes from the states of an earlier one, which it keeps whole.

The earlier store moves to the folder `earlier`, where it can be read as any other.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rnnjax.store.damage import DamageError
from rnnjax.store.grid import config_grid, grid_of, places, same_runs
from rnnjax.store.layout import BACKUP, DATA, METADATA
from rnnjax.store.limits import require_plain_entries
from rnnjax.store.manifest import StoreError, new_folder
from rnnjax.store.markers import marker_file, read_markers
from rnnjax.store.reading import read_blocks, read_manifest
from rnnjax.store.states import load_state, state_file

__all__ = [
    "States",
    "earlier_folders",
    "earlier_stores",
    "epochs_of",
    "keep_earlier",
    "more_epochs",
    "obstacle",
    "remove_left",
    "require_states",
    "with_epochs",
]

_EARLIER = "earlier"
_PARTS = ("manifest.json", BACKUP, DATA, METADATA, "blocks", "parameters", "states")


def epochs_of(config: Mapping[str, Any]) -> int | None:
    """The number of epochs of a sweep's recipe."""
    recipe = config.get("recipe")
    return recipe.get("epochs") if isinstance(recipe, Mapping) else None


def more_epochs(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether the sweep `new` differs from `old` only in axis values and in having more epochs."""
    before, after = epochs_of(old), epochs_of(new)
    if before is None or after is None or before >= after or config_grid(new) is None:
        return False
    return same_runs(with_epochs(old, new), new) is None


def with_epochs(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The config `old` with the number of epochs of `new`, where both have one."""
    epochs = epochs_of(new)
    if epochs is None or epochs_of(old) is None:
        return dict(old)
    return {**old, "recipe": {**old["recipe"], "epochs": epochs}}


def obstacle(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, Any, Any] | None:
    """The first difference of two configs besides labels, or None.

    The number of epochs comes last, as more of them alone are no obstacle.
    """
    return same_runs(with_epochs(old, new), new) or same_runs(old, new)


def keep_earlier(path: Path, manifest: Mapping[str, Any]) -> None:
    """Copies the store at `path` to its folder of earlier ones, by links where these are possible.

    Files of a store are replaced and never changed, so that a link keeps what they hold.
    """
    target = path / _EARLIER / f"epochs-{epochs_of(manifest['config'])}"
    folder = new_folder(path, f".{_EARLIER}-")
    try:
        for name in _PARTS:
            source = path / name
            if source.is_dir():
                shutil.copytree(source, folder / name, copy_function=_link)
            elif source.exists():
                _link(source, folder / name)
        target.parent.mkdir(exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)  # of an attempt that ended before its store began
        folder.rename(target)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _link(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)


def remove_left(path: Path, manifest: Mapping[str, Any]) -> None:
    """Removes the blocks of the earlier store, which its own folder holds."""
    left = set(manifest.get("left", ()))
    for name, marker in read_markers(path).items() if left else ():
        if marker.get("sweep") in left:
            shutil.rmtree(path / "parameters" / name, ignore_errors=True)
            state_file(path, name).unlink(missing_ok=True)
            marker_file(path, name).unlink(missing_ok=True)


def require_states(path: Path, manifest: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Raises `StoreError` unless all finished runs of the store have kept their states."""
    markers = read_markers(path)
    lacking = [name for name, marker in markers.items() if "state" not in marker]
    if lacking:
        raise StoreError(
            f"store: {path} was made with another config: recipe.epochs is "
            f"{epochs_of(manifest['config'])} in the store but {epochs_of(config)} in this call, "
            f"and {len(lacking)} of its {len(markers)} blocks cannot resume, as they kept no state "
            "of training; choose another folder, and keep the state there with "
            f"Engine(keep_state=True){_left_states(path, config)}"
        )


def _left_states(path: Path, config: Mapping[str, Any]) -> str:
    """What to do where an earlier store has states from which runs of `config` can resume."""
    with contextlib.suppress(StoreError):  # damaged ones are no help
        for states in earlier_stores(path, config):
            if states.cells:
                return (
                    f"; the states after {states.epochs} epochs are in {states.path}: a copy of "
                    "this folder can be continued"
                )
    return ""


def _has_state(store: Path, block: str, marker: Mapping[str, Any]) -> bool:
    return "state" in marker and state_file(store, block).exists()


def kept_apart(path: Path, config: Mapping[str, Any]) -> Path | None:
    """The folder with an earlier store of this config, if there is one."""
    folder = path / _EARLIER / f"epochs-{epochs_of(config)}"
    with contextlib.suppress(StoreError):  # missing, or damaged: no help
        _require_plain(folder)
        if same_runs(read_manifest(folder)["config"], config) is None:
            return folder
    return None


def earlier_folders(path: Path) -> list[Path]:
    """The stores of fewer epochs in the one at `path`; raises `StoreError` for links."""
    folders = [one for one in sorted(path.glob(f"{_EARLIER}/epochs-*")) if one.is_dir()]
    for folder in folders:
        _require_plain(folder)
    return folders


def _require_plain(folder: Path) -> None:
    """Raises `StoreError` for an earlier store that is a link, or has one among its parts."""
    require_plain_entries(folder.parent)
    require_plain_entries(folder)


class States(NamedTuple):
    """A store that runs can resume from."""

    path: Path
    epochs: int
    blocks: Mapping[str, Mapping[str, Any]]
    cells: Mapping[tuple[int, ...], tuple[str, int]]
    """Cell on the axes of the later store -> block and row."""

    def load(self, cells: np.ndarray) -> dict[str, np.ndarray]:
        """The states of the runs `cells`, stacked in this order."""
        at = [self.cells[tuple(cell)] for cell in cells.tolist()]
        loaded = {
            name: load_state(self.path, name, self.blocks[name]["state"])
            for name in dict.fromkeys(name for name, _ in at)
        }
        names = next(iter(loaded.values()))
        try:
            return {leaf: np.stack([loaded[name][leaf][row] for name, row in at]) for leaf in names}
        except (KeyError, IndexError, ValueError) as error:
            raise DamageError(
                f"store: the states in {self.path} are damaged: they are not those of one program "
                f"({error})"
            ) from None


def earlier_stores(path: Path, config: Mapping[str, Any]) -> Iterator[States]:
    """The earlier stores of the one at `path`, with the runs of `config` that they hold.

    Those with most epochs come first.
    """
    stores = [(folder, read_manifest(folder)["config"]) for folder in earlier_folders(path)]
    for folder, held in sorted(stores, key=lambda store: -(epochs_of(store[1]) or 0)):
        if not more_epochs(held, config):
            continue
        at, cells = places(grid_of(held), grid_of(config)), {}
        blocks = read_blocks(folder)[1]
        for name, marker in blocks.items():
            if _has_state(folder, name, marker):
                rows = marker.get("rows") or range(len(marker["cells"]))
                there = at.cells(marker["cells"])
                cells |= {
                    tuple(cell): (name, row)
                    for cell, row in zip(there.tolist(), rows, strict=True)
                    if min(cell) >= 0
                }
        yield States(folder, epochs_of(held) or 0, blocks, cells)
