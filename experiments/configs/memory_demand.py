"""Memory demand (degeneracy paper, Fig. 9): how long a history predicts the next target?

    python experiments/memory_demand.py --config=smoke     # seconds; checks the installation
    python experiments/memory_demand.py                    # laptop: minutes on 2 cores
    python experiments/memory_demand.py --config=paper     # more initializations and steps

Any field is a flag: `--config.tasks=sine_wave --config.initializations=10`.
Settings and their meaning: rnnjax/studies/memory_demand/config.py.
"""

from rnnjax.studies.memory_demand.config import get_config

__all__ = ["get_config"]
