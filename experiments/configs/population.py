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
    config = ConfigDict()
    config.tasks = ("flip_flop", "delayed_discrimination", "sine_wave", "path_integration")
    config.hidden = (64, 128)
    config.seeds = 4  # seeds 0 .. seeds-1

    # standard: the vanilla tanh network; mup: the leaky one of the paper's appendix, with gamma.
    config.rule = "standard"
    config.gammas = (1.0,)
    # Strengths of penalties on the recurrent weights. Each series is run with the other at 0.
    config.l1 = (0.0,)
    config.nuclear = (0.0,)

    config.flip_flop = ConfigDict({"bits": 3, "p": 0.3, "steps": 100})
    config.delayed_discrimination = ConfigDict(
        {"channels": 1, "max_delay": 20, "amplitudes": "integers", "auxiliary": False}
    )
    config.sine_wave = ConfigDict({"channels": 1, "frequencies": 100, "highest": 30, "steps": 100})
    config.path_integration = ConfigDict({"dimensions": 2, "steps": 100})

    # Appendix B of study 2; tau and mup_rate are those of the mup rule.
    config.training = ConfigDict(
        {
            "flip_flop": _training(1e-3, 256, 300, 0.001, tau=1.0),
            "delayed_discrimination": _training(
                1e-3, 256, 500, 0.01, schedule="cosine_restarts", tau=0.1
            ),
            "sine_wave": _training(5e-4, 32, 500, 0.05, tau=1.0),
            "path_integration": _training(1e-3, 64, 1000, 0.05, schedule="plateau", tau=0.1),
        }
    )
    config.mup_rate = 1e-2
    config.steps_per_epoch = 128
    config.clip = 1.0  # largest norm of the gradient
    config.patience = 3  # ends of epochs in a row below the threshold
    config.validation_trials = 256
    config.evaluation_trials = 200

    # What the trained networks are asked: trials on the task and on its stretched variant.
    config.stretch = 2.0
    config.measured_trials = 256
    config.probe_trials = 16  # of the tangent kernel, at `probe_times` steps each
    config.probe_times = 5
    return config


def _training(
    learning_rate: float,
    batch: int,
    epochs: int,
    threshold: float,
    *,
    tau: float,
    schedule: str = "none",
) -> dict[str, Any]:
    return {
        "learning_rate": learning_rate,
        "batch": batch,
        "epochs": epochs,
        "threshold": threshold,
        "schedule": schedule,
        "tau": tau,
    }
