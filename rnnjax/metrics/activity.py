"""Shared parts of SVCCA, CKA and Procrustes: centered activity, and a loop over all pairs.

All arithmetic is in float64 on the host.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from rnnjax.metrics.checks import labelled, require_samples, shared_samples
from rnnjax.metrics.pairwise import BatchCallback, all_pairs, in_batches, square
from rnnjax.metrics.trials import unnamed, with_names
from rnnjax.validate import callback

__all__ = ["centered", "compare_networks", "compare_pairs", "silent_units"]

Prepared = TypeVar("Prepared")


def centered(label: str, activity: np.ndarray) -> np.ndarray:
    """Activity [samples, N] minus each unit's mean over samples, in float64.

    A unit that varies by no more than rounding is silent, and set to exactly 0.

    Raises:
        ValueError: every unit is silent.
    """
    deviations, silent = silent_units(activity)
    if silent.all():
        raise ValueError(f"{label}: expected activity that varies, got the same in every sample")
    deviations[:, silent] = 0
    return deviations


def silent_units(activity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Deviations of activity [samples, N] from each unit's mean, and which are within rounding."""
    x = np.asarray(activity, np.float64)
    deviations = x - x[0]  # exactly 0 for a constant unit, whose mean is rounded
    deviations -= deviations.mean(axis=0)
    rounding = np.finfo(activity.dtype).eps * np.linalg.norm(x, axis=0)
    return deviations, np.linalg.norm(deviations, axis=0) <= rounding


def compare_pairs(
    activities: Mapping[str, object],
    prepare: Callable[[Mapping[str, np.ndarray]], Sequence[Prepared]],
    distance: Callable[[Prepared, Prepared], float],
    progress: BatchCallback | None = None,
) -> np.ndarray:
    """The symmetric [S, S] of `distance` between activities by label, as `prepare` returns them.

    Two networks are compared on the samples that neither misses. If all miss the same samples, or
    none, each network is prepared once, and otherwise once for every pair.
    """
    given = shared_samples(activities, gaps=True)
    labels, there = list(given), np.stack([np.isfinite(x[:, 0]) for x in given.values()])
    if (there == there[0]).all():
        require_samples("activities", int(there[0].sum()))
        whole = given if there[0].all() else {label: x[there[0]] for label, x in given.items()}
        return _every_pair(prepare(whole), distance, progress)

    def pair(i: int, j: int) -> float:
        both, (x, y) = there[i] & there[j], (labels[i], labels[j])
        require_samples(f"{x} and {y}", int(both.sum()))
        return distance(*prepare({x: given[x][both], y: given[y][both]}))

    return _every_pair(range(len(labels)), pair, progress)


def compare_networks(
    activities: Any,
    prepare: Callable[[Mapping[str, np.ndarray]], Sequence[Prepared]],
    distance: Callable[[Prepared, Prepared], float],
    progress: BatchCallback | None = None,
) -> Any:
    """`compare_pairs` of a population, labelled if its networks have names."""
    callback("progress", progress)
    members, names = unnamed("activities", activities)
    found = compare_pairs(labelled("activities", members, names), prepare, distance, progress)
    return with_names(found, names)


def _every_pair(
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
