"""Degeneracy against the strength of feature learning (study 2, Figs. 6, 12, 16-19, 26-27).

    python experiments/feature_learning.py --config=smoke    # seconds; checks the installation
    python experiments/feature_learning.py                   # laptop: 23 minutes on 2 cores
    python experiments/feature_learning.py --config=paper    # fifty networks; an accelerator

Give each preset a folder of its own: `--workdir=runs/feature_learning_paper`.
Any field is a flag: `--config.tasks=flip_flop --config.gammas=0.5,1.0,2.0`.
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
    config.gammas = (0.5, 1.0, 2.0, 4.0)  # under muP; larger is richer
    # Those of `tasks` that are compared with the gamma-trick, in the standard parametrization, too.
    config.trick_tasks = TASKS
    config.trick_gammas = (0.5, 1.0, 2.0, 4.0)
    if preset != "paper":
        laptop(config)
        config.update(gammas=(1.0, 2.0, 4.0), trick_gammas=(1.0, 2.0, 4.0))
        config.trick_tasks = ("flip_flop",)  # for the time; `--config.trick_tasks` adds the other
    if preset == "smoke":
        smoke(config)
        config.update(gammas=(1.0, 4.0), trick_tasks=())
    return config
