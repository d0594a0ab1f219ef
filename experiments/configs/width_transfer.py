"""Width transfer: under which width rule does one learning rate suit every width?

    python experiments/width_transfer.py --config=smoke   # seconds; checks the installation
    python experiments/width_transfer.py                  # laptop: less than an hour on 2 cores
    python experiments/width_transfer.py --config=paper   # wide networks; an accelerator

Any field is a flag: `--config.rules=standard,mup --config.hidden=32,128,512 --config.seeds=8`.
Settings and their meaning: rnnjax/studies/width_transfer/config.py.
"""

from rnnjax.studies.width_transfer.config import get_config

__all__ = ["get_config"]
