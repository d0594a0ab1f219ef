"""Training one network: recipe, traced settings, training step, validation, accuracies."""

from rnnjax.training.coordinates import coordinate_check, seeds_left_out
from rnnjax.training.curvature import sharpness, sharpness_along_training, sharpness_at_start
from rnnjax.training.recipe import OPTIMIZERS, Recipe
from rnnjax.training.run import (
    Evaluation,
    EvaluationSetup,
    Run,
    Setup,
    Status,
    Validation,
    advance,
    end_epoch,
    evaluate,
    held_out_trials,
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
from rnnjax.training.settings import (
    SETTINGS,
    TRACED,
    Hyper,
    Setting,
    check_settings,
    setting_values,
)

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "SETTINGS",
    "TRACED",
    "Constant",
    "CosineRestarts",
    "Evaluation",
    "EvaluationSetup",
    "Hyper",
    "Plateau",
    "Recipe",
    "Run",
    "Schedule",
    "Setting",
    "Setup",
    "Status",
    "Validation",
    "advance",
    "check_settings",
    "coordinate_check",
    "end_epoch",
    "evaluate",
    "held_out_trials",
    "initial_params",
    "output_scale",
    "schedule",
    "seeds_left_out",
    "setting_values",
    "sharpness",
    "sharpness_along_training",
    "sharpness_at_start",
    "start",
]
