"""Memory demand of a task: prediction of the next target from windows of the past.

    python experiments/memory_demand.py --workdir=runs/memory_demand

The same as `rnnjax run memory_demand`. The same command resumes; `--help` lists
presets and settings.
"""

import sys

from rnnjax.commands import main

if __name__ == "__main__":
    sys.exit(main(["run", "memory_demand", *sys.argv[1:]]))
