"""Behavior: the losses of a population on held-out trials, and their spread."""

from typing import NamedTuple

import numpy as np

from rnnjax.arrays import array

__all__ = ["Spread", "losses", "spread"]


class Spread(NamedTuple):
    """The distribution of a population's losses."""

    mean: float
    std: float
    """Behavioral degeneracy: the standard deviation sqrt(sum_s (l_s - mean)^2 / S)."""
    losses: np.ndarray
    """[S]"""


def _mask_entries(mask: object, shape: tuple[int, ...]) -> np.ndarray:
    """Returns `mask` as booleans of `shape`."""
    entries = array("mask", mask, "B T O", each="trial")
    if entries.shape != shape:
        raise ValueError(f"mask: expected shape [B, T, O] = {shape}, got {entries.shape}")
    if not np.isin(entries, (0, 1)).all():
        raise ValueError("mask: expected only 0 and 1, got other numbers")
    if not entries.any():
        raise ValueError("mask: expected at least one 1, got none")
    return entries == 1


def losses(predictions: object, targets: object, mask: object | None = None) -> np.ndarray:
    """Mean squared error of each network over trials, time and outputs, [S].

    A diverged network has a loss of NaN or infinity, and so has one whose outputs are so large that
    their squares overflow.

    Args:
        predictions: outputs [S, B, T, O] of every network.
        targets: [B, T, O], the same for all networks, or [S, B, T, O].
        mask: [B, T, O], 1 for the entries that enter the mean; the others are ignored.

    Raises:
        ValueError: shapes that do not fit, targets that are not finite, or an empty mask.
    """
    outputs = array("predictions", predictions, "S B T O", gaps="diverged")
    # Targets outside the mask are ignored, whatever they are.
    wanted = array("targets", targets, "B T O | S B T O", gaps="diverged")
    if wanted.shape not in (outputs.shape, outputs.shape[1:]):
        raise ValueError(
            f"targets: expected shape [B, T, O] = {outputs.shape[1:]} or [S, B, T, O], "
            f"got {wanted.shape}"
        )
    shape = outputs.shape[1:]
    chosen = np.ones(shape, bool) if mask is None else _mask_entries(mask, shape)
    wanted = wanted[..., chosen]
    array("targets", wanted, "entries | S entries", each=None)
    pairs = zip(outputs, np.broadcast_to(wanted, (len(outputs), wanted.shape[-1])), strict=True)
    with np.errstate(over="ignore"):
        return np.array([np.mean((y[chosen].astype(np.float64) - z) ** 2) for y, z in pairs])


def spread(losses: object) -> Spread:
    """Behavioral degeneracy of a population: mean and standard deviation of its losses [S].

    `sigma = sqrt(sum_s (l_s - mean)^2 / S)`. For the spread out of distribution, `l` is the loss on
    trials of another distribution, such as trials stretched in time.

    Raises:
        ValueError: another shape, fewer than two networks, or a loss that is not finite: leave
            diverged networks out first.
    """
    values = array("losses", losses, "S", least=2).astype(np.float64)
    return Spread(float(values.mean()), float(values.std()), values)
