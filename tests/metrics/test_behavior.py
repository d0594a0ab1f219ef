"""Losses of a population against loops over single numbers, and their spread."""

import statistics

import numpy as np
import pytest

from oracles import scores
from rnnjax.metrics.behavior import losses, spread

RNG = np.random.default_rng(0)
PREDICTIONS = RNG.normal(size=(4, 3, 5, 2)).astype("f4")
TARGETS = RNG.normal(size=(3, 5, 2)).astype("f4")
MASK = np.zeros((3, 5, 2))
MASK[:, 3:] = 1
MASK[0, 3, 1] = 0


def test_shared_trials():
    expected = [scores.mean_squared_error(y, TARGETS, "mean") for y in PREDICTIONS]
    np.testing.assert_allclose(losses(PREDICTIONS, TARGETS), expected, rtol=1e-12)


def test_trials_of_each_network_and_a_mask():
    targets = RNG.normal(size=PREDICTIONS.shape)
    expected = []
    for y, z in zip(PREDICTIONS, targets, strict=True):
        entries = zip(y.flat, z.flat, MASK.flat, strict=True)
        errors = [(float(a) - b) ** 2 for a, b, kept in entries if kept]
        expected.append(sum(errors) / len(errors))
    np.testing.assert_allclose(losses(PREDICTIONS, targets, MASK), expected, rtol=1e-12)


def test_masked_out_entries_are_ignored():
    masked = np.where(MASK, PREDICTIONS, np.nan)
    expected = losses(PREDICTIONS, TARGETS, MASK)
    np.testing.assert_array_equal(losses(masked, np.where(MASK, TARGETS, np.inf), MASK), expected)


def test_a_diverged_network_changes_no_other_loss_and_is_named_by_the_spread():
    diverged = PREDICTIONS.astype("f8")
    diverged[2, 0, 4, 1], diverged[1] = np.nan, 1e200
    values = losses(diverged, TARGETS)
    assert np.isnan(values[2]) and values[1] == np.inf
    np.testing.assert_array_equal(values[[0, 3]], losses(PREDICTIONS, TARGETS)[[0, 3]])
    with pytest.raises(ValueError, match="losses: .* network 1"):
        spread(values)


def test_spread_is_the_standard_deviation_of_the_population():
    values = losses(PREDICTIONS, TARGETS)
    found = spread(values)
    assert found.mean == pytest.approx(statistics.fmean(values))
    assert found.std == pytest.approx(statistics.pstdev(values))
    np.testing.assert_array_equal(found.losses, values)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((PREDICTIONS[0], TARGETS), r"predictions: expected shape \[S, B, T, O\]"),
        ((PREDICTIONS, TARGETS[:2]), r"targets: expected shape \[B, T, O\] = \(3, 5, 2\)"),
        ((PREDICTIONS, np.where(TARGETS > 1, np.nan, TARGETS)), "targets: expected finite"),
        ((PREDICTIONS, TARGETS, MASK[..., :1]), "mask: expected shape"),
        ((PREDICTIONS, TARGETS, 0 * MASK), "mask: expected at least one 1"),
        ((PREDICTIONS, TARGETS, 0.5 * MASK), "mask: expected only 0 and 1"),
    ],
)
def test_bad_trials_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        losses(*arguments)


@pytest.mark.parametrize(
    ("values", "message"), [([1.0], "at least 2 networks"), (np.ones((2, 2)), r"shape \[S\]")]
)
def test_bad_losses_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        spread(values)
