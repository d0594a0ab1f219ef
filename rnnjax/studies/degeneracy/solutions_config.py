"""Settings of the study of solutions, and its presets."""

from rnnjax.studies.degeneracy.common_config import GAMMAS, LAPTOP, NAMES, SHARED, TINY, without
from rnnjax.studies.degeneracy.tasks import TASKS
from rnnjax.studies.settings import Preset, Setting, Settings

__all__ = ["SOLUTIONS"]

_OTHERS = (
    "stretch", "measured_trials", "probe_trials", "probe_times",
    *(f"training.{name}.learning_rate" for name in TASKS),
)  # fmt: skip
"""Settings of measures, and of the standard rule, that `solutions` does not take."""

SOLUTIONS = Settings(
    {
        **without(SHARED, _OTHERS),
        "tasks": Setting(NAMES, f"tasks: {', '.join(NAMES)}", choices=NAMES),
        "hidden": Setting(128, "network size, N"),
        "seeds": Setting(50, "networks per condition, seeds 0 .. seeds-1"),
        "gammas": Setting(GAMMAS, "strengths of feature learning under muP; larger is richer"),
        "fingerprint": {
            "trials": Setting(32, "trials from whose states the searches start"),
            "starts": Setting(128, "searches for fixed points per network"),
            "steps": Setting(200, "largest number of steps of a search"),
            "slow": Setting(1e-8, "largest speed of a slow point"),
            "runs": Setting(16, "runs under the constant input per network"),
            "settle": Setting(
                1000, "steps after which a run is classed as settled or still moving"
            ),
            "watch": Setting(1024, "steps over which what moves is watched"),
            "still": Setting(1e-6, "mean square of a step, relative, of a run that has settled"),
            "probes": Setting(32, "stretched trials on which answers are compared"),
            "inputs": Setting(
                "median",
                "the constant input: median of the task's, or zero",
                choices=("median", "zero"),
            ),
        },
        "kinds": {
            "most": Setting(8, "largest number of kinds"),
            "stability": Setting(0.75, "least Jaccard similarity of a kind over resamples"),
            "separation": Setting(0.5, "least mean silhouette"),
            "apart": Setting(
                0.0,
                "least mean distance between two kinds; always at least that of one differing "
                "feature",
            ),
            "resamples": Setting(100, "resamples of networks"),
        },
        "seed": Setting(0, "seed of the trials and of the searches"),
    },
    {
        "smoke": Preset(
            "checks the installation",
            "seconds",
            {
                **without(TINY, _OTHERS),
                "tasks": ("flip_flop",), "hidden": 8, "seeds": 3, "gammas": (1.0, 4.0),
                "fingerprint.starts": 16, "fingerprint.runs": 8, "fingerprint.settle": 200,
                "fingerprint.watch": 64, "fingerprint.steps": 50,
            },
        ),
        "laptop": Preset(
            "kinds of solutions at three gammas, flip-flop and discrimination, N = 64",
            "20 min",
            {
                **{k: v for k, v in LAPTOP.items() if not k.startswith("dsa.")},
                "gammas": (1.0, 2.0, 4.0),
            },
            shared=True,
        ),
        "paper": Preset("fifty networks of 128 units, four tasks", "needs an accelerator"),
    },
)  # fmt: skip
