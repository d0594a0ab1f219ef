"""Width transfer: loss against learning rate at every width, one panel per width rule.

    python experiments/width_transfer.py --workdir=runs/width_transfer

The same as `rnnjax run width_transfer`. The same command resumes; `--help` lists
presets and settings.
"""

import sys

from rnnjax.commands import main

if __name__ == "__main__":
    sys.exit(main(["run", "width_transfer", *sys.argv[1:]]))
