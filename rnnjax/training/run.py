"""One run: start it, advance it by a segment of steps, end an epoch, evaluate it.

All are pure functions of traced values, written for one network; sweeps map them over runs. A run
that has stopped no longer changes.
"""

import dataclasses
import enum
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from rnnjax.cells import Cell
from rnnjax.cells.checking import require_cell
from rnnjax.numerics.threefry import fold_in
from rnnjax.tasks import Task, Trial
from rnnjax.tasks.checking import require_task, require_trial
from rnnjax.training import accuracy
from rnnjax.training.optimizers import descend, make_optimizer
from rnnjax.training.penalties import penalty_gradient
from rnnjax.training.recipe import Recipe
from rnnjax.training.settings import Hyper, require_settings
from rnnjax.trajectory import rollout
from rnnjax.typing import Array, Float, Int, Key, Params, Scalar
from rnnjax.validate import instance_of, whole

__all__ = [
    "Evaluation",
    "EvaluationSetup",
    "Run",
    "Setup",
    "Status",
    "Validation",
    "advance",
    "end_epoch",
    "evaluate",
    "held_out_trials",
    "initial_params",
    "output_scale",
    "start",
]

# Distinct random streams of one seed. Every published number depends on them: never renumber.
_INITIALIZATION, _TRAINING, _EVALUATION, _VALIDATION = 0, 1, 2, 3

# Weight of the past in the running means that are compared with the criterion. With 50 trials
# per step the standard error at chance is 0.016, a fifteenth of the way from chance to 0.75.
_MEMORY = 0.9


class Status(enum.IntEnum):
    """State of a run; stored with every result."""

    PENDING = 0
    """Not started."""
    RUNNING = 1
    """In training."""
    CONVERGED = 2
    """Stopped by the recipe's stopping rule."""
    DIVERGED = 3
    """Stopped because its loss was not finite."""
    EXHAUSTED = 4
    """Ended normally, after all its steps."""


@dataclasses.dataclass(frozen=True)
class Setup:
    """The static half of a run: everything that one compiled program depends on.

    Raises `ValueError` where cell or task is not a frozen dataclass of plain data, they differ in
    channels, or the width rule does not support the recipe's optimizer.
    """

    task: Task
    cell: Cell
    recipe: Recipe = Recipe()
    evaluation_trials: int = 200

    def __post_init__(self):
        instance_of("task", self.task, Task)
        instance_of("cell", self.cell, Cell)
        instance_of("recipe", self.recipe, Recipe)
        # The blind loss is 0 on a single trial.
        trials = whole("evaluation_trials", self.evaluation_trials, least=2)
        object.__setattr__(self, "evaluation_trials", trials)
        require_task(self.task)
        require_cell(self.cell)
        if self.recipe.stop == "criterion" and self.recipe.batch < 2:
            raise ValueError("batch: expected at least 2 trials with stop='criterion', got 1")
        expected = (self.task.inputs, self.task.outputs)
        got = (self.cell.inputs, self.cell.outputs)
        if expected != got:
            raise ValueError(
                f"cell: expected {expected[0]} inputs and {expected[1]} outputs for task "
                f"{self.task.name!r}, got {got[0]} and {got[1]} (see rnnjax.cells.fitted)"
            )
        if self.recipe.penalties:  # raises where the cell has no matrix to penalize
            weights = jax.eval_shape(self.cell.init, jax.eval_shape(lambda: jax.random.key(0)))
            jax.eval_shape(self.cell.connectivity, weights)
        rule = self.cell.parametrization
        if self.recipe.optimizer not in rule.optimizers:
            raise ValueError(
                f"optimizer: expected {' or '.join(rule.optimizers)}, which rule {rule.name!r} "
                f"supports, got {self.recipe.optimizer!r}"
            )

    def require_settings(self, hyper: Hyper) -> None:
        """Raises `ValueError` for a setting that the width rule or the recipe does not support."""
        require_settings(hyper, self.cell.parametrization, self.recipe)

    @property
    def evaluation(self) -> "EvaluationSetup":
        """The part of the setup that an evaluation needs."""
        recipe = self.recipe
        return EvaluationSetup(
            self.task, self.cell, self.evaluation_trials, recipe.reduction, recipe.matmul_precision
        )


class EvaluationSetup(NamedTuple):
    """The part of a setup that an evaluation depends on; recipes that share it share a program."""

    task: Task
    cell: Cell
    trials: int
    reduction: str
    matmul_precision: str


class Validation(NamedTuple):
    """Held-out losses at the ends of epochs, under a recipe with `validates`."""

    epochs: Int[Array, ""]
    """Epochs validated so far; a run takes no step beyond the next one before it is validated."""
    loss: Scalar
    """Held-out loss at the end of the last one."""
    streak: Int[Array, ""]
    """Number of epochs in a row, up to the last one, with a loss below the threshold."""
    best_loss: Scalar
    """Lowest held-out loss so far."""
    best_params: Params | None
    """Weights with the lowest loss; kept where the recipe stops at a threshold."""


class Run(NamedTuple):
    """A network in training."""

    hyper: Hyper
    params: Params
    optimizer_state: optax.OptState
    step: Int[Array, ""]
    """Optimizer steps taken."""
    status: Int[Array, ""]
    accuracy: Scalar
    """Running mean of decision accuracy on training batches, times `1 - 0.9^step`."""
    excess_loss: Scalar
    """The same mean of the training loss minus `accuracy.blind_loss` of the batch."""
    reached: Int[Array, ""]
    """First step at which the network met the task's criterion; 0 if it has not.

    The criterion is met when the mean accuracy exceeds the task's `criterion` and the mean excess
    loss is below 0, which it never is in batches of one trial."""
    schedule: Any = ()
    """State of the recipe's schedule."""
    validation: Validation | None = None
    """Held-out losses, under a recipe with `validates`."""


class Evaluation(NamedTuple):
    """Loss and accuracies on held-out trials; after divergence the loss is NaN, accuracies 0."""

    loss: Scalar
    blind_loss: Scalar
    """Loss, on the same trials, of the best input-independent output."""
    decision: Scalar
    matching: Scalar
    pearson: Scalar


def _stream(seed: Int[Array, ""] | int, purpose: int) -> Key:
    return fold_in(jax.random.key(seed, impl="threefry2x32"), purpose)


def initial_params(cell: Cell, seed: Int[Array, ""] | int) -> Params:
    """Initial weights of a seed; they do not depend on the recipe or the settings."""
    return cell.init(_stream(seed, _INITIALIZATION))


def start(setup: Setup, hyper: Hyper, params: Params) -> Run:
    """Returns the run of a network with initial weights `params`, before its first step."""
    zero, recipe = jnp.zeros((), jnp.int32), setup.recipe
    validation = None
    if recipe.validates:
        best = params if recipe.stop == "threshold" else None
        infinity = jnp.full((), jnp.inf, jnp.float32)
        validation = Validation(zero, infinity, zero, infinity, best)
    return Run(
        hyper=hyper,
        params=params,
        optimizer_state=make_optimizer(setup.cell, setup.recipe, hyper.gamma).init(params),
        step=zero,
        status=jnp.full((), Status.RUNNING, jnp.int32),
        accuracy=jnp.zeros(()),
        excess_loss=jnp.zeros(()),
        reached=zero,
        schedule=recipe.schedule.start(),
        validation=validation,
    )


def _trials(task: Task, key: Key, count: int) -> Trial:
    return require_trial(task, task.batch(key, count), count)


def _training_batch(setup: Setup, run: Run) -> Trial:
    batch = run.step if setup.recipe.data == "fresh" else 0
    key = fold_in(_stream(run.hyper.seed, _TRAINING), batch)
    return _trials(setup.task, key, setup.recipe.batch)


def output_scale(cell: Cell, gamma: Scalar | float) -> Scalar | float:
    """Factor on the readout under the cell's rule: gamma^output_gamma, or 1 without gamma."""
    power = cell.parametrization.output_gamma
    return gamma**power if power else 1.0


def _objective(
    params: Params, setup: Setup, trial: Trial, gamma: Scalar | float
) -> tuple[Scalar, Array]:
    scale = output_scale(setup.cell, gamma)
    outputs = rollout(setup.cell, params, trial.inputs, output_scale=scale).outputs
    return accuracy.mean_squared_error(outputs, trial.targets, setup.recipe.reduction), outputs


def _train_step(setup: Setup, run: Run) -> tuple[Run, Scalar]:
    """The run after one step and the loss before it; a non-finite loss stops the run unchanged."""
    trial, hyper = _training_batch(setup, run), run.hyper
    gradient = jax.value_and_grad(_objective, has_aux=True)
    (loss, outputs), slope = gradient(run.params, setup, trial, hyper.gamma)
    recipe = setup.recipe
    if recipe.penalties:
        strengths = {name: getattr(hyper, name) for name in recipe.penalties}
        pull = penalty_gradient(setup.cell, run.params, strengths)
        slope = jax.tree.map(jnp.add, slope, pull)
    optimizer = make_optimizer(setup.cell, recipe, hyper.gamma)
    change, optimizer_state = optimizer.update(slope, run.optimizer_state)
    epoch = run.step // recipe.steps_per_epoch
    rate = hyper.learning_rate * recipe.schedule.factor(run.schedule, epoch)
    params = descend(setup.cell, recipe.optimizer, run.params, change, rate, hyper.gamma)
    step = run.step + 1
    right = accuracy.decision(outputs, trial.targets, trial.mask, setup.task.decision)
    # Without a response period in the batch, the mean so far stays; before the first it is 0.
    mean_so_far = run.accuracy / jnp.maximum(1 - _MEMORY**run.step, 1e-6)
    right = jnp.where(jnp.any(trial.mask > 0), right, mean_so_far)
    excess = loss - accuracy.blind_loss(trial.targets, setup.recipe.reduction)
    mean_right = _MEMORY * run.accuracy + (1 - _MEMORY) * right
    mean_excess = _MEMORY * run.excess_loss + (1 - _MEMORY) * excess
    met = (mean_right / (1 - _MEMORY**step) > setup.task.criterion) & (mean_excess < 0)
    reached = jnp.where((run.reached == 0) & met, step, run.reached)
    # A recipe with `validates` ends its runs in `end_epoch`, after the last epoch's validation.
    over = False if recipe.validates else step >= recipe.steps
    status = jnp.where(over, Status.EXHAUSTED, Status.RUNNING)
    if recipe.stop == "criterion":
        status = jnp.where(reached > 0, Status.CONVERGED, status)
    after = Run(
        hyper, params, optimizer_state, step, status.astype(jnp.int32),
        mean_right, mean_excess, reached, run.schedule, run.validation,
    )  # fmt: skip
    stopped = run._replace(status=jnp.full((), Status.DIVERGED, jnp.int32))
    finite = jnp.isfinite(loss)
    return jax.tree.map(lambda new, old: jnp.where(finite, new, old), after, stopped), loss


def advance(setup: Setup, run: Run, length: int) -> tuple[Run, Float[Array, " T"]]:
    """Returns the run after at most `length` further steps, and the training loss of each step.

    The loss of step k is that before the k-th update; NaN after the run has stopped. Under a recipe
    with `validates` a run takes no step beyond the end of an epoch before `end_epoch` is called.
    """
    epoch = setup.recipe.steps_per_epoch

    def takes_steps(run: Run) -> Array:
        running = run.status == Status.RUNNING
        if run.validation is None:
            return running
        return running & (run.step < (run.validation.epochs + 1) * epoch)

    def step(run: Run, _):
        # A branch, not a selection: stopped runs cost nothing where runs are mapped one by one.
        return jax.lax.cond(
            takes_steps(run),
            functools.partial(_train_step, setup),
            lambda run: (run, jnp.full((), jnp.nan)),
            run,
        )

    with jax.default_matmul_precision(setup.recipe.matmul_precision):
        return jax.lax.scan(step, run, length=length)


def end_epoch(setup: Setup, run: Run) -> Run:
    """Validates the epoch that a run has just completed; returns any other run unchanged.

    The loss on held-out trials, without penalties, updates the schedule. With stop="threshold" a
    run has converged when that loss is below the threshold for the `patience`-th time in a row;
    a run that ends, converged or exhausted, returns to the weights with the lowest loss.
    """
    recipe, validation = setup.recipe, run.validation
    if validation is None:
        return run
    due = run.step == (validation.epochs + 1) * recipe.steps_per_epoch
    ended = functools.partial(_end_epoch, setup)
    return jax.lax.cond((run.status == Status.RUNNING) & due, ended, lambda run: run, run)


def _end_epoch(setup: Setup, run: Run) -> Run:
    recipe, old = setup.recipe, run.validation
    assert old is not None
    key = _stream(run.hyper.seed, _VALIDATION)
    trial = _trials(setup.task, key, recipe.validation_trials)
    with jax.default_matmul_precision(recipe.matmul_precision):
        loss, _ = _objective(run.params, setup, trial, run.hyper.gamma)
    status = jnp.where(run.step >= recipe.steps, Status.EXHAUSTED, Status.RUNNING)
    streak, params, best = old.streak, run.params, old.best_params
    if recipe.threshold is not None:
        streak = jnp.where(loss < recipe.threshold, streak + 1, 0)
        status = jnp.where(streak >= recipe.patience, Status.CONVERGED, status)
        better = (loss < old.best_loss) | (old.epochs == 0)
        best = jax.tree.map(lambda new, old: jnp.where(better, new, old), params, best)
        ended = status != Status.RUNNING
        params = jax.tree.map(lambda kept, last: jnp.where(ended, kept, last), best, params)
    lowest = jnp.where(loss < old.best_loss, loss, old.best_loss)
    return run._replace(
        params=params,
        status=status.astype(jnp.int32),
        schedule=recipe.schedule.observe(run.schedule, loss),
        validation=Validation(old.epochs + 1, loss, streak, lowest, best),
    )


def held_out_trials(task: Task, seed: Int[Array, ""] | int, trials: int) -> Trial:
    """Draws the held-out trials of a seed.

    Raises `ValueError` where they do not have the shapes that the task states.
    """
    return _trials(task, _stream(seed, _EVALUATION), trials)


def evaluate(
    setup: EvaluationSetup, hyper: Hyper, params: Params, status: Int[Array, ""]
) -> Evaluation:
    """Loss and accuracies of a network on its seed's held-out trials."""
    trial = held_out_trials(setup.task, hyper.seed, setup.trials)
    scale = output_scale(setup.cell, hyper.gamma)
    with jax.default_matmul_precision(setup.matmul_precision):
        outputs = rollout(setup.cell, params, trial.inputs, output_scale=scale).outputs
    loss = accuracy.mean_squared_error(outputs, trial.targets, setup.reduction)
    finite = (status != Status.DIVERGED) & jnp.all(jnp.isfinite(outputs)) & jnp.isfinite(loss)
    scores = (
        accuracy.decision(outputs, trial.targets, trial.mask, setup.task.decision),
        accuracy.matching(outputs, trial.targets),
        accuracy.pearson(outputs, trial.targets),
    )
    return Evaluation(
        jnp.where(finite, loss, jnp.nan),
        accuracy.blind_loss(trial.targets, setup.reduction),
        *(jnp.where(finite, score, 0.0) for score in scores),
    )
