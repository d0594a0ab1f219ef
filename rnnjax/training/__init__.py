"""Training one network: the recipe, the step, the end of an epoch, accuracies."""

from rnnjax.training.coordinates import coordinate_check
from rnnjax.training.recipe import OPTIMIZERS, Recipe
from rnnjax.training.run import (
    Evaluation,
    EvaluationSetup,
    Hyper,
    Run,
    Setup,
    Status,
    Validation,
    advance,
    end_epoch,
    evaluate,
    held_out,
    initial_params,
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
    "EvaluationSetup",
    "Hyper",
    "Plateau",
    "Recipe",
    "Run",
    "Schedule",
    "Setup",
    "Status",
    "Validation",
    "advance",
    "coordinate_check",
    "end_epoch",
    "evaluate",
    "held_out",
    "initial_params",
    "output_scale",
    "schedule",
    "start",
]
