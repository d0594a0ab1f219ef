"""Degeneracy against network size (degeneracy paper, Figs. 7, 13, 20-23, 28-29).

    python experiments/network_size.py --config=smoke    # seconds; checks the installation
    python experiments/network_size.py                   # laptop: 37 minutes while other jobs ran
    python experiments/network_size.py --config=paper    # fifty networks; an accelerator

Give each preset a folder of its own: `--workdir=runs/network_size_paper`.
Any field is a flag: `--config.tasks=flip_flop --config.widths=32,64`.
Settings and their meaning: rnnjax/studies/degeneracy/config.py.
"""

from rnnjax.studies.degeneracy.config import network_size as get_config

__all__ = ["get_config"]
