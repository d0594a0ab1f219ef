"""Table 1 of the degeneracy paper: every arrow with effect and interval, from the four studies.

    python experiments/summary.py --workdir=runs/summary

Reads runs/task_complexity, runs/feature_learning, runs/network_size and runs/regularization, or
the folders given as `--config.task_complexity=...`. Settings: experiments/configs/summary.py.
"""

from pathlib import Path

from rnnjax.studies.degeneracy.table1 import run
from rnnjax.studies.launch import Study, main

if __name__ == "__main__":
    main(Study("summary", Path(__file__).parent / "configs" / "summary.py", run))
