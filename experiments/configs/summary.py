"""Table 1 of study 2 from the workdirs of its four factors.

    python experiments/summary.py
    python experiments/summary.py --config.network_size=runs/my_widths --workdir=runs/my_summary

The fields are the workdirs of the studies.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """Where the four studies are."""
    names = ("task_complexity", "feature_learning", "network_size", "regularization")
    return ConfigDict({name: f"runs/{name}" for name in names})
