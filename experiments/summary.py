"""Table 1 of the degeneracy paper: every arrow with effect and interval, from the four studies.

    python experiments/summary.py --workdir=runs/summary

Reads runs/task_complexity, runs/feature_learning, runs/network_size and runs/regularization, or
the folders given as `--config.task_complexity=...`. Settings: experiments/configs/summary.py.
"""

from pathlib import Path

from rnnjax.studies.launch import Study, main

STUDY = Study(
    "summary", Path(__file__).parent / "configs" / "summary.py", "rnnjax.studies.degeneracy.table1"
)

if __name__ == "__main__":
    main(STUDY)
