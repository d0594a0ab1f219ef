"""Weights of single networks, from a store and the labels of its axes."""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rnnjax.store.checkpoints import Weights, gather_weights, has_weights, restore_weights
from rnnjax.store.grid import config_grid
from rnnjax.store.layout import read_settled
from rnnjax.store.manifest import StoreError
from rnnjax.store.reading import load_results, read_blocks
from rnnjax.typing import Params
from rnnjax.validate import path_of

__all__ = [
    "axis_position",
    "held_weights",
    "load_parameters",
    "load_weights",
    "weight_rows",
]


def load_parameters(store: str | Path, **labels: Any) -> Params:
    """The trained raw weights of one network, by its labels on the sweep's axes.

    For example `load_parameters("store", hidden=64, learning_rate=0.01, seed=3)`; axes of one
    value may be left out. Where gamma is not 1 the network also needs
    `rollout(..., output_scale=rnnjax.training.output_scale(cell, gamma))`. Raises `StoreError` if
    the weights were not kept (see `run_sweep`'s `keep_parameters`) or are damaged, `ValueError`
    for labels that are not on the axes.
    """
    path = path_of("store", store)

    def read() -> Params:
        manifest, blocks = read_blocks(path)
        axes = _axes(path, manifest["config"])
        if unknown := set(labels) - set(axes):
            raise ValueError(f"{unknown.pop()}: expected an axis among {', '.join(axes)}")
        cell = [axis_position(name, values, labels) for name, values in axes.items()]
        if not any(cell in marker["cells"] for marker in blocks.values()):
            raise StoreError(f"store: {path} holds no finished network with these labels: {labels}")
        weights = held_weights(path, manifest["config"], blocks, [cell])
        return {name: leaf[0] for name, leaf in weights.trained.items()}

    return read_settled(path, read)


def _axes(path: Path, config: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The labels of every axis, from the config; from the results where it describes no axes."""
    try:
        grid = config_grid(config)
        if grid is not None:
            return {n: np.array(labels) for n, labels in zip(grid.names, grid.labels, strict=True)}
    except (ValueError, TypeError, KeyError, AttributeError):
        raise StoreError(f"store: the manifest of {path} describes no axes") from None
    status = load_results(path)["status"]
    return {str(name): status[name].values for name in status.dims}


def load_weights(store: str | Path, cells: Sequence[Sequence[int]]) -> Weights:
    """The weights of the finished runs `cells`, indices on the sweep's axes, stacked in this order.

    All runs must belong to one program. Raises `StoreError` as `load_parameters` does.
    """
    path = path_of("store", store)

    def read() -> Weights:
        manifest, blocks = read_blocks(path)
        return held_weights(path, manifest["config"], blocks, cells)

    return read_settled(path, read)


def held_weights(
    path: Path,
    config: Mapping[str, Any],
    markers: Mapping[str, Mapping[str, Any]],
    cells: Sequence[Sequence[int]],
) -> Weights:
    """The same from the blocks of a store that is read already, with cells on its axes."""

    def loads(block: str, marker: Mapping[str, Any]) -> Callable[[], Weights] | None:
        expected = marker.get("weights")
        if expected is None and not has_weights(path, block):
            return None
        return functools.partial(restore_weights, path, block, expected)

    blocks = ((weight_rows(marker), loads(block, marker)) for block, marker in markers.items())
    return gather_weights(str(path), config_grid(config), blocks, cells)


def weight_rows(marker: Mapping[str, Any]) -> list[list[int] | None]:
    """The cell of every row of a block's weights; None for a row that another block holds."""
    rows = marker.get("rows")
    if rows is None:
        return marker["cells"]
    held: list[list[int] | None] = [None] * (max(rows, default=-1) + 1)
    for row, cell in zip(rows, marker["cells"], strict=True):
        held[row] = cell
    return held


def axis_position(name: str, values: np.ndarray, labels: Mapping[str, Any]) -> int:
    """Index of the axis `name` at its label in `labels`; an axis of one value needs no label.

    Numbers are those of networks, in single precision, unless one is equal in double.
    """
    if name not in labels and len(values) == 1:
        return 0
    label = labels.get(name)
    found = [i for i, value in enumerate(values.tolist()) if value == label]
    if not found and values.dtype.kind == "f" and isinstance(label, (float, np.floating)):
        near = np.flatnonzero(values.astype(np.float32) == np.float32(label)).tolist()
        found = near if len(near) == 1 else []
    if not found:
        raise ValueError(f"{name}: expected one of {values.tolist()}, got {labels.get(name)!r}")
    return found[0]
