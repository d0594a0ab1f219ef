"""Weights of single networks, from a store and the labels of its axes."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rnnjax.store.checkpoints import Weights, gather_weights, restore_weights
from rnnjax.store.layout import read_settled
from rnnjax.store.manifest import StoreError
from rnnjax.store.reading import load_results, read_blocks
from rnnjax.typing import Params

__all__ = ["axis_position", "load_parameters", "load_weights", "weight_rows"]


def load_parameters(store: str | Path, **labels: Any) -> Params:
    """The trained raw weights of one network, by its labels on the sweep's axes.

    For example `load_parameters("store", hidden=64, learning_rate=0.01, seed=3)`; axes of one
    value may be left out. Where gamma is not 1 the network also needs
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
    if not any(cell in marker["cells"] for marker in read_blocks(path)[1].values()):
        raise StoreError(f"store: {path} holds no finished network with these labels: {labels}")
    weights = load_weights(path, [cell])
    return {name: leaf[0] for name, leaf in weights.trained.items()}


def load_weights(store: str | Path, cells: Sequence[Sequence[int]]) -> Weights:
    """The weights of the finished runs `cells`, indices on the sweep's axes, stacked in this order.

    All runs must belong to one program. Raises `StoreError` as `load_parameters` does.
    """
    path = Path(store)
    blocks = (
        (
            weight_rows(marker),
            functools.partial(restore_weights, path, block, marker.get("weights")),
        )
        for block, marker in read_settled(path, lambda: read_blocks(path)[1]).items()
    )
    try:
        return gather_weights(blocks, cells)
    except KeyError as missing:
        raise StoreError(f"store: {path} holds no finished run {missing}") from None


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
