"""One run: start it, advance it by a segment of steps, evaluate it.

All three are pure functions of traced values, written for one network; sweeps map them over
runs. A run that has stopped no longer changes.
"""

import dataclasses
import enum
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from rnnjax.cells import Cell
from rnnjax.rollout import rollout
from rnnjax.tasks import Task, Trial
from rnnjax.training import accuracy
from rnnjax.training.optimizers import descend, direction
from rnnjax.training.recipe import Recipe
from rnnjax.typing import Array, Float, Int, Key, Params, Scalar
from rnnjax.validate import fraction, instance_of, one_of, whole

__all__ = [
    "Evaluation",
    "Hyper",
    "Judge",
    "Run",
    "Setup",
    "Status",
    "advance",
    "born",
    "evaluate",
    "held_out",
    "output_scale",
    "start",
]

# Distinct streams of one seed. Their values are part of every published number: never renumber.
_INITIALIZATION, _TRAINING, _EVALUATION = 0, 1, 2

# Weight of the past in the running means that meet the criterion. With 50
# trials a step its noise at chance is 0.016, a fifteenth of the way from chance to 0.75.
_MEMORY = 0.9


class Status(enum.IntEnum):
    """Where a run stands; stored with every result."""

    PENDING = 0
    """Not run."""
    RUNNING = 1
    """Under way."""
    CONVERGED = 2
    """Stopped by the recipe's stopping rule."""
    DIVERGED = 3
    """Stopped because its loss was no longer finite."""
    EXHAUSTED = 4
    """All steps done."""


@dataclasses.dataclass(frozen=True)
class Setup:
    """What one compiled program trains: the static half of a run.

    Raises `ValueError` where cell and task differ in channels, or the width rule was not made
    for the recipe's optimizer.
    """

    task: Task
    cell: Cell
    recipe: Recipe = Recipe()
    evaluation_trials: int = 200

    def __post_init__(self):
        instance_of("task", self.task, Task)
        instance_of("cell", self.cell, Cell)
        instance_of("recipe", self.recipe, Recipe)
        # The blind loss needs trials to differ from each other.
        whole("evaluation_trials", self.evaluation_trials, least=2)
        one_of("decision", self.task.decision, ("argmax", "sign"))
        fraction("criterion", self.task.criterion)
        if self.task.decision == "argmax" and self.task.outputs < 2:
            raise ValueError(f"decision: 'argmax' needs 2 outputs, got {self.task.outputs}")
        if self.recipe.stop == "criterion" and self.recipe.batch < 2:
            raise ValueError("batch: expected at least 2 trials with stop='criterion', got 1")
        wants = (self.task.inputs, self.task.outputs)
        has = (self.cell.inputs, self.cell.outputs)
        if wants != has:
            raise ValueError(
                f"cell: expected {wants[0]} inputs and {wants[1]} outputs for task "
                f"{self.task.name!r}, got {has[0]} and {has[1]} (see rnnjax.cells.fitted)"
            )
        rule = self.cell.parametrization
        if self.recipe.optimizer not in rule.optimizers:
            raise ValueError(
                f"optimizer: expected {' or '.join(rule.optimizers)}, which rule {rule.name!r} is "
                f"made for, got {self.recipe.optimizer!r}"
            )

    def require_gamma(self) -> None:
        """Raises `ValueError` where the width rule knows no gamma."""
        rule = self.cell.parametrization
        if not rule.output_gamma:
            raise ValueError(
                f"gamma: expected a rule that knows it (mup_adam, mup_sgd, gamma_trick), "
                f"got {rule.name!r}"
            )

    @property
    def judge(self) -> "Judge":
        """The part of the setup that an evaluation needs."""
        recipe = self.recipe
        return Judge(
            self.task, self.cell, self.evaluation_trials, recipe.reduction, recipe.matmul_precision
        )


class Judge(NamedTuple):
    """What an evaluation depends on: less than a setup, so that recipes share its program."""

    task: Task
    cell: Cell
    trials: int
    reduction: str
    matmul_precision: str


class Hyper(NamedTuple):
    """What may differ between runs of one program: the traced half of a run.

    Each is a number; of a block of runs, an array [S].
    """

    learning_rate: Any
    seed: Any
    gamma: Any = 1.0
    """Strength of feature learning, under a rule that knows it."""


class Run(NamedTuple):
    """A network in training."""

    hyper: Hyper
    params: Params
    optimizer_state: optax.OptState
    step: Int[Array, ""]
    """Optimizer steps taken."""
    status: Int[Array, ""]
    accuracy: Scalar
    """Running mean of decision accuracy on training batches, weighted by `1 - 0.9^step`."""
    excess_loss: Scalar
    """The same mean of the training loss less that of the best input-blind answer."""
    reached: Int[Array, ""]
    """First step at which the network met the task's criterion; 0 if it has not.

    It meets it when the mean accuracy exceeds the criterion and the mean excess loss is below 0."""


class Evaluation(NamedTuple):
    """A network on held-out trials; after divergence the loss is NaN and accuracies are 0."""

    loss: Scalar
    blind_loss: Scalar
    """Loss of the best answer that ignores the input, on the same trials."""
    decision: Scalar
    matching: Scalar
    pearson: Scalar


def _stream(seed: Int[Array, ""], purpose: int) -> Key:
    return jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), purpose)


def born(cell: Cell, seed: Int[Array, ""]) -> Params:
    """The initial weights of a seed: the same at every rate and under every recipe."""
    return cell.init(_stream(seed, _INITIALIZATION))


def start(setup: Setup, hyper: Hyper, params: Params) -> Run:
    """The run of a newly born network, before its first step."""
    zero = jnp.zeros((), jnp.int32)
    return Run(
        hyper=hyper,
        params=params,
        optimizer_state=direction(setup.cell, setup.recipe, hyper.gamma).init(params),
        step=zero,
        status=jnp.full((), Status.RUNNING, jnp.int32),
        accuracy=jnp.zeros(()),
        excess_loss=jnp.zeros(()),
        reached=zero,
    )


def _training_batch(setup: Setup, run: Run) -> Trial:
    when = run.step if setup.recipe.data == "fresh" else 0
    key = jax.random.fold_in(_stream(run.hyper.seed, _TRAINING), when)
    return setup.task.batch(key, setup.recipe.batch)


def output_scale(cell: Cell, gamma: Scalar | float) -> Scalar | float:
    """What gamma makes of the readout under the cell's rule: 1/gamma, or 1 where it has none."""
    power = cell.parametrization.output_gamma
    return gamma**power if power else 1.0


def _objective(
    params: Params, setup: Setup, trial: Trial, gamma: Scalar | float
) -> tuple[Scalar, Array]:
    scale = output_scale(setup.cell, gamma)
    outputs = rollout(setup.cell, params, trial.inputs, output_scale=scale).outputs
    return accuracy.mean_squared_error(outputs, trial.targets, setup.recipe.reduction), outputs


def _train_step(setup: Setup, run: Run) -> tuple[Run, Scalar]:
    """One step, unless the loss has left the finite numbers: then the run stops as it is."""
    trial, hyper = _training_batch(setup, run), run.hyper
    gradient = jax.value_and_grad(_objective, has_aux=True)
    (loss, outputs), slope = gradient(run.params, setup, trial, hyper.gamma)
    optimizer = direction(setup.cell, setup.recipe, hyper.gamma)
    change, optimizer_state = optimizer.update(slope, run.optimizer_state)
    params = descend(
        setup.cell, setup.recipe.optimizer, run.params, change, hyper.learning_rate, hyper.gamma
    )
    step = run.step + 1
    right = accuracy.decision(outputs, trial.targets, trial.mask, setup.task.decision)
    excess = loss - accuracy.blind_loss(trial.targets, setup.recipe.reduction)
    mean_right = _MEMORY * run.accuracy + (1 - _MEMORY) * right
    mean_excess = _MEMORY * run.excess_loss + (1 - _MEMORY) * excess
    met = (mean_right / (1 - _MEMORY**step) > setup.task.criterion) & (mean_excess < 0)
    reached = jnp.where((run.reached == 0) & met, step, run.reached)
    status = jnp.where(step >= setup.recipe.steps, Status.EXHAUSTED, Status.RUNNING)
    if setup.recipe.stop == "criterion":
        status = jnp.where(reached > 0, Status.CONVERGED, status)
    after = Run(
        hyper, params, optimizer_state, step, status.astype(jnp.int32),
        mean_right, mean_excess, reached,
    )  # fmt: skip
    stopped = run._replace(status=jnp.full((), Status.DIVERGED, jnp.int32))
    finite = jnp.isfinite(loss)
    return jax.tree.map(lambda new, old: jnp.where(finite, new, old), after, stopped), loss


def advance(setup: Setup, run: Run, length: int) -> tuple[Run, Float[Array, " T"]]:
    """The run after at most `length` further steps, and the training loss of each step.

    The loss of step k is that before the k-th update; NaN where the run had stopped.
    """

    def step(run: Run, _):
        # A branch, not a selection: where runs are mapped one by one a stopped one costs nothing.
        return jax.lax.cond(
            run.status == Status.RUNNING,
            functools.partial(_train_step, setup),
            lambda run: (run, jnp.full((), jnp.nan)),
            run,
        )

    with jax.default_matmul_precision(setup.recipe.matmul_precision):
        return jax.lax.scan(step, run, length=length)


def held_out(task: Task, seed: Int[Array, ""], trials: int) -> Trial:
    """The held-out trials of a seed."""
    return task.batch(_stream(seed, _EVALUATION), trials)


def evaluate(judge: Judge, hyper: Hyper, params: Params, status: Int[Array, ""]) -> Evaluation:
    """Loss and accuracies of a network on its seed's held-out trials."""
    trial = held_out(judge.task, hyper.seed, judge.trials)
    scale = output_scale(judge.cell, hyper.gamma)
    with jax.default_matmul_precision(judge.matmul_precision):
        outputs = rollout(judge.cell, params, trial.inputs, output_scale=scale).outputs
    loss = accuracy.mean_squared_error(outputs, trial.targets, judge.reduction)
    alive = (status != Status.DIVERGED) & jnp.all(jnp.isfinite(outputs)) & jnp.isfinite(loss)
    scores = (
        accuracy.decision(outputs, trial.targets, trial.mask, judge.task.decision),
        accuracy.matching(outputs, trial.targets),
        accuracy.pearson(outputs, trial.targets),
    )
    return Evaluation(
        jnp.where(alive, loss, jnp.nan),
        accuracy.blind_loss(trial.targets, judge.reduction),
        *(jnp.where(alive, score, 0.0) for score in scores),
    )
