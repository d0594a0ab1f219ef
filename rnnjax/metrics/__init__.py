"""How alike trained networks are, at four levels: behavior, dynamics, weights, representation.

Arrays in, arrays out: recordings from an animal or states of a network from another framework do
as well as ours. `METRICS` holds every distance that takes a population and returns [S, S].
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

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "dsa", "dynamics", "DSA, angular", "trajectories", dsa_distances, _SHAPE, ("variance",)
        ),
        Metric("pif", "weights", "PIF", "weights", pif_distances, frozenset({"relabelling"})),
        Metric(
            "svcca",
            "representation",
            "SVCCA distance",
            "activities",
            svcca_distances,
            _SHAPE,
            ("variance",),
        ),
        Metric("cka", "representation", "CKA distance", "activities", cka_distances, _SHAPE),
        Metric(
            "procrustes",
            "representation",
            "Procrustes distance",
            "activities",
            procrustes_distances,
            _SHAPE,
        ),
    )
}
"""Every distance between the networks of a population, by name."""
