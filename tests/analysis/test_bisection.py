"""Bisection finds the critical rates of the whole grid from a few of its rates."""

import numpy as np
import pytest

import rnnjax
from rnnjax.analysis import bisect_critical_rates, bisection, critical_learning_rate, power_law
from rnnjax.analysis.bisection import next_rate
from rnnjax.sweep import empty_results

RATES = rnnjax.log_rates(1e-4, 1, 10)
WIDTHS = (10, 32, 100)
SWEEP = rnnjax.Sweep(
    task=rnnjax.tasks.delayed_cue(),
    cell=rnnjax.cells.rate(),
    recipe=rnnjax.Recipe(epochs=2),
    axes={
        "optimizer": ("adam", "sgd"), "hidden": WIDTHS, "learning_rate": RATES, "seed": range(3),
    },
)  # fmt: skip
# log10 of the largest rate that trains, by optimizer, width and seed; the median seed decides.
LIMITS = np.array(
    [
        [[-0.52, -0.61, -0.40], [-1.13, -1.02, -1.31], [-1.9, -1.6, -1.7]],
        [[0.3, 0.2, 0.4], [-2.2, -2.25, -2.3], [-9, -9, -1.0]],
    ]
)


class Trainer:
    """Replaces `run_sweep`: success is known, and the trained runs are counted."""

    def __init__(self, kept=None):
        self.kept, self.trained, self.rounds = kept, 0, 0

    def __call__(self, sweep, store, *, mask, progress, engine):
        dataset = empty_results(sweep) if self.kept is None else self.kept.copy(deep=True)
        new = mask & (dataset["status"].values == 0)
        learned = np.log10(RATES)[None, None, :, None] <= LIMITS[:, :, None, :]
        for name, value in {
            "status": 4, "accuracy_decision": learned, "blind_loss": 1.0, "final_loss": ~learned,
        }.items():  # fmt: skip
            values = dataset[name].values
            values[new] = np.broadcast_to(value, values.shape)[new]
        self.trained += int(new.sum())
        self.rounds += 1
        if store is not None:
            self.kept = dataset
        return dataset.copy(deep=True)


def whole_grid():
    return Trainer()(SWEEP, None, mask=np.ones(SWEEP.shape, bool), progress=None, engine=None)


@pytest.mark.parametrize("store", [None, "somewhere"])
def test_it_finds_the_critical_rates_of_the_whole_grid(monkeypatch, store):
    trainer = Trainer()
    monkeypatch.setattr(bisection, "run_sweep", trainer)
    found = bisect_critical_rates(SWEEP, store)
    assert critical_learning_rate(found).identical(critical_learning_rate(whole_grid()))
    assert power_law(found)["exponent"].identical(power_law(whole_grid())["exponent"])
    assert trainer.trained == int((found["status"] != 0).sum())
    assert trainer.trained < SWEEP.size / 3
    assert found["status"].dtype == np.int8
    assert found["status"].attrs == empty_results(SWEEP)["status"].attrs


def test_finished_runs_are_not_trained_again(monkeypatch):
    first = Trainer()
    monkeypatch.setattr(bisection, "run_sweep", first)
    found = bisect_critical_rates(SWEEP, "somewhere")
    again = Trainer(found)
    monkeypatch.setattr(bisection, "run_sweep", again)
    assert bisect_critical_rates(SWEEP, "somewhere").identical(found)
    assert again.trained == 0


def test_a_rate_with_some_seeds_missing_is_completed(monkeypatch):
    first = Trainer()
    monkeypatch.setattr(bisection, "run_sweep", first)
    found = bisect_critical_rates(SWEEP, "somewhere")
    begun = empty_results(SWEEP)
    for name in begun.data_vars:  # two of three seeds of the very first rate
        begun[name].values[:, :, -1, :2] = found[name].values[:, :, -1, :2]
    rest = Trainer(begun)
    monkeypatch.setattr(bisection, "run_sweep", rest)
    assert bisect_critical_rates(SWEEP, "somewhere").identical(found)
    assert rest.trained == first.trained - 2 * 3 * 2


@pytest.mark.parametrize(
    ("density", "expected"),
    [
        ([np.nan] * 8, 7),  # from the top
        ([np.nan] * 7 + [0], 4),  # down by the stride
        ([np.nan] * 4 + [1, np.nan, np.nan, 0], 5),  # halve
        ([np.nan] * 4 + [1, 0, np.nan, 0], None),  # neighbors: done
        ([np.nan] * 7 + [1], None),  # the top trains: censored
        ([0, 0, 0, 0, 0, 0, 0, 0], None),  # nothing trains
        ([np.nan, 0, np.nan, 0, np.nan, 0, 0, 0], 0),
    ],
)
def test_next_rate(density, expected):
    assert next_rate(np.array(density, float), 0.5, 3) == expected


def test_rates_must_rise():
    axes = {"learning_rate": (0.1, 0.01), "seed": (0,)}
    sweep = rnnjax.Sweep(SWEEP.task, SWEEP.cell, SWEEP.recipe, axes)
    with pytest.raises(ValueError, match="learning_rate: expected rising rates"):
        bisect_critical_rates(sweep)
    with pytest.raises(ValueError, match="level"):
        bisect_critical_rates(SWEEP, level=0)


def test_traced_axes_are_conditions_too():
    sweep = SWEEP.with_axes(
        cell=[rnnjax.cells.rate(parametrization=rnnjax.parametrization.MuPAdam())],
        optimizer=("adam",), hidden=(10,), gamma=(1.0, 2.0),
    )  # fmt: skip
    wanted = bisection.next_runs(sweep, empty_results(sweep))
    assert wanted.shape == sweep.shape
    expected = np.zeros(sweep.shape, bool)
    expected[..., -1, :] = True  # all seeds of the largest rate, under both gammas
    np.testing.assert_array_equal(wanted, expected)
