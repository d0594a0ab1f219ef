"""Learning-rate collapse: train the grid, measure critical rates, write figures and a report.

    python experiments/lr_collapse.py --workdir=runs/lr_collapse

Presets and settings: experiments/configs/lr_collapse.py. The same command resumes.
"""

from pathlib import Path

from rnnjax.studies.launch import Study, main

STUDY = Study(
    "lr_collapse",
    Path(__file__).parent / "configs" / "lr_collapse.py",
    "rnnjax.studies.collapse.study",
)

if __name__ == "__main__":
    main(STUDY)
