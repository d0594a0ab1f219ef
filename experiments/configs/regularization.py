"""Degeneracy against structural regularization (degeneracy paper, Figs. 8, 14-15, 24-25).

    python experiments/regularization.py --config=smoke    # seconds; checks the installation
    python experiments/regularization.py                   # laptop: 34 minutes while other jobs ran
    python experiments/regularization.py --config=paper    # fifty networks; an accelerator

Give each preset a folder of its own: `--workdir=runs/regularization_paper`.
Any field is a flag: `--config.tasks=flip_flop --config.l1=0,1e-4`.
Settings and their meaning: rnnjax/studies/degeneracy/config.py.
"""

from rnnjax.studies.degeneracy.config import regularization as get_config

__all__ = ["get_config"]
