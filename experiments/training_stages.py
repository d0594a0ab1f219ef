"""Training stages: do networks become more or less alike while they learn?

    python experiments/training_stages.py --workdir=runs/training_stages

The same as `rnnjax run training_stages`. The same command resumes; `--help` lists
presets and settings.
"""

import sys

from rnnjax.commands import main

if __name__ == "__main__":
    sys.exit(main(["run", "training_stages", *sys.argv[1:]]))
