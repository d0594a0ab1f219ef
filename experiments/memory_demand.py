"""Memory demand of a task: prediction of the next target from windows of the past.

    python experiments/memory_demand.py --workdir=runs/memory_demand

Presets and settings: experiments/configs/memory_demand.py. The same command resumes.
"""

from pathlib import Path

from rnnjax.studies.launch import Study, main

STUDY = Study(
    "memory_demand",
    Path(__file__).parent / "configs" / "memory_demand.py",
    "rnnjax.studies.memory_demand.study",
)

if __name__ == "__main__":
    main(STUDY)
