"""Training one network against NumPy, step by step; and the ends of runs."""

import dataclasses
import functools
from itertools import pairwise

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tiny
from oracles import network, scores
from rnnjax import Status, cells, tasks
from rnnjax.parametrization import LeafRule, Standard
from rnnjax.training import (
    Hyper,
    Setup,
    accuracy,
    advance,
    end_epoch,
    evaluate,
    held_out_trials,
    initial_params,
    start,
)

ADVANCE = jax.jit(advance, static_argnums=(0, 2))
BATCH = jax.jit(lambda task, key, trials: task.batch(key, trials), static_argnums=(0, 2))
EVALUATE = jax.jit(evaluate, static_argnums=0)
INITIAL = jax.jit(initial_params, static_argnums=0)
TASK = tiny.TASKS["delayed_cue"]


@dataclasses.dataclass(frozen=True)
class TwoRates(Standard):
    """The standard rule, with a third of the learning rate for the readout."""

    init: str = "uniform"

    name = "two_rates"

    def rule(self, leaf, *, hidden, optimizer):
        factor = 1 / 3 if leaf.role == "readout" else 1.0
        return LeafRule("uniform", 0.5, learning_rate=factor)


SGD = {"optimizer": "sgd", "rule": TwoRates()}


def setup(*, task=TASK, rule=None, hidden=5, **options) -> Setup:
    cell = cells.rate(hidden, bias=True, init="xavier", alpha=0.6)
    cell = cells.fitted(cell, task)
    if rule is not None:
        cell = dataclasses.replace(cell, parametrization=rule)
    return Setup(task, cell, tiny.recipe(**options), tiny.TRIALS)


def begin(setup, learning_rate=0.1, seed=3):
    hyper = Hyper(jnp.float32(learning_rate), jnp.int32(seed))
    return start(setup, hyper, INITIAL(setup.cell, hyper.seed))


def batch_of(setup, seed, step):
    """The documented stream of training trials: seed, then purpose 1, then the step."""
    key = jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), 1)
    key = jax.random.fold_in(key, step if setup.recipe.data == "fresh" else 0)
    return [np.asarray(part, float) for part in BATCH(setup.task, key, setup.recipe.batch)]


def numpy_params(run):
    return {name: np.asarray(weight, float) for name, weight in run.params.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "adam"},
        {"optimizer": "adam", "eps": 1e-2, "clip": 0.05, "reduction": "sum"},
        {"optimizer": "sgd", "clip": 0.05, "data": "fixed", "reduction": "sum"},
        SGD,
    ],
    ids=lambda options: "-".join(str(v) for v in options.values()),
)
def test_steps_are_those_of_numpy(options):
    """Each step from the same weights, so that rounding does not add up."""
    what = setup(**options)
    recipe, rate = what.recipe, 0.1
    oracle = network.Adam(recipe.eps) if recipe.optimizer == "adam" else network.Descent()
    run = begin(what, rate)
    for step in range(4):
        before = numpy_params(run)
        inputs, targets, _ = batch_of(what, 3, step)
        outputs = np.array([network.rate(before, u, what.cell.alpha)[1] for u in inputs])
        slopes = network.gradient(before, inputs, targets, what.cell.alpha, recipe.reduction)
        if recipe.clip is not None:
            slopes = network.clipped(slopes, recipe.clip)
        run, losses = ADVANCE(what, run, 1)
        expected_loss = scores.mean_squared_error(outputs, targets, recipe.reduction)
        assert float(losses[0]) == pytest.approx(expected_loss, rel=1e-5)
        for name, change in oracle.change(slopes).items():
            factor = what.cell.rule(name, recipe.optimizer).learning_rate
            expected = before[name] - factor * rate * change
            np.testing.assert_allclose(run.params[name], expected, rtol=1e-4, atol=2e-6)
            assert np.abs(factor * rate * change).max() > 1e-4  # far above the tolerance
    assert int(run.step) == 4


def test_seeds_decide_weights_and_rates_do_not():
    cell = setup().cell
    key = jax.random.fold_in(jax.random.key(3, impl="threefry2x32"), 0)
    chex.assert_trees_all_equal(INITIAL(cell, jnp.int32(3)), jax.jit(cell.init)(key))
    other = INITIAL(cell, jnp.int32(4))["recurrent"]
    assert not np.array_equal(INITIAL(cell, jnp.int32(3))["recurrent"], other)


@pytest.mark.parametrize("options", [{"optimizer": "adam"}, SGD], ids=["adam", "sgd"])
def test_a_run_with_a_non_finite_loss_stops_unchanged(options):
    what = setup(**options)
    run = begin(what, learning_rate=1e30)
    kept = []
    for _ in range(4):
        run, loss = ADVANCE(what, run, 1)
        kept.append((run, float(loss[0])))
    stopped = next(k for k, (run, _) in enumerate(kept) if run.status == Status.DIVERGED)
    assert stopped >= 1  # the first step is taken: only its result is bad
    assert not np.isfinite(kept[stopped][1])  # the loss that ended it is on record
    assert all(np.isnan(loss) for _, loss in kept[stopped + 1 :])
    for later, _ in kept[stopped:]:
        chex.assert_trees_all_equal(
            later._replace(status=run.status), kept[stopped - 1][0]._replace(status=run.status)
        )
    assert int(run.step) == stopped


def test_a_run_with_nan_weights_takes_no_step():
    what = setup(**SGD)
    run = begin(what)
    weights = run.params["recurrent"].at[0, 0].set(jnp.nan)
    run = run._replace(params={**run.params, "recurrent": weights})
    after, losses = ADVANCE(what, run, 1)
    chex.assert_trees_all_equal(after._replace(status=run.status), run)
    assert Status(int(after.status)) == Status.DIVERGED
    assert np.isnan(losses[0])


def reference_steps(what, hyper, steps):
    """Accuracy and excess loss of every training batch, by oracle; the run after each step."""
    run, right, excess, runs = begin(what, *hyper), [], [], []
    for step in range(steps):
        inputs, targets, mask = batch_of(what, hyper[1], step)
        params = numpy_params(run)
        outputs = np.array([network.rate(params, u, what.cell.alpha)[1] for u in inputs])
        right.append(scores.decision(outputs, targets, mask, what.task.decision))
        loss = scores.mean_squared_error(outputs, targets, what.recipe.reduction)
        excess.append(loss - scores.blind_loss(targets, what.recipe.reduction))
        run, _ = ADVANCE(what, run, 1)
        runs.append(run)
    return right, excess, runs


LEARNS, LATER, NEVER = (0.2, 1), (0.2, 2), (0.01, 0)


def long(**options):
    return setup(hidden=24, optimizer="sgd", epochs=12, steps_per_epoch=3, batch=16, **options)


@pytest.mark.parametrize("hyper", [LEARNS, LATER, NEVER])
def test_steps_to_criterion(hyper):
    what = long()
    right, excess, runs = reference_steps(what, hyper, 36)
    expected = scores.first_to_meet(right, excess, what.task.criterion)
    assert (expected == 0) == (hyper == NEVER)
    assert [int(run.reached) for run in runs] == [
        expected if 0 < expected <= step else 0 for step in range(1, 37)
    ]


@dataclasses.dataclass(frozen=True)
class Catch(type(TASK)):
    """The task with no response period after one of its cues."""

    def sample(self, key):
        trial = super().sample(key)
        return trial._replace(mask=trial.mask * trial.targets[-1, 0])


def test_a_batch_without_a_response_period_leaves_the_accuracy_as_it_is():
    task = Catch(**dataclasses.asdict(TASK))
    case = setup(task=task, batch=1, epochs=20)
    run, means, silent = begin(case), [], []
    for step in range(12):
        silent.append(not batch_of(case, 3, step)[2].any())
        run, _ = ADVANCE(case, run, 1)
        means.append(float(run.accuracy) / (1 - 0.9 ** (step + 1)))
    assert 3 < sum(silent) < 9 and np.isfinite(means).all() and max(means) > 0
    for (before, after), none in zip(pairwise(means), silent[1:], strict=True):
        assert not none or after == pytest.approx(before, rel=1e-4)


def test_batches_of_equal_trials_do_not_prevent_the_criterion():
    """Its blind loss is 0; with two trials per batch that happens at every other step."""
    what = setup(hidden=24, optimizer="sgd", epochs=80, batch=2)
    run, _ = ADVANCE(what, begin(what, 0.1, 1), 80)
    assert float(evaluated(what, run, run.status).decision) == 1
    assert int(run.reached) > 0


def test_a_run_stops_at_the_criterion_with_that_stopping_rule():
    _, full, _ = trained()
    criterion = long(stop="criterion")
    run, losses = ADVANCE(criterion, begin(criterion, *LEARNS), 36)
    assert Status(int(run.status)) == Status.CONVERGED
    assert int(run.step) == int(run.reached) == int(full.reached) > 1
    assert np.isfinite(losses).sum() == int(run.step)
    assert Status(int(full.status)) == Status.EXHAUSTED


@dataclasses.dataclass(frozen=True)
class Shaped(tasks.Task):
    """Two inputs and outputs, and targets and masks of any shape."""

    targets: tuple[int, ...] = (4, 2)
    mask: tuple[int, ...] = (4, 2)
    decision: str = "argmax"

    name = "shaped"
    inputs = outputs = 2
    steps = 4

    def sample(self, key):
        ones = (jnp.ones(shape) for shape in (self.targets, self.mask))
        return tasks.Trial(jax.random.normal(key, (4, 2)), *ones)


@pytest.mark.parametrize("decision", ["argmax", "sign"])
@pytest.mark.parametrize("part", ["targets", "mask"])
@pytest.mark.parametrize("shape", [(4, 1), (1, 2), (2,), ()])
def test_trials_have_the_shapes_that_the_task_states(shape, part, decision):
    """Others would be broadcast, and the accuracy of any network be 1 or more."""
    what = setup(task=Shaped(**{part: shape}, decision=decision), schedule="plateau")
    run = jax.eval_shape(lambda: start(what, Hyper(0.1, 3), what.cell.init(0)))
    for program in (
        functools.partial(advance, what, length=1),
        functools.partial(end_epoch, what),
        lambda run: evaluate(what.evaluation, run.hyper, run.params, run.status),
    ):
        with pytest.raises(ValueError, match=rf"^{part}: expected shape .*, 4, 2\), got \("):
            jax.eval_shape(program, run)


@functools.cache
def trained():
    """A run of 36 steps, advanced by 40."""
    what = long()
    return what, *ADVANCE(what, begin(what, *LEARNS), 40)


def test_a_run_ends_after_its_last_step():
    what, run, losses = trained()
    assert (what.recipe.epochs, what.recipe.steps_per_epoch) == (12, 3)
    assert (int(run.step), Status(int(run.status))) == (36, Status.EXHAUSTED)
    assert np.isfinite(losses[:36]).all()
    assert np.isnan(losses[36:]).all()
    again, nothing = ADVANCE(what, run, 40)
    chex.assert_trees_all_equal(again, run)
    assert np.isnan(nothing).all()


def evaluated(what, run, status):
    return EVALUATE(what.evaluation, run.hyper, run.params, jnp.int32(status))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_evaluation_uses_the_held_out_trials_of_the_seed(reduction):
    what, run, _ = trained()
    what = dataclasses.replace(what, recipe=tiny.recipe(reduction=reduction))
    key = jax.random.fold_in(jax.random.key(1, impl="threefry2x32"), 2)
    trial = BATCH(what.task, key, tiny.TRIALS)
    inputs, targets, mask = (np.asarray(part, float) for part in trial)
    params = numpy_params(run)
    outputs = np.array([network.rate(params, u, what.cell.alpha)[1] for u in inputs])
    got = evaluated(what, run, Status.EXHAUSTED)
    assert float(got.loss) == pytest.approx(
        scores.mean_squared_error(outputs, targets, reduction), rel=1e-5
    )
    assert float(got.blind_loss) == pytest.approx(scores.blind_loss(targets, reduction), rel=1e-5)
    assert float(got.decision) == pytest.approx(
        scores.decision(outputs, targets, mask, what.task.decision)
    )
    assert float(got.matching) == pytest.approx(scores.matching(outputs, targets))
    assert float(got.pearson) == pytest.approx(scores.pearson(outputs, targets), abs=1e-5)


def test_sums_of_narrow_targets_do_not_overflow():
    @dataclasses.dataclass(frozen=True)
    class Narrow(type(TASK)):
        def sample(self, key):
            trial = super().sample(key)
            return tasks.Trial(
                trial.inputs, (300 * trial.targets).astype("float16"), trial.mask.astype("float16")
            )

    task = Narrow(**{f.name: getattr(TASK, f.name) for f in dataclasses.fields(TASK)})
    trial = held_out_trials(task, 0, 16)
    assert (trial.targets.dtype, trial.mask.dtype) == (np.float32, np.float32)
    wanted = scores.blind_loss(np.asarray(trial.targets, float), "mean")
    assert float(accuracy.blind_loss(trial.targets)) == pytest.approx(wanted, rel=1e-5)
    assert float(trial.targets.max()) ** 2 > 65_504  # the largest number in half precision


@pytest.mark.slow
def test_a_diverged_network_scores_nothing():
    what, run, _ = trained()
    assert np.isfinite(evaluated(what, run, Status.CONVERGED)).all()
    got = evaluated(what, run, Status.DIVERGED)
    assert np.isnan(got.loss)
    assert (float(got.decision), float(got.matching), float(got.pearson)) == (0, 0, 0)
    broken = run._replace(params={**run.params, "readout": jnp.full((2, 24), jnp.inf)})
    got = evaluated(what, broken, Status.EXHAUSTED)  # diverged at its very last update
    assert np.isnan(got.loss)
    assert (float(got.decision), float(got.matching), float(got.pearson)) == (0, 0, 0)
