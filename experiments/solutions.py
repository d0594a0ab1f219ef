"""Kinds of solutions against the strength of feature learning.

    python experiments/solutions.py --workdir=runs/solutions

The same as `rnnjax run solutions`. The same command resumes; `--help` lists
presets and settings.
"""

import sys

from rnnjax.commands import main

if __name__ == "__main__":
    sys.exit(main(["run", "solutions", *sys.argv[1:]]))
