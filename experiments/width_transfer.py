"""Width transfer: loss against learning rate at every width, one panel per width rule.

    python experiments/width_transfer.py --workdir=runs/width_transfer

Presets and settings: experiments/configs/width_transfer.py. The same command resumes.
"""

from pathlib import Path

from rnnjax.studies.launch import Study, main

STUDY = Study(
    "width_transfer",
    Path(__file__).parent / "configs" / "width_transfer.py",
    "rnnjax.studies.width_transfer.study",
)

if __name__ == "__main__":
    main(STUDY)
