"""Degeneracy against network size, at a fixed strength of feature learning.

    python experiments/network_size.py --workdir=runs/network_size

Presets and settings: experiments/configs/network_size.py. The same command resumes.
"""

from pathlib import Path

from rnnjax.studies.launch import Study, main

STUDY = Study(
    "network_size",
    Path(__file__).parent / "configs" / "network_size.py",
    "rnnjax.studies.degeneracy.network_size",
)

if __name__ == "__main__":
    main(STUDY)
