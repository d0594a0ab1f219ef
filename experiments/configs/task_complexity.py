"""Degeneracy against task complexity (degeneracy paper, Figs. 3-5 and 11).

    python experiments/task_complexity.py --config=smoke   # seconds; checks the installation
    python experiments/task_complexity.py                  # laptop: 44 minutes while other jobs ran
    python experiments/task_complexity.py --config=pair    # fifty networks of 2 and of 4 bits
    python experiments/task_complexity.py --config=paper   # fifty networks; an accelerator

Give each preset a folder of its own: `--workdir=runs/pair`.
Any field is a flag: `--config.tasks=flip_flop --config.channels.flip_flop=2,4`.
Settings and their meaning: rnnjax/studies/degeneracy/config.py.
"""

from rnnjax.studies.degeneracy.config import task_complexity as get_config

__all__ = ["get_config"]
