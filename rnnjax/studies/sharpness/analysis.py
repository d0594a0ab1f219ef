"""Predicted and measured largest learning rates: exponents in N, and their ratio."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr

from rnnjax.analysis import (
    critical_learning_rate,
    diverged,
    finished,
    iterate_conditions,
    threshold_model,
)
from rnnjax.studies.fits import difference_interval

__all__ = ["Prediction", "compare_rates", "fit_predictions", "with_stability"]

_CONFIDENCE = 0.95


def with_stability(results: xr.Dataset, sharpness: xr.Dataset) -> xr.Dataset:
    """The results with `accuracy_stable`: 1 where training was stable, else 0.

    Training is stable if the loss stayed finite and ended, on held-out trials, below that of the
    initial network, which is `loss` of `sharpness`.
    """
    first = sharpness["loss"].sel(seed=results["seed"])
    stable = (results["final_loss"] < first) & ~diverged(results)
    return results.assign(accuracy_stable=stable.astype(float).where(finished(results)))


def fit_predictions(rates: xr.DataArray) -> xr.Dataset:
    """Exponent in N of predicted rates `(hidden, seed)`, with Student's interval over seeds.

    The exponent is the mean of the slopes of log10 rate against log10 N of single seeds; seeds
    without a prediction at some size are left out. NaN, without an interval, for fewer than one,
    or two, seeds.
    """
    from scipy import stats  # slow to import

    values = rates.transpose("hidden", "seed").values
    logs = np.log10(values[:, np.isfinite(values).all(0)])
    slopes = np.polyfit(np.log10(rates["hidden"].values), logs, 1)[0] if logs.size else np.zeros(0)
    half = np.nan
    if len(slopes) > 1:
        quantile = stats.t.ppf((1 + _CONFIDENCE) / 2, len(slopes) - 1)
        half = quantile * slopes.std(ddof=1) / np.sqrt(len(slopes))
    middle = slopes.mean() if len(slopes) else np.nan
    return xr.Dataset(
        {"exponent": middle, "exponent_low": middle - half, "exponent_high": middle + half}
    )


class Prediction(NamedTuple):
    """One rule and activation: exponents of three rates, and how far measured rates lie above."""

    labels: Mapping[str, object]
    predicted: xr.Dataset
    """Exponent of 2 over the sharpness before training."""
    stable: xr.Dataset
    """That of the largest rate at which training is stable (`threshold_model`)."""
    learned: xr.Dataset
    """That of the largest rate at which networks learn."""
    ratio: xr.DataArray
    """Largest stable rate of half of the seeds over the median prediction, along `hidden`; the
    geometric middle of its bracket, NaN where it is censored."""

    @property
    def difference(self) -> tuple[float, float, float]:
        """Exponent of the stable rate minus that predicted, with a 95% interval.

        Both intervals are combined as by `difference_interval`.
        """
        found = difference_interval(self.stable, self.predicted)
        middle, low, high = (float(found[f"difference{end}"]) for end in ("", "_low", "_high"))
        return middle, low, high

    def verdict(self, margin: float) -> str:
        """`agrees` where the interval of the difference lies within the margin, `differs` where it
        excludes 0, otherwise `undecided`; `unfitted` without an interval.
        """
        _, low, high = self.difference
        if np.isnan([low, high]).any():
            return "unfitted"
        if -margin < low and high < margin:
            return "agrees"
        return "differs" if low > 0 or high < 0 else "undecided"


def compare_rates(results: xr.Dataset, sharpness: xr.Dataset) -> list[Prediction]:
    """The comparison of every condition; `sharpness` is that before training, with its dimensions.

    Raises `ValueError` for missing variables or dimensions.
    """
    results = with_stability(results, sharpness)
    stable = threshold_model(results, "stable", 0.5, edge="first")
    learned = threshold_model(results, edge="first")
    edges = critical_learning_rate(results, 0.5, "stable", 0.5, edge="first")
    found = []
    for labels, part in iterate_conditions(edges, ("hidden",)):
        at = {name: value for name, value in labels.items() if name in sharpness.dims}
        rates = sharpness["largest_rate"].sel(at)
        middle = (part["lower"] * part["upper"]) ** 0.5
        middle = middle.where(part["censored"] == "none")
        found.append(
            Prediction(
                labels,
                fit_predictions(rates),
                stable.sel(labels),
                learned.sel(labels),
                middle / rates.median("seed"),
            )
        )
    return found
