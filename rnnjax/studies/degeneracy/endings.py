"""How training ended, in words: of single networks, and in how many epochs."""

import numpy as np

__all__ = ["ENDS", "epochs_text"]

ENDS = {
    "PENDING": "not run",
    "RUNNING": "in training",
    "DIVERGED": "diverged",
    "EXHAUSTED": "took all its steps",
}
"""Name of a `Status` other than converged -> its words."""


def epochs_text(epochs: np.ndarray) -> str:
    """`12 (9 to 20)`, median and range of the epochs that are known, or `none`."""
    known = epochs[np.isfinite(epochs)]
    if not len(known):
        return "none"
    return f"{np.median(known):.0f} ({known.min():.0f} to {known.max():.0f})"
