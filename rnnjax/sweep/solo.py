"""Training of a single network, equal to the same run of any sweep."""

from typing import NamedTuple

import jax
import numpy as np

from rnnjax import validate
from rnnjax.cells import Cell, fitted
from rnnjax.devices import Layout, default_layout, free_programs
from rnnjax.sweep import cost
from rnnjax.sweep.block import train_block
from rnnjax.sweep.sizing import segment_steps
from rnnjax.tasks import Task
from rnnjax.training import Hyper, Recipe, Setup, Status, check_settings, output_scale
from rnnjax.typing import Params

__all__ = ["Trained", "train_one"]


class Trained(NamedTuple):
    """One trained network, its losses and its results."""

    setup: Setup
    """Task, cell (fitted to the task) and recipe."""
    initial: Params
    """Raw weights before the first step."""
    params: Params
    """Trained raw weights."""
    losses: np.ndarray
    """Training loss of every step, [T]; NaN after the run stopped."""
    status: Status
    """State at the end of the run."""
    held_out_loss: np.ndarray | None
    """Held-out loss at the end of every epoch, [epochs]; None without validation."""
    output_scale: float
    """Factor on the readout (`rollout(..., output_scale=)`); 1 unless gamma changes it."""
    results: dict[str, float]
    """Held-out loss, accuracies and steps, named as in a sweep's dataset."""
    snapshots: Params | None = None
    """Raw weights along training, [K, ...], of a recipe with `snapshots`."""


def train_one(
    task: Task,
    cell: Cell,
    recipe: Recipe | None = None,
    *,
    seed: int = 0,
    evaluation_trials: int = 200,
    **settings: float,
) -> Trained:
    """Trains one network: equal, to the last bit, to the same run of a sweep at map width 1.

    Map width 1 is the default on CPU; elsewhere the two agree up to rounding.

    Args:
        task: the task to learn.
        cell: the network; its inputs and outputs are set to fit the task.
        recipe: the training recipe.
        seed: seed of the weights, the training trials and the held-out trials.
        evaluation_trials: number of held-out trials.
        settings: traced settings, fields of `rnnjax.training.Hyper`: `learning_rate`, which is
            required, `gamma` under a rule that defines it, and the strengths `l1` and `nuclear` of
            penalties that the recipe names.

    Raises:
        ValueError: a setting that is unknown, missing, invalid, or that the width rule or the
            recipe does not support, an invalid seed, or a network that does not fit into memory.
    """
    values = check_settings(settings, ("seed", "evaluation_trials"))
    hyper = Hyper(seed=validate.seed("seed", seed), **values)
    setup = Setup(
        task, fitted(cell, task), Recipe() if recipe is None else recipe, evaluation_trials
    )
    setup.require_settings(hyper)
    layout = Layout(default_layout(devices=1).devices, 1)
    segment = segment_steps(setup, 1, layout)
    runs = Hyper(*(np.array([value]) for value in hyper))
    cost.require_memory(setup, layout)
    try:
        block = train_block(setup, runs, layout, size=1, segment=segment)
    except jax.errors.JaxRuntimeError as error:
        if not cost.out_of_memory(error):
            raise
        raise cost.too_large(setup, layout, "memory ran out") from error
    finally:
        free_programs()  # a caller may train any number of networks in a loop
    assert block.weights is not None
    snapshots = block.weights.snapshots
    return Trained(
        setup=setup,
        initial={name: leaf[0] for name, leaf in block.weights.initial.items()},
        params={name: leaf[0] for name, leaf in block.weights.trained.items()},
        losses=block.losses[0],
        status=Status(int(block.values["status"][0])),
        held_out_loss=None if block.held_out_loss is None else block.held_out_loss[0],
        output_scale=float(output_scale(setup.cell, hyper.gamma)),
        results={name: value[0].item() for name, value in block.values.items()},
        snapshots=None if snapshots is None else {n: leaf[0] for n, leaf in snapshots.items()},
    )
