"""Degeneracy against network size, at a fixed strength of feature learning.

    python experiments/network_size.py --workdir=runs/network_size

The same as `rnnjax run network_size`. The same command resumes; `--help` lists
presets and settings.
"""

import sys

from rnnjax.commands import main

if __name__ == "__main__":
    sys.exit(main(["run", "network_size", *sys.argv[1:]]))
