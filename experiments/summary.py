"""Table 1 of the degeneracy paper: every arrow with effect and interval, from the four studies.

    python experiments/summary.py --workdir=runs/summary

The same as `rnnjax run summary`. It trains nothing; `--help` lists the settings.
"""

import sys

from rnnjax.commands import main

if __name__ == "__main__":
    sys.exit(main(["run", "summary", *sys.argv[1:]]))
