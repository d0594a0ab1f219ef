"""Loss and the three accuracies against loops over single numbers, and scores of failures."""

import jax
import numpy as np
import pytest

import tiny
from oracles import scores
from rnnjax import tasks
from rnnjax.training import accuracy

B, T, O = 5, 7, 3  # noqa: E741

decision = jax.jit(accuracy.decision, static_argnums=3)
matching, pearson = jax.jit(accuracy.matching), jax.jit(accuracy.pearson)
mean_squared_error = jax.jit(accuracy.mean_squared_error, static_argnums=2)
blind_loss = jax.jit(accuracy.blind_loss, static_argnums=1)


def batches():
    """Outputs and targets with, in turn, finite numbers, NaN, infinities, zeros, ties."""
    rng = np.random.default_rng(0)
    targets = rng.integers(-1, 2, (B, T, O)).astype("f4")
    outputs = (targets + rng.normal(0, 0.7, (B, T, O))).astype("f4")
    cases = {"plain": outputs, "nan": outputs.copy(), "inf": outputs.copy()}
    cases["nan"][1, 2, 0] = cases["nan"][3] = np.nan
    cases["inf"][0, 1, 2], cases["inf"][2, 0, 0] = np.inf, -np.inf
    cases["silent"] = np.zeros_like(outputs)
    cases["one trial silent"] = np.where(np.arange(B)[:, None, None] == 2, 0, outputs)
    cases["ties"] = np.round(outputs)
    cases["cuts"] = np.where(np.abs(outputs) < 0.7, np.sign(outputs) * 0.5, outputs).astype("f4")
    return targets, cases


TARGETS, OUTPUTS = batches()


@pytest.mark.parametrize("outputs", OUTPUTS.values(), ids=OUTPUTS)
def test_sign_decisions(outputs):
    mask = np.random.default_rng(1).integers(0, 2, TARGETS.shape).astype("f4")
    got = decision(outputs, TARGETS, mask, "sign")
    assert float(got) == pytest.approx(scores.decision(outputs, TARGETS, mask, "sign"))


@pytest.mark.parametrize("outputs", OUTPUTS.values(), ids=OUTPUTS)
def test_argmax_decisions(outputs):
    rng = np.random.default_rng(2)
    targets = np.eye(O, dtype="f4")[rng.integers(0, O, (B, T))]
    mask = np.repeat(rng.integers(0, 2, (B, T, 1)), O, axis=2).astype("f4")
    targets = targets * mask  # all zero outside the response, as in the task
    got = decision(outputs, targets, mask, "argmax")
    assert float(got) == pytest.approx(scores.decision(outputs, targets, mask, "argmax"))


def test_a_step_without_one_largest_target_is_no_right_choice():
    targets = np.array([[[0.0, 0.0], [1.0, 0.0]]], "f4")
    for outputs, right in ((targets, 0.5), (1 - targets, 0.0)):
        assert float(decision(outputs, targets, np.ones_like(targets), "argmax")) == right


@pytest.mark.parametrize("outputs", OUTPUTS.values(), ids=OUTPUTS)
def test_matching(outputs):
    got = matching(outputs, TARGETS)
    assert float(got) == pytest.approx(scores.matching(outputs, TARGETS))


@pytest.mark.parametrize("outputs", OUTPUTS.values(), ids=OUTPUTS)
def test_pearson(outputs):
    with np.errstate(invalid="ignore"):
        expected = scores.pearson(outputs, TARGETS)
    assert float(pearson(outputs, TARGETS)) == pytest.approx(expected, abs=1e-6)


def test_pearson_leaves_out_trials_whose_target_is_constant():
    targets = TARGETS.copy()
    targets[1], targets[4] = 1.0, 0.0
    expected = scores.pearson(OUTPUTS["plain"], targets)
    got = float(pearson(OUTPUTS["plain"], targets))
    assert got == pytest.approx(expected, abs=1e-6)
    assert float(pearson(OUTPUTS["plain"], np.ones_like(targets))) == 0
    tenth = np.full((1, 10, 1), 0.1, "f4")  # whose mean is rounded
    rising = np.linspace(0, 1, 10, dtype="f4").reshape(1, 10, 1)
    for one, other in ((tenth, rising), (rising, tenth), (tenth, tenth)):
        assert float(pearson(one, other)) == 0
    both = np.concatenate([tenth, rising])
    assert float(pearson(both, both)) == pytest.approx(1.0)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_mean_squared_error(reduction):
    got = float(mean_squared_error(OUTPUTS["plain"], TARGETS, reduction))
    expected = scores.mean_squared_error(OUTPUTS["plain"], TARGETS, reduction)
    assert got == pytest.approx(expected, rel=1e-5)


def test_scores_of_a_network_that_ignores_the_cue():
    """Its response has the right time, but not the cue: only `decision` is at chance."""
    task = tasks.delayed_cue(4, 10, 6)
    cue = np.repeat([[[1.0, 0.0]], [[0.0, 1.0]]], task.steps, axis=1)
    response = np.arange(task.steps)[None, :, None] >= 14
    targets, mask = cue * response, np.ones_like(cue) * response
    blind = 0.5 * mask
    leaning = blind + mask * np.array([0.01, -0.01])  # always chooses the first cue
    assert float(decision(blind, targets, mask, "argmax")) == 0  # a tie is no choice
    assert float(decision(leaning, targets, mask, "argmax")) == 0.5
    assert float(matching(blind, targets)) == pytest.approx(0.85)
    assert float(pearson(blind, targets)) == pytest.approx(0.642, abs=5e-4)


@pytest.mark.parametrize("task", tiny.TASKS.values(), ids=tiny.TASKS)
def test_zeros_and_nan_are_wrong_decisions(task):
    trial = jax.jit(lambda key: task.batch(key, 4))(jax.random.key(0))
    for value in (0.0, np.nan):
        outputs = np.full(trial.targets.shape, value, "f4")
        assert float(decision(outputs, trial.targets, trial.mask, task.decision)) == 0
        assert float(pearson(outputs, trial.targets)) == 0
    assert float(matching(outputs, trial.targets)) == 0  # NaN matches nothing


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_blind_loss_is_the_minimum_without_input(reduction):
    least = blind_loss(TARGETS, reduction)
    average = np.zeros_like(TARGETS)
    for b in range(B):
        average += TARGETS[b] / B
    answer = np.stack([average[0]] * B)
    assert float(least) == pytest.approx(
        scores.mean_squared_error(answer, TARGETS, reduction), rel=1e-5
    )
    for shift in (0.01, -0.01):
        assert float(mean_squared_error(answer + shift, TARGETS, reduction)) > least
