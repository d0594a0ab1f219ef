"""Latent training: networks of up to a million units in their K latent variables.

    python experiments/latent.py --workdir=runs/latent

The same as `rnnjax run latent`. The same command resumes; `--help` lists
presets and settings.
"""

import sys

from rnnjax.commands import main

if __name__ == "__main__":
    sys.exit(main(["run", "latent", *sys.argv[1:]]))
