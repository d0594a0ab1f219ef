"""Degeneracy against structural regularization (study 2, Figs. 8, 14-15, 24-25).

    python experiments/regularization.py --config=smoke    # seconds; checks the installation
    python experiments/regularization.py                   # laptop: 34 minutes, contended
    python experiments/regularization.py --config=paper    # fifty networks; an accelerator

Give each preset a folder of its own: `--workdir=runs/regularization_paper`.
Any field is a flag: `--config.tasks=flip_flop --config.l1=0,1e-4`.
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
    # Strengths on the sum of |w| and of the singular values of the recurrent weights.
    config.l1 = (0.0, 1e-6, 1e-5, 1e-4, 3e-4)
    config.nuclear = (0.0, 1e-5, 1e-4, 1e-3, 3e-3)
    if preset != "paper":
        laptop(config)
        config.update(l1=(0.0, 1e-5, 1e-4), nuclear=(0.0, 1e-4, 1e-3))
    if preset == "smoke":
        smoke(config)
        config.update(l1=(0.0, 1e-4), nuclear=())
    return config
