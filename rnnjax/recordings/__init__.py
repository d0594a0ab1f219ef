"""Recordings: read from files, compared at one call, and networks of PyTorch as cells."""

from rnnjax.recordings.comparison import compare
from rnnjax.recordings.files import example_file, read
from rnnjax.recordings.nwb import Binning, read_nwb
from rnnjax.recordings.pytorch import Converted, from_pytorch, to_pytorch

__all__ = [
    "Binning",
    "Converted",
    "compare",
    "example_file",
    "from_pytorch",
    "read",
    "read_nwb",
    "to_pytorch",
]
