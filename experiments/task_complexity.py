"""Degeneracy against task complexity: channels, memory demand, auxiliary loss.

    python experiments/task_complexity.py --workdir=runs/task_complexity

The same as `rnnjax run task_complexity`. The same command resumes; `--help` lists
presets and settings.
"""

import sys

from rnnjax.commands import main

if __name__ == "__main__":
    sys.exit(main(["run", "task_complexity", *sys.argv[1:]]))
