"""Settings of memory demand: how long a history predicts the next target?"""

from typing import Any

from ml_collections import ConfigDict

from rnnjax.validate import one_of

PRESETS = ("smoke", "laptop", "paper")


def get_config(preset: str = "laptop") -> ConfigDict:
    """Settings of a preset; the others change those of `laptop`."""
    one_of("preset", preset, PRESETS)
    config: Any = _laptop()
    if preset == "smoke":
        config.update(tasks=("flip_flop", "sine_wave"), histories=(1, 2, 3))
        config.update(initializations=2, steps=100, trials=64, units=16, batch=64)
    elif preset == "paper":
        config.update(initializations=20, steps=20000, trials=4096)
    return config


def _laptop() -> ConfigDict:
    config = ConfigDict()
    config.tasks = ("flip_flop", "sine_wave", "path_integration", "delayed_discrimination")
    config.histories = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 22, 23, 24, 25, 26, 27, 28, 30)  # steps
    config.initializations = 5  # perceptrons per history, task and window
    config.units = 64
    config.steps = 5000
    config.batch = 256  # windows per step
    config.learning_rate = 3e-3  # falls to 0 as a cosine
    config.trials = 1024  # for training; a quarter as many are held out
    config.tolerance = 0.05  # share of the fall in error that a sufficient history may lack
    config.seed = 0

    config.flip_flop = ConfigDict({"bits": 3, "p": 0.3, "steps": 100})
    config.sine_wave = ConfigDict({"channels": 1})
    config.path_integration = ConfigDict({"dimensions": 2})
    config.delayed_discrimination = ConfigDict({"channels": 1, "max_delay": 20})
    return config
