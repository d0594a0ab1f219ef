"""Populations trained to their thresholds: how many epochs they need, and their outputs.

    python experiments/population.py --workdir=runs/population

The same as `rnnjax run population`. The same command resumes; `--help` lists
presets and settings.
"""

import sys

from rnnjax.commands import main

if __name__ == "__main__":
    sys.exit(main(["run", "population", *sys.argv[1:]]))
