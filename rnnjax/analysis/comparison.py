"""Conditions of a factor beside each other: measures, trends, charts, maps, matched losses.

Conditions are the datasets of `rnnjax.analysis.degeneracy`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from rnnjax.analysis.estimates import Estimate, Statistic, Trend, estimate, factor_trend
from rnnjax.training import Status
from rnnjax.validate import one_of

__all__ = [
    "MEASURES",
    "Comparison",
    "Measure",
    "chart_trends",
    "embedding",
    "matched",
    "measure_estimate",
    "measure_trend",
]


class Measure(NamedTuple):
    """A number that a condition has: a statistic of a variable of `degeneracy`'s dataset."""

    level: str
    """`dynamics`, `weights`, `behavior`, `representation` or `features`."""
    statistic: Statistic
    variable: str
    title: str


MEASURES: dict[str, Measure] = {
    "dsa": Measure("dynamics", "pairs", "dsa", "DSA, angular"),
    "dsa_raw": Measure("dynamics", "pairs", "dsa_raw", "DSA, raw"),
    "dsa_chord": Measure("dynamics", "pairs", "dsa_chord", "DSA, chord"),
    "dsa_lower_bound": Measure("dynamics", "pairs", "dsa_lower_bound", "DSA, lower bound"),
    "eigenvalues": Measure("dynamics", "pairs", "eigenvalues", "eigenvalue distance"),
    "pif": Measure("weights", "pairs", "pif", "PIF"),
    "pif_per_parameter": Measure("weights", "pairs", "pif_per_parameter", "PIF per parameter"),
    "pif_relative": Measure("weights", "pairs", "pif_relative", "PIF over mean norm"),
    "pif_untrained": Measure("weights", "pairs", "pif_untrained", "PIF over norm, untrained"),
    "pif_gain": Measure("weights", "pairs", "pif_gain", "PIF over norm, less untrained"),
    "pif_lower_bound": Measure("weights", "pairs", "pif_lower_bound", "PIF, lower bound"),
    "ood_spread": Measure("behavior", "spread", "ood_loss", "sd of stretched loss"),
    "ood_mean": Measure("behavior", "mean", "ood_loss", "mean stretched loss"),
    "excess_spread": Measure("behavior", "spread", "ood_excess", "sd of stretched less own loss"),
    "loss_spread": Measure("behavior", "spread", "loss", "sd of own loss"),
    "svcca": Measure("representation", "pairs", "svcca", "SVCCA distance"),
    "cka": Measure("representation", "pairs", "cka", "CKA distance"),
    "weight_change": Measure("features", "mean", "weight_change", "weight change"),
    "kernel_alignment": Measure("features", "mean", "kernel_alignment", "kernel alignment"),
    "recurrent_kernel_alignment": Measure(
        "features", "mean", "recurrent_kernel_alignment", "kernel alignment, recurrent"
    ),
    "representation_alignment": Measure(
        "features", "mean", "representation_alignment", "representation alignment"
    ),
    "effective_rank": Measure("features", "mean", "effective_rank", "effective rank"),
    "near_zero_share": Measure("features", "mean", "near_zero_share", "share of near-zero weights"),
    "loss": Measure("behavior", "mean", "loss", "mean loss"),
    "held_out_loss": Measure("features", "mean", "held_out_loss", "held-out loss"),
}
"""What conditions are compared by."""


class Comparison(NamedTuple):
    """Conditions that differ in one setting, in its order, as `degeneracy` describes them."""

    name: str
    """A file name's stem, such as `flip_flop_bits`."""
    title: str
    """For a reader, such as `Flip flop`."""
    setting: str
    """What differs, such as `bits`."""
    levels: tuple[str, ...]
    """Its values, as labels."""
    data: tuple[xr.Dataset, ...]


def _values(dataset: xr.Dataset, measure: Measure) -> np.ndarray:
    """What a measure is a statistic of; networks that did not converge are NaN.

    So is every network where a population has no such measure, as a cell without recurrent weights.
    """
    if measure.variable not in dataset:
        dims = ("seed", "other") if measure.statistic == "pairs" else ("seed",)
        return np.full([dataset.sizes[name] for name in dims], np.nan)
    values = dataset[measure.variable]
    if measure.statistic != "pairs":
        values = values.where(dataset["status"] == Status.CONVERGED)
    return values.values


def measure_estimate(dataset: xr.Dataset, measure: str) -> Estimate:
    """A measure of one condition with its jackknife error; raises `ValueError` if unknown."""
    chosen = MEASURES[one_of("measure", measure, MEASURES)]
    return estimate(chosen.statistic, _values(dataset, chosen))


def measure_trend(datasets: Sequence[xr.Dataset], measure: str, **options: Any) -> Trend:
    """A measure over the conditions of a factor, in order; see `factor_trend` for `options`."""
    chosen = MEASURES[one_of("measure", measure, MEASURES)]
    return factor_trend(chosen.statistic, [_values(d, chosen) for d in datasets], **options)


def chart_trends(
    datasets: Sequence[xr.Dataset], variable: str = "dsa_chart", *, draws: int = 999
) -> xr.Dataset:
    """The trend of dynamical distances at every number of components and delays.

    Args:
        datasets: of the conditions of a factor, in order.
        variable: `dsa_chart` or `eigenvalue_chart`.
        draws: random permutations at every place.

    Returns:
        `relative` slope, `p` and `verdict` over `component` and `delay`, and `value` over `level`
        too; places that a condition lacks are NaN and have the verdict `left out`.
    """
    one_of("variable", variable, ("dsa_chart", "eigenvalue_chart"))
    first = datasets[0]
    axes = ("component", "delay")
    for other in datasets[1:]:
        if any(not first[name].equals(other[name]) for name in axes):
            raise ValueError("datasets: expected charts over the same components and delays")
    shape = tuple(first.sizes[name] for name in axes)
    relative, p = np.full(shape, np.nan), np.full(shape, np.nan)
    verdict = np.full(shape, "left out", dtype="<U16")
    value = np.full((*shape, len(datasets)), np.nan)
    for place in np.ndindex(*shape):
        here = [d[variable].values[place] for d in datasets]
        value[place] = [
            estimate("pairs", x).value if np.isfinite(x).any() else np.nan for x in here
        ]
        if np.isfinite(value[place]).all():
            trend = factor_trend("pairs", here, draws=draws)
            relative[place], p[place], verdict[place] = trend.relative, trend.p, trend.verdict
    variables: dict[str, tuple[tuple[str, ...], np.ndarray]] = {
        "relative": (axes, relative),
        "p": (axes, p),
        "verdict": (axes, verdict),
        "value": ((*axes, "level"), value),
    }
    return xr.Dataset(variables, {name: first[name].values for name in axes})


def embedding(distances: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Places of networks in a plane whose distances are as near as may be to theirs, [S', 2].

    Metric multidimensional scaling (scikit-learn's SMACOF, the best of 16 starts), centered, of
    the networks that are there; in the unit of the distances.

    Args:
        distances: [S, S], NaN for networks left out.
        seed: of the starts.

    Raises:
        ValueError: another shape, or fewer than two networks.
    """
    from sklearn.manifold import smacof  # takes as long to import as JAX

    given = np.asarray(distances, float)
    if given.ndim != 2 or given.shape[0] != given.shape[1]:
        raise ValueError(f"distances: expected shape [S, S], got {given.shape}")
    there = np.flatnonzero(np.isfinite(np.diag(given)))
    if len(there) < 2:
        raise ValueError(f"distances: expected at least 2 networks, got {len(there)}")
    known = given[np.ix_(there, there)]
    unit = known.max()  # the solver's tolerance is absolute
    if unit == 0:
        return np.zeros((len(there), 2))
    places = np.asarray(smacof(known / unit, n_components=2, n_init=16, random_state=seed)[0])
    return unit * (places - places.mean(0))


def matched(datasets: Sequence[xr.Dataset]) -> list[xr.Dataset]:
    """The same conditions, of those networks alone whose losses all conditions have.

    Losses on the task, on trials that networks share, from the largest of the conditions' lowest
    to the smallest of their highest. A condition may keep none; one in which none converged has
    no say. What is kept need not have equal means: compare `held_out_loss` or `loss` too.
    """
    converged = [d["loss"].where(d["status"] == Status.CONVERGED) for d in datasets]
    some = [loss for loss in converged if loss.notnull().any()]
    low = max((float(loss.min()) for loss in some), default=np.nan)
    high = min((float(loss.max()) for loss in some), default=np.nan)
    kept = []
    for dataset, loss in zip(datasets, converged, strict=True):
        rows = np.flatnonzero(((loss >= low) & (loss <= high)).values)
        kept.append(dataset.isel(seed=rows, other=rows))
    return kept
