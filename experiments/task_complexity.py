"""Degeneracy against task complexity: channels, memory demand, auxiliary loss.

    python experiments/task_complexity.py --workdir=runs/task_complexity

Presets and settings: experiments/configs/task_complexity.py. The same command resumes.
"""

from pathlib import Path

from rnnjax.studies.launch import Study, main

STUDY = Study(
    "task_complexity",
    Path(__file__).parent / "configs" / "task_complexity.py",
    "rnnjax.studies.degeneracy.task_complexity",
)

if __name__ == "__main__":
    main(STUDY)
