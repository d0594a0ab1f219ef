"""Shared parts of SVCCA, CKA and Procrustes: centered activity, and a loop over all pairs.

All arithmetic is in float64 on the host.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from rnnjax.metrics.pairwise import BatchCallback, all_pairs, in_batches, square

__all__ = ["centered", "every_pair"]

Prepared = TypeVar("Prepared")


def centered(label: str, activity: np.ndarray) -> np.ndarray:
    """Activity [samples, N] minus each unit's mean over samples, in float64.

    A unit that varies by no more than rounding is dead, and set to exactly 0.

    Raises:
        ValueError: every unit is dead.
    """
    x = np.asarray(activity, np.float64)
    deviations = x - x[0]  # exactly 0 for a constant unit, whose mean is rounded
    deviations -= deviations.mean(axis=0)
    rounding = np.finfo(activity.dtype).eps * np.linalg.norm(x, axis=0)
    dead = np.linalg.norm(deviations, axis=0) <= rounding
    if dead.all():
        raise ValueError(f"{label}: expected activity that varies, got the same in every sample")
    deviations[:, dead] = 0
    return deviations


def every_pair(
    networks: Sequence[Prepared],
    distance: Callable[[Prepared, Prepared], float],
    progress: BatchCallback | None = None,
) -> np.ndarray:
    """The symmetric [S, S] of `distance`, one pair in memory at a time.

    LAPACK solves one pair per call; a batch only sets how often progress is reported.
    """
    pairs = np.stack(all_pairs(len(networks)), axis=1)

    def kernel(numbers: np.ndarray) -> np.ndarray:
        return np.array([distance(networks[i], networks[j]) for i, j in pairs[numbers].tolist()])

    values = in_batches(kernel, len(pairs), size=len(networks), progress=progress)
    return square(values, len(networks))
