"""Do learning curves of latent networks depend on their size?"""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from rnnjax.analysis import Resampling, require
from rnnjax.analysis.curves import WINDOW, log_losses
from rnnjax.analysis.speed import fit_steps, target_steps

__all__ = ["curve_distance", "loss_scaling"]


def _distance(values: np.ndarray) -> np.ndarray:
    """Largest distance of a width's mean from that of the first: `[..., H, S]` -> `[...]`."""
    means = values.mean(-1)
    return np.abs(means - means[..., :1]).max(-1)


def curve_distance(
    dataset: xr.Dataset,
    steps: Sequence[float] | None = None,
    *,
    window: int = WINDOW,
    resampling: Resampling = Resampling(),
) -> xr.Dataset:
    """Factor by which the learning curves of different widths differ, and that expected by chance.

    The steps are the recorded ones nearest to `steps`, by default 1/16, 1/4 and the end of the run.
    Returns a Dataset over `step` and the remaining dimensions: `factor`, the largest ratio of any
    width's loss to that of the smallest width, or its inverse if larger (geometric means over
    seeds); `chance`, the quantile `confidence` of the factor when widths are permuted at random
    within each seed; `sizes`, the number of widths, and the `smallest` and `largest` of them. Seeds
    without a finite loss at each of these widths are left out. Fewer than two widths give NaN;
    `chance` needs two seeds.
    """
    rng = resampling.generator()
    widths = np.sort(dataset["hidden"].values).astype(float)

    def fit(losses: np.ndarray) -> tuple:
        """`losses` `[H, S]` at one step."""
        there = ~np.isnan(losses).all(-1)
        known = losses[there]
        known = known[:, ~np.isnan(known).any(0)]
        if known.shape[0] < 2 or not known.shape[1]:
            return np.nan, np.nan, np.nan, np.nan, len(known)
        factor, (first, *_, last) = 10 ** _distance(known), widths[there]
        if known.shape[1] < 2:
            return factor, np.nan, first, last, len(known)
        shuffled = rng.permuted(
            np.broadcast_to(known, (resampling.resamples, *known.shape)), axis=1
        )
        chance = 10 ** np.quantile(_distance(shuffled), resampling.confidence)
        return factor, chance, first, last, len(known)

    results = xr.apply_ufunc(
        fit,
        log_losses(dataset, steps, window),
        input_core_dims=[["hidden", "seed"]],
        output_core_dims=[[]] * 5,
        vectorize=True,
        output_dtypes=[float, float, float, float, int],
    )
    names = ("factor", "chance", "smallest", "largest", "sizes")
    return xr.Dataset(dict(zip(names, results, strict=True)))


def loss_scaling(
    dataset: xr.Dataset,
    *,
    targets: Sequence[float],
    of_blind: bool = False,
    window: int = WINDOW,
    level: float = 0.5,
    resampling: Resampling = Resampling(),
) -> xr.Dataset:
    """Fits `log10 steps = intercept + exponent * log10 N` to the steps to each target loss.

    As `steps_scaling`, of `steps_to_loss` instead of the steps to the criterion; `targets` are
    training losses, or with `of_blind` shares of each run's `blind_loss`. Returns its variables,
    also along `target`.
    """
    require(dataset, dims=["hidden", "learning_rate"])
    ordered = dataset.sortby(["hidden", "learning_rate"])
    run_steps = target_steps(ordered, targets, window, of_blind)
    return fit_steps(run_steps, level, resampling=resampling).drop_vars("exponent_samples")
