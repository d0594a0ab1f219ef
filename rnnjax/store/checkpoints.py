"""Weights on disk, by orbax: one checkpoint per block, its runs stacked."""

import math
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from rnnjax.store.checked import digest_files
from rnnjax.store.damage import DamageError, first_line, reraise_unreadable
from rnnjax.store.grid import Grid
from rnnjax.store.limits import require_memory, require_plain_files
from rnnjax.store.manifest import StoreError
from rnnjax.store.markers import marker_file
from rnnjax.typing import Params
from rnnjax.validate import counted, shown

__all__ = [
    "Weights",
    "gather_weights",
    "has_digest",
    "has_some_weights",
    "has_weights",
    "restore_weights",
    "save_weights",
    "weights_digest",
    "weights_folder",
]


_FOLDER = "parameters"


class Weights(NamedTuple):
    """Raw weights of some runs before and after training, stacked: leaf name -> [S, ...]."""

    initial: Params
    trained: Params
    snapshots: Params | None = None
    """Those along training, [S, K, ...], of a recipe with K `snapshots`; NaN where not reached."""


def weights_folder(store: Path, block: str) -> Path:
    """Where the weights of a block are."""
    return (store / _FOLDER / block).absolute()


def has_weights(store: Path, block: str) -> bool:
    """Whether the weights of a block are in the store."""
    return weights_folder(store, block).is_dir()


def has_some_weights(store: Path) -> bool:
    """Whether the weights of any block are in the store."""
    return any((store / _FOLDER).glob("*"))


def weights_digest(folder: Path) -> str:
    """SHA-256 of all files of a checkpoint, with their names."""
    return digest_files(folder, (file for file in folder.rglob("*") if file.is_file()))


def has_digest(folder: Path, expected: str) -> bool:
    """Whether a checkpoint has this digest, perhaps beside hidden files of a file manager."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    plain = [file for file in files if not file.name.startswith(".")]
    tries = (files,) if len(plain) == len(files) else (files, plain)
    return any(digest_files(folder, some) == expected for some in tries)


def _require_no_link(target: Path) -> None:
    """What a link leads to is neither read nor deleted."""
    for folder in (target.parent, target):
        if folder.is_symlink():
            raise StoreError(f"store: expected a folder, got the link {folder}")


def _checkpointer() -> Any:
    """A checkpointer of this process alone, also where `jax.distributed` has several."""
    import orbax.checkpoint as ocp  # slow to import

    if jax.process_count() == 1:
        return ocp.StandardCheckpointer()
    this = jax.process_index()
    options = ocp.options.MultiprocessingOptions(this, {this}, f"process{this}")
    return ocp.StandardCheckpointer(multiprocessing_options=options)


def save_weights(store: Path, block: str, weights: Weights) -> str:
    """Writes the weights of a block; replaces those of an earlier, unfinished attempt.

    Returns their digest. Raises `OSError` where they cannot be written.
    """
    target = weights_folder(store, block)
    _require_no_link(target)
    shutil.rmtree(target, ignore_errors=True)
    try:
        with _checkpointer() as checkpointer:
            kept = {
                part: leaves for part, leaves in weights._asdict().items() if leaves is not None
            }
            checkpointer.save(target, kept)
    except OSError:
        raise
    except Exception as error:  # back ends report a full disk by errors of their own
        raise OSError(f"cannot write {target}: {first_line(error)}") from None
    return weights_digest(target)


def restore_weights(store: Path, block: str, expected: str | None = None) -> Weights:
    """The weights of a block, compared with the `expected` digest.

    Raises `StoreError` if they are missing or damaged.
    """
    target = weights_folder(store, block)
    if not target.is_dir():
        if expected is None:
            raise StoreError(f"store: {store} kept no weights; train with keep_parameters")
        raise DamageError(f"store: {target} is missing", [marker_file(store, block)])
    _require_no_link(target)
    require_plain_files(target)
    if expected is not None and not has_digest(target, expected):
        raise DamageError(f"store: {target} is not what was written", [marker_file(store, block)])
    try:
        with _checkpointer() as checkpointer:
            _check_leaves(target, checkpointer.metadata(target).item_metadata.tree)
            return Weights(**jax.tree.map(np.asarray, checkpointer.restore(target)))
    except StoreError:
        raise
    except Exception as error:  # orbax and its back ends raise errors of their own
        reraise_unreadable(error)
        files = [marker_file(store, block)] if expected is None else []
        raise DamageError(f"store: {target} is damaged ({first_line(error)})", files) from None


def _check_leaves(target: Path, tree: Any) -> None:
    """Raises `StoreError` unless the weights, as declared, are like trees that fit into memory."""
    names = [sorted(tree.get(part, ())) for part in ("initial", "trained")]
    names += [sorted(tree[part]) for part in tree if part == "snapshots"]
    alike = len(tree) == len(names) and all(some == names[0] for some in names)
    if not alike or not all(map(str.isidentifier, names[0])):
        raise StoreError(f"store: {target} is damaged: its weights have other names")
    leaves = [leaf for part in tree.values() for leaf in part.values()]
    for kind in ("shape", "chunks"):
        shapes = [leaf.shape if kind == "shape" else leaf.storage.chunk_shape for leaf in leaves]
        sizes = zip(leaves, shapes, strict=True)
        needed = sum(math.prod(shape) * np.dtype(leaf.dtype).itemsize for leaf, shape in sizes)
        require_memory(str(target), needed)


def gather_weights(
    store: str,
    grid: Grid | None,
    blocks: Iterable[tuple[Iterable[Sequence[int] | None], Callable[[], Weights] | None]],
    cells: Sequence[Sequence[int]],
) -> Weights:
    """Stacks the weights of the runs `cells`, in this order, from the blocks that hold them.

    Each block is a pair of its rows' cells (None for a row that is skipped) and a function that
    loads its weights, None where they were not kept. Raises `StoreError`, with the name `store` and
    the labels of a run on its `grid`, for a run that is in no block or whose weights were not kept,
    and `ValueError` for runs of several programs.
    """
    wanted = _wanted(cells)
    distinct = set(wanted)
    found: dict[tuple[int, ...], Weights] = {}
    bare, kept_any = set(), False
    for held, load in blocks:
        kept_any = kept_any or load is not None
        held = list(held)
        rows = {tuple(c): row for row, c in enumerate(held) if c is not None}
        here = rows.keys() & distinct
        if here and load is None:
            bare |= here
        elif here and load is not None:
            few = 2 * len(here) < len(held)
            found.update(_rows(store, load(), {cell: rows[cell] for cell in here}, few))
    if bare := sorted(bare - set(found)):
        raise _without_weights(store, grid, bare, kept_any)
    if missing := [cell for cell in wanted if cell not in found]:
        raise StoreError(f"store: {store} holds no finished run {missing[0]}")

    def stack(when: str) -> Params:
        leaves = [getattr(found[cell], when) for cell in wanted]
        return {name: np.stack([leaf[name] for leaf in leaves]) for name in leaves[0]}

    shapes = {
        cell: {n: leaf.shape for n, leaf in one.trained.items()} for cell, one in found.items()
    }
    if other := next((cell for cell in wanted if shapes[cell] != shapes[wanted[0]]), None):
        raise ValueError(f"cells: expected runs of one program, got {wanted[0]} and {other}")
    kept = all(one.snapshots is not None for one in found.values())
    return Weights(stack("initial"), stack("trained"), stack("snapshots") if kept else None)


def _wanted(cells: Any) -> list[tuple[int, ...]]:
    try:
        found = np.array([list(cell) for cell in cells])
        if found.ndim == 2 and found.dtype.kind in "iu":
            return [tuple(cell) for cell in found.tolist()]
    except (TypeError, ValueError):
        pass
    got = "none" if isinstance(cells, Sequence) and not cells else shown(cells)
    raise ValueError(f"cells: expected indices of at least one run, [S, axes], got {got}")


def _rows(
    store: str, weights: Weights, rows: Mapping[tuple[int, ...], int], few: bool
) -> dict[tuple[int, ...], Weights]:
    """The weights of some runs of a block; raises `StoreError` where it has no such rows.

    Views keep the whole block in memory: of a `few` rows of it there are copies instead.
    """
    found = {}
    for cell, row in rows.items():
        try:
            views = jax.tree.map(lambda leaf, row=row: leaf[row], weights)
        except IndexError:
            raise StoreError(f"store: the weights in {store} are damaged: no row {row}") from None
        found[cell] = jax.tree.map(np.copy, views) if few else views
    return found


def _without_weights(
    store: str, grid: Grid | None, cells: Sequence[tuple[int, ...]], kept_any: bool
) -> StoreError:
    if not kept_any:
        return StoreError(f"store: {store} kept no weights; train with keep_parameters")
    run = cells[0] if grid is None else grid.run(cells[0])
    return StoreError(
        f"store: {store} has no weights of {counted(len(cells), 'network')}, such as {run}, trained"
        " without keep_parameters"
    )
