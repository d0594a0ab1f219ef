"""Shape of representations: linear CKA and the Procrustes distance.

Both compare the centered samples of two networks, weighted by variance, and do not change when
units are relabelled, mixed orthogonally or scaled by one factor.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnnjax.metrics.activity import centered, compare_networks, compare_pairs
from rnnjax.metrics.pairwise import BatchCallback

__all__ = ["cka_distance", "cka_distances", "procrustes_distance", "procrustes_distances"]


def _shapes(shared: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Centered activities [samples, min(N, samples)] of unit Frobenius norm.

    With more units than samples they are rotated into as many coordinates as there are samples.
    """
    shapes = []
    for label, activity in shared.items():
        x = centered(label, activity)
        if x.shape[1] > x.shape[0]:
            x = np.asarray(np.linalg.qr(x.T, mode="r")).T
        shapes.append(x / np.linalg.norm(x))
    return shapes


def _kernel_shapes(shared: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Shapes scaled to a Gram matrix of unit norm, |X^T X|_F = 1."""
    return [x / np.sqrt(np.linalg.norm(x.T @ x)) for x in _shapes(shared)]


def _cka(x: np.ndarray, y: np.ndarray) -> float:
    return max(float(1 - np.linalg.norm(x.T @ y) ** 2), 0.0)


def _procrustes(x: np.ndarray, y: np.ndarray) -> float:
    overlap = np.linalg.svd(x.T @ y, compute_uv=False).sum()
    return float(np.sqrt(max(2 - 2 * overlap, 0.0)))


def cka_distance(x: object, y: object) -> float:
    """1 - linear centered kernel alignment of two networks (Kornblith et al. 2019, Eq. 5).

    `1 - |X^T Y|_F^2 / (|X^T X|_F |Y^T Y|_F)` of centered activities, from 0 for the same shape to
    1 for uncorrelated activity.

    Args:
        x: activity [samples, N_x], or trajectories [B, T, N_x] whose steps are the samples.
        y: activity [samples, N_y] of another network for the same samples.

    Raises:
        ValueError: other shapes, different samples, infinity, or a network that never
            varies.
    """
    return float(compare_pairs({"x": x, "y": y}, _kernel_shapes, _cka)[0, 1])


def cka_distances(activities: Any, *, progress: BatchCallback | None = None) -> Any:
    """`cka_distance` of every pair of a population, [S, S].

    Args:
        activities: [S, samples, N] or trajectories [S, B, T, N]; or one such array per network,
            whose sizes N_s may differ. A missing step is NaN in every unit, and two networks are
            compared on the steps that neither misses; a list of trials [T_b, N] is short for an
            array padded with NaN. Networks in a mapping, or along a dimension `network` of an
            `xarray.DataArray`, have names.
        progress: called after every batch with the number of pairs done and of all pairs.

    Returns:
        An array, or an `xarray.DataArray` over `network` and `other` if the networks have names.

    Raises:
        ValueError: as `cka_distance`, naming the network; or fewer than two networks.
    """
    return compare_networks(activities, _kernel_shapes, _cka, progress)


def procrustes_distance(x: object, y: object) -> float:
    """Distance of two networks' activities after the best rotation (Williams et al. 2021).

    `min over orthogonal Q of |X - Y Q|_F = sqrt(2 - 2 |X^T Y|_*)` of centered activities of unit
    Frobenius norm, the smaller one padded with silent units; from 0 to sqrt(2).

    Args:
        x: activity [samples, N_x], or trajectories [B, T, N_x] whose steps are the samples.
        y: activity [samples, N_y] of another network for the same samples.

    Raises:
        ValueError: other shapes, different samples, infinity, or a network that never
            varies.
    """
    return float(compare_pairs({"x": x, "y": y}, _shapes, _procrustes)[0, 1])


def procrustes_distances(activities: Any, *, progress: BatchCallback | None = None) -> Any:
    """`procrustes_distance` of every pair of a population, [S, S].

    Args:
        activities: [S, samples, N] or trajectories [S, B, T, N]; or one such array per network,
            whose sizes N_s may differ. A missing step is NaN in every unit, and two networks are
            compared on the steps that neither misses; a list of trials [T_b, N] is short for an
            array padded with NaN. Networks in a mapping, or along a dimension `network` of an
            `xarray.DataArray`, have names.
        progress: called after every batch with the number of pairs done and of all pairs.

    Returns:
        An array, or an `xarray.DataArray` over `network` and `other` if the networks have names.

    Raises:
        ValueError: as `procrustes_distance`, naming the network; or fewer than two networks.
    """
    return compare_networks(activities, _shapes, _procrustes, progress)
