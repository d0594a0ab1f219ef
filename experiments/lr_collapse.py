"""Learning-rate collapse: train the grid, measure critical rates, write figures and a report.

    python experiments/lr_collapse.py --workdir=runs/lr_collapse

The same as `rnnjax run lr_collapse`. The same command resumes; `--help` lists
presets and settings.
"""

import sys

from rnnjax.commands import main

if __name__ == "__main__":
    sys.exit(main(["run", "lr_collapse", *sys.argv[1:]]))
