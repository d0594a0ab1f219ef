"""SVCCA: the similarity of the leading activity of two networks up to a linear map.

Each network keeps the principal components that carry most of its variance; the similarity is
the mean canonical correlation between them. The distance does not change when units are
relabelled, mixed orthogonally or scaled by one factor. General mixing changes it, although CCA
alone is invariant, since it changes which directions carry the variance.
"""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from rnnjax.metrics.activity import centered, compare_networks, compare_pairs
from rnnjax.metrics.pairwise import BatchCallback
from rnnjax.validate import fraction

__all__ = ["svcca_distance", "svcca_distances"]

_ROUNDING = float(np.finfo(np.float32).eps) ** 2
"""Share of the variance below which a direction is rounding error of single-precision activity."""


def _basis(x: np.ndarray, variance: float) -> np.ndarray:
    """Orthonormal [samples, k]: the fewest principal components that carry `variance`.

    Computed from the smaller of the two Gram matrices, without directions within rounding.
    """
    samples, units = x.shape
    gram = x.T @ x if units <= samples else x @ x.T
    powers, vectors = np.linalg.eigh(gram)
    shares = powers[::-1] / powers.sum()
    needed = np.searchsorted(np.cumsum(shares), variance) + 1
    kept = vectors[:, -min(needed, np.count_nonzero(shares > _ROUNDING)) :]
    return np.linalg.qr(x @ kept)[0] if units <= samples else kept


def _bases(shared: Mapping[str, np.ndarray], variance: float) -> list[np.ndarray]:
    """One basis per network; raises if two of them must overlap in any case."""
    bases = {label: _basis(centered(label, x), variance) for label, x in shared.items()}
    *_, (second, narrow), (first, wide) = sorted(bases.items(), key=lambda item: item[1].shape[1])
    samples = len(wide)
    if narrow.shape[1] + wide.shape[1] >= samples:
        raise ValueError(
            f"{first}: its {wide.shape[1]} dimensions and the {narrow.shape[1]} of {second} must "
            f"share some if there are only {samples} samples, whatever the networks do; expected "
            "more samples, or a lower variance"
        )
    return list(bases.values())


def _distance(x: np.ndarray, y: np.ndarray) -> float:
    """1 - mean canonical correlation of orthonormal bases: the singular values of Q_x^T Q_y."""
    correlations = np.linalg.svd(x.T @ y, compute_uv=False)
    return float(1 - np.clip(correlations, 0, 1).mean())


def svcca_distance(x: object, y: object, *, variance: float = 0.99) -> float:
    """1 - SVCCA of two networks (Raghu et al. 2017), by the mean of all canonical correlations.

    Units are centered; each network keeps the smallest k principal components with
    `sum_{i<=k} S_i^2 >= variance * sum_i S_i^2`; with their orthonormal bases Q_x, Q_y,

        d = 1 - sum_i sigma_i(Q_x^T Q_y) / min(k_x, k_y),

    0 for the same subspace, 1 for orthogonal ones. Chance level is below 1: with few samples for
    the dimensions kept, unrelated activity correlates.

    Args:
        x: activity [samples, N_x], or trajectories [B, T, N_x] whose steps are the samples.
        y: activity [samples, N_y] of another network for the same samples.
        variance: share of the variance to keep, in (0, 1].

    Raises:
        ValueError: other shapes, different samples, infinity, a network that never varies,
            or k_x + k_y >= samples, where some correlations are 1 for any activity.
    """
    variance = fraction("variance", variance, open_below=True)
    prepare = functools.partial(_bases, variance=variance)
    return float(compare_pairs({"x": x, "y": y}, prepare, _distance)[0, 1])


def svcca_distances(
    activities: Any, *, variance: float = 0.99, progress: BatchCallback | None = None
) -> Any:
    """`svcca_distance` of every pair of a population, [S, S].

    Memory: the bases, S * samples * k numbers, and one pair.

    Args:
        activities: [S, samples, N] or trajectories [S, B, T, N]; or one such array per network,
            whose sizes N_s may differ. A missing step is NaN in every unit, and two networks are
            compared on the steps that neither misses; a list of trials [T_b, N] is short for an
            array padded with NaN. Networks in a mapping, or along a dimension `network` of an
            `xarray.DataArray`, have names.
        variance: share of the variance to keep, in (0, 1].
        progress: called after every batch with the number of pairs done and of all pairs.

    Returns:
        An array, or an `xarray.DataArray` over `network` and `other` if the networks have names.

    Raises:
        ValueError: as `svcca_distance`, naming the network; or fewer than two networks.
    """
    variance = fraction("variance", variance, open_below=True)
    prepare = functools.partial(_bases, variance=variance)
    return compare_networks(activities, prepare, _distance, progress)
