"""Figures of datasets and trials, as `matplotlib` figures outside pyplot's global state."""

from rnnjax.plots.charts import degeneracy_levels, dynamics_charts, stretched_losses
from rnnjax.plots.coordinates import coordinate_check
from rnnjax.plots.critical import critical_rates
from rnnjax.plots.distances import dendrogram, distance_matrix, embedding_map
from rnnjax.plots.losses import loss_curves
from rnnjax.plots.maps import fixed_point_maps, network_maps, success_maps
from rnnjax.plots.solutions import Representative, kind_shares, solution_gallery
from rnnjax.plots.stages import ArrowCurve, arrow_curves, stage_levels
from rnnjax.plots.trials import trial
from rnnjax.plots.variability import matched_variability

__all__ = [
    "ArrowCurve",
    "Representative",
    "arrow_curves",
    "coordinate_check",
    "critical_rates",
    "degeneracy_levels",
    "dendrogram",
    "distance_matrix",
    "dynamics_charts",
    "embedding_map",
    "fixed_point_maps",
    "kind_shares",
    "loss_curves",
    "matched_variability",
    "network_maps",
    "solution_gallery",
    "stage_levels",
    "stretched_losses",
    "success_maps",
    "trial",
]
