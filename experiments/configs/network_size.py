"""Degeneracy against network size (study 2, Figs. 7, 13, 20-23, 28-29).

    python experiments/network_size.py --config=smoke    # seconds; checks the installation
    python experiments/network_size.py                   # laptop: 37 minutes, contended
    python experiments/network_size.py --config=paper    # fifty networks; an accelerator

Give each preset a folder of its own: `--workdir=runs/network_size_paper`.
Any field is a flag: `--config.tasks=flip_flop --config.widths=32,64`.
"""

from typing import Any

from ml_collections import ConfigDict

from configs.trained import TASKS, compared, laptop, smoke
from rnnjax.validate import one_of

PRESETS = ("smoke", "laptop", "paper")


def get_config(preset: str = "laptop") -> ConfigDict:
    """The settings of a preset."""
    one_of("preset", preset, PRESETS)
    config: Any = compared()
    config.tasks = TASKS
    config.widths = (64, 128, 256)
    config.gamma = 1.0  # of the muP networks
    # Those of `tasks` that are compared in the standard parametrization too.
    config.standard_tasks = TASKS
    if preset != "paper":
        laptop(config)
        # The widest networks decide the time: stronger learning takes fewer epochs.
        config.update(widths=(32, 64, 128), gamma=4.0, standard_tasks=("flip_flop",))
    if preset == "smoke":
        smoke(config)
        config.update(widths=(8, 12), gamma=1.0, standard_tasks=())
    return config
