"""Shape of representations: linear CKA and the Procrustes distance.

Both compare the centered samples of two networks, weighted by variance, and do not change when
units are relabelled, mixed orthogonally or scaled by one factor.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from rnnjax.metrics.activity import centered, every_pair
from rnnjax.metrics.checks import labelled, shared_samples
from rnnjax.metrics.pairwise import BatchCallback

__all__ = ["cka_distance", "cka_distances", "procrustes_distance", "procrustes_distances"]


def _shapes(activities: Mapping[str, object]) -> list[np.ndarray]:
    """Centered activities [samples, min(N, samples)] of unit Frobenius norm.

    With more units than samples they are rotated into as many coordinates as there are samples.
    """
    shapes = []
    for label, activity in shared_samples(activities).items():
        x = centered(label, activity)
        if x.shape[1] > x.shape[0]:
            x = np.asarray(np.linalg.qr(x.T, mode="r")).T
        shapes.append(x / np.linalg.norm(x))
    return shapes


def _kernel_shapes(activities: Mapping[str, object]) -> list[np.ndarray]:
    """Shapes scaled to a Gram matrix of unit norm, |X^T X|_F = 1."""
    return [x / np.sqrt(np.linalg.norm(x.T @ x)) for x in _shapes(activities)]


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
        ValueError: other shapes, different samples, NaN or infinity, or a network that never
            varies.
    """
    return _cka(*_kernel_shapes({"x": x, "y": y}))


def cka_distances(
    activities: Iterable[object], *, progress: BatchCallback | None = None
) -> np.ndarray:
    """`cka_distance` of every pair of a population, [S, S].

    Args:
        activities: [S, samples, N] or trajectories [S, B, T, N]; or one such array per network,
            whose sizes N_s may differ.
        progress: called after every batch with the number of pairs done and of all pairs.

    Raises:
        ValueError: as `cka_distance`, naming the network; or fewer than two networks.
    """
    return every_pair(_kernel_shapes(labelled("activities", activities)), _cka, progress)


def procrustes_distance(x: object, y: object) -> float:
    """Distance of two networks' activities after the best rotation (Williams et al. 2021).

    `min over orthogonal Q of |X - Y Q|_F = sqrt(2 - 2 |X^T Y|_*)` of centered activities of unit
    Frobenius norm, the smaller one padded with silent units; from 0 to sqrt(2).

    Args:
        x: activity [samples, N_x], or trajectories [B, T, N_x] whose steps are the samples.
        y: activity [samples, N_y] of another network for the same samples.

    Raises:
        ValueError: other shapes, different samples, NaN or infinity, or a network that never
            varies.
    """
    return _procrustes(*_shapes({"x": x, "y": y}))


def procrustes_distances(
    activities: Iterable[object], *, progress: BatchCallback | None = None
) -> np.ndarray:
    """`procrustes_distance` of every pair of a population, [S, S].

    Args:
        activities: [S, samples, N] or trajectories [S, B, T, N]; or one such array per network,
            whose sizes N_s may differ.
        progress: called after every batch with the number of pairs done and of all pairs.

    Raises:
        ValueError: as `procrustes_distance`, naming the network; or fewer than two networks.
    """
    return every_pair(_shapes(labelled("activities", activities)), _procrustes, progress)
