"""Settings of memory demand: how long a history predicts the next target?"""

from rnnjax.studies.settings import Preset, Setting, Settings, task_options

__all__ = ["HISTORIES", "SETTINGS"]

HISTORIES = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 22, 23, 24, 25, 26, 27, 28, 30)
"""Default lengths of the window."""

_TABLE = {
    "tasks": Setting(
        ("flip_flop", "sine_wave", "path_integration", "delayed_discrimination"),
        "tasks: flip_flop, sine_wave, path_integration, delayed_discrimination",
    ),
    "histories": Setting(HISTORIES, "lengths of the history in steps"),
    "initializations": Setting(5, "perceptrons per history, task and window"),
    "units": Setting(64, "rectified units of a perceptron"),
    "steps": Setting(5000, "training steps"),
    "batch": Setting(256, "windows per step"),
    "learning_rate": Setting(3e-3, "rate of the first step; it falls to 0 as a cosine"),
    "trials": Setting(1024, "trials for training; a quarter as many are held out"),
    "tolerance": Setting(0.05, "share of the fall in error that a sufficient history may lack"),
    "seed": Setting(0, "seed of trials, weights and batches"),
    "flip_flop": task_options(bits=3, p=0.3, steps=100),
    "sine_wave": task_options(channels=1),
    "path_integration": task_options(dimensions=2),
    "delayed_discrimination": task_options(channels=1, max_delay=20),
}

SETTINGS = Settings(
    _TABLE,
    {
        "smoke": Preset(
            "checks the installation",
            "seconds",
            {
                "tasks": ("flip_flop", "sine_wave"), "histories": (1, 2, 3), "initializations": 2,
                "steps": 100, "trials": 64, "units": 16, "batch": 64,
            },
        ),
        "laptop": Preset("how long a history each task requires", "7 min"),
        "paper": Preset(
            "20 perceptrons each, 20,000 steps, 4,096 trials",
            "needs an accelerator",
            {"initializations": 20, "steps": 20000, "trials": 4096},
        ),
    },
)  # fmt: skip
