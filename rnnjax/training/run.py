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
import numpy as np
import optax

from rnnjax.cells import Cell
from rnnjax.rollout import rollout
from rnnjax.tasks import Task, Trial
from rnnjax.training import accuracy
from rnnjax.training.optimizers import descend, direction
from rnnjax.training.penalties import penalty_gradient
from rnnjax.training.recipe import Recipe
from rnnjax.typing import Array, Float, Int, Key, Params, Scalar
from rnnjax.validate import fraction, instance_of, one_of, whole

__all__ = [
    "Evaluation",
    "EvaluationSetup",
    "Hyper",
    "Run",
    "Setup",
    "Status",
    "Validation",
    "advance",
    "end_epoch",
    "evaluate",
    "held_out",
    "initial_params",
    "output_scale",
    "start",
]

# Distinct streams of one seed. Their values are part of every published number: never renumber.
_INITIALIZATION, _TRAINING, _EVALUATION, _VALIDATION = 0, 1, 2, 3

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
        if self.recipe.penalties:  # raises where the cell has no matrix to penalize
            weights = jax.eval_shape(self.cell.init, jax.eval_shape(lambda: jax.random.key(0)))
            jax.eval_shape(self.cell.connectivity, weights)
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

    def require_penalty(self, name: str) -> None:
        """Raises `ValueError` where the recipe's program has no penalty called `name`."""
        if name not in self.recipe.penalties:
            raise ValueError(
                f"{name}: expected 0, or a recipe with penalties=({name!r},), "
                f"got penalties={self.recipe.penalties}"
            )

    def require_settings(self, hyper: "Hyper") -> None:
        """Raises `ValueError` for settings, numbers or arrays, that the program cannot follow."""
        if np.any(np.asarray(hyper.gamma) != 1):
            self.require_gamma()
        for name in ("l1", "nuclear"):
            if np.any(np.asarray(getattr(hyper, name)) != 0):
                self.require_penalty(name)

    @property
    def evaluation(self) -> "EvaluationSetup":
        """The part of the setup that an evaluation needs."""
        recipe = self.recipe
        return EvaluationSetup(
            self.task, self.cell, self.evaluation_trials, recipe.reduction, recipe.matmul_precision
        )


class EvaluationSetup(NamedTuple):
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
    l1: Any = 0.0
    """Strength of the penalty on the sum of |w|, in a recipe with `l1` among its penalties."""
    nuclear: Any = 0.0
    """Strength of the penalty on the sum of singular values, likewise."""


class Validation(NamedTuple):
    """What a run under a watched recipe remembers of the ends of its epochs."""

    epochs: Int[Array, ""]
    """Ends of epochs judged; the run does not go past the next one until that is judged too."""
    loss: Scalar
    """Held-out loss at the last of them."""
    streak: Int[Array, ""]
    """For how many of them in a row it has been below the threshold."""
    best_loss: Scalar
    """The lowest of them."""
    best_params: Params | None
    """The weights that had it; kept where the recipe stops at a threshold."""


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
    schedule: Any = ()
    """State of the recipe's schedule."""
    validation: Validation | None = None
    """The ends of epochs, under a watched recipe."""


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


def initial_params(cell: Cell, seed: Int[Array, ""]) -> Params:
    """The initial weights of a seed: the same at every rate and under every recipe."""
    return cell.init(_stream(seed, _INITIALIZATION))


def start(setup: Setup, hyper: Hyper, params: Params) -> Run:
    """The run of a newly born network, before its first step."""
    zero, recipe = jnp.zeros((), jnp.int32), setup.recipe
    validation = None
    if recipe.watched:
        best = params if recipe.stop == "threshold" else None
        validation = Validation(zero, jnp.full((), jnp.inf), zero, jnp.full((), jnp.inf), best)
    return Run(
        hyper=hyper,
        params=params,
        optimizer_state=direction(setup.cell, setup.recipe, hyper.gamma).init(params),
        step=zero,
        status=jnp.full((), Status.RUNNING, jnp.int32),
        accuracy=jnp.zeros(()),
        excess_loss=jnp.zeros(()),
        reached=zero,
        schedule=recipe.schedule.start(),  # type: ignore[union-attr]
        validation=validation,
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
    recipe = setup.recipe
    if recipe.penalties:
        pull = penalty_gradient(setup.cell, run.params, recipe.penalties, hyper.l1, hyper.nuclear)
        slope = jax.tree.map(jnp.add, slope, pull)
    optimizer = direction(setup.cell, recipe, hyper.gamma)
    change, optimizer_state = optimizer.update(slope, run.optimizer_state)
    epoch = run.step // recipe.steps_per_epoch
    rate = hyper.learning_rate * recipe.schedule.factor(run.schedule, epoch)  # type: ignore[union-attr]
    params = descend(setup.cell, recipe.optimizer, run.params, change, rate, hyper.gamma)
    step = run.step + 1
    right = accuracy.decision(outputs, trial.targets, trial.mask, setup.task.decision)
    excess = loss - accuracy.blind_loss(trial.targets, setup.recipe.reduction)
    mean_right = _MEMORY * run.accuracy + (1 - _MEMORY) * right
    mean_excess = _MEMORY * run.excess_loss + (1 - _MEMORY) * excess
    met = (mean_right / (1 - _MEMORY**step) > setup.task.criterion) & (mean_excess < 0)
    reached = jnp.where((run.reached == 0) & met, step, run.reached)
    over = (step >= recipe.steps) & (not recipe.watched)  # else the last epoch is to be judged yet
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
    """The run after at most `length` further steps, and the training loss of each step.

    The loss of step k is that before the k-th update; NaN where the run had stopped. Under a
    watched recipe a run waits at the end of every epoch for `end_epoch`.
    """
    epoch = setup.recipe.steps_per_epoch

    def moving(run: Run) -> Array:
        running = run.status == Status.RUNNING
        if run.validation is None:
            return running
        return running & (run.step < (run.validation.epochs + 1) * epoch)

    def step(run: Run, _):
        # A branch, not a selection: where runs are mapped one by one a stopped one costs nothing.
        return jax.lax.cond(
            moving(run),
            functools.partial(_train_step, setup),
            lambda run: (run, jnp.full((), jnp.nan)),
            run,
        )

    with jax.default_matmul_precision(setup.recipe.matmul_precision):
        return jax.lax.scan(step, run, length=length)


def end_epoch(setup: Setup, run: Run) -> Run:
    """The run once the epoch that it has completed is judged; any other run as it is.

    Its loss on held-out trials, which no penalty enters, moves the schedule. With
    stop="threshold" the run has converged when it is below the threshold for the `patience`-th
    time in a row; whenever it ends, converged or exhausted, it is left with the weights that had
    the lowest loss.
    """
    recipe, validation = setup.recipe, run.validation
    if validation is None:
        return run
    due = run.step == (validation.epochs + 1) * recipe.steps_per_epoch
    judged = functools.partial(_judge_epoch, setup)
    return jax.lax.cond((run.status == Status.RUNNING) & due, judged, lambda run: run, run)


def _judge_epoch(setup: Setup, run: Run) -> Run:
    recipe, old = setup.recipe, run.validation
    assert old is not None
    key = _stream(run.hyper.seed, _VALIDATION)
    trial = setup.task.batch(key, recipe.validation_trials)
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
        schedule=recipe.schedule.observe(run.schedule, loss),  # type: ignore[union-attr]
        validation=Validation(old.epochs + 1, loss, streak, lowest, best),
    )


def held_out(task: Task, seed: Int[Array, ""], trials: int) -> Trial:
    """The held-out trials of a seed."""
    return task.batch(_stream(seed, _EVALUATION), trials)


def evaluate(
    setup: EvaluationSetup, hyper: Hyper, params: Params, status: Int[Array, ""]
) -> Evaluation:
    """Loss and accuracies of a network on its seed's held-out trials."""
    trial = held_out(setup.task, hyper.seed, setup.trials)
    scale = output_scale(setup.cell, hyper.gamma)
    with jax.default_matmul_precision(setup.matmul_precision):
        outputs = rollout(setup.cell, params, trial.inputs, output_scale=scale).outputs
    loss = accuracy.mean_squared_error(outputs, trial.targets, setup.reduction)
    alive = (status != Status.DIVERGED) & jnp.all(jnp.isfinite(outputs)) & jnp.isfinite(loss)
    scores = (
        accuracy.decision(outputs, trial.targets, trial.mask, setup.task.decision),
        accuracy.matching(outputs, trial.targets),
        accuracy.pearson(outputs, trial.targets),
    )
    return Evaluation(
        jnp.where(alive, loss, jnp.nan),
        accuracy.blind_loss(trial.targets, setup.reduction),
        *(jnp.where(alive, score, 0.0) for score in scores),
    )
