"""States of training: what a block's runs need to take further epochs."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from rnnjax.store import StoreError
from rnnjax.training import Run, Status

__all__ = ["halted", "packed", "running_again", "with_last_params"]

_LOSSES, _HELD_OUT = "losses", "held_out_loss"


def packed(
    runs: Run, losses: np.ndarray, held_out_loss: np.ndarray | None
) -> dict[str, np.ndarray]:
    """The states as plain arrays by name, each [S, ...]."""
    states = {f"run{i}": leaf for i, leaf in enumerate(jax.tree.leaves(runs))}
    states[_LOSSES] = losses
    if held_out_loss is not None:
        states[_HELD_OUT] = held_out_loss
    return states


def running_again(states: Mapping[str, np.ndarray], like: Run) -> Run:
    """The runs of `packed`, [S, ...]; those that had taken all steps take further ones.

    `like` has their structure. Raises `StoreError` for states of another one.
    """
    leaves, tree = jax.tree.flatten(like)
    kept = [states.get(f"run{i}") for i in range(len(leaves))]
    for new, leaf in zip(kept, leaves, strict=True):
        if new is None or new.shape[1:] != leaf.shape[1:] or new.dtype != leaf.dtype:
            raise StoreError("store: the states of training are those of another version")
    runs: Run = tree.unflatten(kept)
    again = np.where(runs.status == Status.EXHAUSTED, Status.RUNNING, runs.status)
    return runs._replace(status=again.astype(np.int32))


def with_last_params(runs: Run, last: Any) -> Run:
    """The runs with the weights `last` where all steps are taken, in place of the best ones."""
    taken = np.asarray(runs.status) == Status.EXHAUSTED

    def choose(last: np.ndarray, best: np.ndarray) -> np.ndarray:
        return np.where(taken.reshape(-1, *[1] * (best.ndim - 1)), last, best)

    return runs._replace(params=jax.tree.map(choose, last, runs.params))


def halted(runs: Run, count: int) -> Run:
    """The runs with all but the first `count`, which are padding, stopped."""
    padding = np.arange(len(runs.status)) >= count
    status = np.where(padding, Status.EXHAUSTED, runs.status)
    return runs._replace(status=status.astype(np.int32))
