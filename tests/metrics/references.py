"""Reference values of independent packages; their origin is in tests/data/README.md."""

import functools
from pathlib import Path

import numpy as np

DATA = Path(__file__).parent.parent / "data"


@functools.cache
def metrics() -> dict[str, np.ndarray]:
    with np.load(DATA / "metrics.npz") as file:
        return dict(file)
