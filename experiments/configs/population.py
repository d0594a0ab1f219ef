"""Populations of study 2, trained to a threshold: which networks get there, and what they became.

    python experiments/population.py --config=smoke       # seconds; checks the installation
    python experiments/population.py                      # laptop: minutes on 2 cores
    python experiments/population.py --config=gamma       # muP at four strengths of learning
    python experiments/population.py --config=penalties   # L1 and nuclear norm, four strengths
    python experiments/population.py --config=paper       # fifty networks; an accelerator

Any field is a flag: `--config.tasks=sine_wave --config.sine_wave.channels=2 --config.seeds=8`.
"""

from typing import Any

from ml_collections import ConfigDict

from configs.trained import TASKS, trained
from rnnjax.validate import one_of

PRESETS = ("smoke", "laptop", "gamma", "penalties", "paper")


def get_config(preset: str = "laptop") -> ConfigDict:
    """The settings of a preset; `laptop` is the base that the others change."""
    one_of("preset", preset, PRESETS)
    config: Any = _laptop()
    if preset == "smoke":
        config.update(tasks=("flip_flop", "sine_wave"), hidden=(8,), seeds=3)
        config.update(validation_trials=16, probe_trials=4, evaluation_trials=16)
        config.flip_flop.update(bits=1, steps=15)
        config.sine_wave.update(frequencies=4, highest=4, steps=20)
        for task, threshold in (("flip_flop", 0.3), ("sine_wave", 0.45)):
            small = {"batch": 16, "epochs": 6, "threshold": threshold, "learning_rate": 0.01}
            config.training[task].update(small)
        config.steps_per_epoch = 40
    elif preset == "gamma":
        config.update(tasks=("flip_flop", "delayed_discrimination"), hidden=(64,), seeds=8)
        config.update(rule="mup", gammas=(0.5, 1.0, 2.0, 4.0))
    elif preset == "penalties":
        config.update(tasks=("delayed_discrimination",), hidden=(64,))
        config.update(l1=(0.0, 1e-6, 1e-5, 1e-4, 3e-4), nuclear=(0.0, 1e-5, 1e-4, 1e-3, 3e-3))
    elif preset == "paper":
        config.update(hidden=(128,), seeds=50)
    return config


def _laptop() -> ConfigDict:
    config = trained()
    config.tasks = TASKS
    config.hidden = (64, 128)
    config.seeds = 4  # seeds 0 .. seeds-1

    # standard: the vanilla tanh network; mup: the leaky one of the paper's appendix, with gamma.
    config.rule = "standard"
    config.gammas = (1.0,)
    # Strengths of penalties on the recurrent weights. Each series is run with the other at 0.
    config.l1 = (0.0,)
    config.nuclear = (0.0,)
    return config
