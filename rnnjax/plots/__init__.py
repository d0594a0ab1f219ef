"""Figures of datasets and trials. Nothing here touches the disk or pyplot's global state."""

from rnnjax.plots.attractors import fixed_point_maps
from rnnjax.plots.coordinates import coordinate_check
from rnnjax.plots.critical import critical_rates
from rnnjax.plots.degeneracy import (
    degeneracy_levels,
    dynamics_charts,
    network_maps,
    stretched_losses,
)
from rnnjax.plots.latent import latent_accuracy, latent_cost, latent_curves
from rnnjax.plots.losses import loss_curves
from rnnjax.plots.maps import success_maps
from rnnjax.plots.memory import memory_curves
from rnnjax.plots.populations import answers, level_measures, threshold_curves
from rnnjax.plots.rescaling import rescaling_curves, slowdown_figure
from rnnjax.plots.speed import steps_to_criterion
from rnnjax.plots.transfer import rates_against_width, transfer_curves
from rnnjax.plots.trials import trial

__all__ = [
    "answers",
    "coordinate_check",
    "critical_rates",
    "degeneracy_levels",
    "dynamics_charts",
    "fixed_point_maps",
    "latent_accuracy",
    "latent_cost",
    "latent_curves",
    "level_measures",
    "loss_curves",
    "memory_curves",
    "network_maps",
    "rates_against_width",
    "rescaling_curves",
    "slowdown_figure",
    "steps_to_criterion",
    "stretched_losses",
    "success_maps",
    "threshold_curves",
    "transfer_curves",
    "trial",
]
