"""Weights on disk, initial and trained, by orbax: one checkpoint per block, its runs stacked."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp

from rnnjax.store.results import StoreError, load_results, read_markers

__all__ = ["Weights", "axis_position", "load_parameters", "load_weights", "save_parameters"]


class Weights(NamedTuple):
    """Raw weights of some runs, stacked: leaf name -> [S, ...]."""

    initial: dict[str, np.ndarray]
    trained: dict[str, np.ndarray]


def save_parameters(store: Path, block: str, *, initial: Any, trained: Any) -> None:
    """Writes the stacked weights of a block; what an unfinished earlier try left is replaced."""
    target = (store / "parameters" / block).absolute()
    shutil.rmtree(target, ignore_errors=True)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(target, {"initial": initial, "trained": trained})


def load_parameters(store: str | Path, **labels: Any) -> dict[str, np.ndarray]:
    """The trained raw weights of one network, by its labels on the sweep's axes.

    For example `load_parameters("store", hidden=64, learning_rate=0.01, seed=3)`; axes of one
    value may be left out. Where gamma is not 1 the readout also wants
    `rollout(..., output_scale=rnnjax.training.output_scale(cell, gamma))`. Raises `StoreError` if
    the weights were not kept (see `run_sweep`'s `keep_parameters`) or are damaged, `ValueError`
    for labels that are not on the axes.
    """
    path = Path(store)
    status = load_results(path)["status"]
    axes = {str(name): status[name].values for name in status.dims}
    if unknown := set(labels) - set(axes):
        raise ValueError(f"{unknown.pop()}: expected an axis among {', '.join(axes)}")
    cell = [axis_position(name, values, labels) for name, values in axes.items()]
    if not any(cell in marker["cells"] for marker in read_markers(path).values()):
        raise StoreError(f"store: {path} holds no finished network with these labels: {labels}")
    weights = load_weights(path, [cell])
    return {name: leaf[0] for name, leaf in weights.trained.items()}


def load_weights(store: str | Path, cells: Sequence[Sequence[int]]) -> Weights:
    """The weights of the finished runs `cells`, indices on the sweep's axes, stacked in this order.

    They must be of one program. Raises `StoreError` as `load_parameters` does.
    """
    path, place = Path(store), {tuple(cell): row for row, cell in enumerate(cells)}
    found: dict[int, tuple[dict[str, Any], int]] = {}
    for block, marker in read_markers(path).items():
        rows = [(place.get(tuple(cell)), i) for i, cell in enumerate(marker["cells"])]
        wanted = [(row, i) for row, i in rows if row is not None]
        if wanted:
            weights = _restored(path, block)
            found.update({row: (weights, i) for row, i in wanted})
    if missing := set(place.values()) - set(found):
        raise StoreError(f"store: {path} holds no finished run {list(cells[min(missing)])}")

    def stacked(when: str) -> dict[str, np.ndarray]:
        rows = [(found[row][0][when], found[row][1]) for row in range(len(place))]
        return {name: np.stack([leaves[name][i] for leaves, i in rows]) for name in rows[0][0]}

    return Weights(stacked("initial"), stacked("trained"))


def axis_position(name: str, values: np.ndarray, labels: Mapping[str, Any]) -> int:
    """Where the axis `name` has its label among `labels`; a single value needs none."""
    if name not in labels and len(values) == 1:
        return 0
    found = [i for i, value in enumerate(values.tolist()) if value == labels.get(name)]
    if not found:
        raise ValueError(f"{name}: expected one of {values.tolist()}, got {labels.get(name)!r}")
    return found[0]


def _restored(path: Path, block: str) -> dict[str, Any]:
    target = (path / "parameters" / block).absolute()
    if not target.is_dir():
        raise StoreError(f"store: {path} kept no weights; train with keep_parameters")
    try:
        with ocp.StandardCheckpointer() as checkpointer:
            return jax.tree.map(np.asarray, checkpointer.restore(target))
    except Exception as error:  # orbax and its back ends raise errors of their own
        raise StoreError(f"store: {target} is damaged ({error})") from None
