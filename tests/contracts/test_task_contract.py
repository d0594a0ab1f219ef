"""What every registered task promises."""

import dataclasses
import functools
import json

import jax
import numpy as np
import pytest

from rnnjax import tasks
from rnnjax.training.accuracy import decision

NAMES = sorted(tasks.REGISTRY)
KEY = jax.random.key(7)


TRIALS = 1000
ROUNDED = {"path_integration", "sine_wave"}
"""Tasks with sines and running sums, which XLA rounds in another order where it fuses them."""
VARIED = {"delayed_discrimination"}
"""Tasks whose response begins at another step in every trial; in all others it is the same."""


@functools.partial(jax.jit, static_argnums=0)
def batch(task, key):
    return task.batch(key, TRIALS)


@pytest.fixture(params=NAMES)
def task(request):
    return tasks.make(request.param)


def test_a_trial_has_the_shapes_that_the_spec_states(task):
    trial = jax.tree.map(lambda part: part[0], batch(task, KEY))
    assert trial.inputs.shape == (task.steps, task.inputs)
    assert trial.targets.shape == (task.steps, task.outputs)
    assert trial.mask.shape == (task.steps, task.outputs)
    assert all(np.isfinite(part).all() for part in trial)


def test_sampling_is_pure_in_its_key(task):
    first, again, other = (batch(task, jax.random.key(seed)) for seed in (7, 7, 8))
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert np.any(np.asarray(first.inputs) != other.inputs)


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


def test_the_mask_leaves_a_response_that_targets_answer_perfectly(task):
    trial = batch(task, KEY)
    mask, targets = np.asarray(trial.mask), np.asarray(trial.targets)
    assert set(np.unique(mask)) <= {0, 1}
    assert np.all(mask.sum(axis=(1, 2)) > 0)
    assert np.all(mask[0] == mask) == (task.name not in VARIED)
    assert decision(targets, targets, mask, task.decision) == 1
    assert decision(-targets, targets, mask, task.decision) == 0
    assert 0.5 < task.criterion < 1


def test_trials_of_a_batch_differ_and_answers_are_balanced(task):
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


def test_stretched_trials_are_longer_and_otherwise_alike(task):
    longer = task.stretched(2.0)
    assert longer.steps > task.steps
    assert (longer.inputs, longer.outputs) == (task.inputs, task.outputs)
    assert jax.eval_shape(longer.sample, KEY).targets.shape == (longer.steps, task.outputs)
    assert task.stretched(1.0) == task
    with pytest.raises(ValueError, match="factor"):
        task.stretched(0.0)


def test_metadata_is_plain_data_with_the_name(task):
    metadata = task.metadata()
    assert json.loads(json.dumps(metadata)) == metadata
    assert metadata["name"] == task.name
    options = {field.name for field in dataclasses.fields(task)}
    assert options <= set(metadata)


def test_an_unknown_task_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match=r"task: .*did you mean 'delayed_cue'"):
        tasks.make("delayed_que")
