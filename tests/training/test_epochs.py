"""Epochs, schedules, stopping and penalties against a plain Python loop over NumPy networks."""

import dataclasses
import functools
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnnjax
import tiny
from oracles import network, scores
from rnnjax import Recipe, Status, cells, training
from rnnjax.sweep import programs
from rnnjax.training import CosineRestarts, Hyper, Plateau, Setup, held_out_trials, start
from rnnjax.training.run import advance

TASK, RATE, SEED, TRIALS = tiny.TASKS["delayed_cue"], 0.1, 3, 12
BATCH = jax.jit(lambda task, key, trials: task.batch(key, trials), static_argnums=(0, 2))


def recipe(threshold=0.05, **fields):
    small = {"steps_per_epoch": 3, "batch": 8, "epochs": 12, "validation_trials": 6, "eps": 1e-3}
    return Recipe.until(threshold, **{**small, **fields})


def cell():
    return cells.fitted(cells.rate(5, bias=True, init="xavier", alpha=0.6), TASK)


def trials(stream, count, *folds):
    key = jax.random.key(SEED, impl="threefry2x32")
    for number in (stream, *folds):
        key = jax.random.fold_in(key, number)
    return [np.asarray(part, float) for part in BATCH(TASK, key, count)]


@functools.cache
def reference(recipe, strengths=(0.0, 0.0)):
    """Training as a plain script; returns losses, held-out losses, factors, and the final state."""
    params = {
        name: np.asarray(leaf, float)
        for name, leaf in jax.jit(training.initial_params, static_argnums=0)(
            cell(), jnp.int32(SEED)
        ).items()
    }

    def loss_of(params, inputs, targets):
        outputs = np.array([network.rate(params, u, 0.6)[1] for u in inputs])
        return scores.mean_squared_error(outputs, targets, "mean")

    adam, losses, held, factors = network.Adam(recipe.eps), [], [], []
    plateau, lowest, mark, bad, streak, best = 1.0, math.inf, math.inf, 0, 0, None
    status = "EXHAUSTED"
    for epoch in range(recipe.epochs):
        factor = 1.0
        if isinstance(recipe.schedule, CosineRestarts):
            period = recipe.schedule.period
            factor = 0.5 * (1 + math.cos(math.pi * (epoch % period) / period))
        elif isinstance(recipe.schedule, Plateau):
            factor = plateau
        factors.append(factor)
        for k in range(recipe.steps_per_epoch):
            step = epoch * recipe.steps_per_epoch + k
            inputs, targets, _ = trials(1, recipe.batch, step)
            losses.append(loss_of(params, inputs, targets))
            slopes = network.gradient(params, inputs, targets, 0.6, "mean")
            u, _, v = np.linalg.svd(params["recurrent"])
            slopes["recurrent"] += strengths[0] * np.sign(params["recurrent"])
            slopes["recurrent"] += strengths[1] * u @ v
            change = adam.change(network.clipped(slopes, recipe.clip))
            params = {name: params[name] - RATE * factor * change[name] for name in params}
        loss = loss_of(params, *trials(3, recipe.validation_trials)[:2])
        if loss < lowest:
            best = params
        if isinstance(recipe.schedule, Plateau):
            better = loss < (1 - recipe.schedule.tolerance) * mark
            bad, mark = (0, loss) if better else (bad + 1, mark)
            if bad == recipe.schedule.patience:
                plateau, bad = plateau * recipe.schedule.decay, 0
        lowest = min(lowest, loss)
        held.append(loss)
        streak = streak + 1 if loss < recipe.threshold else 0
        if streak == recipe.patience:
            status = "CONVERGED"
            break
    return losses, held, factors, best, status


SCHEDULES = [
    # Below the threshold, above it, and then below it three times.
    pytest.param("none", 0.112, marks=pytest.mark.slow),
    (CosineRestarts(period=3), 1e-6),
    (Plateau(decay=0.25, patience=2, tolerance=0.1), 1e-6),
]


@pytest.mark.slow
@pytest.mark.parametrize(("schedule", "threshold"), SCHEDULES)
def test_training_is_that_of_a_plain_loop(schedule, threshold):
    how = recipe(threshold, schedule=schedule)
    losses, held, factors, best, status = reference(how)
    got = rnnjax.train_one(TASK, cell(), how, learning_rate=RATE, seed=SEED,
                           evaluation_trials=TRIALS)  # fmt: skip
    assert got.status.name == status
    assert status == ("CONVERGED" if threshold > 0.01 else "EXHAUSTED")
    assert len(held) > 3
    assert (len(set(factors)) > 2) == (schedule != "none")  # the rate did move
    steps = len(losses)
    assert got.results["steps_taken"] == steps
    np.testing.assert_allclose(got.losses[:steps], losses, rtol=5e-3, atol=1e-6)
    np.testing.assert_allclose(got.held_out_loss[: len(held)], held, rtol=5e-3, atol=1e-6)
    assert np.isnan(got.losses[steps:]).all()
    assert np.isnan(got.held_out_loss[len(held) :]).all()
    for name, leaf in best.items():
        np.testing.assert_allclose(got.params[name], leaf, rtol=5e-3, atol=2e-3, err_msg=name)


@pytest.mark.slow
def test_best_weights_are_kept_and_evaluated_on_other_trials():
    how = recipe(1e-6, epochs=6, schedule="none")
    wild = rnnjax.train_one(TASK, cell(), how, learning_rate=0.5, seed=SEED,
                            evaluation_trials=TRIALS)  # fmt: skip
    best = int(np.argmin(wild.held_out_loss))
    assert best < 5  # at this rate the last is not the best
    upto = dataclasses.replace(how, threshold=wild.held_out_loss[best] * (1 + 1e-6), patience=1)
    again = rnnjax.train_one(TASK, cell(), upto, learning_rate=0.5, seed=SEED,
                             evaluation_trials=TRIALS)  # fmt: skip
    assert again.status is Status.CONVERGED
    assert again.results["steps_taken"] == 3 * (best + 1)
    np.testing.assert_allclose(wild.params["recurrent"], again.params["recurrent"], rtol=1e-5)
    assert wild.results["final_loss"] == pytest.approx(again.results["final_loss"], rel=1e-5)
    assert wild.results["final_loss"] != pytest.approx(wild.held_out_loss[best], rel=1e-4)
    one, other = (held_out_trials(TASK, jnp.int32(SEED), TRIALS).inputs, trials(3, TRIALS)[0])
    assert not np.array_equal(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("strengths", [(3e-2, 0.0), (0.0, 3e-2), (1e-2, 2e-2)])
def test_penalties_change_steps_and_not_the_reported_losses(strengths):
    how = recipe(1e-6, epochs=3, penalties=("nuclear", "l1"))
    losses, held, *_ = reference(how, strengths)
    free = reference(how)[0]
    got = rnnjax.train_one(TASK, cell(), how, learning_rate=RATE, seed=SEED, l1=strengths[0],
                           nuclear=strengths[1], evaluation_trials=TRIALS)  # fmt: skip
    np.testing.assert_allclose(got.losses, losses, rtol=5e-3)
    np.testing.assert_allclose(got.held_out_loss, held, rtol=5e-3)
    assert np.abs(np.subtract(losses, free)).max() > 0.01  # far above the tolerance


@pytest.mark.parametrize("kind", ["current", "low_rank"])
def test_penalties_are_on_effective_weights(kind):
    """Finite differences of l1 sum|W| + nuclear sum(s) in every raw entry, in float64."""
    from rnnjax.parametrization import MuPAdam
    from rnnjax.training.penalties import penalty_gradient

    strengths = {"l1": 0.3, "nuclear": 0.7}
    l1, nuclear = strengths.values()
    if kind == "current":
        spec = cells.current(5, parametrization=MuPAdam())
        chosen = ("l1", "nuclear")
    else:
        spec, chosen = cells.low_rank(5, rank=2), ("l1",)  # no gradient where it is singular
    with jax.enable_x64(True):
        weights = jax.tree.map(jnp.float64, spec.init(jax.random.key(0)))
        gradient = penalty_gradient(spec, weights, {name: strengths[name] for name in chosen})
        connectivity = jax.jit(spec.connectivity)

        def value(params):
            weights = np.asarray(connectivity(params))
            singular = np.linalg.svd(weights, compute_uv=False).sum()
            return l1 * np.abs(weights).sum() + nuclear * singular * ("nuclear" in chosen)

        for name, leaf in weights.items():
            for at in np.ndindex(leaf.shape):
                up, down = ({**weights, name: leaf.at[at].add(h)} for h in (1e-6, -1e-6))
                slope = (value(up) - value(down)) / 2e-6
                assert float(gradient[name][at]) == pytest.approx(slope, abs=1e-6), (name, at)


@pytest.mark.slow
def test_traced_settings_share_one_program_and_equal_the_run_alone(monkeypatch):
    from rnnjax.parametrization import MuPAdam

    how = recipe(0.3, epochs=4, penalties=("l1", "nuclear"), schedule=Plateau(patience=1))
    spec = cells.current(4, parametrization=MuPAdam())

    chex.clear_trace_counter()
    for name in ("advance", "end_epoch"):
        once = chex.assert_max_traces(getattr(programs, name), n=1)
        monkeypatch.setattr(programs, name, once)

    def run(axes):
        return rnnjax.run_sweep(rnnjax.Sweep(TASK, spec, how, axes, TRIALS))

    first = run({"seed": (0, 1), "l1": (0.0, 0.1), "nuclear": (0.05,), "learning_rate": (0.1,),
                 "gamma": (0.5, 2.0)})  # fmt: skip
    run({"gamma": (1.0, 3.0), "l1": (0.2, 0.3), "nuclear": (0.5,), "learning_rate": (0.02,),
         "seed": (5, 7)})  # fmt: skip
    monkeypatch.undo()
    assert first["final_loss"].dims == ("gamma", "l1", "nuclear", "learning_rate", "seed")
    assert len(np.unique(first["final_loss"])) == first["final_loss"].size
    for gamma in (0.5, 2.0):
        settings = {"gamma": gamma, "l1": 0.1, "nuclear": 0.05, "learning_rate": 0.1}
        alone = rnnjax.train_one(TASK, spec, how, seed=1, evaluation_trials=TRIALS, **settings)
        there = first.sel(seed=1, **settings)
        np.testing.assert_array_equal(there["held_out_loss"], alone.held_out_loss)
        np.testing.assert_array_equal(there["loss"], alone.losses)
        assert float(there["final_loss"]) == alone.results["final_loss"]


def test_the_number_of_epochs_is_not_in_the_program_of_steps():
    """So trainings that differ in it share one on disk."""
    texts = set()
    for epochs in (6, 9):
        what = Setup(TASK, cells.fitted(cell(), TASK), recipe(epochs=epochs), TRIALS)
        run = jax.eval_shape(lambda what=what: start(what, Hyper(0.1, 3), what.cell.init(0)))
        texts.add(jax.jit(advance, static_argnums=(0, 2)).lower(what, run, 5).as_text())
    assert len(texts) == 1


@pytest.mark.slow
def test_segments_and_compaction_do_not_change_epochs():
    how = recipe(0.111, schedule=CosineRestarts(period=3))
    axes = {"learning_rate": (0.1, 1e30, 0.05), "seed": (0, 3, 2)}
    sweep = rnnjax.Sweep(TASK, cell(), how, axes, TRIALS)
    whole = rnnjax.run_sweep(sweep)
    for segment in (2, 7):
        engine = rnnjax.Engine(segment=segment, compact=segment == 2)
        part = rnnjax.run_sweep(sweep, engine=engine)
        for name in ("loss", "held_out_loss", "final_loss", "status"):
            np.testing.assert_array_equal(part[name], whole[name], err_msg=name)
    assert {Status.CONVERGED, Status.DIVERGED} <= set(whole["status"].values.ravel())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (functools.partial(recipe, schedule="plateu"), "schedule: .*did you mean 'plateau'"),
        (functools.partial(recipe, schedule=3), "schedule: expected a Schedule, got 3"),
        (functools.partial(recipe, patience=0), "patience: expected an integer of at least 1"),
        (functools.partial(recipe, math.nan), "threshold: expected a finite number above 0"),
        (functools.partial(Recipe, stop="threshold"), "threshold: expected a loss with stop="),
        (functools.partial(Recipe, threshold=0.1), "threshold: expected none, got 0.1"),
        (functools.partial(recipe, penalties=("l2",)), "penalties: expected one of l1, nuclear"),
        (functools.partial(recipe, penalties=("l1", "l1")), "penalties: expected each once"),
        (functools.partial(Recipe.until, 0.1, epochs=2), "epochs: expected at least 3, .* got 2"),
        (functools.partial(recipe, patience=13), "patience: expected at most the 12 epochs"),
        (functools.partial(recipe, penalties=5), "penalties: expected a sequence, got 5"),
        (functools.partial(recipe, validation_trials=0), "validation_trials: expected an integer"),
        (functools.partial(Plateau, decay=0.0), "decay: expected a finite number above 0"),
        (functools.partial(Plateau, decay=1.0), r"decay: expected a number in \(0, 1\), got 1.0"),
        (functools.partial(Plateau, tolerance=0), "tolerance: expected a finite number above 0"),
        (functools.partial(Plateau, tolerance=1), r"tolerance: expected a number in \(0, 1\)"),
        (functools.partial(Plateau, patience=0), "patience: expected an integer of at least 1"),
        (functools.partial(CosineRestarts, 0), "period: expected an integer of at least 1"),
        (functools.partial(CosineRestarts, floor=2), "floor: expected a number in"),
    ],
)  # fmt: skip
def test_bad_recipes_are_named(make, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        make()


@pytest.mark.slow
def test_strengths_need_their_penalty():
    for name in ("l1", "nuclear"):
        with pytest.raises(ValueError, match=f"^{name}: expected 0, or a recipe with penalties"):
            rnnjax.train_one(TASK, cell(), recipe(), learning_rate=0.1, **{name: 0.1})
        with pytest.raises(ValueError, match=f"^{name}: expected 0, or a recipe with penalties"):
            rnnjax.Sweep(TASK, cell(), recipe(), {"learning_rate": [1], "seed": [0], name: [0.1]})
        with pytest.raises(ValueError, match=f"^{name}: expected a finite number of at least 0"):
            rnnjax.train_one(TASK, cell(), recipe(), learning_rate=0.1, **{name: -0.1})
    with pytest.raises(ValueError, match="no connectivity"):
        Setup(TASK, cells.fitted(cells.gru(4), TASK), recipe(penalties="l1"))
    assert Hyper(0.1, 0).l1 == Hyper(0.1, 0).nuclear == 0
