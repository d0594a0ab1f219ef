"""Degeneracy against feature learning (degeneracy paper, Figs. 6, 12, 16-19, 26-27).

    python experiments/feature_learning.py --config=smoke    # seconds; checks the installation
    python experiments/feature_learning.py                   # laptop: 23 minutes on 2 cores
    python experiments/feature_learning.py --config=paper    # fifty networks; an accelerator

Give each preset a folder of its own: `--workdir=runs/feature_learning_paper`.
Any field is a flag: `--config.tasks=flip_flop --config.gammas=0.5,1.0,2.0`.
Settings and their meaning: rnnjax/studies/degeneracy/config.py.
"""

from rnnjax.studies.degeneracy.config import feature_learning as get_config

__all__ = ["get_config"]
