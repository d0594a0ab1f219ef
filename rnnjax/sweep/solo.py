"""One network, trained exactly as it would be inside any sweep."""

from typing import NamedTuple

import numpy as np

from rnnjax import validate
from rnnjax.cells import Cell, fitted
from rnnjax.devices import Layout, default_layout
from rnnjax.sweep.block import train_block
from rnnjax.tasks import Task
from rnnjax.training import Hyper, Recipe, Setup, Status, output_scale
from rnnjax.typing import Params

__all__ = ["Trained", "train_one"]


class Trained(NamedTuple):
    """One trained network and how it got there."""

    setup: Setup
    """Task, cell (fitted to the task) and recipe."""
    initial: Params
    """Raw weights before the first step."""
    params: Params
    """Trained raw weights."""
    losses: np.ndarray
    """Training loss of every step, [T]; NaN after the run stopped."""
    status: Status
    """How the run ended."""
    held_out: np.ndarray | None
    """Under a watched recipe, held-out loss at the end of every epoch, [epochs]; else None."""
    output_scale: float
    """What the readout is multiplied by (`rollout(..., output_scale=)`): 1, but for gamma."""
    results: dict[str, float]
    """Held-out loss, accuracies and steps, named as in a sweep's dataset."""


def train_one(
    task: Task,
    cell: Cell,
    recipe: Recipe | None = None,
    *,
    learning_rate: float,
    seed: int = 0,
    gamma: float = 1.0,
    l1: float = 0.0,
    nuclear: float = 0.0,
    evaluation_trials: int = 200,
) -> Trained:
    """Trains one network: the same, to the last bit, as that cell of any sweep at map width 1.

    Map width 1 is the default on CPU; elsewhere the two agree up to rounding.

    Args:
        task: what it learns.
        cell: the network; its inputs and outputs follow the task.
        recipe: how it is trained.
        learning_rate: the optimizer's rate.
        seed: decides weights, training trials and held-out trials.
        gamma: strength of feature learning, under a rule that knows it.
        l1: strength of the penalty on the sum of |w|, in a recipe that has it.
        nuclear: strength of the penalty on the sum of singular values, likewise.
        evaluation_trials: number of held-out trials.

    Raises:
        ValueError: a rate or gamma that is not positive and finite, a negative seed or strength, a
            gamma under a rule without one, or a strength without its penalty in the recipe.
    """
    hyper = Hyper(
        learning_rate=np.array([validate.learning_rate("learning_rate", learning_rate)]),
        seed=np.array([validate.seed("seed", seed)]),
        gamma=np.array([validate.learning_rate("gamma", gamma)]),
        l1=np.array([validate.nonnegative("l1", l1)]),
        nuclear=np.array([validate.nonnegative("nuclear", nuclear)]),
    )
    setup = Setup(task, fitted(cell, task), recipe or Recipe(), evaluation_trials)
    setup.require_settings(hyper)
    layout = Layout(default_layout(devices=1).devices, 1)
    segment = min(100, setup.recipe.steps)
    block = train_block(setup, hyper, layout, size=1, segment=segment)
    return Trained(
        setup=setup,
        initial={name: leaf[0] for name, leaf in block.initial.items()},
        params={name: leaf[0] for name, leaf in block.params.items()},
        losses=block.losses[0],
        status=Status(int(block.values["status"][0])),
        held_out=None if block.held_out is None else block.held_out[0],
        output_scale=float(output_scale(setup.cell, float(gamma))),
        results={name: value[0].item() for name, value in block.values.items()},
    )
