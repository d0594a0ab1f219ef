"""A sweep's dataset as figures. Nothing here touches the disk or pyplot's global state."""

from rnnjax.plots.critical import critical_rates
from rnnjax.plots.losses import loss_curves
from rnnjax.plots.maps import success_maps
from rnnjax.plots.speed import steps_to_criterion

__all__ = ["critical_rates", "loss_curves", "steps_to_criterion", "success_maps"]
