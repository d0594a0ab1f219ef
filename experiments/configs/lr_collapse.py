"""Learning-rate collapse (collapse paper, Figs. 1B-3): largest trainable rate against width.

    python experiments/lr_collapse.py --config=smoke     # seconds; checks the installation
    python experiments/lr_collapse.py                    # laptop: minutes on 2 cores
    python experiments/lr_collapse.py --config=bisect    # critical rates to 0.1 decade
    python experiments/lr_collapse.py --config=paper     # 3,900 networks; an accelerator

Any field is a flag: `--config.arm=xavier --config.hidden="(16, 32, 64)" --config.seeds=8`.
Settings and their meaning: rnnjax/studies/collapse/config.py.
"""

from rnnjax.studies.collapse.config import get_config

__all__ = ["get_config"]
