"""Rescaling: networks with W/N and W_out/N, with Adam's epsilon as in PyTorch and scaled.

    python experiments/rescaling.py --workdir=runs/rescaling

The same as `rnnjax run rescaling`. The same command resumes; `--help` lists
presets and settings.
"""

import sys

from rnnjax.commands import main

if __name__ == "__main__":
    sys.exit(main(["run", "rescaling", *sys.argv[1:]]))
