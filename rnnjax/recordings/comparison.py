"""Distances between recordings by several metrics, as one labelled dataset."""

import dataclasses
import inspect
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
import xarray as xr

from rnnjax import arrays, validate
from rnnjax.metrics import METRICS, Metric, Solved, SolverOptions, dsa, trials
from rnnjax.metrics.pairwise import BatchCallback
from rnnjax.typing import Key, KeyLike

__all__ = ["cautions", "compare"]

_NETWORK, _OTHER = trials.NETWORK, trials.OTHER
_LITTLE = 0.9
"""Share of the variance of a recording below which `compare` warns."""


class _Found(NamedTuple):
    variables: dict[str, tuple[tuple[str, ...], np.ndarray]]
    attributes: dict[str, Any]


def compare(
    recordings: Any,
    metrics: str | Iterable[str] = ("dsa",),
    *,
    key: KeyLike = 0,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    progress: BatchCallback | None = None,
) -> xr.Dataset:
    """Distances between recordings, with bounds, the solver's status and the settings chosen.

    Args:
        recordings: a mapping from name to recording, a sequence of recordings (named 0, 1, ...),
            an array [S, B, T, N], or an `xarray.DataArray` with a dimension `network`. A recording
            is an array [B, T, N] of trials, time steps and units, in which a missing step is NaN
            in every unit; a list of trials [T_b, N]; or one trial [T, N].
        metrics: names in `rnnjax.metrics.METRICS` of distances between activities. `dsa` accepts
            any recordings; `svcca`, `cka` and `procrustes` compare the same trials and steps.
        key: seed or key of the solvers' starts, and of the folds of trials if delays are chosen.
        options: arguments of each metric's function by its name, such as
            `{"dsa": {"delays": 5}, "svcca": {"variance": 0.9}}`.
        progress: called after every batch with the number of pairs done and of all pairs.

    Returns:
        A dataset with a matrix over `network` and `other` per metric, whose attributes are its
        settings; with `dsa`, unless by `wasserstein`, also `dsa_lower_bound`, `dsa_spread` (the
        range, in radians, of the angles of the best few starts) and `dsa_status` (codes in its
        attributes); with `dsa`, over `network`, `dsa_components_needed`, `dsa_variance` (share
        kept) and `dsa_error` (one-step error of the linear model); and the number of `units`,
        `trials` and finite `steps` of every recording. `to_netcdf` saves it.

    Raises:
        ValueError: fewer than two recordings, names that are not unique, an unknown metric or
            option, a metric of weights, or whatever a metric refuses, with the recording's name.
    """
    chosen = _metrics(metrics)
    given = _options(options, chosen)
    seed = arrays.random_key("key", key)
    named = _recordings(recordings)
    validate.callback("progress", progress)
    names = list(named)
    found = xr.Dataset(_sizes(named), {_NETWORK: names, _OTHER: names})
    for metric in _in_order(chosen, named, seed, given):
        solve = _dynamics if metric.name == "dsa" else _others
        try:
            result = solve(metric, named, seed, given.get(metric.name, {}), progress)
        except ValueError as error:
            raise _reworded(error, metric) from error
        for name, (dims, values) in result.variables.items():
            found[name] = (dims, values)
        about = {**metric.attributes(result.attributes), "key": _shown_key(key)}
        found[metric.name].attrs = about
    if "dsa_status" in found:
        codes = np.array([int(code) for code in Solved], np.int8)
        words = " ".join(code.name.lower() for code in Solved)
        found["dsa_status"].attrs = {"flag_values": codes, "flag_meanings": words}
        found["dsa_spread"].attrs["units"] = "radians"
    found.attrs = {"metrics": " ".join(metric.name for metric in chosen), "key": _shown_key(key)}
    for caution in cautions(found, below=_LITTLE):
        warnings.warn(caution, stacklevel=2)
    return found


def cautions(comparison: xr.Dataset, *, below: float = 1.0) -> list[str]:
    """Sentences on distances by DSA that compare little, of a dataset of `compare`.

    That is where the smallest recording has fewer units than the share of the variance needs in
    another one, and where operators are single numbers, whose angle is 0 or pi.

    Args:
        comparison: the dataset.
        below: share of the variance that the components of some recording have to keep less of
            for the first of them.
    """
    if "dsa" not in comparison:
        return []
    settings, found = comparison["dsa"].attrs, []
    kept, names = int(settings["components"]), comparison[_NETWORK].values
    units, share = comparison["units"].values, comparison["dsa_variance"].values
    short = (comparison["dsa_components_needed"].values > kept).any() and share.min() < below
    if kept == units.min() and short:
        found.append(
            f"The smallest recording, {names[units.argmin()]}, has "
            f"{validate.counted(kept, 'unit')}, and DSA keeps "
            f"{validate.counted(kept, 'component')} of every recording: {share.min():.1%} of the "
            f"variance of {names[share.argmin()]}."
        )
    rank = settings.get("rank")
    if (rank or kept * int(settings["delays"])) == 1 and settings["score"] in ("angular", "chord"):
        cause, advice = (
            ("rank 1", "a larger rank") if rank else ("one component and one delay", "more delays")
        )
        found.append(
            f"Operators of {cause} are single numbers. DSA then compares only their signs; use "
            f"{advice}."
        )
    return found


def _metrics(metrics: str | Iterable[str]) -> list[Metric]:
    names = (metrics,) if isinstance(metrics, str) else validate.sequence("metrics", metrics)
    if not names:
        raise ValueError("metrics: expected at least one name, got none")
    fit = [name for name, metric in METRICS.items() if metric.takes != "weights"]
    for name in names:
        validate.one_of("metrics", name, METRICS)
        if name not in fit:
            raise ValueError(
                f"metrics: expected some of {', '.join(fit)}, got {name!r}, which compares "
                f"recurrent weights; a recording has none (see rnnjax.metrics.{name}_distances)"
            )
    return [METRICS[name] for name in dict.fromkeys(names)]


def _options(
    options: Mapping[str, Mapping[str, Any]] | None, chosen: list[Metric]
) -> dict[str, dict[str, Any]]:
    """Options by metric, of parameters that its function has beside the recordings and the key."""
    given = {} if options is None else validate.instance_of("options", options, Mapping)
    for name, values in given.items():
        validate.one_of("options", name, [metric.name for metric in chosen])
        _, *known = inspect.signature(METRICS[name].function).parameters
        for option in validate.instance_of(f"options, {name}", values, Mapping):
            allowed = [word for word in known if word not in ("key", "progress")]
            validate.one_of(f"options, {name}", option, allowed)
    return {
        name: {  # iterators are read more than once
            option: tuple(value) if isinstance(value, Iterator) else value
            for option, value in values.items()
        }
        for name, values in given.items()
    }


def _shown_key(key: Any) -> int | str:
    if isinstance(key, int | np.integer):
        return int(key)
    return " ".join(map(str, np.asarray(jax.random.key_data(key)).ravel().tolist()))


def _recordings(recordings: Any) -> dict[str, np.ndarray]:
    """Recordings [B, T, N] by name, with NaN in missing steps."""
    members, names = trials.unnamed("recordings", recordings)
    trials.require_several("recordings", members, names)
    listed = arrays.members("recordings", members)
    if len(listed) < 2:
        raise ValueError(f"recordings: expected at least 2, got {len(listed)}")
    names = names or tuple(map(str, range(len(listed))))
    return {
        name: trials.recording(f"recordings, {name}", x)
        for name, x in zip(names, listed, strict=True)
    }


def _sizes(named: Mapping[str, np.ndarray]) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    there = [np.isfinite(x[..., 0]) for x in named.values()]
    counts = {
        "units": [x.shape[-1] for x in named.values()],
        "trials": [int(mask.any(1).sum()) for mask in there],
        "steps": [int(mask.sum()) for mask in there],
    }
    return {name: ((_NETWORK,), np.array(values)) for name, values in counts.items()}


def _in_order(
    chosen: list[Metric],
    named: Mapping[str, np.ndarray],
    key: Key,
    given: Mapping[str, Mapping[str, Any]],
) -> list[Metric]:
    """The metrics, DSA last, as it takes longest; raises what it refuses without a fit."""
    ordered = sorted(chosen, key=lambda metric: metric.name == "dsa")
    if ordered[-1].name != "dsa":
        return ordered
    known = inspect.signature(dsa.check_dynamics).parameters
    options = {name: x for name, x in given.get("dsa", {}).items() if name in known}
    try:
        dsa.check_dynamics(named, key=key, **options)
    except ValueError as error:
        raise _reworded(error, ordered[-1]) from error
    return ordered


def _dynamics(
    metric: Metric,
    named: Mapping[str, np.ndarray],
    key: Key,
    options: dict[str, Any],
    progress: BatchCallback | None,
) -> _Found:
    """Dynamical distances with what was fitted and chosen."""
    solver = validate.instance_of("solver", options.get("solver") or SolverOptions(), SolverOptions)
    if progress is not None:
        solver = dataclasses.replace(solver, progress=progress)
    found = dsa.compare_dynamics(named, key=key, **{**options, "solver": solver})
    settings = metric.settings(options)
    score, fitted = settings["score"], found.operators
    pairs, each = (_NETWORK, _OTHER), (_NETWORK,)
    variables = {
        "dsa": (pairs, found.distances),
        "dsa_components_needed": (each, fitted.components),
        "dsa_variance": (each, fitted.variance),
        "dsa_error": (each, fitted.error),
    }
    if found.result is not None:
        bounds = {
            "angular": found.result.lower_bound,
            "chord": 2 * np.sin(found.result.lower_bound / 2),
            "raw": found.result.raw_lower_bound,
        }
        variables["dsa_lower_bound"] = (pairs, bounds[score])
        variables["dsa_spread"] = (pairs, found.result.spread)
        variables["dsa_status"] = (pairs, found.result.status)
    if not isinstance(settings["delays"], int | np.integer):
        settings["delays_tried"] = validate.sequence("delays", settings["delays"])
    regression = options.get("regression") or dsa.Regression()
    chosen = {
        "delays": found.delays, "components": fitted.shared, "rank": regression.rank,
        "ridge": regression.ridge, "starts": solver.starts, "solver_steps": solver.steps,
    }  # fmt: skip
    return _Found(variables, {**settings, **chosen})


def _others(
    metric: Metric,
    named: Mapping[str, np.ndarray],
    key: Key,
    options: dict[str, Any],
    progress: BatchCallback | None,
) -> _Found:
    """Distances by a metric without a solver."""
    distances = metric.distances(named, key=key, progress=progress, **options)
    dims = (_NETWORK, _OTHER)
    return _Found({metric.name: (dims, np.asarray(distances))}, metric.settings(options))


def _reworded(error: ValueError, metric: Metric) -> ValueError:
    """The error of a metric, about the argument and in the words of `compare`."""
    text = re.sub(r"\b(?:states|activities), network ", "recording ", str(error))
    text = re.sub(r"\b(?:states|activities): ", "recordings: ", text)
    text = re.sub(r"\b(in|of) network ", r"\1 recording ", text)
    return ValueError(f"{text} (metric {metric.name})")
