"""Training one network: the recipe, the step, the end of an epoch, accuracies."""

from rnnjax.training.coordinates import coordinate_check
from rnnjax.training.recipe import OPTIMIZERS, Recipe
from rnnjax.training.run import (
    Evaluation,
    Hyper,
    Judge,
    Run,
    Setup,
    Status,
    Validation,
    advance,
    born,
    end_epoch,
    evaluate,
    held_out,
    output_scale,
    start,
)
from rnnjax.training.schedules import (
    SCHEDULES,
    Constant,
    CosineRestarts,
    Plateau,
    Schedule,
    schedule,
)

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "Constant",
    "CosineRestarts",
    "Evaluation",
    "Hyper",
    "Judge",
    "Plateau",
    "Recipe",
    "Run",
    "Schedule",
    "Setup",
    "Status",
    "Validation",
    "advance",
    "born",
    "coordinate_check",
    "end_epoch",
    "evaluate",
    "held_out",
    "output_scale",
    "schedule",
    "start",
]
