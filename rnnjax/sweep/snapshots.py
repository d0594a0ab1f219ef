"""Weights along training, kept where the held-out loss first falls below given losses."""

from collections.abc import Sequence

import numpy as np

from rnnjax.typing import Bool, Float, Int, Params

__all__ = ["due_snapshots", "empty_snapshots", "first_below", "take_snapshots"]


def first_below(
    held_out_loss: Float[np.ndarray, "S E"], bounds: Sequence[float]
) -> Int[np.ndarray, "S K"]:
    """The epoch, from 1, at whose end each loss is first below each bound; 0 where it never is."""
    below = held_out_loss[:, :, None] < np.asarray(bounds, np.float32)
    return np.where(below.any(1), below.argmax(1) + 1, 0)


def empty_snapshots(params: Params, count: int, bounds: Sequence[float]) -> Params:
    """Room for weights of `count` runs at each bound, NaN, each leaf [S, K, ...]."""
    shape = (count, len(bounds))
    return {name: np.full((*shape, *x.shape[1:]), np.nan, x.dtype) for name, x in params.items()}


def due_snapshots(
    snapshots: Params,
    members: Int[np.ndarray, " M"],
    held_out_loss: Float[np.ndarray, " M"],
    bounds: Sequence[float],
) -> Bool[np.ndarray, "M K"]:
    """Where the loss of `members` at the end of an epoch is the first one below a bound."""
    leaf = next(iter(snapshots.values()))
    taken = np.isfinite(leaf.reshape(*leaf.shape[:2], -1)[members, :, 0])
    return (held_out_loss[:, None] < np.asarray(bounds, np.float32)) & ~taken


def take_snapshots(
    snapshots: Params,
    params: Params,
    members: Int[np.ndarray, " M"],
    rows: Int[np.ndarray, " M"],
    due: Bool[np.ndarray, "M K"],
) -> None:
    """Writes the weights of `members` into `snapshots`, in place, where they are `due`.

    They are the `rows` of `params`.
    """
    some, places = np.nonzero(due)
    for name, leaf in params.items():
        snapshots[name][members[some], places] = np.asarray(leaf)[rows[some]]
