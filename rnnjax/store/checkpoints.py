"""Trained weights on disk, by orbax: one checkpoint per block, its runs stacked."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import orbax.checkpoint as ocp

from rnnjax.store.results import StoreError, load_results, read_markers

__all__ = ["load_parameters", "save_parameters"]


def save_parameters(store: Path, block: str, params: Any) -> None:
    """Writes the stacked weights of a block; what an unfinished earlier try left is replaced."""
    target = (store / "parameters" / block).absolute()
    shutil.rmtree(target, ignore_errors=True)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(target, params)


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
    cell = [_position(name, values, labels) for name, values in axes.items()]
    for block, marker in read_markers(path).items():
        if cell in marker["cells"]:
            row = marker["cells"].index(cell)
            return {name: np.asarray(leaf)[row] for name, leaf in _restored(path, block).items()}
    raise StoreError(f"store: {path} holds no finished network with these labels: {labels}")


def _position(name: str, values: np.ndarray, labels: dict[str, Any]) -> int:
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
            return checkpointer.restore(target)
    except Exception as error:  # orbax and its back ends raise errors of their own
        raise StoreError(f"store: {target} is damaged ({error})") from None
