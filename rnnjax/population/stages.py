"""A population as it was earlier in training, from the snapshots of its recipe."""

import dataclasses
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
import xarray as xr

from rnnjax.devices import all_devices, padded_index
from rnnjax.sweep.programs import evaluate_block
from rnnjax.sweep.results import scores
from rnnjax.sweep.snapshots import first_below
from rnnjax.training import Hyper, Setup, Status, setting_values
from rnnjax.typing import Int, Params

if TYPE_CHECKING:
    from rnnjax.population.members import Population

__all__ = ["stopped_at"]


def stopped_at(population: "Population", place: int) -> "Population":
    """The networks at snapshot `place` of their recipe; see `Population.at_loss`."""
    recipe, results = population.recipe, population.results
    bound = recipe.snapshots[place]
    (epoch,) = first_below(results["held_out_loss"].values, (bound,)).T
    reached = epoch > 0
    assert population.snapshots is not None

    def choose(last: np.ndarray, kept: np.ndarray) -> np.ndarray:
        return np.where(reached.reshape(-1, *[1] * (last.ndim - 1)), kept[:, place], last)

    params = {n: choose(leaf, population.snapshots[n]) for n, leaf in population.params.items()}
    stops = dataclasses.replace(recipe, stop="threshold", threshold=bound, patience=1, snapshots=())
    setup = dataclasses.replace(population.setup, recipe=stops)
    steps = np.where(reached, epoch * recipe.steps_per_epoch, results["steps_taken"].values)
    status = np.where(reached, Status.CONVERGED, results["status"].values)
    values = {
        **_evaluate(setup, population.hyper, params, status),
        "status": status,
        "steps_taken": steps,
        "steps_to_criterion": results["steps_to_criterion"].where(
            results["steps_to_criterion"] <= xr.DataArray(steps, dims="seed")
        ).values,
    }  # fmt: skip
    found = results.copy()
    for name, new in values.items():
        found[name] = (results[name].dims, new.astype(results[name].dtype), results[name].attrs)
    ends = xr.DataArray(steps, dims="seed")
    for name, at, step in (
        ("loss", "step", results["step"]),
        ("held_out_loss", "epoch", results["epoch"] * recipe.steps_per_epoch),
    ):
        after = (step > ends) & xr.DataArray(reached, dims="seed")
        kept = results[name].where(~after).transpose("seed", at)
        found[name] = kept.assign_attrs(results[name].attrs)
    return dataclasses.replace(
        population, setup=setup, params=params, results=found, snapshots=None
    )


def _evaluate(
    setup: Setup, hyper: Hyper, params: Params, status: Int[np.ndarray, " S"]
) -> dict[str, np.ndarray]:
    """Results on held-out trials by variable, [S], a group of networks at a time."""
    layout, count = all_devices(), len(status)
    settings: Any = {
        name: np.full(count, value, np.float32) for name, value in setting_values(hyper).items()
    }
    runs = Hyper(seed=np.asarray(hyper.seed, np.int32), **settings), params, status.astype(np.int32)
    groups = []
    with layout.context():
        for begin in range(0, count, layout.group_size):
            index = padded_index(begin, layout.group_size, count)
            some = jax.tree.map(lambda leaf, at=index: layout.put(leaf[at]), runs)
            found = scores(evaluate_block(setup.evaluation, layout, *some))
            groups.append({name: np.asarray(value) for name, value in found.items()})
    return {name: np.concatenate([g[name] for g in groups])[:count] for name in groups[0]}
