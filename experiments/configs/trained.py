"""What every study of trained populations shares: the tasks, and how networks learn them.

From appendices A and B of study 2; what these leave silent is said in docs/populations.md.
"""

from typing import Any

from ml_collections import ConfigDict

__all__ = ["TASKS", "compared", "laptop", "smoke", "trained"]

TASKS = ("flip_flop", "delayed_discrimination", "sine_wave", "path_integration")


def trained() -> ConfigDict:
    """Tasks, training by task, and what all of them have in common."""
    config = ConfigDict()
    config.flip_flop = ConfigDict({"bits": 3, "p": 0.3, "steps": 100})
    config.delayed_discrimination = ConfigDict(
        {"channels": 1, "max_delay": 20, "amplitudes": "integers", "auxiliary": False}
    )
    config.sine_wave = ConfigDict({"channels": 1, "frequencies": 100, "highest": 30, "steps": 100})
    config.path_integration = ConfigDict({"dimensions": 2, "steps": 100})

    # Appendix B of study 2, but for mup_rate, on which the paper is silent; with tau it is the mup
    # rule's.
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
        "mup_rate": 1e-2,
        "batch": batch,
        "epochs": epochs,
        "threshold": threshold,
        "schedule": schedule,
        "tau": tau,
    }


def compared() -> ConfigDict:
    """`trained`, at the paper's size, and how its populations are compared."""
    config: Any = trained()
    config.hidden = 128
    config.seeds = 50  # seeds 0 .. seeds-1
    # Dynamical similarity: trials, share of the variance kept, delays from 1 to `longest_delay`
    # among which held-out error chooses, as far as components x delays stay within `order`; and
    # the chart over fixed numbers of components and delays, within the same bound.
    config.dsa = ConfigDict(
        {
            "trials": 64,
            "variance": 0.99,
            "longest_delay": 30,
            "order": 120,
            "components": (2, 3, 4, 6, 8, 12, 16, 20, 30),
            "delays": (1, 2, 3, 5, 10),
        }
    )
    config.samples = 16  # trials whose every step is a sample of SVCCA, CKA and the alignment
    config.seed = 0  # of the trials and of the solvers' starts
    return config


def laptop(config: Any) -> None:
    """Eight networks of 64 units on two tasks."""
    config.update(tasks=("flip_flop", "delayed_discrimination"), hidden=64, seeds=8)
    for task in config.tasks:
        config.training[task].batch = 128
    # Under muP, delayed discrimination then learns in half of the epochs of rate 0.01.
    config.training.delayed_discrimination.update(epochs=300, mup_rate=3e-2)
    config.dsa.update(order=60, components=(2, 4, 8, 12, 16, 20), delays=(1, 2, 3, 5))


def smoke(config: Any) -> None:
    """Three networks of 8 units on one small flip-flop."""
    config.update(tasks=("flip_flop",), hidden=8, seeds=3, steps_per_epoch=40)
    config.update(validation_trials=16, evaluation_trials=16, measured_trials=32, probe_trials=4)
    config.flip_flop.update(bits=1, steps=15)
    small = {"batch": 16, "epochs": 6, "threshold": 0.4, "learning_rate": 0.01}
    config.training.flip_flop.update(small)
    config.dsa.update(trials=16, order=12, components=(2, 4), delays=(1, 2))
