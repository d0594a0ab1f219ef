"""Measures of the networks of a population: losses, feature learning, structure of weights."""

import contextlib

import jax
import numpy as np
import xarray as xr

from rnnjax import metrics
from rnnjax.arrays import random_key
from rnnjax.devices import fixed_draws
from rnnjax.population import Population
from rnnjax.training import Status
from rnnjax.typing import Key, KeyLike
from rnnjax.validate import finite_positive, instance_of

__all__ = ["measure_population"]


@fixed_draws()
def measure_population(
    population: Population,
    key: KeyLike,
    *,
    stretch: float = 2.0,
    trials: int = 256,
    probe_trials: int = 16,
    probe_times: int = 5,
    near_zero: float = 0.1,
) -> xr.Dataset:
    """Measures of every network of a population, on trials that all networks share.

    Args:
        population: networks of one condition, of a cell with a connectivity matrix.
        key: random key of the trials.
        stretch: factor of the out-of-distribution variant of the task.
        trials: trials for the losses.
        probe_trials: trials of the tangent kernel's probe.
        probe_times: time steps of each trial that are probed.
        near_zero: bound of near-zero weights, in units of 1 / sqrt(N), the standard initial bound.

    Returns:
        A dataset over `seed`: `epochs`; `held_out_loss`, the lowest at the end of an epoch, where
        the recipe records it; `loss`, `ood_loss` and their difference `ood_excess`;
        `weight_change` `|W_T - W_0|_F` of the effective recurrent weights and
        `relative_weight_change`, over `|W_0|_F`; `kernel_alignment` between initial and trained
        tangent kernels of all raw weights, to which leaves with different multipliers contribute
        unequal shares; `recurrent_kernel_alignment`, of the recurrent leaf where the cell has one;
        `near_zero_share`; `effective_rank`; `status`. For diverged networks all but `epochs` and
        `status` is NaN, and so is the alignment of a kernel that is 0 (no unit active) or infinite.

    Raises:
        ValueError: numbers out of range, a task without a stretched variant, a cell without a
            connectivity matrix, or trials that do not fit into memory.
    """
    instance_of("population", population, Population)
    finite_positive("near_zero", near_zero)
    ood_task = population.task.stretched(stretch)
    on_task, stretched, probe = jax.random.split(random_key("key", key), 3)
    loss = population.losses(on_task, trials).astype(float)
    ood = population.losses(stretched, trials, task=ood_task).astype(float)
    before, after = (population.connectivity(when) for when in ("initial", "trained"))
    change = np.linalg.norm(after - before, axis=(-1, -2))
    measures = {
        "epochs": population.results["steps_taken"].values / population.recipe.steps_per_epoch,
        "loss": loss,
        "ood_loss": ood,
        "ood_excess": ood - loss,
        "weight_change": change,
        "relative_weight_change": change / np.linalg.norm(before, axis=(-1, -2)),
    }
    if "held_out_loss" in population.results:
        measures["held_out_loss"] = population.results["held_out_loss"].min("epoch").values
    ended = population.results["status"].values != Status.DIVERGED
    finite = ended & np.isfinite(loss) & np.isfinite(change)
    measures |= _kernel_alignments(population, finite, probe, probe_trials, probe_times)
    measures |= _structure(after, finite, near_zero / np.sqrt(population.cell.hidden))
    found = _dataset(population, measures, finite)
    found["near_zero_share"].attrs["bound"] = f"below {near_zero:g}/√N"
    return found


def _kernel_alignments(
    population: Population, finite: np.ndarray, probe: Key, trials: int, times: int
) -> dict[str, np.ndarray]:
    """Alignments of the tangent kernels before and after training `[S]`.

    NaN where not `finite`, and where a kernel is 0 or not finite.
    """
    kernels: dict[str, list[str] | None] = {"kernel_alignment": None}
    if "recurrent" in population.cell.leaves():
        kernels["recurrent_kernel_alignment"] = ["recurrent"]
    found = {name: np.full(len(population), np.nan) for name in kernels}
    for row in np.flatnonzero(finite):
        one = population[row : row + 1]
        for name, leaves in kernels.items():
            with contextlib.suppress(metrics.features.KernelError):
                (found[name][row],) = one.kernel_alignment(
                    probe, trials=trials, times=times, leaves=leaves
                )
    return found


def _structure(connectivity: np.ndarray, finite: np.ndarray, bound: float) -> dict[str, np.ndarray]:
    """Share of weights below `bound` and effective rank `[S]`, NaN where not `finite`."""
    found = {name: np.full(len(finite), np.nan) for name in ("near_zero_share", "effective_rank")}
    if finite.any():
        kept = connectivity[finite]
        found["near_zero_share"][finite] = metrics.structure.near_zero_share(kept, bound)
        found["effective_rank"][finite] = metrics.structure.effective_rank(kept)
    return found


def _dataset(
    population: Population, measures: dict[str, np.ndarray], finite: np.ndarray
) -> xr.Dataset:
    """`measures` and `status` over `seed`; all but `epochs` is NaN where not `finite`."""
    variables = {
        name: ("seed", np.asarray(values) if name == "epochs" else np.where(finite, values, np.nan))
        for name, values in measures.items()
    }
    variables["status"] = ("seed", population.results["status"].values)
    return xr.Dataset(variables, {"seed": population.seeds})
