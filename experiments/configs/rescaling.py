"""Weights divided by N (collapse paper, Fig. 4): are larger networks slower, and why?

    python experiments/rescaling.py --config=smoke     # seconds; checks the installation
    python experiments/rescaling.py                    # laptop: less than half an hour on 2 cores
    python experiments/rescaling.py --config=paper     # sizes to 5000; an accelerator

Any field is a flag: `--config.hidden=500,1000 --config.inits=gaussian,uniform --config.seeds=5`.
Settings and their meaning: rnnjax/studies/rescaling/config.py.
"""

from rnnjax.studies.rescaling.config import get_config

__all__ = ["get_config"]
