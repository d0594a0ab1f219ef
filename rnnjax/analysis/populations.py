"""What training made of a population's networks, and how that changes from level to level."""

from typing import NamedTuple

import jax
import numpy as np
import xarray as xr
from scipy import stats

from rnnjax import metrics
from rnnjax.population import Population
from rnnjax.training import Status
from rnnjax.typing import Key
from rnnjax.validate import finite_positive, fraction, instance_of

__all__ = ["Series", "converged_only", "level_series", "level_trend", "measure_population"]


def measure_population(
    population: Population,
    key: Key,
    *,
    stretch: float = 2.0,
    trials: int = 256,
    probe_trials: int = 16,
    probe_times: int = 5,
    near_zero: float = 0.1,
) -> xr.Dataset:
    """What every network of a population became, on trials that all of them share.

    Args:
        population: networks of one condition, of a cell with a connectivity matrix.
        key: decides the trials.
        stretch: factor of the out-of-distribution variant of the task.
        trials: trials for the losses.
        probe_trials: trials of the tangent kernel's probe.
        probe_times: steps of each that are probed.
        near_zero: what counts as near zero, in units of 1 / sqrt(N), the bound of the standard
            rule's initial weights.

    Returns:
        A dataset over `seed`: `epochs` taken; `held_out_loss`, the lowest at an epoch's end, under
        a watched recipe; `loss`, `ood_loss` and their difference `ood_excess`; `weight_change`
        `|W_T - W_0|_F` of the effective recurrent weights, and `relative_weight_change`, over
        `|W_0|_F`; `kernel_alignment` before and after, of the tangent kernel of all raw weights,
        and `recurrent_kernel_alignment`, of the recurrent ones (where the cell has such a leaf):
        under a rule with multipliers the leaves enter the first by unlike shares;
        `near_zero_share`; `effective_rank`; and
        `status`. Of diverged networks all but `epochs` and `status` is NaN.

    Raises:
        ValueError: numbers out of range, a task without a stretched variant, a cell without a
            connectivity matrix, or trials that do not fit into memory.
    """
    instance_of("population", population, Population)
    finite_positive("near_zero", near_zero)
    ood_task = population.task.stretched(stretch)
    on_task, stretched, probe = jax.random.split(key, 3)
    results = population.results
    loss = population.losses(on_task, trials).astype(float)
    ood = population.losses(stretched, trials, task=ood_task).astype(float)
    before, after = (population.connectivity(when) for when in ("initial", "trained"))
    change = np.linalg.norm(after - before, axis=(-1, -2))
    bound = near_zero / np.sqrt(population.cell.hidden)
    measures = {
        "epochs": results["steps_taken"].values / population.recipe.steps_per_epoch,
        "loss": loss,
        "ood_loss": ood,
        "ood_excess": ood - loss,
        "weight_change": change,
        "relative_weight_change": change / np.linalg.norm(before, axis=(-1, -2)),
    }
    if "held_out_loss" in results:
        measures["held_out_loss"] = results["held_out_loss"].min("epoch").values
    ended = results["status"].values != Status.DIVERGED
    alive = ended & np.isfinite(loss) & np.isfinite(change)
    some = population.where(alive) if alive.any() else None
    kernels: dict[str, list[str] | None] = {"kernel_alignment": None}
    if "recurrent" in population.cell.leaves():
        kernels["recurrent_kernel_alignment"] = ["recurrent"]
    for name in (*kernels, "near_zero_share", "effective_rank"):
        measures[name] = np.full(len(population), np.nan)
    if some is not None:
        for name, leaves in kernels.items():
            measures[name][alive] = some.kernel_alignment(
                probe, trials=probe_trials, times=probe_times, leaves=leaves
            )
        measures["near_zero_share"][alive] = metrics.structure.near_zero_share(after[alive], bound)
        measures["effective_rank"][alive] = metrics.structure.effective_rank(after[alive])
    variables = {
        name: ("seed", np.asarray(values) if name == "epochs" else np.where(alive, values, np.nan))
        for name, values in measures.items()
    }
    variables["status"] = ("seed", results["status"].values)
    found = xr.Dataset(variables, {"seed": population.seeds})
    found["near_zero_share"].attrs["bound"] = f"below {near_zero:g}/√N"
    return found


def level_trend(values: np.ndarray, *, confidence: float = 0.95) -> xr.Dataset:
    """Whether a measure rises from level to level: its mean slope per level, over paired seeds.

    Networks of one seed begin alike at every level, so each seed gives one slope (least squares
    over the levels at which it has a value) and the interval is Student's over seeds.

    Args:
        values: [S, L], seeds by levels in order; NaN where there is none.
        confidence: of the interval.

    Returns:
        `slope`, `low`, `high`, `seeds` that entered, and `verdict`: `rises`, `falls`,
        `undecided` where the interval holds 0, or `too few seeds` below three.

    Raises:
        ValueError: another shape, fewer than two levels, or a confidence outside (0, 1].
    """
    table = np.asarray(values, float)
    if table.ndim != 2 or table.shape[1] < 2:
        raise ValueError(f"values: expected shape [S, L] with L of at least 2, got {table.shape}")
    fraction("confidence", confidence, open_below=True)
    slopes = np.array([s for s in map(_slope, table) if np.isfinite(s)])
    count, mean = len(slopes), float(slopes.mean()) if len(slopes) else np.nan
    low = high = np.nan
    if count >= 3:
        half = stats.t.ppf((1 + confidence) / 2, count - 1) * slopes.std(ddof=1) / np.sqrt(count)
        low, high = mean - half, mean + half
        verdict = "rises" if low > 0 else "falls" if high < 0 else "undecided"
    else:
        verdict = "too few seeds"
    scalars = {"slope": mean, "low": low, "high": high, "seeds": count, "verdict": verdict}
    return xr.Dataset({name: ((), value) for name, value in scalars.items()})


def _slope(row: np.ndarray) -> float:
    known = np.isfinite(row)
    if known.sum() < 2:
        return np.nan
    x = np.flatnonzero(known).astype(float)
    x -= x.mean()
    return float(x @ row[known] / (x @ x))


class Series(NamedTuple):
    """Conditions of one task and width that differ in one setting, in its order."""

    labels: dict[str, object]
    """Task and width."""
    name: str | None
    """The setting that differs; None for a condition that stands alone."""
    levels: tuple[float, ...]
    """Its values, rising; empty for a condition that stands alone."""
    data: xr.Dataset
    """The conditions, along `condition`."""


def level_series(dataset: xr.Dataset) -> list[Series]:
    """The series among conditions with coordinates `task`, `hidden`, `gamma`, `l1`, `nuclear`.

    In a series of one setting the others are at the lowest of their values.
    """
    found = []
    for task, hidden in dict.fromkeys(
        zip(dataset["task"].values.tolist(), dataset["hidden"].values.tolist(), strict=True)
    ):
        here = (dataset["task"] == task) & (dataset["hidden"] == hidden)
        part = dataset.isel(condition=np.flatnonzero(here.values))
        settings = {name: part[name].values for name in ("gamma", "l1", "nuclear")}
        varied = [name for name, values in settings.items() if len(set(values.tolist())) > 1]
        labels: dict[str, object] = {"task": task, "hidden": hidden}
        series = []
        for name in varied:
            off = [settings[other] == settings[other].min() for other in varied if other != name]
            alone = np.logical_and.reduce([np.ones(part.sizes["condition"], bool), *off])
            chosen = np.flatnonzero(alone)
            order = chosen[np.argsort(settings[name][chosen])]
            levels = tuple(settings[name][order].tolist())
            if len(levels) > 1:
                series.append(Series(labels, name, levels, part.isel(condition=order)))
        found += series or [Series(labels, None, (), part)]
    return found


def converged_only(dataset: xr.Dataset, measure: str) -> xr.DataArray:
    """A measure of the networks that met their stopping rule; NaN for the others."""
    return dataset[measure].where(dataset["status"] == Status.CONVERGED)
