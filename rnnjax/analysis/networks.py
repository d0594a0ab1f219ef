"""Measures of every network of a population: losses, feature learning, structure of its weights."""

import jax
import numpy as np
import xarray as xr

from rnnjax import metrics
from rnnjax.population import Population
from rnnjax.training import Status
from rnnjax.typing import Key
from rnnjax.validate import finite_positive, instance_of

__all__ = ["measure_population"]


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
