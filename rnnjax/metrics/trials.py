"""Recordings of networks that differ in units, trials and time steps, or miss some steps.

A recording is an array [B, T, N] in which a missing step is NaN in every unit, a list of trials
[T_b, N], or one trial [T, N]. What follows works on its runs: consecutive steps of one trial.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import xarray as xr
from einops import rearrange
from numpy.lib.stride_tricks import sliding_window_view

from rnnjax import arrays
from rnnjax.validate import shown

__all__ = [
    "Network",
    "Ragged",
    "Rows",
    "longest_run",
    "mapped",
    "networks",
    "present",
    "recording",
    "require_several",
    "rows",
    "samples",
    "taken",
    "transitions",
    "trial_count",
    "units",
    "unnamed",
    "with_gaps",
    "with_names",
]

NETWORK, OTHER = "network", "other"
"""Dimensions of labelled distances."""

_DIMENSIONS = (
    ("trial", "trials"),
    ("time", "times", "step", "steps"),
    ("unit", "units", "neuron", "neurons", "cell", "cells"),
)
"""Names by which dimensions of a recording are known, in the order B, T, N."""


class Ragged(NamedTuple):
    """The finite steps of a recording whose trials differ in length."""

    runs: tuple[np.ndarray, ...]
    """Consecutive steps of one trial, [T_r, N] each."""
    trial: np.ndarray
    """Number of the trial that a run belongs to."""


Network: TypeAlias = np.ndarray | Ragged
"""The finite steps of one network: [B, T, N] if all trials have the same length."""


class Rows(NamedTuple):
    """Delay embedding of one network, and the rows of it that precede and follow a step."""

    flat: np.ndarray
    """[rows, L k]."""
    before: slice | np.ndarray
    after: slice | np.ndarray


def unnamed(name: str, value: Any) -> tuple[Any, tuple[str, ...] | None]:
    """The networks of a population without their names, and the names if they have any.

    Names are the keys of a mapping, or the coordinate `network` of an `xarray.DataArray`.

    Raises:
        ValueError: two networks of the same name, a masked array, or an `xarray.DataArray` of one
            recording, whose trials would be taken for networks.
    """
    names: tuple[str, ...]
    _refuse_mask(name, value)
    if isinstance(value, xr.DataArray):
        if NETWORK not in value.dims:
            _refuse_one(name, value)
            return value, None
        ordered = value.transpose(NETWORK, ...)
        names = tuple(map(str, ordered[NETWORK].values))  # not its list: dates become numbers there
        members: Any = [ordered.isel({NETWORK: s}, drop=True) for s in range(len(ordered))]
    elif isinstance(value, Mapping):
        names, members = tuple(map(str, value)), list(value.values())
    else:
        return value, None
    double = sorted({n for n in names if names.count(n) > 1})
    if double:
        raise ValueError(f"{name}: expected different names, got {shown(double[0])} twice")
    return members, names


def _refuse_one(name: str, value: xr.DataArray) -> None:
    """Raises `ValueError` if the dimensions are those of one recording."""
    dims = [str(dim) for dim in value.dims]
    known = [group for group in _DIMENSIONS if not set(group).isdisjoint(dims)]
    if value.ndim <= 3 and len(known) > 1 and any(dims[0] in group for group in known):
        raise ValueError(
            f"{name}: expected several networks, along a dimension {NETWORK!r}, got one "
            f"recording with the dimensions {', '.join(dims)}; give a mapping from names to "
            "recordings"
        )


def require_several(name: str, members: Any, names: tuple[str, ...] | None) -> None:
    """Raises `ValueError` for one recording, whose trials would be taken for recordings."""
    if names is None and getattr(members, "ndim", None) == 3:
        raise ValueError(
            f"{name}: expected several recordings, such as an array [S, B, T, N], got one array "
            f"[trials, time, units] of shape {tuple(members.shape)}; give a mapping from names to "
            "recordings, or a list of them"
        )


def with_names(distances: np.ndarray, names: tuple[str, ...] | None) -> Any:
    """Distances [S, S], labelled if the networks have names."""
    if names is None:
        return distances
    return xr.DataArray(
        distances, {NETWORK: list(names), OTHER: list(names)}, dims=(NETWORK, OTHER)
    )


def networks(
    name: str, value: Any, names: tuple[str, ...] | None = None, *, least: int = 2
) -> dict[str, Network]:
    """The networks of a population by the words that errors use, such as `network 2`.

    Args:
        name: name of the argument in errors.
        value: an array [S, B, T, N], or one recording per network.
        names: names of the networks, if they have any.
        least: fewest networks.

    Raises:
        ValueError: fewer networks, another shape, values that are not real numbers, a masked
            array, no finite step, infinity, or NaN in some units of a step only.
    """
    whole = _whole(name, value)
    if whole is not None:
        whole = arrays.array(name, whole, "S B T N", least=least)
        return dict(zip(_labels(len(whole), names), whole, strict=True))
    members = arrays.members(name, value)
    if len(members) < least:
        raise ValueError(f"{name}: expected at least {least} networks, got {len(members)}")
    found = {}
    for label, member in zip(_labels(len(members), names), members, strict=True):
        found[label] = _finite(f"{name}, {label}", recording(f"{name}, {label}", member))
    shapes = {x.shape if isinstance(x, np.ndarray) else None for x in found.values()}
    if len(shapes) == 1 and None not in shapes:  # of one type too, as those of an array
        dtype = np.result_type(*found.values())
        return {label: np.ascontiguousarray(x, dtype) for label, x in found.items()}
    return found


def _labels(count: int, names: tuple[str, ...] | None) -> list[str]:
    return [f"network {n}" for n in (names or range(count))]


def _whole(name: str, value: Any) -> np.ndarray | None:
    """`value` as one array if that is what it is, without missing steps; otherwise None."""
    value = _unboxed(value)
    if isinstance(value, xr.DataArray):
        return None  # its networks are put in order one by one
    listed = isinstance(value, list | tuple)
    members = value if listed else ()
    parts = [x for one in members for x in (one if isinstance(one, list | tuple) else (one,))]
    if any(isinstance(part, xr.DataArray | np.ma.MaskedArray) for part in parts):
        return None
    try:
        found = arrays.floating(name, value)
    except ValueError:
        if listed:
            return None
        raise
    if found.ndim == 4:
        return found if np.isfinite(found).all() or not len(found) else None
    return None if listed and found.ndim == 3 else found


def _refuse_mask(name: str, value: Any) -> None:
    if isinstance(value, np.ma.MaskedArray):
        raise ValueError(
            f"{name}: expected an array without a mask, got a masked array; mark missing steps by "
            "NaN, as array.filled(numpy.nan) does"
        )


def _unboxed(value: Any) -> Any:
    """A list in place of a one-dimensional array of objects, as MATLAB's cells are read."""
    boxed = isinstance(value, np.ndarray) and value.dtype == object and value.ndim == 1
    return list(value) if boxed else value


def plain(name: str, value: Any) -> Any:
    """A recording without labels, and its trials of different lengths as one array.

    A list of trials is padded with NaN to the longest; an `xarray.DataArray` has its dimensions in
    the order B, T, N. Everything else is unchanged.

    Raises:
        ValueError: a masked array, trials of different units, dimensions in another order.
    """
    if isinstance(value, xr.DataArray):
        value = _by_dimensions(name, value)
    value = _unboxed(value)
    listed = isinstance(value, list | tuple)
    if listed:
        value = [_by_dimensions(name, x) if isinstance(x, xr.DataArray) else x for x in value]
    parts = value if listed else (value,)
    for part in parts:
        _refuse_mask(name, part)
    differ = listed and len({_shape(part) for part in parts} - {None}) > 1
    return _padded(name, list(parts)) if differ else value


def _shape(part: Any) -> tuple[int, ...] | None:
    """The shape of an array or of nested lists of numbers; None of anything else."""
    if not isinstance(part, list | tuple):
        return np.shape(part) if hasattr(part, "shape") else None
    try:
        return np.shape(part)
    except ValueError:  # ragged itself
        return None


def with_gaps(name: str, value: Any, axes: str) -> np.ndarray:
    """`value` as an array over `axes`, in which steps may be NaN in every unit.

    Raises:
        ValueError: as `plain` and `arrays.array`; infinity, or NaN in some units of a step only.
    """
    found = arrays.floating(name, plain(name, value))
    if not np.isnan(found).any():
        return arrays.array(name, found, axes, each=None)
    found = arrays.array(name, found, axes, each=None, gaps="missing")
    present(name, found)
    return found


def recording(name: str, value: Any) -> np.ndarray:
    """A recording as an array [B, T, N]; errors as in `with_gaps`."""
    if isinstance(value, xr.DataArray) and value.ndim == 2:
        named = [str(dim) for dim in value.dims]
        if set(_DIMENSIONS[0]) & set(named):
            raise ValueError(
                f"{name}: expected dimensions time, unit of one trial, or trial, time, unit, got "
                f"{', '.join(named)}"
            )
    found = with_gaps(name, value, "B T N | T N")
    return found[None] if found.ndim == 2 else found


def _by_dimensions(name: str, value: xr.DataArray) -> np.ndarray:
    """The values with dimensions of known names in the order B, T, N."""
    places = {known: i for i, group in enumerate(_DIMENSIONS) for known in group}
    found = [places.get(str(dim)) for dim in value.dims]
    if None not in found and len(set(found)) == len(found):
        order = sorted(range(len(found)), key=lambda i: found[i] or 0)
        return value.transpose(*(value.dims[i] for i in order)).values
    first = len(_DIMENSIONS) - len(found)
    if any(place is not None and place != i for i, place in enumerate(found, first)):
        raise ValueError(
            f"{name}: expected the dimensions trial, time, unit, in this order or by these names, "
            f"got {', '.join(map(str, value.dims))}"
        )
    return value.values


def _padded(name: str, trials: list[Any]) -> np.ndarray:
    """Trials [T_b, N] as one array [B, T, N] with NaN after the end of each."""
    given = [arrays.floating(f"{name}, trial {b}", trial) for b, trial in enumerate(trials)]
    for b, trial in enumerate(given):
        if trial.ndim != 2 or trial.shape[1] != given[0].shape[-1] or not trial.shape[1]:
            raise ValueError(
                f"{name}, trial {b}: expected shape [T_b, N] with the units of the first trial, "
                f"{given[0].shape}, got {trial.shape}"
            )
    steps = max(len(trial) for trial in given)
    dtype = np.result_type(*given)
    padded = np.full((len(given), steps, given[0].shape[1]), np.nan, dtype)
    for b, trial in enumerate(given):
        padded[b, : len(trial)] = trial
    return padded


def present(name: str, found: np.ndarray) -> np.ndarray:
    """Which steps [...] of activity [..., N] are finite; others must be NaN in every unit."""
    there = np.asarray(np.isfinite(found).all(-1))
    partial = ~there & ~np.isnan(found).all(-1)
    if partial.any():
        where = np.argwhere(partial)[0].tolist()
        place = f"trial {where[0]}, step {where[1]}" if len(where) == 2 else f"sample {where[0]}"
        raise ValueError(
            f"{name}: expected finite numbers, got NaN or infinity in some units of {place}; a "
            "missing step is NaN in every unit"
        )
    return there


def _finite(name: str, found: np.ndarray) -> Network:
    """The finite steps of a recording [B, T, N], without copying one that is complete."""
    there = present(name, found)
    if there.all():
        return found
    runs, trial = [], []
    for b, mask in enumerate(there):
        edges = np.flatnonzero(np.diff(mask, prepend=False, append=False))
        runs += [found[b, start:end] for start, end in edges.reshape(-1, 2)]
        trial += [b] * (len(edges) // 2)
    if not runs:
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity in every step")
    if len(set(trial)) == len(trial) and len({len(run) for run in runs}) == 1:
        return np.stack(runs)
    return Ragged(tuple(runs), np.unique(trial, return_inverse=True)[1])


def samples(network: Network) -> np.ndarray:
    """All steps, [samples, N]."""
    if isinstance(network, Ragged):
        return np.concatenate(network.runs)
    return rearrange(network, "b t n -> (b t) n")


def units(network: Network) -> int:
    """Number of units, N."""
    return (network.runs[0] if isinstance(network, Ragged) else network).shape[-1]


def mapped(function: Callable[[np.ndarray], np.ndarray], network: Network) -> Network:
    """`function` of every step, [..., N] -> [..., k]."""
    if isinstance(network, Ragged):
        return network._replace(runs=tuple(map(function, network.runs)))
    return function(network)


def longest_run(network: Network) -> int:
    """Most consecutive steps of a trial."""
    if isinstance(network, Ragged):
        return max(map(len, network.runs))
    return network.shape[1]


def trial_count(network: Network) -> int:
    """Number of trials with a finite step."""
    return int(network.trial.max()) + 1 if isinstance(network, Ragged) else len(network)


def taken(network: Network, trials: np.ndarray) -> Network:
    """Some of the trials."""
    if not isinstance(network, Ragged):
        return network[trials]
    kept = np.flatnonzero(np.isin(network.trial, trials))
    if not len(kept):
        return Ragged((network.runs[0][:0],), np.zeros(1, int))
    return Ragged(tuple(network.runs[i] for i in kept), network.trial[kept])


def transitions(network: Network, delays: int) -> int:
    """Number of rows of the embedding that have a successor."""
    if isinstance(network, Ragged):
        return sum(max(len(run) - delays, 0) for run in network.runs)
    return network.shape[0] * max(network.shape[1] - delays, 0)


def rows(scores: Network, delays: int) -> Rows:
    """Rows h_t of every run with at least one transition; none combines two runs."""
    if isinstance(scores, Ragged):
        return _ragged_rows(scores, delays)
    # With time first, the rows before and after a step are contiguous: no product copies them.
    embedded = _embed(scores, delays)
    trials = embedded.shape[1]
    flat = rearrange(embedded, "t b r -> (t b) r")
    return Rows(flat, slice(None, -trials), slice(trials, None))


def _embed(scores: np.ndarray, delays: int) -> np.ndarray:
    """[T - L + 1, B, L k] of scores [B, T, k]."""
    windows = sliding_window_view(np.asarray(scores, np.float64), delays, axis=1)
    return np.ascontiguousarray(rearrange(windows[..., ::-1], "b t k l -> t b (l k)"))


def _ragged_rows(scores: Ragged, delays: int) -> Rows:
    parts = [_embed(run[None], delays)[:, 0] for run in scores.runs if len(run) > delays]
    if not parts:
        none = np.empty(0, int)
        return Rows(np.empty((0, delays * scores.runs[0].shape[1])), none, none)
    last = np.cumsum([len(part) for part in parts]) - 1
    first = np.concatenate([[0], last[:-1] + 1])
    flat = np.concatenate(parts)
    every = np.arange(len(flat))
    return Rows(flat, np.setdiff1d(every, last), np.setdiff1d(every, first))
