"""Do larger networks learn more slowly, and does Adam's eps explain it?

Under a rule that divides weights by N in the forward pass, gradients of the raw weights shrink as
1/N^2 and fall to the eps of Adam's denominator, 1e-8 by default. Two arms separate this effect from
a slow-down of large networks themselves: eps the same at every width ("torch"), and eps shrinking
with the gradients ("scaled"). The first alone, as in the paper, shows a slow-down, not its cause.
"""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from rnnjax.analysis.curves import WINDOW, log_losses
from rnnjax.analysis.regression import Resampling, percentile_interval, seed_weights
from rnnjax.analysis.schema import finished, require
from rnnjax.analysis.speed import finite_steps, fit_steps, quantile_steps, target_steps
from rnnjax.studies.papers import SOLVED_LOSS

__all__ = ["loss_ratio", "present_arms", "slowdown", "verdict"]

ARMS = ("torch", "scaled")
"""Labels of the arms: eps as in PyTorch, and eps scaled with the gradients."""

TARGETS = (0.3, 0.1, SOLVED_LOSS)
"""Training losses to reach."""

NEGLIGIBLE = 0.05
"""An exponent of at most this counts as no slow-down: 12% more steps for ten times the units."""


def verdict(
    torch: Sequence[float],
    scaled: Sequence[float],
    difference: Sequence[float],
    negligible: float = NEGLIGIBLE,
) -> str:
    """The verdict on the intervals (low, high) of the exponents of both arms and their difference.

    An exponent *grows* where its interval lies above zero and does not end below `negligible`.

    - `"none"`: the interval of `torch` ends below `negligible`: no slow-down to explain.
    - `"eps"`: `torch` grows, by more than `scaled`, whose interval ends below `negligible`.
    - `"eps in part"`: `torch` grows, by more than `scaled`, which may or may not grow.
    - `"both"`: both grow, and so does the difference.
    - `"structural"`: both grow, and the interval of the difference ends below `negligible`.
    - `"structural in part"`: both grow, and they may or may not differ.
    - `"undecided"`: anything else.
    - `"unfitted"`: an interval is missing.
    """
    if np.isnan([*torch, *scaled, *difference]).any():
        return "unfitted"
    if torch[1] < negligible:
        return "none"

    def grows(interval: Sequence[float]) -> bool:
        return interval[0] > 0 and interval[1] >= negligible

    if not grows(torch):
        return "undecided"
    if grows(difference):
        if grows(scaled):
            return "both"
        return "eps" if scaled[1] < negligible else "eps in part"
    if not grows(scaled):
        return "undecided"
    return "structural" if difference[1] < negligible else "structural in part"


def _verdict_alone(torch: Sequence[float], negligible: float) -> str:
    """The verdict without a second arm: `none`, `slower`, `undecided` or `unfitted`."""
    if np.isnan(torch).any():
        return "unfitted"
    if torch[1] < negligible:
        return "none"
    return "slower" if torch[0] > 0 else "undecided"


def present_arms(dataset: xr.Dataset, arms: str) -> list[str]:
    """Those of `ARMS` that the data have; raises `ValueError` without `torch`."""
    found = [name for name in ARMS if name in dataset[arms].values]
    if "torch" not in found:
        raise ValueError(f"{arms}: expected torch, alone or with scaled, got no 'torch'")
    return found


def slowdown(
    dataset: xr.Dataset,
    *,
    targets: Sequence[float] | None = None,
    arms: str = "eps_scaling",
    window: int = WINDOW,
    level: float = 0.5,
    negligible: float = NEGLIGIBLE,
    resampling: Resampling = Resampling(),
) -> xr.Dataset:
    """Whether Adam's eps explains that larger networks learn more slowly, at each rate and target.

    `steps` are those by which `level` of the seeds have reached a target loss (`steps_to_loss`). In
    each arm a power law is fitted to them, over the widths that reached the target in both arms.
    Of `torch` alone the differences are NaN, and a slow-down has the verdict `"slower"`. The seeds
    of the arms are paired: every resample weights them alike, and `difference` is `torch` minus
    `scaled` within each.

    Returns a Dataset over `learning_rate`, `target` and the remaining dimensions. Along `arms` too:
    `exponent`, `intercept`, `exponent_low`, `exponent_high`, `scatter_low`, `scatter_high`,
    `points_used`, `points_missing` (run, but too few seeds reached the target), `steps` (with
    `hidden`) and `run_steps` (with `hidden` and `seed`; NaN if never). Without it: `difference`,
    `difference_low`, `difference_high`, `hidden_min`, `hidden_max` of the fit, and `verdict` (see
    that function). Raises `ValueError` for missing dimensions or arms.
    """
    require(dataset, dims=[arms, "hidden", "learning_rate"])
    ordered = dataset.sel({arms: present_arms(dataset, arms)}).sortby(["hidden", "learning_rate"])
    reached = target_steps(ordered, TARGETS if targets is None else targets, window, of_blind=False)
    steps = quantile_steps(reached, level)
    fit = fit_steps(reached.where(steps.notnull().all(arms)), level, resampling=resampling)
    run = reached.notnull().any("seed")
    fit = fit.assign(
        steps=steps,
        points_missing=(run & steps.isnull()).sum("hidden"),
        run_steps=finite_steps(reached),
        hidden_min=fit["hidden_min"].isel({arms: 0}, drop=True),
        hidden_max=fit["hidden_max"].isel({arms: 0}, drop=True),
    )
    return _compare_arms(fit, arms, negligible, resampling.confidence).drop_vars("exponent_samples")


def _compare_arms(fit: xr.Dataset, arms: str, negligible: float, confidence: float) -> xr.Dataset:
    """`fit` with the difference of its two arms and the verdict."""
    if len(present_arms(fit, arms)) == 1:
        return _without_difference(fit, arms, negligible)
    torch, scaled = (fit.sel({arms: name}, drop=True) for name in ARMS)
    low, high = xr.apply_ufunc(
        lambda samples: percentile_interval(samples, confidence),
        torch["exponent_samples"] - scaled["exponent_samples"],
        input_core_dims=[["resample"]],
        output_core_dims=[[], []],
        vectorize=True,
        output_dtypes=[float, float],
    )

    def classify(*ends: float) -> str:
        return verdict(ends[0:2], ends[2:4], ends[4:6], negligible)

    verdicts = xr.apply_ufunc(
        classify,
        *(part[f"exponent_{end}"] for part in (torch, scaled) for end in ("low", "high")),
        low,
        high,
        vectorize=True,
        output_dtypes=[object],
    )
    return fit.assign(
        difference=torch["exponent"] - scaled["exponent"],
        difference_low=low,
        difference_high=high,
        verdict=verdicts.astype(str),
    )


def _without_difference(fit: xr.Dataset, arms: str, negligible: float) -> xr.Dataset:
    torch = fit.sel({arms: "torch"}, drop=True)
    verdicts = xr.apply_ufunc(
        lambda low, high: _verdict_alone((low, high), negligible),
        torch["exponent_low"],
        torch["exponent_high"],
        vectorize=True,
        output_dtypes=[object],
    )
    unknown = xr.full_like(torch["exponent"], np.nan)
    names = ("difference", "difference_low", "difference_high")
    return fit.assign(verdict=verdicts.astype(str), **dict.fromkeys(names, unknown))


def _weighted_ratios(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """log10 of each width's mean loss over that of the first: `[H, S]`, `[R, H, S]` -> `[R, H]`.

    The means are weighted and geometric; runs that were not run are left out.
    """
    run = ~np.isnan(values)
    total = (weights * run).sum(-1)
    sums = (weights * np.where(run, values, 0.0)).sum(-1)
    means = np.where(total > 0, sums / np.where(total > 0, total, 1.0), np.nan)
    return means - means[:, :1]


def loss_ratio(
    dataset: xr.Dataset,
    steps: Sequence[float] | None = None,
    *,
    window: int = WINDOW,
    resampling: Resampling = Resampling(),
) -> xr.Dataset:
    """Smoothed training loss of each width divided by that of the smallest, at fixed steps.

    The steps are the recorded ones nearest to `steps`, by default 1/16, 1/4 and the end of the run.
    Returns a Dataset over `hidden`, `step` and the remaining dimensions: `ratio` of the geometric
    means over seeds, with `ratio_low` and `ratio_high` from a Bayesian bootstrap over the seeds of
    each width. NaN where a run of that width, or of the smallest, has stopped by then; no
    interval of a single seed.
    """
    values = log_losses(dataset, steps, window)
    stopped = (values.isnull() & finished(dataset.sortby("hidden"))).any("seed")

    def fit(losses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        run = ~np.isnan(losses)
        weights = seed_weights(resampling.generator(), resampling.resamples, run)
        samples = _weighted_ratios(losses, weights).T
        ends = np.array([percentile_interval(row, resampling.confidence) for row in samples])
        several = run.sum(-1) >= 2
        ends[~(several & several[0])] = np.nan
        middle = _weighted_ratios(losses, np.ones((1, *run.shape)))[0]
        return middle, ends

    middle, ends = xr.apply_ufunc(
        fit,
        values.where(~stopped),
        input_core_dims=[["hidden", "seed"]],
        output_core_dims=[["hidden"], ["hidden", "end"]],
        vectorize=True,
        output_dtypes=[float, float],
    )
    parts = {"ratio": middle, "ratio_low": ends.isel(end=0), "ratio_high": ends.isel(end=1)}
    return xr.Dataset({name: 10**part for name, part in parts.items()})
