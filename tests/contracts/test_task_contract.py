"""Properties of every registered task."""

import dataclasses
import functools

import chex
import jax
import numpy as np
import pytest

from rnnjax import tasks
from rnnjax.training.accuracy import decision

NAMES = sorted(tasks.REGISTRY)
KEY = jax.random.key(7)


TRIALS = 1000
ROUNDED = {"path_integration", "sine_wave"}
"""Tasks with sines and running sums, whose rounding depends on XLA's fusion."""
VARIED = {"delayed_discrimination"}
"""Tasks in which the response begins at different steps of different trials."""


@functools.partial(jax.jit, static_argnums=0)
def batch(task, key):
    return task.batch(key, TRIALS)


@pytest.fixture(params=NAMES)
def task(request):
    return tasks.make(request.param)


def test_a_trial_has_the_shapes_that_the_spec_states(task):
    trial = jax.tree.map(lambda part: part[0], batch(task, KEY))
    chex.assert_shape(trial.inputs, (task.steps, task.inputs))
    chex.assert_shape([trial.targets, trial.mask], (task.steps, task.outputs))
    chex.assert_tree_all_finite(trial)


@pytest.mark.slow
def test_the_public_check_passes(task):
    assert task.name in tasks.check(task, trials=16)


def test_sampling_is_pure_in_its_key(task):
    first, again, other = (batch(task, jax.random.key(seed)) for seed in (7, 7, 8))
    chex.assert_trees_all_equal(first, again)
    assert np.any(np.asarray(first.inputs) != other.inputs)


@pytest.mark.slow
def test_compiled_eager_and_batched_sampling_agree(task):
    key = jax.random.split(KEY, TRIALS)[2]
    compiled = jax.jit(type(task).sample, static_argnums=0)
    for eager, jitted, batched in zip(
        task.sample(key), compiled(task, key), batch(task, KEY), strict=True
    ):
        if task.name in ROUNDED:
            np.testing.assert_allclose(jitted, eager, rtol=0, atol=3e-5)
            np.testing.assert_allclose(batched[2], eager, rtol=0, atol=3e-5)
        else:
            np.testing.assert_array_equal(eager, jitted)
            np.testing.assert_array_equal(eager, batched[2])


def test_targets_are_perfect_decisions_in_the_response_period(task):
    trial = batch(task, KEY)
    mask, targets = np.asarray(trial.mask), np.asarray(trial.targets)
    assert set(np.unique(mask)) <= {0, 1}
    assert np.all(mask.sum(axis=(1, 2)) > 0)
    assert np.all(mask[0] == mask) == (task.name not in VARIED)
    assert decision(targets, targets, mask, task.decision) == 1
    assert decision(-targets, targets, mask, task.decision) == 0
    assert 0.5 < task.criterion < 1


def test_trials_of_a_batch_differ_and_choices_are_balanced(task):
    trial = batch(task, jax.random.key(0))
    last = np.asarray(trial.targets)[:, -1]  # [B, O]
    choices, chance = last > 0, 0.5
    if task.decision == "argmax":
        choices, chance = np.argmax(last, axis=-1)[:, None] == 0, 1 / task.outputs
    assert np.all(np.abs(choices.mean(axis=0) - chance) < 4 * np.sqrt(chance / TRIALS))


def test_specs_are_equal_hashable_and_frozen(task):
    same = tasks.make(task.name)
    assert (task == same, hash(task) == hash(same)) == (True, True)
    assert all(task != tasks.make(name) for name in NAMES if name != task.name)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(task, dataclasses.fields(task)[0].name, 1)


def test_stretched_trials_are_longer(task):
    longer = task.stretched(2.0)
    assert longer.steps > task.steps
    assert (longer.inputs, longer.outputs) == (task.inputs, task.outputs)
    assert jax.eval_shape(longer.sample, KEY).targets.shape == (longer.steps, task.outputs)
    assert task.stretched(1.0) == task
    with pytest.raises(ValueError, match="factor"):
        task.stretched(0.0)


def test_the_error_for_an_unknown_task_suggests_the_nearest():
    with pytest.raises(ValueError, match=r"task: .*did you mean 'delayed_cue'"):
        tasks.make("delayed_que")
