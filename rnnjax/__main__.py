"""The command `rnnjax`, as `python -m rnnjax`."""

import sys

from rnnjax.commands import main

if __name__ == "__main__":
    sys.exit(main())
