"""Settings of the degeneracy studies: what they share, and the table and presets of each."""

from collections.abc import Mapping, Sequence
from typing import Any

from rnnjax.studies.degeneracy.tasks import TASKS
from rnnjax.studies.settings import Preset, Setting, Settings, Table, task_options

__all__ = [
    "FEATURE_LEARNING",
    "NETWORK_SIZE",
    "POPULATION",
    "REGULARIZATION",
    "SOLUTIONS",
    "SUMMARY",
    "TASK_COMPLEXITY",
    "TRAINING_STAGES",
]

_NAMES = tuple(TASKS)
_GAMMAS = (0.5, 1.0, 2.0, 4.0)

_TRAINING = {
    "learning_rate": "learning rate of the standard parametrization",
    "mup_rate": "learning rate under muP",
    "batch": "trials per step",
    "epochs": "largest number of epochs",
    "threshold": "held-out loss that ends the training",
    "schedule": "of the learning rate: none, cosine_restarts or plateau; its epochs have 128 steps",
    "tau": "time constant of networks under muP, in steps",
}

_SHARED: Table = {
    **{name: task_options(**task.options) for name, task in TASKS.items()},
    "training": {
        name: {key: Setting(value, _TRAINING[key]) for key, value in task.training.items()}
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

_COMPARED: Table = {
    **_SHARED,
    "tasks": Setting(_NAMES, f"tasks: {', '.join(_NAMES)}"),
    "hidden": Setting(128, "network size, N"),
    "seeds": Setting(50, "networks per condition, seeds 0 .. seeds-1"),
    "dsa": {
        "trials": Setting(256, "trials of the dynamical distances"),
        "variance": Setting(0.99, "share of the variance that principal components keep"),
        "longest_delay": Setting(30, "longest of the delays among which an error chooses"),
        "lag": Setting(
            "reconstruction", "that error: held_out, or reconstruction, of the fit itself"
        ),
        "activity": Setting("states", "what is compared: rates, or states, before tanh under muP"),
        "order": Setting(300, "largest number of components times delays"),
        "components": Setting((2, 3, 4, 6, 8, 12, 16, 20, 30), "numbers of components in charts"),
        "delays": Setting((1, 2, 3, 5, 10), "numbers of delays in charts"),
    },
    "samples": Setting(16, "trials whose steps are the samples of SVCCA, CKA and the alignment"),
    "seed": Setting(0, "seed of the trials and of the solvers' starts"),
}
"""The same at the paper's size, and the settings of comparisons."""

_LAPTOP: dict[str, Any] = {
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

_TINY: dict[str, Any] = {
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

_SMOKE: dict[str, Any] = {
    **_LAPTOP,
    **_TINY,
    "tasks": ("flip_flop",),
    "hidden": 8,
    "seeds": 3,
    "measured_trials": 32,
    "dsa.trials": 16,
    "dsa.order": 12,
    "dsa.components": (2, 4),
    "dsa.delays": (1, 2),
}
"""Three networks of 8 units on one small flip-flop."""


def _without(entries: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The entries of a table or preset but those that a study does not use.

    `flip_flop.bits` is an entry of the group `flip_flop` of a table.
    """
    found = {}
    for name, entry in entries.items():
        inner = [other.removeprefix(f"{name}.") for other in names if other.startswith(f"{name}.")]
        if name not in names:
            found[name] = _without(entry, inner) if inner else entry
    return found


def _presets(
    content: str,
    time: str,
    laptop: Mapping[str, Any],
    smoke: Mapping[str, Any],
    *,
    shared: bool,
    unused: Sequence[str] = (),
    paper: str = "fifty networks of 128 units, four tasks",
) -> dict[str, Preset]:
    """The presets that all comparisons have; the values of the paper are the defaults."""
    smallest = _without({**_SMOKE, **laptop, **smoke}, unused)
    small = _without({**_LAPTOP, **laptop}, unused)
    return {
        "smoke": Preset("checks the installation", "seconds", smallest),
        "laptop": Preset(content, time, small, shared),
        "paper": Preset(paper, "needs an accelerator"),
    }


_FEW_CHANNELS = {
    # Three pairs of pulses miss the threshold: 0 of 8 networks in 300 epochs.
    "channels.delayed_discrimination": (1, 2),
}


def _channels(**counts: tuple[int, ...]) -> Table:
    names = {
        "flip_flop": "numbers of bits",
        "delayed_discrimination": "numbers of pairs of pulses",
        "sine_wave": "numbers of sines",
        "path_integration": "numbers of dimensions",
    }
    return {"channels": {name: Setting(counts[name], text) for name, text in names.items()}}


_COMPLEXITY: Table = {
    "delays": Setting(
        (20, 40, 60), "longest delays of delayed discrimination to compare; () for none"
    ),
    "auxiliary": Setting(
        True, "whether to compare networks with a second output that reports the difference"
    ),
}

_LEARNING: Table = {
    "gammas": Setting(
        _GAMMAS, "strengths of feature learning under muP; larger is richer; (): none under muP"
    ),
    "trick_tasks": Setting(_NAMES, "those of the tasks also compared with the gamma-trick"),
    "trick_gammas": Setting(_GAMMAS, "strengths of the gamma-trick, standard parametrization"),
}

_SIZES: Table = {
    "widths": Setting((64, 128, 256), "network sizes to compare"),
    "gamma": Setting(
        1.0, "strength of feature learning of the muP networks; None: none under muP", float
    ),
    "standard_tasks": Setting(
        _NAMES, "those of the tasks also compared in the standard parametrization"
    ),
}

_PENALTIES: Table = {
    "l1": Setting(
        (0.0, 1e-6, 1e-5, 1e-4, 3e-4), "strengths on the sum of |w| of the recurrent weights"
    ),
    "nuclear": Setting(
        (0.0, 1e-5, 1e-4, 1e-3, 3e-3), "strengths on the sum of their singular values"
    ),
}

_CHANNELS = tuple(f"{name}.{task.channels}" for name, task in TASKS.items())
"""Settings in whose place task complexity has `channels`."""

TASK_COMPLEXITY = Settings(
    {
        **_without(_COMPARED, _CHANNELS),
        **_channels(
            flip_flop=(2, 3, 4), delayed_discrimination=(1, 2, 3), sine_wave=(1, 2, 3),
            path_integration=(2, 3),
        ),
        **_COMPLEXITY,
        "fixed_points": {
            "networks": Setting(4, "networks per condition whose fixed points are searched"),
            "starts": Setting(256, "starts of the search per network"),
            "steps": Setting(100, "steps of the solver"),
        },
    },
    {
        **_presets(
            "degeneracy against channels, memory and an auxiliary output, two tasks, N = 64",
            "44 min",
            _FEW_CHANNELS,
            {
                "channels.flip_flop": (1, 2), "delays": (), "auxiliary": False,
                "fixed_points.networks": 1, "fixed_points.starts": 16,
            },
            shared=True,
            unused=_CHANNELS,
        ),
        "pair": Preset(
            "fifty networks of 2 and of 4 bits, N = 64",
            "55 min",
            {
                **_LAPTOP, **_FEW_CHANNELS, "tasks": ("flip_flop",), "seeds": 50, "delays": (),
                "auxiliary": False, "channels.flip_flop": (2, 4),
                "dsa.components": (2, 4, 8, 16), "dsa.delays": (1, 3),  # of 1,225 pairs each
            },
            shared=True,
        ),
    },
)  # fmt: skip

FEATURE_LEARNING = Settings(
    {
        **_COMPARED,
        **_LEARNING,
    },
    _presets(
        "degeneracy against gamma, under muP and the gamma-trick",
        "23 min",
        {
            "gammas": (1.0, 2.0, 4.0), "trick_gammas": (1.0, 2.0, 4.0),
            "trick_tasks": ("flip_flop",),  # to save time; `--config.trick_tasks` adds the other
        },
        {"gammas": (1.0, 4.0), "trick_tasks": ()},
        shared=False,
    ),
)  # fmt: skip

NETWORK_SIZE = Settings(
    {
        **_without(_COMPARED, ["hidden"]),
        **_SIZES,
    },
    _presets(
        "degeneracy against N = 32..128, under muP and the standard rule",
        "31 min",
        # The widest networks decide the time: stronger learning takes fewer epochs.
        {"widths": (32, 64, 128), "gamma": 4.0, "standard_tasks": ("flip_flop",)},
        {"widths": (8, 12), "gamma": 1.0, "standard_tasks": ()},
        shared=False,
        unused=["hidden"],
        paper="fifty networks of N = 64..256, four tasks, under muP and the standard rule",
    ),
)

REGULARIZATION = Settings(
    {
        **_COMPARED,
        **_PENALTIES,
    },
    _presets(
        "degeneracy against L1 and nuclear-norm penalties",
        "34 min",
        {"l1": (0.0, 1e-5, 1e-4), "nuclear": (0.0, 1e-4, 1e-3)},
        {"l1": (0.0, 1e-4), "nuclear": ()},
        shared=True,
    ),
)


def _with_arrows(table: Table) -> Table:
    """Settings of other studies, which only those of `arrows` use."""
    return {
        name: entry._replace(meaning=f"for arrows: {entry.meaning}")
        for name, entry in table.items()
        if isinstance(entry, Setting)
    }


TRAINING_STAGES = Settings(
    {
        # A stage ends with the first epoch below its loss.
        **_without(_COMPARED, ["patience"]),
        "stages": Setting(
            (30.0, 10.0, 3.0, 1.0), "losses at which networks are compared, over the threshold"
        ),
        "arrows": Setting(
            (),
            "studies whose arrows are followed along training: task_complexity, feature_learning, "
            "network_size, regularization; (): the networks of each task alone",
        ),
        **_channels(
            flip_flop=(2, 4), delayed_discrimination=(1,), sine_wave=(1,), path_integration=(2,)
        ),
        **_with_arrows({**_COMPLEXITY, **_LEARNING, **_SIZES, **_PENALTIES}),
    },
    {
        **_presets(
            "degeneracy along training at four losses, two tasks, N = 64",
            "19 min",
            {
                "channels.flip_flop": (2,),
                "dsa.components": (2, 4, 8, 16), "dsa.delays": (1, 3),
            },
            {"stages": (1.0, 0.7), "channels.flip_flop": (1,), "dsa.components": (2, 4)},
            shared=True,
        ),
        "arrows": Preset(
            "arrows of four factors at four losses along training, two tasks, N = 64",
            "30 min",
            shared=True,
            changes={
                **_LAPTOP,
                "arrows": ("task_complexity", "feature_learning", "network_size", "regularization"),
                # Short epochs: networks of all levels are then close to the loss of their stage.
                "steps_per_epoch": 32, "training.flip_flop.epochs": 1200,
                "training.delayed_discrimination.epochs": 1200,
                "channels.flip_flop": (2, 4), "delays": (), "auxiliary": False,
                "gammas": (1.0, 4.0), "trick_tasks": (),
                "widths": (32, 64), "gamma": 4.0, "standard_tasks": (),
                "l1": (0.0, 1e-4), "nuclear": (),
                "dsa.components": (4, 8), "dsa.delays": (1,),
            },
        ),
    },
)  # fmt: skip

_OTHERS = (
    "stretch", "measured_trials", "probe_trials", "probe_times",
    *(f"training.{name}.learning_rate" for name in TASKS),
)  # fmt: skip
"""Settings of measures, and of the standard rule, that `solutions` does not take."""

SOLUTIONS = Settings(
    {
        **_without(_SHARED, _OTHERS),
        "tasks": Setting(_NAMES, f"tasks: {', '.join(_NAMES)}"),
        "hidden": Setting(128, "network size, N"),
        "seeds": Setting(50, "networks per condition, seeds 0 .. seeds-1"),
        "gammas": Setting(_GAMMAS, "strengths of feature learning under muP; larger is richer"),
        "fingerprint": {
            "trials": Setting(32, "trials from whose states the searches start"),
            "starts": Setting(128, "searches for fixed points per network"),
            "steps": Setting(200, "largest number of steps of a search"),
            "slow": Setting(1e-8, "largest speed of a slow point"),
            "runs": Setting(16, "runs under the constant input per network"),
            "settle": Setting(1000, "steps after which a run is settled or moving"),
            "watch": Setting(1024, "steps over which what moves is watched"),
            "still": Setting(1e-6, "mean square of a step, relative, of a run that has settled"),
            "probes": Setting(32, "stretched trials on which answers are compared"),
            "inputs": Setting("median", "the constant input: median of the task's, or zero"),
        },
        "kinds": {
            "most": Setting(8, "largest number of kinds"),
            "stability": Setting(0.75, "least Jaccard similarity of a kind over resamples"),
            "separation": Setting(0.5, "least mean silhouette"),
            "apart": Setting(0.0, "least mean distance between two kinds, beyond one feature's"),
            "resamples": Setting(100, "resamples of networks"),
        },
        "seed": Setting(0, "seed of the trials and of the searches"),
    },
    {
        "smoke": Preset(
            "checks the installation",
            "seconds",
            {
                **_without(_TINY, _OTHERS),
                "tasks": ("flip_flop",), "hidden": 8, "seeds": 3, "gammas": (1.0, 4.0),
                "fingerprint.starts": 16, "fingerprint.runs": 8, "fingerprint.settle": 200,
                "fingerprint.watch": 64, "fingerprint.steps": 50,
            },
        ),
        "laptop": Preset(
            "kinds of solutions at three gammas, flip-flop and discrimination, N = 64",
            "20 min",
            {
                **{k: v for k, v in _LAPTOP.items() if not k.startswith("dsa.")},
                "gammas": (1.0, 2.0, 4.0),
            },
            shared=True,
        ),
        "paper": Preset("fifty networks of 128 units, four tasks", "needs an accelerator"),
    },
)  # fmt: skip

POPULATION = Settings(
    {
        **_SHARED,
        "tasks": Setting(_NAMES, f"tasks: {', '.join(_NAMES)}"),
        "hidden": Setting((64, 128), "network sizes"),
        "seeds": Setting(4, "networks per condition, seeds 0 .. seeds-1"),
    },
    {
        "smoke": Preset(
            "checks the installation",
            "seconds",
            {
                **_TINY, "tasks": ("flip_flop", "sine_wave"), "hidden": (8,), "seeds": 3,
                "sine_wave.frequencies": 4, "sine_wave.highest": 4, "sine_wave.steps": 20,
                "training.flip_flop.threshold": 0.3,
                "training.sine_wave.batch": 16, "training.sine_wave.epochs": 6,
                "training.sine_wave.threshold": 0.45, "training.sine_wave.learning_rate": 0.01,
            },
        ),
        "laptop": Preset(
            "the degeneracy paper's four tasks, trained to their thresholds, N = 64 and 128",
            "11 min",
        ),
        "paper": Preset(
            "fifty networks of 128 units per task",
            "needs an accelerator",
            {"hidden": (128,), "seeds": 50},
        ),
    },
)  # fmt: skip

SUMMARY = Settings(
    {
        name: Setting(f"runs/{name}", f"folder of the finished study {name}")
        for name in ("task_complexity", "feature_learning", "network_size", "regularization")
    },
    {
        "laptop": Preset(
            "the degeneracy paper's Table 1 from the folders of the four factors' studies",
            "seconds",
        )
    },
)
