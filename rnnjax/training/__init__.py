"""Training one network: the recipe, the step, accuracies."""

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
    "evaluate",
    "start",
]
