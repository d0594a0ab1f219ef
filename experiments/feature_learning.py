"""Degeneracy against the strength of feature learning, gamma.

    python experiments/feature_learning.py --workdir=runs/feature_learning

The same as `rnnjax run feature_learning`. The same command resumes; `--help` lists
presets and settings.
"""

import sys

from rnnjax.commands import main

if __name__ == "__main__":
    sys.exit(main(["run", "feature_learning", *sys.argv[1:]]))
