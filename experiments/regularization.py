"""Degeneracy against structural regularization, L1 and nuclear norm.

    python experiments/regularization.py --workdir=runs/regularization

Presets and settings: experiments/configs/regularization.py. The same command resumes.
"""

from pathlib import Path

from rnnjax.studies.launch import Study, main

STUDY = Study(
    "regularization",
    Path(__file__).parent / "configs" / "regularization.py",
    "rnnjax.studies.degeneracy.regularization",
)

if __name__ == "__main__":
    main(STUDY)
