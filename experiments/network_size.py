"""Degeneracy against network size, at a fixed strength of feature learning.

    python experiments/network_size.py --workdir=runs/network_size

Presets and settings: experiments/configs/network_size.py. The same command resumes.
"""

from pathlib import Path

from rnnjax.studies.degeneracy.network_size import run
from rnnjax.studies.launch import Study, main

if __name__ == "__main__":
    main(Study("network_size", Path(__file__).parent / "configs" / "network_size.py", run))
