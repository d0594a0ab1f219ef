"""The dataset that a sweep fills: variables, dimensions, units."""

from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from rnnjax.devices import free_memory
from rnnjax.sweep.axes import Sweep
from rnnjax.training import Evaluation, Status

__all__ = [
    "FIELDS",
    "LossRecord",
    "empty_results",
    "recorded_steps",
    "require_room",
    "results_template",
    "scores",
    "thinned",
]

_AT_ONCE = 2**20
"""Losses that are averaged at once: their copies take 16 MiB."""


class LossRecord(NamedTuple):
    """The training losses that are kept of every run."""

    points: int = 500
    """Largest number of losses."""
    spacing: str = "even"
    """`even` or `log` spacing of their steps."""


FIELDS: dict[str, tuple[np.dtype, str]] = {
    "final_loss": (np.dtype("f4"), "loss on held-out trials; NaN after divergence"),
    "blind_loss": (
        np.dtype("f4"),
        "loss on the same trials of the best output that ignores the input",
    ),
    "accuracy_decision": (
        np.dtype("f4"),
        "fraction of right choices in the response period, held-out; 0 after divergence",
    ),
    "accuracy_matching": (
        np.dtype("f4"),
        "fraction of all steps equal to the target after rounding, held-out; 0 after divergence",
    ),
    "accuracy_pearson": (
        np.dtype("f4"),
        "mean over trials of the correlation with the target, held-out; 0 after divergence",
    ),
    "status": (np.dtype("i1"), "state of the run"),
    "steps_taken": (np.dtype("i4"), "optimizer steps taken"),
    "steps_to_criterion": (
        np.dtype("f4"),
        "first step at which, in running means over training batches, decision accuracy exceeded "
        "the task's criterion and the loss was below the batch's own blind loss; NaN if never",
    ),
    "seconds": (np.dtype("f4"), "wall time of the run's block, divided by its runs"),
}
"""Name -> (type, meaning) of every variable with one value per run."""


def scores(found: Evaluation) -> dict[str, Any]:
    """Results of an evaluation, by variable."""
    return {
        "final_loss": found.loss,
        "blind_loss": found.blind_loss,
        "accuracy_decision": found.decision,
        "accuracy_matching": found.matching,
        "accuracy_pearson": found.pearson,
    }


def recorded_steps(total: int, points: int = 500, spacing: str = "even") -> np.ndarray:
    """At most `points` steps, from 1 to `total`, at which losses are kept.

    A run of at most `points` steps keeps every loss; `log` spacing also keeps the first ones of a
    longer run.
    """
    if total <= points:
        return np.arange(1, total + 1)
    if spacing == "even" or points == 1:
        steps = np.linspace(total / points, total, points)
    else:
        steps = np.geomspace(1, total, points)
    return np.unique(np.round(steps).astype(int))


def thinned(losses: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Losses [S, T] averaged over the steps since the previous recorded one: [S, step].

    Non-finite losses are left out of a mean; a mean without finite losses is NaN.
    """
    found = np.empty((len(losses), len(steps)), "f4")
    rows = max(_AT_ONCE // max(losses.shape[1], 1), 1)
    for begin in range(0, len(losses), rows):
        part = slice(begin, begin + rows)
        found[part] = _means(losses[part], np.concatenate([[0], steps[:-1]]))
    return found


def _means(losses: np.ndarray, edges: np.ndarray) -> np.ndarray:
    finite = np.isfinite(losses)
    sums = np.add.reduceat(np.where(finite, losses, 0.0).astype("f8"), edges, axis=1)
    counts = np.add.reduceat(finite, edges, axis=1, dtype=int)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def empty_results(sweep: Sweep, points: int = 500, spacing: str = "even") -> xr.Dataset:
    """The dataset of `sweep` before any run: status PENDING, numbers NaN or 0."""
    found = results_template(sweep, points, spacing)
    for name, variable in found.data_vars.items():
        found[name] = (variable.dims, variable.values.copy(), variable.attrs)
    return found


def require_room(template: xr.Dataset) -> None:
    """Raises `ValueError` for a dataset that does not fit into half of the free memory.

    Results are copied while they are checked.
    """
    needed, free = template.nbytes, free_memory() // 2
    if needed > free:
        runs, points = template["status"].size, template.sizes["step"]
        raise ValueError(
            f"axes: expected results that fit into half of the free memory, {free:,} bytes, got "
            f"{runs:,} runs with {points:,} recorded losses each: {needed:,} bytes"
        )


def results_template(sweep: Sweep, points: int = 500, spacing: str = "even") -> xr.Dataset:
    """The dataset of `empty_results` without memory of its own: read-only arrays of one number."""
    dims = [axis.name for axis in sweep.dimensions]
    setups = list(sweep.setups())
    steps = recorded_steps(setups[0][1].recipe.steps, points, spacing)
    variables: dict[str, tuple[list[str], np.ndarray, dict]] = {
        name: (dims, _repeated(np.nan if kind.kind == "f" else 0, kind, sweep.shape),
               {"long_name": meaning})
        for name, (kind, meaning) in FIELDS.items()
    }  # fmt: skip
    variables["status"][2].update(
        flag_values=[int(s) for s in Status], flag_meanings=" ".join(s.name for s in Status)
    )
    variables["loss"] = (
        [*dims, "step"],
        _repeated(np.nan, "f4", (*sweep.shape, len(steps))),
        {"long_name": "training loss, averaged over the steps since the previous recorded one"},
    )
    if any(setup.recipe.validates for _, setup in setups):
        epochs = setups[0][1].recipe.epochs
        variables["held_out_loss"] = (
            [*dims, "epoch"],
            _repeated(np.nan, "f4", (*sweep.shape, epochs)),
            {"long_name": "loss on the held-out trials of the stopping rule, at the epoch's end"},
        )
    coords: dict = {axis.name: np.array(axis.labels) for axis in sweep.dimensions}
    coords["step"] = steps
    if "held_out_loss" in variables:
        coords["epoch"] = np.arange(1, setups[0][1].recipe.epochs + 1)
    criteria = {place: setup.task.criterion for place, setup in setups}
    if "task" in dims:
        at = [axis.name for axis in sweep.static_axes].index("task")
        by_task = {place[at]: criterion for place, criterion in criteria.items()}
        coords["criterion"] = ("task", [by_task[i] for i in range(len(by_task))])
    else:
        coords["criterion"] = next(iter(criteria.values()))
    return xr.Dataset(variables, coords)


def _repeated(number: float, kind: Any, shape: tuple[int, ...]) -> np.ndarray:
    return np.broadcast_to(np.asarray(number, kind), shape)
