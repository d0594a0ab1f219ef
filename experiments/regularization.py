"""Degeneracy against structural regularization, L1 and nuclear norm.

    python experiments/regularization.py --workdir=runs/regularization

The same as `rnnjax run regularization`. The same command resumes; `--help` lists
presets and settings.
"""

import sys

from rnnjax.commands import main

if __name__ == "__main__":
    sys.exit(main(["run", "regularization", *sys.argv[1:]]))
