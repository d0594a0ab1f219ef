"""Comparison of the conditions of a factor: estimates, trends, charts, embeddings, matched losses.

Conditions are the datasets of `rnnjax.analysis.degeneracy`.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from rnnjax import validate
from rnnjax.analysis.measures import MEASURES, Measure
from rnnjax.analysis.pooling import Pooled, pool_trends, trend_difference
from rnnjax.analysis.trends import (
    ALPHA,
    Estimate,
    Interval,
    Statistic,
    Trend,
    estimate,
    factor_trend,
    interval,
)
from rnnjax.arrays import array, members, symmetric
from rnnjax.training import Status
from rnnjax.validate import instance_of, one_of, shown

__all__ = [
    "Comparison",
    "at_shared_places",
    "chart_trends",
    "embedding",
    "matched",
    "measure_difference",
    "measure_estimate",
    "measure_interval",
    "measure_pooled",
    "measure_trend",
]


class Comparison(NamedTuple):
    """Conditions that differ in one setting, in its order, as `degeneracy` describes them."""

    name: str
    """Stem of file names, such as `flip_flop_bits`."""
    title: str
    """Title in tables and figures, such as `Flip flop`."""
    setting: str
    """The setting that differs, such as `bits`."""
    levels: tuple[str, ...]
    """Its values, as labels."""
    data: tuple[xr.Dataset, ...]
    stage: float | None = None
    """Loss at which the networks are compared, over their task's threshold; None: trained to the
    threshold."""


def _conditions(datasets: Sequence[xr.Dataset]) -> tuple[xr.Dataset, ...]:
    """At least one dataset, each of one condition."""
    if isinstance(datasets, xr.Dataset) or not isinstance(datasets, Sequence) or not datasets:
        raise ValueError(f"datasets: expected a sequence of datasets, got {shown(datasets)}")
    return tuple(_measured("datasets", dataset) for dataset in datasets)


def _measured(name: str, dataset: xr.Dataset) -> xr.Dataset:
    """`dataset` if it has the networks and their status, as all measures of a population do."""
    instance_of(name, dataset, xr.Dataset)
    if "seed" not in dataset.dims or "status" not in dataset:
        raise ValueError(
            f"{name}: expected the measures of a population, with 'status' over 'seed', got "
            "another dataset"
        )
    return dataset


def _values(dataset: xr.Dataset, measure: Measure) -> np.ndarray:
    """Values of which a measure is a statistic; networks that did not converge are NaN.

    All are NaN where a population lacks the measure, as with a cell without recurrent weights, or
    in a dataset of `measure_population`, which has no distances. Of a chart they are the means over
    its places.
    """
    if measure.variable not in dataset:
        axes = 2 if measure.statistic == "pairs" else 1
        return np.full([dataset.sizes["seed"]] * axes, np.nan)
    values = dataset[measure.variable]
    if measure.statistic != "pairs":
        return values.where(dataset["status"] == Status.CONVERGED).values
    there = _places(values).values
    if not there.ndim:
        return values.values
    found = values.values[there]
    return found.mean(0) if len(found) else np.full(found.shape[1:], np.nan)


def _places(distances: xr.DataArray) -> xr.DataArray:
    """The places of a chart that were compared; a single True or False of other distances."""
    return distances.notnull().any(("seed", "other"))


def at_shared_places(datasets: Sequence[xr.Dataset]) -> tuple[xr.Dataset, ...]:
    """The conditions with `dsa_chart` NaN where any of them lacks a place that others have.

    Means over the chart are then over the same numbers of components and delays. A condition with
    fewer than three networks to compare, which no slope uses, does not count; where all have
    fewer, one with fewer than two does not.

    Raises:
        ValueError: charts over different components or delays.
    """
    datasets = _conditions(datasets)
    charts = [d["dsa_chart"] for d in datasets if "dsa_chart" in d]
    _require_same_axes(charts)
    counts = [_count_compared(chart) for chart in charts]
    used = _find_used([int(count.max()) for count in counts], least=2)
    there = [count > 1 for count, enters in zip(counts, used, strict=True) if enters]
    if not there:
        return datasets
    shared = functools.reduce(np.logical_and, there)
    return tuple(
        d.assign(dsa_chart=d["dsa_chart"].where(shared)) if "dsa_chart" in d else d
        for d in datasets
    )


_CHART = "dsa_chart"
_CHART_AXES = ("component", "delay")


def _count_compared(chart: xr.DataArray) -> xr.DataArray:
    """Networks with distances at every place; one network alone has a distance to itself."""
    return (chart.count("other") > 0).sum("seed")


def _find_used(networks: Sequence[int], *, least: int) -> np.ndarray:
    """Which conditions restrict what all share: those of three networks, which slopes use.

    Where there are none, those of `least`.
    """
    counts = np.asarray(networks)
    return counts >= (3 if (counts >= 3).any() else least)


def _require_same_axes(charts: Sequence[xr.DataArray | xr.Dataset]) -> None:
    """Raises `ValueError` for charts over different components or delays."""
    for other in charts[1:]:
        if any(not charts[0][name].equals(other[name]) for name in _CHART_AXES):
            raise ValueError("datasets: expected charts over the same components and delays")


def measure_estimate(dataset: xr.Dataset, measure: str) -> Estimate:
    """A measure of one condition with its jackknife error; raises `ValueError` if unknown.

    A chart is averaged over all places that this condition has (`at_shared_places`).
    """
    chosen = MEASURES[one_of("measure", measure, MEASURES)]
    _measured("dataset", dataset)
    return estimate(chosen.statistic, _values(dataset, chosen))


def measure_interval(
    dataset: xr.Dataset, measure: str, *, confidence: float = 1 - ALPHA
) -> Interval:
    """A measure of one condition with its interval, as `interval`; of a chart as above."""
    chosen = MEASURES[one_of("measure", measure, MEASURES)]
    _measured("dataset", dataset)
    return interval(chosen.statistic, _values(dataset, chosen), confidence=confidence)


def measure_trend(
    datasets: Sequence[xr.Dataset], measure: str, *, confidence: float = 1 - ALPHA
) -> Trend:
    """Trend of a measure over the conditions of a factor, in order, paired by seed.

    A chart is averaged over the places that all conditions have.
    Arguments and errors as in `factor_trend`.
    """
    chosen = MEASURES[one_of("measure", measure, MEASURES)]
    datasets = at_shared_places(datasets) if measure == _CHART else _conditions(datasets)
    values = [_values(d, chosen) for d in datasets]
    seeds = [d["seed"].values for d in datasets]
    return factor_trend(chosen.statistic, values, seeds=seeds, confidence=confidence)


def measure_pooled(
    series: Sequence[Sequence[xr.Dataset]], measure: str, *, confidence: float = 1 - ALPHA
) -> Pooled:
    """The mean trend of a measure over several series of conditions, paired by seed.

    Arguments and errors as in `pool_trends`; conditions that series share are found by their
    values.
    """
    kind, values, seeds = _series_values(series, measure)
    return pool_trends(kind, values, seeds=seeds, confidence=confidence)


def measure_difference(
    first: Sequence[xr.Dataset],
    second: Sequence[xr.Dataset],
    measure: str,
    *,
    confidence: float = 1 - ALPHA,
) -> Trend:
    """The trend of a measure over the conditions of `second` less that over those of `first`.

    Paired by seed; arguments and errors as in `trend_difference`.
    """
    kind, values, seeds = _series_values((first, second), measure)
    return trend_difference(kind, values, seeds=seeds, confidence=confidence)


def _series_values(
    series: Sequence[Sequence[xr.Dataset]], measure: str
) -> tuple[Statistic, list[list[np.ndarray]], list[list[np.ndarray]]]:
    """The statistic of a measure; of every series its values and seeds."""
    chosen = MEASURES[one_of("measure", measure, MEASURES)]
    found = [_conditions(datasets) for datasets in members("series", series)]
    if measure == _CHART:
        every = iter(at_shared_places([d for datasets in found for d in datasets]))
        found = [tuple(next(every) for _ in datasets) for datasets in found]
    values = [[_values(d, chosen) for d in datasets] for datasets in found]
    return chosen.statistic, values, [[d["seed"].values for d in datasets] for datasets in found]


def chart_trends(
    datasets: Sequence[xr.Dataset], variable: str = "dsa_chart", *, confidence: float = 1 - ALPHA
) -> xr.Dataset:
    """The trend of dynamical distances at every number of components and delays.

    Args:
        datasets: those of the conditions of a factor, in order.
        variable: `dsa_chart` or `eigenvalue_chart`.
        confidence: of the intervals that decide the verdict at every place.

    Returns:
        `relative` slope, `p` and `verdict` over `component` and `delay`, and `value` over `level`
        too; places that a condition lacks are NaN and have the verdict `left out`. A condition
        with fewer than three networks, which no slope uses, does not leave out places that the
        others have; where all have fewer, one with two does.
    """
    one_of("variable", variable, ("dsa_chart", "eigenvalue_chart"))
    datasets = _conditions(datasets)
    if any(variable not in dataset for dataset in datasets):
        raise ValueError(f"datasets: expected those of degeneracy, got one without {variable!r}")
    first, axes = datasets[0], _CHART_AXES
    _require_same_axes(datasets)
    shape = tuple(first.sizes[name] for name in axes)
    relative, p = np.full(shape, np.nan), np.full(shape, np.nan)
    verdict = np.full(shape, "left out", dtype="<U16")
    value = np.full((*shape, len(datasets)), np.nan)
    seeds = [d["seed"].values for d in datasets]
    charts = [d[variable].values for d in datasets]
    for place in np.ndindex(*shape):
        value[place] = [
            estimate("pairs", x[place]).value if np.isfinite(x[place]).any() else np.nan
            for x in charts
        ]
    there = np.isfinite(value).any((0, 1))  # has two networks; of one there is no distance
    used = _find_used([int(_count_compared(d[variable]).max()) for d in datasets], least=2)
    for place in np.ndindex(*shape):
        if there.sum() > 1 and np.isfinite(value[place][used]).all():
            here = [x[place] for x in charts]
            trend = factor_trend("pairs", here, seeds=seeds, confidence=confidence)
            relative[place], p[place], verdict[place] = trend.relative, trend.p, trend.verdict
    variables: dict[str, tuple[tuple[str, ...], np.ndarray]] = {
        "relative": (axes, relative),
        "p": (axes, p),
        "verdict": (axes, verdict),
        "value": ((*axes, "level"), value),
    }
    return xr.Dataset(variables, {name: first[name].values for name in axes})


def embedding(distances: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Positions of networks in a plane that approximate their distances, [S', 2].

    Metric multidimensional scaling (scikit-learn's SMACOF, the best of 16 starts), centered, of
    the networks that are not left out; in the unit of the distances.

    Args:
        distances: [S, S], NaN for networks left out.
        seed: seed of the starts.

    Raises:
        ValueError: another shape, fewer than two networks, or distances between them that are not
            finite, symmetric and at least 0.
    """
    from sklearn.manifold import smacof  # takes as long to import as JAX

    given = array("distances", distances, "S S", gaps="missing").astype(np.float64)
    validate.seed("seed", seed)
    there = np.flatnonzero(~np.isnan(np.diag(given)))
    if len(there) < 2:
        raise ValueError(f"distances: expected at least 2 networks, got {len(there)}")
    known = given[np.ix_(there, there)]
    if not np.isfinite(known).all() or (known < 0).any():
        raise ValueError(
            "distances: expected finite numbers of at least 0 between networks that are not left "
            "out, got others"
        )
    symmetric("distances", known)
    unit = known.max()  # the solver's tolerance is absolute
    if unit == 0:
        return np.zeros((len(there), 2))
    places = np.asarray(smacof(known / unit, n_components=2, n_init=16, random_state=seed)[0])
    return unit * (places - places.mean(0))


def matched(datasets: Sequence[xr.Dataset]) -> list[xr.Dataset]:
    """The conditions, restricted to networks whose losses lie in a range that all of them share.

    The range of the loss on the task, on trials that networks share, extends from the largest of
    the conditions' lowest losses to the smallest of their highest. A condition may keep no network;
    one of which fewer than three converged, which no slope uses, does not narrow the range, unless
    all are such. Means within the range may still differ: compare `held_out_loss` or `loss` too.
    """
    datasets = _conditions(datasets)
    converged = [d["loss"].where(d["status"] == Status.CONVERGED) for d in datasets]
    used = _find_used([int(loss.count()) for loss in converged], least=1)
    some = [loss for loss, enters in zip(converged, used, strict=True) if enters]
    low = max((float(loss.min()) for loss in some), default=np.nan)
    high = min((float(loss.max()) for loss in some), default=np.nan)
    kept = []
    for dataset, loss in zip(datasets, converged, strict=True):
        rows = np.flatnonzero(((loss >= low) & (loss <= high)).values)
        # Of `measure_population` a dataset has no distances, and no `other`.
        kept.append(dataset.isel(seed=rows, other=rows, missing_dims="ignore"))
    return kept
