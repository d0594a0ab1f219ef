"""Training in the latent space (collapse paper, Fig. 5): does size matter, what does it cost?

    python experiments/latent.py --config=smoke     # seconds; checks the installation
    python experiments/latent.py                    # laptop: to N = 100,000 in minutes on 2 cores
    python experiments/latent.py --config=paper     # to N = 1,000,000; an accelerator

Any field is a flag: `--config.hidden=1000,100000 --config.rank=3 --config.flip_flop.bits=3`.
Settings and their meaning: rnnjax/studies/latent/config.py.
"""

from rnnjax.studies.latent.config import get_config

__all__ = ["get_config"]
