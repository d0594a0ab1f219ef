"""States of training: what a block's runs need to take further epochs."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from rnnjax.devices import Layout, pad_to
from rnnjax.store import StoreError
from rnnjax.training import Run, Status

__all__ = [
    "halted",
    "named_leaves",
    "packed",
    "put_in_place",
    "running_again",
    "with_last_params",
]

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
    runs: Run = named_leaves(states, "run", like)
    again = np.where(runs.status == Status.EXHAUSTED, Status.RUNNING, runs.status)
    return runs._replace(status=again.astype(np.int32))


def named_leaves(states: Mapping[str, np.ndarray], prefix: str, like: Any) -> Any:
    """The tree whose leaves are the arrays called `prefix` and a number, shaped as `like`.

    Their number of rows is their own. Raises `StoreError` for others.
    """
    leaves, tree = jax.tree.flatten(like)
    kept = [states.get(f"{prefix}{i}") for i in range(len(leaves))]
    for new, leaf in zip(kept, leaves, strict=True):
        if new is None or new.shape[1:] != leaf.shape[1:] or new.dtype != leaf.dtype:
            raise StoreError("store: the states of training are those of another version")
    return tree.unflatten(kept)


def put_in_place(
    fresh: Run,
    leaves: list[np.ndarray],
    size: int,
    layout: Layout,
    unit_axes: Mapping[str, int],
) -> Run:
    """Puts runs that resume on the devices in place of `fresh` ones, whose memory is freed first.

    One leaf is padded to `size` and put after another, and taken out of `leaves`, so that no more
    than one of them is in memory twice.
    """
    old, tree = jax.tree.flatten(fresh)
    shardings = tree.flatten_up_to(layout.shardings(fresh, unit_axes))
    for leaf in old:
        leaf.delete()
    rows, new = layout.rows(size, len(leaves[0])), []
    for sharding in shardings:
        new.append(jax.device_put(pad_to(size, leaves.pop(0), rows), sharding))
    runs = tree.unflatten(new)
    return runs._replace(status=layout.put(halted(runs, rows).status))


def with_last_params(runs: Run, last: Any) -> Run:
    """The runs with the weights `last` where all steps are taken, in place of the best ones."""
    taken = np.asarray(runs.status) == Status.EXHAUSTED

    def choose(last: np.ndarray, best: np.ndarray) -> np.ndarray:
        return np.where(taken.reshape(-1, *[1] * (best.ndim - 1)), last, best)

    return runs._replace(params=jax.tree.map(choose, last, runs.params))


def halted(runs: Run, rows: np.ndarray) -> Run:
    """The runs with all but `rows`, which are padding, stopped."""
    status = np.full(len(runs.status), int(Status.EXHAUSTED))
    status[rows] = np.asarray(runs.status)[rows]
    return runs._replace(status=status.astype(np.int32))
