"""Settings that the degeneracy studies share, and what their presets have in common."""

from collections.abc import Mapping, Sequence
from typing import Any

from rnnjax.studies.degeneracy.tasks import TASKS
from rnnjax.studies.settings import Setting, Table, task_options

__all__ = ["GAMMAS", "LAPTOP", "MUP", "NAMES", "SHARED", "TINY", "without"]

NAMES = tuple(TASKS)
GAMMAS = (0.5, 1.0, 2.0, 4.0)

MUP = tuple(f"training.{name}.{key}" for name in NAMES for key in ("mup_rate", "tau"))
"""Settings of networks under muP, which studies of the standard rule alone do not take."""

_SCHEDULES = ("none", "cosine_restarts", "plateau")

_TRAINING = {
    "learning_rate": "learning rate of the standard parametrization",
    "mup_rate": "learning rate under muP",
    "batch": "trials per step",
    "epochs": "largest number of epochs",
    "threshold": "held-out loss that ends the training",
    "schedule": "schedule of the learning rate: none, cosine_restarts or plateau; in epochs of 128 "
    "steps",
    "tau": "dt / tau of networks under muP, in (0, 1]",
}

SHARED: Table = {
    **{name: task_options(**task.options) for name, task in TASKS.items()},
    "training": {
        name: {
            key: Setting(value, _TRAINING[key], choices=_SCHEDULES if key == "schedule" else ())
            for key, value in task.training.items()
        }
        for name, task in TASKS.items()
    },
    "steps_per_epoch": Setting(128, "training steps per epoch"),
    "clip": Setting(
        1.0,
        "largest norm of the gradient, which the paper does not mention; None: no clipping",
        float,
    ),
    "patience": Setting(3, "epochs in a row that must end below the threshold"),
    "validation_trials": Setting(256, "held-out trials at the end of every epoch"),
    "evaluation_trials": Setting(200, "held-out trials on which networks are evaluated"),
    "stretch": Setting(2.0, "factor on the memory periods of the stretched task"),
    "measured_trials": Setting(256, "trials of the losses"),
    "probe_trials": Setting(16, "trials of the tangent kernel"),
    "probe_times": Setting(5, "steps of each of its trials"),
}
"""Settings of tasks, training and measures that all studies share."""

LAPTOP: dict[str, Any] = {
    "tasks": ("flip_flop", "delayed_discrimination"),
    "hidden": 64,
    "seeds": 8,
    "training.flip_flop.batch": 128,
    "training.delayed_discrimination.batch": 128,
    # Under muP, delayed discrimination then learns in half of the epochs of rate 0.01.
    "training.delayed_discrimination.epochs": 300,
    "training.delayed_discrimination.mup_rate": 3e-2,
    "dsa.trials": 64,
    "dsa.lag": "held_out",
    "dsa.activity": "rates",
    "dsa.order": 60,
    "dsa.components": (2, 4, 8, 12, 16, 20),
    "dsa.delays": (1, 2, 3, 5),
}
"""Eight networks of 64 units on two tasks."""

TINY: dict[str, Any] = {
    "steps_per_epoch": 40,
    "validation_trials": 16,
    "evaluation_trials": 16,
    "probe_trials": 4,
    "flip_flop.bits": 1,
    "flip_flop.steps": 15,
    "training.flip_flop.batch": 16,
    "training.flip_flop.epochs": 6,
    "training.flip_flop.threshold": 0.4,
    "training.flip_flop.learning_rate": 0.01,
}


def without(entries: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The entries of a table or preset but those that a study does not use.

    `flip_flop.bits` is an entry of the group `flip_flop` of a table.
    """
    found = {}
    for name, entry in entries.items():
        inner = [other.removeprefix(f"{name}.") for other in names if other.startswith(f"{name}.")]
        if name not in names:
            found[name] = without(entry, inner) if inner else entry
    return found
