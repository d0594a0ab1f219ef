"""Settings of the degeneracy studies: a base, its `laptop` and `smoke` sizes, and every preset."""

from typing import Any

from ml_collections import ConfigDict

from rnnjax.studies.degeneracy.tasks import TASKS
from rnnjax.validate import one_of

__all__ = [
    "feature_learning",
    "network_size",
    "population",
    "regularization",
    "table1",
    "task_complexity",
]

_NAMES = tuple(TASKS)
_GAMMAS = (0.5, 1.0, 2.0, 4.0)


def _training_settings() -> Any:
    """Settings of tasks, training and measures that all presets share."""
    config: Any = ConfigDict()
    for name, task in TASKS.items():
        config[name] = ConfigDict(dict(task.options))
    config.training = ConfigDict({name: dict(task.training) for name, task in TASKS.items()})
    config.steps_per_epoch = 128
    config.clip = 1.0  # largest norm of the gradient
    config.patience = 3  # ends of epochs in a row below the threshold
    config.validation_trials = 256
    config.evaluation_trials = 200

    # Measures of the trained networks, on the task and on its stretched variant.
    config.stretch = 2.0
    config.measured_trials = 256
    config.probe_trials = 16  # of the tangent kernel, at `probe_times` steps each
    config.probe_times = 5
    return config


def _comparison_settings() -> Any:
    """Settings at the paper's size, those of the comparison of populations included."""
    config = _training_settings()
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


def _laptop(config: Any) -> None:
    """Eight networks of 64 units on two tasks."""
    config.update(tasks=("flip_flop", "delayed_discrimination"), hidden=64, seeds=8)
    for task in config.tasks:
        config.training[task].batch = 128
    # Under muP, delayed discrimination then learns in half of the epochs of rate 0.01.
    config.training.delayed_discrimination.update(epochs=300, mup_rate=3e-2)
    config.dsa.update(order=60, components=(2, 4, 8, 12, 16, 20), delays=(1, 2, 3, 5))


def _smoke(config: Any) -> None:
    """Three networks of 8 units on one small flip-flop."""
    config.update(tasks=("flip_flop",), hidden=8, seeds=3, steps_per_epoch=40)
    config.update(validation_trials=16, evaluation_trials=16, measured_trials=32, probe_trials=4)
    config.flip_flop.update(bits=1, steps=15)
    small = {"batch": 16, "epochs": 6, "threshold": 0.4, "learning_rate": 0.01}
    config.training.flip_flop.update(small)
    config.dsa.update(trials=16, order=12, components=(2, 4), delays=(1, 2))


def task_complexity(preset: str = "laptop") -> ConfigDict:
    """Degeneracy against channels, memory demand and an auxiliary output."""
    one_of("preset", preset, ("smoke", "laptop", "pair", "paper"))
    config = _comparison_settings()
    config.tasks = _NAMES
    # Channels by task: bits, pairs of pulses, sines, dimensions.
    config.channels = ConfigDict(
        {
            "flip_flop": (2, 3, 4),
            "delayed_discrimination": (1, 2, 3),
            "sine_wave": (1, 2, 3),
            "path_integration": (2, 3),
        }
    )
    config.delays = (20, 40, 60)  # longest delays of delayed discrimination; () for none
    config.auxiliary = True  # also with a second output that reports the difference
    config.fixed_points = ConfigDict({"networks": 4, "starts": 256, "steps": 100})
    if preset != "paper":
        _laptop(config)
        # Three pairs of pulses miss the threshold: 0 of 8 networks in 300 epochs.
        config.channels.delayed_discrimination = (1, 2)
    if preset == "smoke":
        _smoke(config)
        config.channels.flip_flop = (1, 2)
        config.delays, config.auxiliary = (), False
        config.fixed_points.update(networks=1, starts=16)
    elif preset == "pair":
        config.update(tasks=("flip_flop",), seeds=50, delays=(), auxiliary=False)
        config.channels.flip_flop = (2, 4)
        config.dsa.update(components=(2, 4, 8, 16), delays=(1, 3))  # of 1,225 pairs each
    return config


def feature_learning(preset: str = "laptop") -> ConfigDict:
    """Degeneracy against gamma, the strength of feature learning."""
    one_of("preset", preset, ("smoke", "laptop", "paper"))
    config = _comparison_settings()
    config.tasks = _NAMES
    config.gammas = _GAMMAS  # under muP; larger is richer
    # Those of `tasks` also compared with the gamma-trick, in the standard parametrization.
    config.trick_tasks = _NAMES
    config.trick_gammas = _GAMMAS
    if preset != "paper":
        _laptop(config)
        config.update(gammas=(1.0, 2.0, 4.0), trick_gammas=(1.0, 2.0, 4.0))
        config.trick_tasks = ("flip_flop",)  # to save time; `--config.trick_tasks` adds the other
    if preset == "smoke":
        _smoke(config)
        config.update(gammas=(1.0, 4.0), trick_tasks=())
    return config


def network_size(preset: str = "laptop") -> ConfigDict:
    """Degeneracy against network size, at a fixed strength of feature learning."""
    one_of("preset", preset, ("smoke", "laptop", "paper"))
    config = _comparison_settings()
    config.tasks = _NAMES
    config.widths = (64, 128, 256)
    config.gamma = 1.0  # of the muP networks
    # Those of `tasks` also compared in the standard parametrization.
    config.standard_tasks = _NAMES
    if preset != "paper":
        _laptop(config)
        # The widest networks decide the time: stronger learning takes fewer epochs.
        config.update(widths=(32, 64, 128), gamma=4.0, standard_tasks=("flip_flop",))
    if preset == "smoke":
        _smoke(config)
        config.update(widths=(8, 12), gamma=1.0, standard_tasks=())
    return config


def regularization(preset: str = "laptop") -> ConfigDict:
    """Degeneracy against structural regularization."""
    one_of("preset", preset, ("smoke", "laptop", "paper"))
    config = _comparison_settings()
    config.tasks = _NAMES
    # Strengths on the sum of |w| and of the singular values of the recurrent weights.
    config.l1 = (0.0, 1e-6, 1e-5, 1e-4, 3e-4)
    config.nuclear = (0.0, 1e-5, 1e-4, 1e-3, 3e-3)
    if preset != "paper":
        _laptop(config)
        config.update(l1=(0.0, 1e-5, 1e-4), nuclear=(0.0, 1e-4, 1e-3))
    if preset == "smoke":
        _smoke(config)
        config.update(l1=(0.0, 1e-4), nuclear=())
    return config


def population(preset: str = "laptop") -> ConfigDict:
    """Populations trained to their thresholds: epochs needed, outputs, losses."""
    one_of("preset", preset, ("smoke", "laptop", "paper"))
    config = _training_settings()
    config.tasks = _NAMES
    config.hidden = (64, 128)
    config.seeds = 4  # seeds 0 .. seeds-1
    if preset == "smoke":
        config.update(tasks=("flip_flop", "sine_wave"), hidden=(8,), seeds=3)
        config.update(validation_trials=16, probe_trials=4, evaluation_trials=16)
        config.flip_flop.update(bits=1, steps=15)
        config.sine_wave.update(frequencies=4, highest=4, steps=20)
        for task, threshold in (("flip_flop", 0.3), ("sine_wave", 0.45)):
            small = {"batch": 16, "epochs": 6, "threshold": threshold, "learning_rate": 0.01}
            config.training[task].update(small)
        config.steps_per_epoch = 40
    elif preset == "paper":
        config.update(hidden=(128,), seeds=50)
    return config


def table1() -> ConfigDict:
    """Workdirs of the four studies that Table 1 summarizes."""
    names = ("task_complexity", "feature_learning", "network_size", "regularization")
    return ConfigDict({name: f"runs/{name}" for name in names})
