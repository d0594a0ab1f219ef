"""Units of Neurodata Without Borders files, binned by pynapple."""

import dataclasses
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from rnnjax.validate import finite_positive, instance_of, one_of, path_of

__all__ = ["Binning", "read_nwb"]


@dataclasses.dataclass(frozen=True)
class Binning:
    """How spikes become rates; raises `ValueError` for a number out of range."""

    width: float = 0.1
    """Width of a bin, seconds."""
    smoothing: float | None = None
    """Standard deviation of a Gaussian kernel, seconds; applied within each trial."""
    trials: str | None = None
    """Intervals of the file that are the trials, such as `trials` or `epochs`; `trials` by default
    where the file has them, and otherwise each stretch of uninterrupted recording."""

    def __post_init__(self):
        # Floats of Python: pynapple takes no others.
        object.__setattr__(self, "width", finite_positive("width", self.width))
        if self.smoothing is not None:
            object.__setattr__(self, "smoothing", finite_positive("smoothing", self.smoothing))
        if self.trials is not None:
            instance_of("trials", self.trials, str)


def read_nwb(
    file: str | os.PathLike[str],
    binning: Binning | None = None,
    *,
    where: dict[str, Any] | None = None,
) -> np.ndarray:
    """Firing rates of the units of an NWB file in spikes per second, [B, T, N].

    Trials of different durations are padded with NaN to the longest.

    Args:
        file: path of the file.
        binning: width of the bins, smoothing, and the intervals that are trials.
        where: columns of the table of units and the value that they must have, such as
            `{"location": "ca1"}`; all units by default.

    Raises:
        ValueError: a file that cannot be read or has no units, unknown intervals or columns, no
            unit with these values, or no trial as long as a bin.
        FileNotFoundError: a file that does not exist.
        ImportError: without pynapple; `pip install 'rnnjax[nwb]'` installs it.
    """
    binning = instance_of("binning", binning or Binning(), Binning)
    path = path_of("file", file, "file")
    if not path.exists():
        raise FileNotFoundError(f"file: expected an existing file, got {path}")
    content = _load(path)
    keys = list(content.keys())
    if "units" not in keys:
        raise ValueError(f"file: expected an NWB file with units, but {path} contains no units")
    units = _chosen(content["units"], where or {})
    intervals = _intervals(content, keys, binning.trials)
    if intervals is None:
        intervals = _each(units.time_support)
    trials = [_rates(units, interval, binning) for interval in intervals]
    longest = max(map(len, trials))
    if not longest:
        raise ValueError(f"width: expected at most the duration of a trial, got {binning.width:g}")
    rates = np.full((len(trials), longest, len(units)), np.nan)
    for b, trial in enumerate(trials):
        rates[b, : len(trial)] = trial
    return rates


def _load(path: Path) -> Any:
    try:
        import pynapple
    except ImportError as error:
        raise ImportError(
            f"file: reading {path} needs another package: pip install 'rnnjax[nwb]'"
        ) from error
    try:
        return pynapple.load_file(str(path))
    except Exception as error:  # HDF5 raises errors of all kinds for a damaged file
        reason = " ".join(str(error).split())
        raise ValueError(f"file: expected an NWB file, got {path} ({reason})") from error


def _chosen(units: Any, where: dict[str, Any]) -> Any:
    """The units whose columns have the wanted values."""
    kept = np.ones(len(units), bool)
    for column, value in where.items():
        one_of("where", column, list(units.metadata_columns))
        kept &= np.asarray(units[column]) == value
    if not kept.any():
        raise ValueError(f"where: expected a condition that some unit meets, got {where}")
    return units[np.asarray(units.index)[kept]]


def _intervals(content: Any, keys: list[str], name: str | None) -> list[Any] | None:
    """The trials as intervals; None if the file has no trials and no name is given."""
    if name is None and "trials" not in keys:
        return None
    with warnings.catch_warnings():  # of what `_rates` accounts for, and of what is refused here
        warnings.simplefilter("ignore", UserWarning)
        known = [key for key in keys if type(content[key]).__name__ == "IntervalSet"]
        found = _each(content[one_of("trials", name or "trials", known)])
    if not found:
        raise ValueError(
            f"trials: expected intervals of positive duration, got none in {name or 'trials'!r} of "
            "the file"
        )
    return found


def _each(intervals: Any) -> list[Any]:
    return [intervals[i] for i in range(len(intervals))]


def _rates(units: Any, interval: Any, binning: Binning) -> np.ndarray:
    """Rates [T_b, N] within one interval, in whole bins from its start."""
    duration = float(interval.end[0]) - float(interval.start[0])
    # pynapple counts in a part of a bin too, and ends trials 1e-6 s before the next one begins.
    whole = int((duration + 2e-6) / binning.width + 1e-6)
    counts = units.count(binning.width, ep=interval).values[:whole]
    rates = np.asarray(counts, np.float64) / binning.width
    if binning.smoothing is None or not len(rates):
        return rates
    from scipy.ndimage import gaussian_filter1d  # slow to import

    return gaussian_filter1d(rates, binning.smoothing / binning.width, axis=0)
