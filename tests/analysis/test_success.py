"""Success, critical rates and best rates against values by hand."""

import numpy as np
import pytest
import xarray as xr

from populations import from_success, sweep, without
from rnnjax.analysis import (
    best_learning_rates,
    critical_learning_rate,
    iterate_conditions,
    status_counts,
    succeeded,
    success_density,
)

RATES = [1e-3, 1e-2, 1e-1]


def one_width(rows):
    """Densities over four seeds, one row per rate."""
    return from_success([rows], [10], RATES)


def test_success_is_finite_and_above_the_criterion():
    data = sweep(tasks=("delayed_cue",), optimizers=("sgd",))
    data["accuracy_decision"][0, 0, 0, 0] = [0.75, 0.751, 0.9, 0.9]
    data["status"][0, 0, 0, 0] = [4, 2, 3, 0]
    values = succeeded(data)[0, 0, 0, 0].values
    np.testing.assert_array_equal(values, [0, 1, 0, np.nan])


def test_the_loss_must_be_below_that_of_an_answer_that_ignores_the_input():
    data = one_width(np.ones((3, 4)))
    data["final_loss"][:] = 0.2
    data["blind_loss"] = data["final_loss"].copy(data=np.full(data["final_loss"].shape, 0.3))
    data["blind_loss"][0, 0, 1] = 0.2
    np.testing.assert_array_equal(succeeded(data)[0, 0], [1, 0, 1, 1])
    # With a given threshold accuracy suffices.
    np.testing.assert_array_equal(succeeded(data, threshold=0.5)[0, 0], [1, 1, 1, 1])


def test_a_run_with_nan_fails_and_is_not_missing():
    data = one_width(np.ones((3, 4)))
    data["accuracy_decision"][0, 0, 1] = np.nan
    data["final_loss"][0, 0, 2] = np.nan
    np.testing.assert_array_equal(succeeded(data)[0, 0], [1, 0, 0, 1])
    assert success_density(data)[0, 0] == 0.5


def test_threshold_follows_the_task():
    data = sweep(tasks=("delayed_cue", "flip_flop"), optimizers=("adam",))
    data["accuracy_decision"][:] = 0.8
    data["final_loss"][:] = 0.0
    density = success_density(data)
    assert (density.sel(task="delayed_cue") == 1).all()
    assert (density.sel(task="flip_flop") == 0).all()


def test_a_missing_criterion_is_an_error():
    data = sweep()
    with pytest.raises(ValueError, match="blind_loss"):
        succeeded(data.drop_vars("blind_loss"))
    with pytest.raises(ValueError, match="threshold: .*pearson"):
        succeeded(data, "pearson")


def test_a_threshold_gives_different_densities_for_different_accuracies():
    data = sweep(optimizers=("adam",))
    assert (success_density(data, "pearson", 0.5) == 1).all()
    assert success_density(data, "decision", 0.5).equals(success_density(data))


def test_density_leaves_out_runs_that_have_not_ended():
    data = one_width([[1, 1, 0, np.nan], [np.nan] * 4, [0, 0, 0, 1]])
    np.testing.assert_allclose(success_density(data)[0], [2 / 3, np.nan, 1 / 4])


def test_status_codes_come_from_the_attributes():
    data = one_width(np.ones((3, 4)))
    data["status"].attrs = {"flag_values": [0, 9], "flag_meanings": "DIVERGED EXHAUSTED"}
    data["status"][:] = 9
    data["status"][0, 0, 0] = 0
    assert succeeded(data).sum() == 11
    assert status_counts(data) == {"DIVERGED": 1, "EXHAUSTED": 11}


def test_without_a_status_a_final_loss_marks_a_finished_run():
    data = one_width(np.ones((3, 4))).drop_vars("status")
    data["final_loss"][0, 0, 0] = np.nan
    assert int(succeeded(data).isnull().sum()) == 1


@pytest.mark.parametrize(
    ("seeds_that_learn", "expected"),
    [
        ((4, 4, 1), (1e-2, 1e-2, 1e-1, "none")),
        ((4, 2, 1), (1e-2, 1e-2, 1e-1, "none")),
        ((1, 3, 0), (1e-2, 1e-2, 1e-1, "none")),
        ((4, 0, 2), (1e-1, 1e-1, np.inf, "above")),
        ((4, 4, 4), (1e-1, 1e-1, np.inf, "above")),
        ((1, 1, 0), (np.nan, 0.0, 1e-3, "below")),
    ],
)
def test_critical_rate_by_hand(seeds_that_learn, expected):
    rows = [[1] * count + [0] * (4 - count) for count in seeds_that_learn]
    found = critical_learning_rate(one_width(rows)).isel(hidden=0)
    np.testing.assert_array_equal([found["rate"], found["lower"], found["upper"]], expected[:3])
    assert found["censored"] == expected[3]


def test_critical_rate_uses_evaluated_rates_only():
    nothing = [np.nan] * 4
    rows = [[1] * 4, nothing, [0] * 4]
    found = critical_learning_rate(one_width(rows)).isel(hidden=0)
    assert (found["rate"], found["upper"]) == (1e-3, 1e-1)
    found = critical_learning_rate(one_width([[1] * 4, [1] * 4, nothing])).isel(hidden=0)
    assert (found["rate"], found["censored"]) == (1e-2, "above")
    found = critical_learning_rate(one_width([nothing] * 3)).isel(hidden=0)
    assert np.isnan(found["upper"])
    assert found["censored"] == "none"


def test_order_of_the_rates_does_not_matter():
    data = sweep()
    flipped = critical_learning_rate(data.isel(learning_rate=slice(None, None, -1)))
    assert flipped.equals(critical_learning_rate(data))


def test_level_one_needs_every_seed():
    rows = [[1, 1, 1, 1], [1, 1, 1, 0], [0, 0, 0, 0]]
    assert critical_learning_rate(one_width(rows), level=1.0)["rate"] == 1e-3
    assert critical_learning_rate(one_width(rows), level=0.75)["rate"] == 1e-2


def test_best_rate_has_the_lowest_mean_loss_and_no_divergence():
    data = one_width([[1] * 4, [1] * 4, [1] * 4])
    data["final_loss"][0] = np.array([[3, 3, 3, 3], [2, 2, 2, 2], [1, 1, 1, np.nan]])
    best = best_learning_rates(data).isel(hidden=0)
    assert (best["rate"], best["loss"], best["density"]) == (1e-2, 2.0, 1.0)
    assert bool(best["trained"])


def test_best_among_failures_is_marked_and_all_diverged_has_none():
    data = one_width([[0] * 4, [1, 0, 0, 0], [0] * 4])
    assert not bool(best_learning_rates(data)["trained"])
    assert best_learning_rates(data)["rate"] == 1e-2
    data["final_loss"][:] = np.nan
    best = best_learning_rates(data).isel(hidden=0)
    assert np.isnan(best["rate"])
    assert not bool(best["trained"])


def test_best_rate_skips_rates_without_runs():
    data = one_width([[0] * 4, [np.nan] * 4, [1] * 4])
    data["final_loss"][0, 1] = np.nan
    assert best_learning_rates(data)["rate"] == 1e-1


def test_successes_beyond_the_first_failure_count_only_for_the_last_edge():
    rates = [0.01, 0.03, 0.1, 0.3, 1.0]
    learned = {
        8: (0, 1, 0, 1, 0),
        16: (1, 1, 1, 1, 1),
        32: (0, 0, 0, 0, 0),
        64: (1, np.nan, 1, 0, 1),
    }
    shape = (len(learned), len(rates), 1)
    loss = 1.0 - np.array(list(learned.values()), float).reshape(shape)
    data = xr.Dataset(
        {
            "final_loss": (("hidden", "learning_rate", "seed"), loss),
            "blind_loss": (("hidden", "learning_rate", "seed"), np.full(shape, 0.5)),
            "accuracy_decision": (("hidden", "learning_rate", "seed"), 1.0 - loss),
        },
        {"hidden": list(learned), "learning_rate": rates, "seed": [0], "criterion": 0.75},
    )
    last, first = (critical_learning_rate(data, edge=edge) for edge in ("last", "first"))
    assert last["rate"].values.tolist()[:2] == [0.3, 1.0]
    assert first["rate"].values.tolist()[:2] == [0.03, 1.0]
    assert first["upper"].values.tolist()[:2] == [0.1, np.inf]
    assert first["censored"].values.tolist() == ["none", "above", "below", "none"]
    assert (float(last["rate"][3]), float(first["rate"][3])) == (1.0, 0.1)
    assert float(first["upper"][3]) == 0.3
    with pytest.raises(ValueError, match="edge: expected one of last, first"):
        critical_learning_rate(data, edge="lowest")


def test_other_dimensions_are_conditions():
    data = sweep().expand_dims(init=["gaussian", "xavier"])
    assert set(critical_learning_rate(data)["rate"].dims) == {"init", "task", "optimizer", "hidden"}
    labels = [labels for labels, _ in iterate_conditions(data)]
    assert len(labels) == 8
    assert labels[0] == {"init": "gaussian", "task": "delayed_cue", "optimizer": "adam"}
    unnamed = [labels["init"] for labels, _ in iterate_conditions(data.drop_vars("init"))]
    assert unnamed == [0] * 4 + [1] * 4


def test_pending_runs_do_not_count():
    data = sweep()
    half = without(data, data["task"] == "delayed_cue")
    found = critical_learning_rate(half)
    assert found["upper"].sel(task="delayed_match").isnull().all()
    assert found.sel(task="delayed_cue").equals(
        critical_learning_rate(data).sel(task="delayed_cue")
    )


def test_errors_name_what_is_wrong():
    data = sweep()
    with pytest.raises(ValueError, match="did you mean 'pearson'"):
        succeeded(data, "person")
    with pytest.raises(ValueError, match="no dimension 'seed'"):
        success_density(data.isel(seed=0))
    with pytest.raises(ValueError, match="no variable 'accuracy_decision'"):
        succeeded(data[["loss", "status"]])
    with pytest.raises(ValueError, match="threshold"):
        succeeded(data.drop_vars("criterion"))
    with pytest.raises(ValueError, match="level"):
        critical_learning_rate(data, level=0)
    for wrong in (np.nan, "0.5", True, data["criterion"] * np.nan):
        with pytest.raises(ValueError, match="^threshold: expected finite"):
            succeeded(data, threshold=wrong)
