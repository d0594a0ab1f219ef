"""Table 1 of the degeneracy paper from the workdirs of its four factors.

    python experiments/summary.py
    python experiments/summary.py --config.network_size=runs/my_widths --workdir=runs/my_summary

There are no presets. The fields are the workdirs of the studies: task_complexity,
feature_learning, network_size and regularization, by default runs/STUDY.
Settings and their meaning: rnnjax/studies/degeneracy/config.py.
"""

from rnnjax.studies.degeneracy.config import table1 as get_config

__all__ = ["get_config"]
