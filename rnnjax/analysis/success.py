"""Success of runs, critical learning rates and best learning rates."""

from typing import Literal, get_args

import numpy as np
import xarray as xr

from rnnjax.analysis.schema import diverged, finished, require
from rnnjax.validate import fraction, one_of, plain, shown

__all__ = ["best_learning_rates", "critical_learning_rate", "succeeded", "success_density"]

ROUNDING = 1e-9
"""Tolerance: a density of 2 seeds in 4 must count as one half despite rounding."""


def _accuracy(dataset: xr.Dataset, accuracy: str) -> xr.DataArray:
    prefix = "accuracy_"
    known = [str(name).removeprefix(prefix) for name in dataset if str(name).startswith(prefix)]
    if not known:
        require(dataset, variables=[f"{prefix}{accuracy}"])
    return dataset[prefix + one_of("accuracy", accuracy, known)]


def _threshold(dataset: xr.Dataset, threshold: float | xr.DataArray | None) -> float | xr.DataArray:
    if threshold is not None:
        values = threshold.values if isinstance(threshold, xr.DataArray) else threshold
        number = values if isinstance(values, np.ndarray) else np.array(plain(values))
        if number.dtype.kind not in "iuf" or not np.isfinite(number).all():
            raise ValueError(f"threshold: expected finite numbers, got {shown(values)}")
        return threshold
    if "criterion" not in dataset:
        raise ValueError("threshold: expected a number, since the dataset has no 'criterion'")
    return dataset["criterion"]


def succeeded(
    dataset: xr.Dataset, accuracy: str = "decision", threshold: float | xr.DataArray | None = None
) -> xr.DataArray:
    """1 where a run stayed finite and learned, 0 where not.

    Without a `threshold` a run has learned if its accuracy exceeds the dataset's `criterion` and
    its final loss is below `blind_loss`, that of the best output that ignores the input: a network
    that has learned nothing may respond to two cues with the right signs by chance. With a
    `threshold`, an accuracy above it suffices. `accuracy` names the definition (the variable
    `accuracy_<name>`). Returns float over the dimensions of the runs; NaN where a run has not
    ended: without `status` also where a run diverged to a NaN loss (`finished`). Raises
    `ValueError` for an unknown definition, a threshold that is not finite, or if there is no
    criterion.
    """
    values, done = _accuracy(dataset, accuracy), finished(dataset)
    if threshold is None and accuracy != "decision":
        raise ValueError(f"threshold: expected a number for {accuracy!r}, which has no criterion")
    learned = (values > _threshold(dataset, threshold)) & ~diverged(dataset)
    if threshold is None:
        require(dataset, variables=["blind_loss", "final_loss"])
        learned = learned & (dataset["final_loss"] < dataset["blind_loss"])
    return learned.astype(float).where(done).transpose(*values.dims, ...).rename("succeeded")


def success_density(
    dataset: xr.Dataset, accuracy: str = "decision", threshold: float | xr.DataArray | None = None
) -> xr.DataArray:
    """Fraction of the seeds that learned, at every size and learning rate.

    Runs that have not ended are left out, and without `status` those that diverged to a NaN loss
    too (`finished`); NaN where none has ended. Arguments and errors are those of `succeeded`.
    """
    require(dataset, dims=["seed"])
    return succeeded(dataset, accuracy, threshold).mean("seed").rename("success_density")


Edge = Literal["last", "first"]
"""Definition of the critical rate: the last rate with enough successes, or the last before the
first failure above some success. They differ where success recovers beyond a failing rate."""


def critical_bracket(
    density: np.ndarray, level: float, edge: Edge = "last"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices that bracket the critical rate of `density` `[..., L]`, by rising rate.

    NaN marks rates that were not evaluated. Returns (lower, upper, top), each `[...]`: the largest
    rate with `density >= level` (-1 if none), the next larger evaluated rate (L if none), and the
    largest evaluated rate (-1 if none).
    """
    index = np.arange(density.shape[-1])
    evaluated = ~np.isnan(density)
    enough = evaluated & (np.where(evaluated, density, 0.0) >= level - ROUNDING)
    if edge == "first":
        failed = np.logical_or.accumulate(enough, -1) & evaluated & ~enough
        enough = enough & ~np.logical_or.accumulate(failed, -1)
    lower = np.where(enough, index, -1).max(-1)
    beyond = evaluated & (index > lower[..., None])
    upper = np.where(beyond, index, len(index)).min(-1)
    return lower, upper, np.where(evaluated, index, -1).max(-1)


def critical_learning_rate(
    dataset: xr.Dataset,
    level: float = 0.5,
    accuracy: str = "decision",
    threshold: float | xr.DataArray | None = None,
    *,
    edge: Edge = "last",
) -> xr.Dataset:
    """The largest learning rate at which at least `level` of the seeds learned.

    With `edge="first"`, the largest before the first evaluated rate, above some success, at which
    fewer learned: successes beyond that rate do not count.

    Returns a Dataset over the remaining dimensions:
    - `rate`: that rate; NaN if no evaluated rate qualifies.
    - `lower`, `upper`: the bracket of the true value: `rate` and the next larger evaluated rate
      (infinite above the largest; `lower` is 0 below the smallest).
    - `censored`: `"above"` if `rate` is the largest evaluated rate, `"below"` if no rate qualifies,
      else `"none"`. Where nothing was run, the numbers are NaN.

    Raises `ValueError` without dimensions `learning_rate` and `seed`, a level outside (0, 1], or
    an unknown `edge`.
    """
    require(dataset, dims=["learning_rate", "seed"])
    fraction("level", level, open_below=True)
    one_of("edge", edge, get_args(Edge))
    density = success_density(dataset.sortby("learning_rate"), accuracy, threshold)
    rates = np.concatenate([density["learning_rate"].values, [np.inf, 0.0]])  # [L] = inf, [-1] = 0
    names = [name for name in density.dims if name != "learning_rate"]
    density = density.transpose(*names, "learning_rate")
    lower, upper, top = critical_bracket(density.values, level, edge)
    run, below = top >= 0, lower < 0
    censored = np.select([run & below, run & (lower == top)], ["below", "above"], "none")
    values = {
        "rate": np.where(below, np.nan, rates[lower]),
        "lower": np.where(run, rates[lower], np.nan),
        "upper": np.where(run, rates[upper], np.nan),
        "censored": censored,
    }
    empty = density.isel(learning_rate=0, drop=True)
    return xr.Dataset({name: empty.copy(data=value).rename(name) for name, value in values.items()})


def best_learning_rates(
    dataset: xr.Dataset,
    level: float = 0.5,
    accuracy: str = "decision",
    threshold: float | xr.DataArray | None = None,
) -> xr.Dataset:
    """The learning rate with the lowest final loss, averaged over seeds.

    A diverged run has infinite loss. Returns a Dataset over the remaining dimensions: `rate` and
    `loss` (NaN if runs diverged at every evaluated rate), `density` (success density at `rate`) and
    `trained`: whether that density reaches `level`. Where it does not, `rate` is the best among
    rates that fail, not a rate that trains.

    Raises `ValueError` without `final_loss`, `learning_rate` or `seed`.
    """
    require(dataset, variables=["final_loss"], dims=["learning_rate", "seed"])
    dataset = dataset.sortby("learning_rate")
    done = finished(dataset)
    loss = dataset["final_loss"].where(~diverged(dataset), np.inf).where(done).mean("seed")
    loss = loss.fillna(np.inf)
    best = loss.argmin("learning_rate")
    density = success_density(dataset, accuracy, threshold).isel(learning_rate=best)
    lowest = loss.min("learning_rate")
    found = np.isfinite(lowest)
    return xr.Dataset(
        {
            "rate": dataset["learning_rate"].isel(learning_rate=best).where(found),
            "loss": lowest.where(found),
            "density": density.where(found),
            "trained": (density >= fraction("level", level, open_below=True) - ROUNDING) & found,
        }
    ).drop_vars("learning_rate", errors="ignore")
