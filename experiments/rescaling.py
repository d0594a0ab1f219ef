"""Rescaling: networks with W/N and W_out/N, with Adam's epsilon as in PyTorch and scaled.

    python experiments/rescaling.py --workdir=runs/rescaling

Presets and settings: experiments/configs/rescaling.py. The same command resumes.
"""

from pathlib import Path

from rnnjax.studies.launch import Study, main

STUDY = Study(
    "rescaling",
    Path(__file__).parent / "configs" / "rescaling.py",
    "rnnjax.studies.rescaling.study",
)

if __name__ == "__main__":
    main(STUDY)
