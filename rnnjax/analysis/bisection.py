"""Critical learning rates to a fine resolution, without training a fine grid.

The sweep declares a fine rate axis, of which only a few rates per condition are trained: from the
top down in coarse strides until a rate succeeds, then halving between that rate and the failing
one above it. The result is an ordinary dataset with pending runs, so that a store can resume it and
every analysis accepts it.
"""

from pathlib import Path

import numpy as np
import xarray as xr

from rnnjax.analysis.schema import finished
from rnnjax.analysis.success import ROUNDING, success_density
from rnnjax.sweep import Engine, Progress, Sweep, run_sweep
from rnnjax.training import Status
from rnnjax.validate import fraction, positive_integer

__all__ = ["bisect_critical_rates", "next_rate", "next_runs"]


def next_rate(density: np.ndarray, level: float, stride: int) -> int | None:
    """The index of the rate to train next; None once the critical rate is bracketed by neighbors.

    `density` [L] is the success density by rising rate, NaN where nothing is trained yet.
    """
    trained = np.flatnonzero(~np.isnan(density))
    if not len(trained):
        return len(density) - 1
    enough = trained[density[trained] >= level - ROUNDING]
    if not len(enough):
        lowest = trained[0]
        return None if lowest == 0 else max(0, lowest - stride)
    lower = enough[-1]
    above = trained[trained > lower]
    if not len(above) or above[0] == lower + 1:
        return None
    return int((lower + above[0]) // 2)


def bisect_critical_rates(
    sweep: Sweep,
    store: str | Path | None = None,
    *,
    level: float = 0.5,
    accuracy: str = "decision",
    threshold: float | None = None,
    stride: int = 5,
    progress: Progress | None = None,
    engine: Engine | None = None,
) -> xr.Dataset:
    """Trains until every condition's critical rate is bracketed by neighbors on the rate axis.

    Args:
        sweep: its learning rates must rise; `log_rates(1e-4, 1, per_decade=10)` resolves 0.1
            decade with about eight rates per condition.
        store: folder of the results; the same call resumes an interrupted one.
        level: success density from which on a rate counts as trainable.
        accuracy: definition of accuracy.
        threshold: accuracy that suffices for success; by default the criterion of `succeeded`.
        stride: rates per coarse step down from the top; 5 of ten per decade is half a decade.
        progress: callback, called after every segment; its counts restart with every round.
        engine: settings of the computation.

    Returns:
        The sweep's dataset; runs that the bisection does not need stay pending.

    Raises:
        ValueError: rates that do not rise, a level outside (0, 1], a stride below 1, or arguments
            that `run_sweep` rejects.
    """
    fraction("level", level, open_below=True)
    positive_integer("stride", stride)
    rates = np.array(sweep.axis("learning_rate").values)
    if np.any(np.diff(rates) <= 0):
        raise ValueError(f"learning_rate: expected rising rates, got {rates.tolist()}")
    wanted = np.zeros(sweep.shape, bool)
    found = None
    while True:
        new = run_sweep(sweep, store, mask=wanted, progress=progress, engine=engine)
        found = new if found is None else _merge(found, new)
        wanted = next_runs(
            sweep, found, level=level, accuracy=accuracy, threshold=threshold, stride=stride
        )
        if not wanted.any():
            return found


def next_runs(
    sweep: Sweep,
    results: xr.Dataset,
    *,
    level: float = 0.5,
    accuracy: str = "decision",
    threshold: float | None = None,
    stride: int = 5,
) -> np.ndarray:
    """Mask `sweep.shape` of the runs that a bisection trains next; none once it is complete.

    All seeds of the next rate of every condition that needs one. If an interruption has left a rate
    with missing seeds, these are trained first. Arguments as in `bisect_critical_rates`.
    """
    density, done = success_density(results, accuracy, threshold), finished(results)
    names = [a.name for a in sweep.dimensions if a.name not in ("learning_rate", "seed")]
    density = density.transpose(*names, "learning_rate")
    trained = done.transpose(*names, "learning_rate", "seed").values
    begun = trained.any(-1, keepdims=True)
    wanted = begun & ~trained
    for place in np.ndindex(density.shape[:-1]):
        if wanted[place].any():
            continue
        index = next_rate(density.values[place], level, stride)
        if index is not None:
            wanted[(*place, index)] = True
    return wanted


def _merge(old: xr.Dataset, new: xr.Dataset) -> xr.Dataset:
    """`new` where it has results, else `old`; with a store `new` already holds all results."""
    fresh = new["status"] != Status.PENDING
    merged = xr.where(fresh, new, old, keep_attrs=True)
    return merged.transpose(*new.dims).astype({name: new[name].dtype for name in new.data_vars})
