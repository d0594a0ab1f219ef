"""Training one network: the recipe, the step, accuracies."""

from rnnjax.training.coordinates import coordinate_check
from rnnjax.training.recipe import OPTIMIZERS, Recipe
from rnnjax.training.run import (
    Evaluation,
    Hyper,
    Judge,
    Run,
    Setup,
    Status,
    advance,
    born,
    evaluate,
    held_out,
    output_scale,
    start,
)

__all__ = [
    "OPTIMIZERS",
    "Evaluation",
    "Hyper",
    "Judge",
    "Recipe",
    "Run",
    "Setup",
    "Status",
    "advance",
    "born",
    "coordinate_check",
    "evaluate",
    "held_out",
    "output_scale",
    "start",
]
