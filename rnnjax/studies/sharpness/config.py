"""Settings of sharpness: does curvature before training predict the largest learning rate?"""

from rnnjax.spacing import log_rates
from rnnjax.studies.settings import REDUCTIONS, Preset, Setting, Settings, Table, task_options

__all__ = ["SETTINGS"]

_TABLE: Table = {
    "task": Setting("delayed_cue", "task: flip_flop, delayed_cue or delayed_match"),
    "rules": Setting(
        ("xavier", "gaussian", "inverse_width", "mup"),
        "width rules",
        choices=("xavier", "uniform", "gaussian", "inverse_width", "mup"),
    ),
    "activations": Setting(
        ("linear", "tanh"),
        "activations of the units: linear, tanh, relu",
        choices=("linear", "tanh", "relu"),
    ),
    "hidden": Setting((16, 32, 64, 128, 256), "network sizes"),
    "learning_rates": Setting(
        log_rates(1e-4, 1e5, 4), "learning rates, of which those near the predicted one are tried"
    ),
    # Gradient descent may leave a sharp place for a flat one, so that it survives rates well above
    # the predicted one; it has not been seen to fail far below.
    "below": Setting(0.5, "lowest rate tried, in decades below the predicted one"),
    "above": Setting(2.0, "highest rate tried, in decades above the predicted one"),
    "seeds": Setting(4, "networks per condition that are trained, seeds 0 .. seeds-1"),
    "start_seeds": Setting(
        16, "networks per condition whose sharpness before training is measured"
    ),
    "alpha": Setting(0.5, "time step over time constant, dt / tau"),
    "epochs": Setting(300, "training steps"),
    "batch": Setting(50, "trials per step"),
    "reduction": Setting("mean", "mean or sum of squared errors over outputs", choices=REDUCTIONS),
    "trials": Setting(100, "held-out trials whose loss has the curvature"),
    "evaluation_trials": Setting(200, "held-out trials on which networks are evaluated"),
    "keep_parameters": Setting(False, "whether to save the trained weights as well"),
    "training": {
        "hidden": Setting(64, "size of the networks whose sharpness is followed"),
        "factors": Setting(
            (0.5, 1.0, 2.0, 4.0), "their learning rates, as multiples of the predicted one"
        ),
        "seeds": Setting(2, "networks at each rate"),
        "every": Setting(10, "training steps between measurements"),
    },
    "delayed_cue": task_options(cue=4, delay=10, response=6),
    "delayed_match": task_options(cue=4, delay=10, response=6),
    "flip_flop": task_options(bits=3, p=0.05, steps=100),
}

SETTINGS = Settings(
    _TABLE,
    {
        "smoke": Preset(
            "checks the installation",
            "under a minute",
            {
                "hidden": (8, 16), "seeds": 2, "start_seeds": 2, "epochs": 20,
                "evaluation_trials": 50, "trials": 20,
                "rules": ("xavier", "mup"), "activations": ("linear",), "above": 1.0,
                "learning_rates": log_rates(1e-4, 1e3, 1), "training.hidden": 8,
                "training.factors": (0.5, 4.0), "training.seeds": 1,
            },
        ),
        "laptop": Preset("four rules, linear and tanh units, N = 16..256", "16 min", shared=True),
        "paper": Preset(
            "N = 32..2048, 2,000 steps, 10 seeds",
            "needs an accelerator; not run yet",
            {
                "hidden": (32, 64, 128, 256, 512, 1024, 2048), "seeds": 10, "epochs": 2000,
                "training.hidden": 256, "training.seeds": 4,
            },
        ),
    },
)  # fmt: skip
