"""Settings of the studies that compare networks, and the presets of each."""

from collections.abc import Mapping, Sequence
from typing import Any

from rnnjax.studies.degeneracy.common_config import (
    GAMMAS,
    LAPTOP,
    MUP,
    NAMES,
    SHARED,
    TINY,
    without,
)
from rnnjax.studies.degeneracy.tasks import TASKS
from rnnjax.studies.settings import Preset, Setting, Settings, Table

__all__ = [
    "ARROW_SETTINGS",
    "FEATURE_LEARNING",
    "NETWORK_SIZE",
    "REGULARIZATION",
    "SUMMARY",
    "TASK_COMPLEXITY",
    "TRAINING_STAGES",
]

_COMPARED: Table = {
    **SHARED,
    "tasks": Setting(NAMES, f"tasks: {', '.join(NAMES)}", choices=NAMES),
    "hidden": Setting(128, "network size, N"),
    "seeds": Setting(50, "networks per condition, seeds 0 .. seeds-1"),
    "dsa": {
        "trials": Setting(256, "trials of the dynamical distances"),
        "variance": Setting(0.99, "share of the variance that principal components keep"),
        "longest_delay": Setting(30, "largest number of delays tried"),
        "lag": Setting(
            "reconstruction",
            "error that selects the number of delays: held_out, or reconstruction (on the fitted "
            "trials)",
            choices=("held_out", "reconstruction"),
        ),
        "activity": Setting(
            "states",
            "what is compared: rates, or states, before tanh under muP",
            choices=("states", "rates"),
        ),
        "order": Setting(300, "largest number of components times delays"),
        "components": Setting((2, 3, 4, 6, 8, 12, 16, 20, 30), "numbers of components in charts"),
        "delays": Setting((1, 2, 3, 5, 10), "numbers of delays in charts"),
    },
    "samples": Setting(16, "trials whose steps are the samples of SVCCA, CKA and the alignment"),
    "seed": Setting(0, "seed of the trials and of the solvers' starts"),
}
"""The same at the paper's size, and the settings of comparisons."""

_SMOKE: dict[str, Any] = {
    **LAPTOP,
    **TINY,
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
    smallest = without({**_SMOKE, **laptop, **smoke}, unused)
    small = without({**LAPTOP, **laptop}, unused)
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
        GAMMAS, "strengths of feature learning under muP; larger is richer; (): none under muP"
    ),
    "trick_tasks": Setting(
        NAMES, "those of the tasks also compared with the gamma-trick; (): none", choices=NAMES
    ),
    "trick_gammas": Setting(GAMMAS, "strengths of the gamma-trick, standard parametrization"),
}

_SIZES: Table = {
    "widths": Setting((64, 128, 256), "network sizes to compare"),
    "gamma": Setting(
        1.0, "strength of feature learning of the muP networks; None: none under muP", float
    ),
    "standard_tasks": Setting(
        NAMES,
        "those of the tasks also compared in the standard parametrization; (): none",
        choices=NAMES,
    ),
}

_PENALTIES: Table = {
    "l1": Setting(
        (0.0, 1e-6, 1e-5, 1e-4, 3e-4), "strengths of the L1 penalty on the recurrent weights"
    ),
    "nuclear": Setting(
        (0.0, 1e-5, 1e-4, 1e-3, 3e-3), "strengths of the penalty on their nuclear norm"
    ),
}

_CHANNELS = tuple(f"{name}.{task.channels}" for name, task in TASKS.items())
"""Settings in whose place task complexity has `channels`."""

TASK_COMPLEXITY = Settings(
    {
        **without(_COMPARED, (*_CHANNELS, *MUP)),
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
            unused=(*_CHANNELS, *MUP),
        ),
        "pair": Preset(
            "fifty networks of 2 and of 4 bits, N = 64",
            "55 min",
            {
                **without(LAPTOP, MUP), **_FEW_CHANNELS, "tasks": ("flip_flop",), "seeds": 50,
                "delays": (), "auxiliary": False, "channels.flip_flop": (2, 4),
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
        "41 min",
        {
            "gammas": (1.0, 2.0, 4.0), "trick_gammas": (1.0, 2.0, 4.0),
            "trick_tasks": ("flip_flop",),  # to save time; `--config.trick_tasks` adds the other
        },
        {"gammas": (1.0, 4.0), "trick_tasks": ()},
        shared=True,
    ),
)  # fmt: skip

NETWORK_SIZE = Settings(
    {
        **without(_COMPARED, ["hidden"]),
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
        **without(_COMPARED, MUP),
        **_PENALTIES,
    },
    _presets(
        "degeneracy against L1 and nuclear-norm penalties",
        "21 min",
        {"l1": (0.0, 1e-5, 1e-4), "nuclear": (0.0, 1e-4, 1e-3)},
        {"l1": (0.0, 1e-4), "nuclear": ()},
        shared=True,
        unused=MUP,
    ),
)


ARROW_SETTINGS = (*_CHANNELS, *MUP, *_COMPLEXITY, *_LEARNING, *_SIZES, *_PENALTIES)
"""Settings of `training_stages` that only the studies of `arrows` use."""


def _with_arrows(table: Table, prefix: str = "") -> dict[str, Any]:
    """The table with the meanings of `ARROW_SETTINGS` marked."""
    marked = {}
    for name, entry in table.items():
        if not isinstance(entry, Setting):
            marked[name] = _with_arrows(entry, f"{prefix}{name}.")
        elif f"{prefix}{name}" in ARROW_SETTINGS:
            marked[name] = entry._replace(meaning=f"for arrows: {entry.meaning}")
        else:
            marked[name] = entry
    return marked


TRAINING_STAGES = Settings(
    _with_arrows({
        # A stage ends with the first epoch below its loss.
        **without(_COMPARED, ["patience"]),
        "stages": Setting(
            (30.0, 10.0, 3.0, 1.0), "losses at which networks are compared, over the threshold"
        ),
        "arrows": Setting(
            (),
            "studies whose arrows are followed along training: task_complexity, feature_learning, "
            "network_size, regularization; (): the networks of each task alone",
            choices=("task_complexity", "feature_learning", "network_size", "regularization"),
        ),
        **_channels(
            flip_flop=(2, 4), delayed_discrimination=(1,), sine_wave=(1,), path_integration=(2,)
        ),
        **_COMPLEXITY, **_LEARNING, **_SIZES, **_PENALTIES,
    }),
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
            unused=_CHANNELS,
        ),
        "arrows": Preset(
            "arrows of four factors at four losses along training, two tasks, N = 64",
            "29 min",
            changes={
                **LAPTOP,
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

SUMMARY = Settings(
    {
        name: Setting(f"runs/{name}", f"folders of finished runs of {name}, with commas between")
        for name in ("task_complexity", "feature_learning", "network_size", "regularization")
    },
    {
        "laptop": Preset(
            "the degeneracy paper's Table 1 from the folders of the four factors' studies",
            "seconds",
        )
    },
)
