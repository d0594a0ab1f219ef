"""Learning-rate collapse (study 1, Figs 1B-3, Tables 1-2): largest trainable rate against width.

    python experiments/lr_collapse.py --config=smoke     # seconds; checks the installation
    python experiments/lr_collapse.py                    # laptop: minutes on 2 cores
    python experiments/lr_collapse.py --config=bisect    # critical rates to 0.1 decade
    python experiments/lr_collapse.py --config=paper     # 3,900 networks; an accelerator

Any field is a flag: `--config.arm=xavier --config.hidden="(16, 32, 64)" --config.seeds=8`.
Settings and what they mean: rnnjax/studies/collapse/config.py.
"""

from rnnjax.studies.collapse.config import get_config

__all__ = ["get_config"]
