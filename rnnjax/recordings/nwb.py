"""Units of Neurodata Without Borders files, binned by pynapple."""

import contextlib
import dataclasses
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rnnjax.validate import finite_positive, instance_of, one_of, path_of

__all__ = ["Binning", "read_nwb"]


_CLOSE = 1e-5
"""Times that differ by less are the same, seconds: pynapple moves ends by 1e-6."""


@dataclasses.dataclass(frozen=True)
class Binning:
    """How spikes become rates; raises `ValueError` for a number out of range."""

    width: float = 0.1
    """Width of a bin, seconds."""
    smoothing: float | None = None
    """Standard deviation of a Gaussian kernel, seconds; applied within each trial."""
    trials: str | None = None
    """Intervals of the file that are the trials, such as `trials` or `epochs`; `trials` by default
    where the file has them, and otherwise the stretches in which all units were observed
    (`obs_intervals`), or, if it has none of these, from the first spike to the last."""

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

    Trials are in the order of the file's table and may overlap; those without a duration, or
    without an end, are left out. Trials of different durations are padded with NaN to the longest.
    Bins in which some unit was not observed, by the `obs_intervals` of the file, are NaN.

    Args:
        file: path of the file.
        binning: width of the bins, smoothing, and the intervals that are trials.
        where: columns of the table of units and the value that they must have, such as
            `{"location": "ca1"}`; all units by default.

    Raises:
        ValueError: a file that cannot be read or has no units with spikes, unknown intervals or
            columns, no unit with these values, units that were never observed at once, no trial as
            long as a bin, or none in which the units were observed.
        FileNotFoundError: a file that does not exist.
        ImportError: without pynapple; `pip install 'rnnjax[nwb]'` installs it.
    """
    binning = instance_of("binning", binning or Binning(), Binning)
    path = path_of("file", file, "file")
    if not path.exists():
        raise FileNotFoundError(f"file: expected an existing file, got {path}")
    with _opened(path) as content:
        keys = list(content.keys())
        if "units" not in keys:
            raise ValueError(f"file: expected an NWB file with units, but {path} contains no units")
        units = _chosen(path, content, where or {})
        observed = _observed(path, _table(content, "units"), units)
        intervals = _intervals(content, keys, binning.trials)
    if intervals is None:
        intervals = [_span(units)] if observed is None else _each(observed)
    trials = [_rates(units, interval, observed, binning) for interval in intervals]
    longest = max(map(len, trials))
    if not longest:
        raise ValueError(f"width: expected at most the duration of a trial, got {binning.width:g}")
    rates = np.full((len(trials), longest, len(units)), np.nan)
    for b, trial in enumerate(trials):
        rates[b, : len(trial)] = trial
    if np.isnan(rates).all():
        raise ValueError(
            f"trials: expected a bin in which all units were observed, got none in {path}"
        )
    return rates


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The content of a file, which is closed at the end."""
    try:
        import pynapple
        from pynwb import NWBHDF5IO
    except ImportError as error:
        raise ImportError(
            f"file: reading {path} needs another package: pip install 'rnnjax[nwb]'"
        ) from error
    with contextlib.ExitStack() as opened:
        try:
            file = opened.enter_context(NWBHDF5IO(path=path, mode="r"))
            content = pynapple.io.NWBFile(file.read())
        except Exception as error:  # HDF5 raises errors of all kinds for a damaged file
            reason = " ".join(str(error).split())
            raise ValueError(f"file: expected an NWB file, got {path} ({reason})") from error
        yield content


def _table(content: Any, key: str) -> Any:
    return content.nwb.objects[content.key_to_id[key]]


def _chosen(path: Path, content: Any, where: dict[str, Any]) -> Any:
    """The units whose columns have the wanted values."""
    with warnings.catch_warnings():  # of units that it cannot read, which are refused here
        warnings.simplefilter("ignore", UserWarning)
        units = content["units"]
    if type(units).__name__ != "TsGroup":
        raise ValueError(
            f"file: expected units that pynapple can read, but those of {path} have no spikes, or "
            "a column of a name that it keeps for itself, such as 'rate'"
        )
    kept = np.ones(len(units), bool)
    for column, value in where.items():
        one_of("where", column, list(units.metadata_columns))
        kept &= np.asarray(units[column]) == value
    if not kept.any():
        raise ValueError(f"where: expected a condition that some unit meets, got {where}")
    return units[np.asarray(units.index)[kept]]


def _intervals(content: Any, keys: list[str], name: str | None) -> list[Any] | None:
    """The trials as intervals; None if the file has no trials and no name is given."""
    from pynapple import IntervalSet

    if name is None and "trials" not in keys:
        return None
    times = ["start_time", "stop_time"]
    known = [key for key in keys if {*times} <= {*getattr(_table(content, key), "colnames", ())}]
    table = _table(content, one_of("trials", name or "trials", known))
    starts, ends = (np.asarray(table[column][:], np.float64) for column in times)
    # One by one: pynapple would join those of one set that overlap.
    found = [IntervalSet(a, b) for a, b in zip(starts, ends, strict=True) if a < b]
    if not found:
        raise ValueError(
            f"trials: expected intervals of positive duration, got none in {name or 'trials'!r} of "
            "the file"
        )
    return found


def _observed(path: Path, table: Any, units: Any) -> Any:
    """The intervals in which all of the units were observed; None if the file does not say."""
    from pynapple import IntervalSet

    if "obs_intervals" not in table.colnames:
        return None
    rows = {unit: row for row, unit in enumerate(table.id[:])}
    found: Any = None
    with warnings.catch_warnings():  # of intervals that adjoin, which become one
        warnings.simplefilter("ignore", UserWarning)
        for unit in units.index:
            start, end = np.reshape(table["obs_intervals"][rows[unit]], (-1, 2)).T
            if len(start):
                each = IntervalSet(start, end).merge_close_intervals(_CLOSE)
                found = each if found is None else found.intersect(each)
    if found is not None and not len(found):
        raise ValueError(
            f"file: expected units that were observed at the same time, got {len(units)} in {path} "
            "that never were; `where` of read_nwb chooses among them"
        )
    return found


def _each(intervals: Any) -> list[Any]:
    return [intervals[i] for i in range(len(intervals))]


def _span(units: Any) -> Any:
    """From the first to the last spike of all units of the file."""
    from pynapple import IntervalSet

    active = units.time_support  # one interval per stretch in which some unit is between its spikes
    return IntervalSet(active.start[0], active.end[-1])


def _rates(units: Any, interval: Any, observed: Any, binning: Binning) -> np.ndarray:
    """Rates [T_b, N] within one interval, in whole bins from its start; NaN where not observed."""
    duration = float(interval.end[0]) - float(interval.start[0])
    # pynapple counts in a part of a bin too, and ends intervals 1e-6 s before the next one begins.
    whole = int((duration + 2e-6) / binning.width + 1e-6)
    counts = units.count(binning.width, ep=interval).values[:whole]
    rates = np.asarray(counts, np.float64) / binning.width
    there = _is_observed(interval, len(rates), observed, binning.width)
    edges = np.flatnonzero(np.diff(there, prepend=False, append=False)).reshape(-1, 2)
    if binning.smoothing is not None:
        from scipy.ndimage import gaussian_filter1d  # slow to import

        deviation = binning.smoothing / binning.width
        for start, end in edges:
            rates[start:end] = gaussian_filter1d(rates[start:end], deviation, axis=0)
    rates[~there] = np.nan
    return rates


def _is_observed(interval: Any, bins: int, observed: Any, width: float) -> np.ndarray:
    """Which bins of an interval lie within one of those observed, [bins]."""
    if observed is None:
        return np.ones(bins, bool)
    start = float(interval.start[0]) + width * np.arange(bins)
    at = np.searchsorted(observed.start, start + _CLOSE, side="right") - 1
    return (at >= 0) & (start + width <= observed.end[at] + _CLOSE)
