"""Degeneracy against task complexity (study 2, Figs. 3-5 and 11).

    python experiments/task_complexity.py --config=smoke     # seconds; checks the installation
    python experiments/task_complexity.py                    # laptop: 44 minutes, contended
    python experiments/task_complexity.py --config=pair      # fifty networks of 2 and of 4 bits
    python experiments/task_complexity.py --config=paper     # fifty networks; an accelerator

Give each preset a folder of its own: `--workdir=runs/pair`.
Any field is a flag: `--config.tasks=flip_flop --config.channels.flip_flop=2,4`.
"""

from typing import Any

from ml_collections import ConfigDict

from configs.trained import TASKS, compared, laptop, smoke
from rnnjax.validate import one_of

PRESETS = ("smoke", "laptop", "pair", "paper")


def get_config(preset: str = "laptop") -> ConfigDict:
    """The settings of a preset."""
    one_of("preset", preset, PRESETS)
    config: Any = compared()
    config.tasks = TASKS
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
        laptop(config)
        # Three pairs of pulses miss the threshold: 0 of 8 networks in 300 epochs.
        config.channels.delayed_discrimination = (1, 2)
    if preset == "smoke":
        smoke(config)
        config.channels.flip_flop = (1, 2)
        config.delays, config.auxiliary = (), False
        config.fixed_points.update(networks=1, starts=16)
    elif preset == "pair":
        config.update(tasks=("flip_flop",), seeds=50, delays=(), auxiliary=False)
        config.channels.flip_flop = (2, 4)
        config.dsa.update(components=(2, 4, 8, 16), delays=(1, 3))  # of 1,225 pairs each
    return config
