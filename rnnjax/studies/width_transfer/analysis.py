"""Whether a learning rate carries over from small networks to large ones: best rates against size.

Verdicts, shifts and differences apply to fits of best rates, `best_rate_scaling`, and of critical
rates, `power_law`.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, get_args

import numpy as np
import xarray as xr

from rnnjax.analysis.regression import (
    LINE_SAMPLES,
    LINE_VARIABLES,
    Line,
    Resampling,
    fit_conditions,
    fit_lines,
    line_summary,
    seed_weights,
    seeds_vary,
)
from rnnjax.analysis.scaling import power_law
from rnnjax.analysis.schema import diverged, finished, iterate_conditions, require
from rnnjax.analysis.success import (
    ROUNDING,
    Edge,
    best_learning_rates,
    critical_learning_rate,
    succeeded,
)
from rnnjax.studies.fits import Finding, difference_interval, row_name
from rnnjax.validate import finite_positive, one_of

__all__ = [
    "Fits",
    "Rule",
    "Transfer",
    "best_rate_scaling",
    "exponent_difference",
    "find_rules",
    "fit_rates",
    "rate_shift",
    "transfer_verdict",
]


class Runs(NamedTuple):
    """One condition's runs, `[H, L, S]`: NaN where a run has not ended, inf where it diverged."""

    loss: np.ndarray
    success: np.ndarray


class Edges(NamedTuple):
    """log10 of the geometric middles to the next rates run below and above, `[H, L]`.

    NaN where a rate was not run; infinite beyond the ends of the rates run.
    """

    lower: np.ndarray
    upper: np.ndarray


def _edges(run: np.ndarray, log_rates: np.ndarray) -> Edges:
    """The edges around every rate that was `run` `[H, L]`."""
    lower, upper = np.full(run.shape, np.nan), np.full(run.shape, np.nan)
    for row, below, above in zip(run, lower, upper, strict=True):
        rates = log_rates[row]
        middle = (rates[1:] + rates[:-1]) / 2
        below[row] = np.concatenate([[-np.inf], middle])[: len(rates)]
        above[row] = np.concatenate([middle, [np.inf]])[-len(rates) or None :]
    return Edges(lower, upper)


def _weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean of `values` `[H, L, S]` over its runs with `weights` `[R, H, S]` -> `[R, H, L]`."""
    known, infinite = ~np.isnan(values), np.isinf(values)
    total = np.einsum("rhs,hls->rhl", weights, known.astype(float))
    plain = np.where(known & ~infinite, values, 0.0)
    mean = np.einsum("rhs,hls->rhl", weights, plain) / np.where(total > 0, total, 1.0)
    return np.where(infinite.any(-1), np.inf, np.where(total > 0, mean, np.nan))


def _resample_lines(
    runs: Runs,
    edges: Edges,
    sizes: np.ndarray,
    level: float,
    resampling: Resampling,
) -> Line:
    """Refits with reweighted seeds, each best rate drawn log-uniformly between its edges."""
    rng = resampling.generator()
    finished = np.invert(np.isnan(runs.loss).all(1))
    weights = seed_weights(rng, resampling.resamples, finished)
    loss = np.nan_to_num(_weighted_mean(runs.loss, weights), nan=np.inf, posinf=np.inf)
    best = loss.argmin(-1)
    width = np.arange(best.shape[-1])
    density = np.take_along_axis(_weighted_mean(runs.success, weights), best[..., None], -1)[..., 0]
    lower, upper = edges.lower[width, best], edges.upper[width, best]
    inside = np.isfinite(lower) & np.isfinite(upper) & (density >= level - ROUNDING)
    place = rng.uniform(size=best.shape)
    lower, upper = np.where(inside, lower, np.nan), np.where(inside, upper, np.nan)
    return fit_lines(np.log10(sizes.astype(float)), lower + place * (upper - lower))


def _counts(found: xr.Dataset, trained: xr.DataArray, run: xr.DataArray) -> xr.Dataset:
    """Reasons for leaving sizes out, and the range of those used."""
    lower, upper = found["lower"], found["upper"]
    used = (lower > 0) & np.isfinite(upper)
    edges = xr.where(np.isinf(upper), "above", xr.where(lower == 0, "below", "none"))
    censored = xr.where(run & ~trained, "untrained", edges)
    sizes = used["hidden"].where(used)
    return xr.Dataset(
        {
            "censored": censored,
            "points_used": used.sum("hidden"),
            "points_censored": censored.isin(["above", "below"]).sum("hidden"),
            "points_untrained": (censored == "untrained").sum("hidden"),
            "hidden_min": sizes.min("hidden"),
            "hidden_max": sizes.max("hidden"),
        }
    )


def best_rate_scaling(
    dataset: xr.Dataset,
    level: float = 0.5,
    accuracy: str = "decision",
    threshold: float | xr.DataArray | None = None,
    *,
    resampling: Resampling = Resampling(),
) -> xr.Dataset:
    """Fits `log10 rate = intercept + exponent * log10 N` to the best learning rates.

    The best rate is that of `best_learning_rates`. At either end of the rates run it is censored;
    where fewer than `level` of the seeds learned it is no rate that trains. Neither enters the fit,
    and each is counted.

    A best rate is bracketed by half a grid step on either side: if the curves of loss against log
    rate are shifted copies of one curve, whatever its shape, the shifts that give one best rate
    span exactly one step. The interval covers seeds and grid spacing as that of `power_law`: each
    resample reweights the seeds, draws each new best rate log-uniformly within its bracket, and
    refits; the percentiles are widened to every slope whose line passes through all observed
    brackets. In simulated sweeps of 3 or 6 seeds the 95% interval holds the slope in 94% or more
    on grids of a quarter or half a decade; in as few as 86% where the best rates of single seeds
    spread over many steps of a finer grid.

    Returns a Dataset over the remaining dimensions: the variables of `line_summary`,
    `points_censored` and `points_untrained`; along `hidden`, `rate` and `loss` of
    `best_learning_rates`, the bracket `lower` and `upper` (0 or infinite where censored), and
    `censored`: `"above"`, `"below"`, `"untrained"`, else `"none"`, also where nothing was run and
    the numbers are NaN. Fewer than three usable points give NaN exponents, with the counts.
    Raises `ValueError` without `final_loss`, `hidden`, `learning_rate` or `seed`.
    """
    require(dataset, variables=["final_loss"], dims=["hidden", "learning_rate", "seed"])
    ordered = dataset.sortby(["hidden", "learning_rate"])
    best, done = best_learning_rates(ordered, level, accuracy, threshold), finished(ordered)
    loss = ordered["final_loss"].where(~diverged(ordered), np.inf).where(done)
    found = fit_conditions(
        _condition_fit(ordered, level, resampling),
        [loss, succeeded(ordered, accuracy, threshold), best["rate"], best["trained"]],
        [["hidden", "learning_rate", "seed"]] * 2 + [["hidden"]] * 2,
        scalars=LINE_VARIABLES,
        by_size=("lower", "upper"),
        samples=LINE_SAMPLES,
    )
    counts = _counts(found, best["trained"], done.any(["learning_rate", "seed"]))
    return xr.merge([found, counts, best[["rate", "loss"]]], compat="override")


def _condition_fit(
    ordered: xr.Dataset, level: float, resampling: Resampling
) -> Callable[..., dict[str, Any]]:
    """The fit of one condition: runs `[H, L, S]` and best rates `[H]` -> its variables."""
    rates, sizes = ordered["learning_rate"].values, ordered["hidden"].values
    log_rates = np.log10(rates.astype(float))

    def fit(
        loss: np.ndarray, success: np.ndarray, rate: np.ndarray, trained: np.ndarray
    ) -> dict[str, Any]:
        edges = _edges(np.invert(np.isnan(loss).all(-1)), log_rates)
        at = np.arange(len(rate)), np.minimum(np.searchsorted(rates, rate), len(rates) - 1)
        lower, upper = (np.where(trained, edge[at], np.nan) for edge in edges)
        used = np.isfinite(lower) & np.isfinite(upper)
        low, high = np.where(used, lower, np.nan), np.where(used, upper, np.nan)
        lines = _resample_lines(Runs(loss, success), edges, sizes, level, resampling)
        if not seeds_vary(np.invert(np.isnan(loss).all(1)), used):
            lines = Line(*np.full_like(lines, np.nan))
        confidence = resampling.confidence
        summary = line_summary(sizes, (low + high) / 2, lines, confidence, (low, high))
        return {**summary, "lower": 10**lower, "upper": 10**upper}

    return fit


def transfer_verdict(fit: xr.Dataset, margin: float = 0.5) -> xr.DataArray:
    """Whether a rate falls, rises or stays, from the interval of its exponent.

    `"falls"` or `"rises"` where the interval excludes 0; `"stays"` where it contains 0 and excludes
    every change of `margin` decades or more per decade of N, as an equivalence test does;
    otherwise, and without a fit, `"undecided"`. `fit` is that of `best_rate_scaling` or
    `power_law`; its conditions remain as dimensions.
    """
    finite_positive("margin", margin)
    # Brackets of a regular grid touch: an interval may end at 0 itself, but for rounding.
    low, high = fit["exponent_low"], fit["exponent_high"]
    stays = (low > -margin) & (high < margin)
    verdict = xr.where(stays, "stays", "undecided").astype("U9")
    falls, rises = high < -ROUNDING, low > ROUNDING
    return verdict.where(~falls, "falls").where(~rises, "rises").rename("verdict")


def rate_shift(fit: xr.Dataset) -> xr.Dataset:
    """Decades by which a fitted rate moves from the smallest to the largest size of its fit.

    Returns `shift`, `shift_low` and `shift_high` over the conditions of `fit`, which is that of
    `best_rate_scaling` or `power_law`.
    """
    decades = np.log10(fit["hidden_max"] / fit["hidden_min"])
    ends = {"shift": "exponent", "shift_low": "exponent_low", "shift_high": "exponent_high"}
    return xr.Dataset({name: fit[exponent] * decades for name, exponent in ends.items()})


def exponent_difference(
    fit: xr.Dataset, reference: str = "standard", dim: str = "cell"
) -> xr.Dataset:
    """Exponents minus that of `reference` along `dim`, with intervals.

    The intervals of the two exponents are combined as for independent estimates
    (`difference_interval`). The rules share seeds, and so training data; where this correlates
    their networks, the interval is too wide, not too narrow. Resamples are not subtracted one by
    one, since all conditions of a fit draw the same places within the grid, and the grid would
    cancel.

    Returns `difference`, `difference_low`, `difference_high` for the other labels of `dim`. Raises
    `ValueError` if `reference` is not among the labels.
    """
    require(fit, variables=["exponent_low", "exponent_high"], dims=[dim])
    one_of("reference", reference, [str(label) for label in fit[dim].values])
    base, others = fit.sel({dim: reference}, drop=True), fit.sel({dim: fit[dim] != reference})
    return difference_interval(others, base)


class Transfer(NamedTuple):
    """One kind of rate of one condition: its fit, its shift in decades, and the verdict."""

    finding: Finding
    shift: xr.Dataset
    verdict: str

    @property
    def fitted(self) -> bool:
        """Whether there is an exponent."""
        return not np.isnan(self.finding.exponent)

    @property
    def untrained(self) -> int:
        """Number of sizes left out because too few seeds learned at the best rate."""
        return self.finding.censored("untrained")


class Rule(NamedTuple):
    """The three kinds of rates of one condition."""

    best: Transfer
    critical: Transfer
    first: Transfer
    """The critical rate up to the first failure."""

    @property
    def labels(self) -> Mapping[str, object]:
        """The condition's coordinates."""
        return self.best.finding.labels

    @property
    def started(self) -> bool:
        """Whether any of its runs has ended."""
        return self.critical.finding.started

    @property
    def name(self) -> str:
        """The condition in tables."""
        return row_name(self.labels)


class Fits(NamedTuple):
    """The fits of the three kinds of rates, over all conditions."""

    best: xr.Dataset
    critical: xr.Dataset
    first: xr.Dataset


def fit_rates(dataset: xr.Dataset, level: float, resampling: Resampling) -> Fits:
    """The fits of best and critical rates, the latter to the last and to the first failure."""
    return Fits(
        best_rate_scaling(dataset, level, resampling=resampling),
        power_law(dataset, level, resampling=resampling),
        power_law(dataset, level, resampling=resampling, edge="first"),
    )


def find_rules(dataset: xr.Dataset, fits: Fits, level: float, margin: float) -> list[Rule]:
    """The fits, shifts and verdicts of every condition; `margin` is that of `transfer_verdict`."""
    edges = (critical_learning_rate(dataset, level, edge=edge) for edge in get_args(Edge))
    pairs = zip(fits, (fits.best, *edges), strict=True)
    return [
        Rule(*rates) for rates in zip(*(_transfers(*pair, margin) for pair in pairs), strict=True)
    ]


def _transfers(fit: xr.Dataset, rates: xr.Dataset, margin: float) -> list[Transfer]:
    within = ("hidden", "resample")
    shift, verdict = rate_shift(fit), transfer_verdict(fit, margin)
    found = []
    pairs = zip(iterate_conditions(fit, within), iterate_conditions(rates, within), strict=True)
    for (labels, law), (_, part) in pairs:
        finding = Finding(labels, law, part)
        found.append(Transfer(finding, shift.sel(labels), str(verdict.sel(labels).item())))
    return found
