"""Targets and masks against NumPy, the statistics of the inputs, and refused parameters."""

import jax
import numpy as np
import pytest

from oracles import targets as oracle
from rnnjax import tasks

KEY = jax.random.key(3)


def batch(task, trials=16):
    drawn = jax.jit(type(task).batch, static_argnums=(0, 2))(task, KEY, trials)
    return [np.asarray(part) for part in drawn]


def agree(trial, targets, mask):
    np.testing.assert_array_equal(trial[1], targets)
    np.testing.assert_array_equal(trial[2], mask)


@pytest.mark.parametrize(
    ("bits", "p", "steps"), [(1, 0.5, 1), (3, 0.05, 100), (2, 0.0, 9), (2, 0.7, 40), (4, 1.0, 9)]
)
def test_flip_flop(bits, p, steps):
    inputs, targets, mask = batch(tasks.flip_flop(bits, p, steps), trials=200)
    assert set(np.unique(inputs)) <= {-1, 0, 1}
    for trial in zip(inputs[:9], targets[:9], mask[:9], strict=True):
        agree(trial, *oracle.flip_flop(trial[0]))
    first, later = inputs[:, 0], inputs[:, 1:]
    assert np.all(first != 0)
    if steps > 1:
        assert abs(np.mean(later != 0) - p) <= 4 * np.sqrt(p * (1 - p) / later.size)
    for pulses in (first, later[later != 0]):  # their sign is fair
        if pulses.size:
            assert abs(np.mean(pulses > 0) - 0.5) < 4 * 0.5 / np.sqrt(pulses.size)


@pytest.mark.parametrize("periods", [(1, 0, 1), (3, 5, 2)])
def test_delayed_cue(periods):
    cue, _, response = periods
    inputs, targets, mask = batch(tasks.delayed_cue(*periods))
    assert np.all(np.sort(inputs[:, :cue], axis=-1) == [0, 1])  # one-hot while shown
    assert np.all(inputs[:, :cue] == inputs[:, :1])
    assert np.all(inputs[:, cue:] == 0)
    assert mask.sum() == inputs.shape[0] * 2 * response
    for trial in zip(inputs, targets, mask, strict=True):
        agree(trial, *oracle.delayed_cue(trial[0], *periods))


@pytest.mark.parametrize("periods", [(1, 0, 1), (3, 5, 2)])
def test_delayed_match(periods):
    cue, delay, response = periods
    inputs, targets, mask = batch(tasks.delayed_match(*periods), trials=400)
    second = slice(cue + delay, 2 * cue + delay)
    for shown in (inputs[:, :cue], inputs[:, second]):
        assert np.all(np.sort(shown, axis=-1) == [0, 1])
        assert np.all(shown == shown[:, :1])
    silent = np.delete(inputs, np.r_[:cue, second], axis=1)
    assert np.all(silent == 0)
    assert mask.sum() == inputs.shape[0] * response
    pairs = 2 * inputs[:, 0, 1] + inputs[:, cue + delay, 1]
    counts = np.bincount(pairs.astype(int), minlength=4)
    assert np.all(np.abs(counts - 100) < 4 * np.sqrt(100 * 0.75))  # all four, equally often
    for trial in zip(inputs[:16], targets[:16], mask[:16], strict=True):
        agree(trial, *oracle.delayed_match(trial[0], *periods))


def test_study_one_periods():
    assert tasks.delayed_cue().steps == 36
    assert tasks.delayed_match().steps == 42
    assert (tasks.flip_flop().bits, tasks.flip_flop().p, tasks.flip_flop().steps) == (3, 0.05, 100)
    criteria = {name: tasks.make(name).criterion for name in tasks.REGISTRY}
    assert criteria == {"delayed_cue": 0.75, "delayed_match": 0.75, "flip_flop": 0.9}


def test_a_given_length_decides_the_delay():
    assert tasks.delayed_cue(6, 99, 10, steps=30) == tasks.delayed_cue(6, 14, 10)
    assert tasks.delayed_match(6, 99, 10, steps=30) == tasks.delayed_match(6, 8, 10)


def test_stretching_lengthens_what_must_be_remembered():
    assert tasks.delayed_cue(3, 5, 2).stretched(2) == tasks.delayed_cue(3, 10, 2)
    assert tasks.delayed_match(3, 5, 2).stretched(1.5) == tasks.delayed_match(3, 8, 2)
    assert tasks.flip_flop(2, 0.1, 10).stretched(2) == tasks.flip_flop(2, 0.1, 20)


@pytest.mark.parametrize(
    ("task", "options", "named"),
    [
        ("flip_flop", {"bits": 0}, "bits"),
        ("flip_flop", {"bits": -3}, "bits"),
        ("flip_flop", {"bits": 2.0}, "bits"),
        ("flip_flop", {"p": 1.5}, "p"),
        ("flip_flop", {"p": float("nan")}, "p"),
        ("flip_flop", {"steps": 0}, "steps"),
        *[
            (name, options, named)
            for name in ("delayed_cue", "delayed_match")
            for options, named in [
                ({"cue": 0}, "cue"),
                ({"delay": -1}, "delay"),
                ({"response": 0}, "response"),
                ({"response": 40, "steps": 30}, "response"),
                ({"response": -1, "steps": 30}, "response"),
                ({"steps": 0}, "steps"),
                ({"cue": -1, "steps": 30}, "cue"),
            ]
        ],
    ],
)
def test_refused_parameters_are_named(task, options, named):
    with pytest.raises(ValueError, match=rf"^{named}: expected .* got ") as error:
        tasks.make(task, **options)
    assert "\n" not in str(error.value)
