"""Settings of the populations trained to their thresholds, and their presets."""

from rnnjax.studies.degeneracy.common_config import MUP, NAMES, SHARED, TINY, without
from rnnjax.studies.settings import Preset, Setting, Settings

__all__ = ["POPULATION"]

POPULATION = Settings(
    {
        **without(SHARED, MUP),
        "tasks": Setting(NAMES, f"tasks: {', '.join(NAMES)}", choices=NAMES),
        "hidden": Setting((64, 128), "network sizes"),
        "seeds": Setting(4, "networks per condition, seeds 0 .. seeds-1"),
    },
    {
        "smoke": Preset(
            "checks the installation",
            "seconds",
            {
                **TINY, "tasks": ("flip_flop", "sine_wave"), "hidden": (8,), "seeds": 3,
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
