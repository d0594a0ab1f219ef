"""Populations trained to their thresholds: epochs needed, outputs, losses.

    python experiments/population.py --config=smoke       # seconds; checks the installation
    python experiments/population.py                      # laptop: minutes on 2 cores
    python experiments/population.py --config=paper       # fifty networks; an accelerator

Any field is a flag: `--config.tasks=sine_wave --config.sine_wave.channels=2 --config.seeds=8`.
Settings and their meaning: rnnjax/studies/degeneracy/config.py.
"""

from rnnjax.studies.degeneracy.config import population as get_config

__all__ = ["get_config"]
