"""Degeneracy against the strength of feature learning, gamma.

    python experiments/feature_learning.py --workdir=runs/feature_learning

Presets and settings: experiments/configs/feature_learning.py. The same command resumes.
"""

from pathlib import Path

from rnnjax.studies.launch import Study, main

STUDY = Study(
    "feature_learning",
    Path(__file__).parent / "configs" / "feature_learning.py",
    "rnnjax.studies.degeneracy.feature_learning",
)

if __name__ == "__main__":
    main(STUDY)
