"""Distances between trained networks in four aspects: behavior, dynamics, weights, representation.

All functions take arrays, so recordings from an animal and states of a network from another
framework can be compared too. `METRICS` has every distance that takes a population and returns
a matrix [S, S].
"""

from rnnjax.metrics import behavior, dsa, features, pairwise, shape, structure, svcca, weights
from rnnjax.metrics.base import Invariance, Metric, Solved, SolverOptions
from rnnjax.metrics.dsa import dsa_distances
from rnnjax.metrics.pairwise import mean_distance
from rnnjax.metrics.shape import cka_distances, procrustes_distances
from rnnjax.metrics.svcca import svcca_distances
from rnnjax.metrics.weights import pif_distances

__all__ = [
    "METRICS",
    "Metric",
    "Solved",
    "SolverOptions",
    "behavior",
    "cka_distances",
    "dsa",
    "dsa_distances",
    "features",
    "mean_distance",
    "pairwise",
    "pif_distances",
    "procrustes_distances",
    "shape",
    "structure",
    "svcca",
    "svcca_distances",
    "weights",
]

_SHAPE: frozenset[Invariance] = frozenset({"relabelling", "rotation", "scaling"})
_LABELS: frozenset[Invariance] = frozenset({"relabelling"})
_VARIANCE = ("variance",)
_SCORES = {
    "angular": ("DSA, angular", "radians"), "chord": ("DSA, chord", ""), "raw": ("DSA, raw", ""),
    "wasserstein": ("DSA, Wasserstein", ""),
}  # fmt: skip
"""Title and unit of dynamical distances by their score."""

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "dsa", "dynamics", "DSA, angular", "trajectories", dsa_distances, _SHAPE, _VARIANCE,
            "radians", _SCORES,
        ),
        Metric("pif", "weights", "PIF", "weights", pif_distances, _LABELS),
        Metric(
            "svcca", "representation", "SVCCA distance", "activities", svcca_distances, _SHAPE,
            _VARIANCE,
        ),
        Metric("cka", "representation", "CKA distance", "activities", cka_distances, _SHAPE),
        Metric(
            "procrustes", "representation", "Procrustes distance", "activities",
            procrustes_distances, _SHAPE,
        ),
    )
}  # fmt: skip
"""Every distance between the networks of a population, by name."""
