"""Sharpness: does curvature before training predict the largest learning rate of each size?

    python experiments/sharpness.py --workdir=runs/sharpness

The same as `rnnjax run sharpness`. The same command resumes; `--help` lists
presets and settings.
"""

import sys

from rnnjax.commands import main

if __name__ == "__main__":
    sys.exit(main(["run", "sharpness", *sys.argv[1:]]))
