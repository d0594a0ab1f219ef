import numpy as np
import pytest
import xarray as xr

from populations import without
from rnnjax.analysis import Resampling, best_learning_rates, power_law
from rnnjax.studies.width_transfer.analysis import (
    best_rate_scaling,
    exponent_difference,
    rate_shift,
    transfer_verdict,
)
from width_sweeps import QUARTER_DECADES, RULES, WIDTHS, Law, transfer_sweep

QUICK = {"resampling": Resampling(resamples=200)}
HALF_DECADES = 10.0 ** np.arange(-4.5, 0.01, 0.5)


@pytest.fixture(scope="module")
def data():
    return transfer_sweep()


@pytest.fixture(scope="module")
def fit(data):
    return best_rate_scaling(data, **QUICK)


def one(law, **options):
    return transfer_sweep({"rule": law}, **options).isel(cell=0)


def test_best_rates_agree_with_the_table(data, fit):
    best = best_learning_rates(data)
    np.testing.assert_array_equal(fit["rate"], best["rate"])
    np.testing.assert_array_equal(fit["loss"], best["loss"])


def test_slope_is_that_of_the_best_rates(fit):
    for name in RULES:
        line = np.polyfit(np.log10(WIDTHS), np.log10(fit["rate"].sel(cell=name)), 1)
        found = fit.sel(cell=name)
        np.testing.assert_allclose([found["exponent"], found["intercept"]], line, atol=1e-10)
        assert int(found["points_used"]) == 5
        assert (found["hidden_min"], found["hidden_max"]) == (32, 512)


def test_planted_laws_are_recovered(data, fit):
    critical = power_law(data, **QUICK)
    for name, law in RULES.items():
        best, edge = fit.sel(cell=name), critical.sel(cell=name)
        planted = law.best_slope if law.critical_slope is None else law.critical_slope
        assert best["exponent_low"] < law.best_slope < best["exponent_high"]
        assert best["exponent_high"] - best["exponent_low"] < 0.7
        assert edge["exponent_low"] < planted < edge["exponent_high"]
    assert transfer_verdict(fit).values.tolist() == ["falls", "falls", "stays", "stays"]
    assert transfer_verdict(critical).values.tolist() == ["falls", "falls", "stays", "stays"]


@pytest.mark.slow
@pytest.mark.parametrize("slope", [0.0, -0.8])
@pytest.mark.parametrize(
    ("rates", "wander", "noise", "widest"),
    [
        (QUARTER_DECADES, 0.05, 0.1, 0.5),
        (QUARTER_DECADES, 0.25, 0.4, 0.9),
        (HALF_DECADES, 0.05, 0.1, 0.95),
        (HALF_DECADES, 0.25, 0.4, 1.0),
    ],
)
def test_coverage(slope, rates, wander, noise, widest):
    rng = np.random.default_rng(2)
    laws = {f"{i}": Law(-2 + rng.uniform(0, 0.5), slope, wander=wander) for i in range(60)}
    found = best_rate_scaling(transfer_sweep(laws, rates=rates, noise=noise), **QUICK)
    inside = (found["exponent_low"] <= slope) & (slope <= found["exponent_high"])
    assert float(inside.mean()) >= 0.9
    assert float((found["exponent_high"] - found["exponent_low"]).median()) < widest


def test_without_noise_the_interval_is_that_of_the_grid():
    """Seeds that agree leave only the grid, and the finer it is the less of it."""
    law = Law(-2.07, -0.33, wander=0.0)
    widths = []
    for rates in (HALF_DECADES, QUARTER_DECADES):
        found = best_rate_scaling(one(law, rates=rates, noise=0.0), **QUICK)
        assert found["exponent_low"] < -0.33 < found["exponent_high"]
        widths.append(float(found["exponent_high"] - found["exponent_low"]))
    assert 0.3 < widths[1] < 0.8 * widths[0]


def test_seeds_that_disagree_widen_the_interval():
    fine = 10.0 ** np.arange(-4, -0.9, 0.05)
    narrow, wide = (
        best_rate_scaling(one(Law(-2.5, 0.0, wander=wander), rates=fine, noise=0.02), **QUICK)
        for wander in (0.02, 0.3)
    )
    spans = [float(part["exponent_high"] - part["exponent_low"]) for part in (narrow, wide)]
    assert spans[1] > 1.5 * spans[0]


@pytest.mark.parametrize(("best", "kind"), [(0.5, "above"), (-4.4, "below")])
def test_a_best_rate_at_the_end_is_censored(best, kind):
    """A slope of -1 takes one end of the widths inside the rates tried, the other beyond."""
    found = best_rate_scaling(one(Law(best, -1.0, room=5.0, wander=0.0), noise=0.0), **QUICK)
    flags = found["censored"].values
    beyond = np.isin(found["rate"], [QUARTER_DECADES[0], QUARTER_DECADES[-1]])
    assert 0 < beyond.sum() < 5
    np.testing.assert_array_equal(flags, np.where(beyond, kind, "none"))
    assert int(found["points_censored"]) == beyond.sum()
    assert int(found["points_used"]) == 5 - beyond.sum()
    edge = found["upper"] if kind == "above" else found["lower"]
    np.testing.assert_array_equal(np.isinf(edge) | (edge == 0), beyond)


def test_censored_sizes_do_not_flatten_the_slope():
    sizes = (8, 16, *WIDTHS)
    law = Law(-0.55, -1.0, room=5.0, wander=0.0)
    found = best_rate_scaling(one(law, sizes=sizes, noise=0.0), **QUICK)
    assert (found["points_censored"], found["hidden_min"]) == (3, 64)
    assert np.polyfit(np.log10(sizes), np.log10(found["rate"]), 1)[0] > -0.75
    np.testing.assert_allclose(found["exponent"], -1.0, atol=0.2)


def test_a_size_that_does_not_train_is_left_out():
    data = one(RULES["standard"])
    data["accuracy_decision"][{"hidden": 4}] = 0.5
    found = best_rate_scaling(data, **QUICK)
    assert found["censored"].values.tolist() == ["none"] * 4 + ["untrained"]
    assert (found["points_used"], found["points_untrained"]) == (4, 1)
    assert not np.isnan(found["rate"][4])
    assert np.isnan(found["lower"][4])
    assert found["hidden_max"] == 256


def test_one_diverged_seed_rules_a_rate_out():
    data = one(RULES["mup_adam"])
    first = best_rate_scaling(data, **QUICK)
    at = {"hidden": 2, "learning_rate": first["rate"][2].item(), "seed": 3}
    place = {
        "hidden": 2,
        "seed": 3,
        "learning_rate": list(QUARTER_DECADES).index(at["learning_rate"]),
    }
    data["final_loss"][place], data["status"][place] = np.nan, 3
    found = best_rate_scaling(data, **QUICK)
    assert found["rate"][2] != first["rate"][2]
    assert np.isfinite(found["loss"]).all()


def test_all_rates_diverged_is_untrained():
    data = one(RULES["mup_adam"])
    data["final_loss"][{"hidden": 0}], data["status"][{"hidden": 0}] = np.nan, 3
    found = best_rate_scaling(data, **QUICK)
    assert found["censored"][0] == "untrained"
    assert np.isnan(found["rate"][0])
    assert found["points_used"] == 4


def test_widths_not_run_are_neither_fitted_nor_counted(data):
    keep = (data["cell"] != "standard") | (data["hidden"] < 512)
    part = best_rate_scaling(without(data, keep), **QUICK).sel(cell="standard")
    alone = best_rate_scaling(data.sel(cell="standard", hidden=slice(32, 256)), **QUICK)
    np.testing.assert_allclose(part["exponent"], alone["exponent"])
    assert np.isnan(part["rate"][4]) and part["censored"][4] == "none"
    assert (part["points_used"], part["points_censored"], part["points_untrained"]) == (4, 0, 0)
    nothing = best_rate_scaling(without(data, data["seed"] < 0), **QUICK)
    assert nothing["exponent"].isnull().all()
    assert (transfer_verdict(nothing) == "undecided").all()
    assert (nothing["points_untrained"] == 0).all()


def test_two_sizes_give_no_slope(data):
    found = best_rate_scaling(data.isel(hidden=[0, 4]), **QUICK)
    assert found["exponent"].isnull().all() and found["exponent_low"].isnull().all()
    assert (found["points_used"] == 2).all()


def test_brackets_end_halfway_to_the_rates_run():
    data = one(Law(-3.0, 0.0, wander=0.0), rates=np.array([1e-4, 1e-3, 1e-2, 1e-1, 1.0]), noise=0.0)
    gap = without(data, (data["hidden"] != 64) | (data["learning_rate"] != 1e-2))
    found = best_rate_scaling(gap, **QUICK)
    np.testing.assert_allclose(found["rate"], 1e-3)
    np.testing.assert_allclose(found["lower"], 10**-3.5)
    np.testing.assert_allclose(found["upper"], 10 ** np.array([-2.5, -2.0, -2.5, -2.5, -2.5]))


def test_order_of_the_axes_does_not_matter(data, fit):
    turned = data.isel(hidden=slice(None, None, -1), learning_rate=slice(None, None, -1))
    found = best_rate_scaling(turned.transpose(*reversed(data["status"].dims), "step"), **QUICK)
    xr.testing.assert_allclose(found.transpose(*fit.dims), fit)


def test_a_condition_alone_gives_the_same_interval(data, fit):
    alone = best_rate_scaling(data.sel(cell="latent"), **QUICK)
    np.testing.assert_array_equal(
        fit["exponent_samples"].sel(cell="latent"), alone["exponent_samples"]
    )
    other = best_rate_scaling(
        data.sel(cell="latent"), resampling=Resampling(resamples=200, random_seed=1)
    )
    assert not other["exponent_samples"].equals(alone["exponent_samples"])


def law(*intervals, exponents=None):
    """A fit with the intervals `(low, high)`, one per rule."""
    low, high = np.array(intervals, float).T
    middle = (low + high) / 2 if exponents is None else np.array(exponents)
    values = {"exponent": middle, "exponent_low": low, "exponent_high": high}
    values |= {"hidden_min": np.full(len(low), 32.0), "hidden_max": np.full(len(low), 512.0)}
    names = ["standard", "mup", "latent", "gru"][: len(low)]
    return xr.Dataset({name: ("cell", value) for name, value in values.items()}, {"cell": names})


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((-1.2, -0.1), "falls"),
        ((-0.2, -0.1), "falls"),
        ((0.1, 0.9), "rises"),
        ((-0.49, 0.49), "stays"),
        ((-0.3, -1e-16), "stays"),
        ((1e-16, 0.7), "undecided"),
        ((-0.51, 0.1), "undecided"),
        ((-0.1, 0.5), "undecided"),
        ((-2.0, 2.0), "undecided"),
        ((np.nan, np.nan), "undecided"),
    ],
)
def test_verdicts(interval, verdict):
    assert transfer_verdict(law(interval)).item() == verdict


def test_the_margin_decides_what_staying_means():
    fit = law((-0.3, 0.2))
    assert [transfer_verdict(fit, margin).item() for margin in (0.31, 0.3)] == [
        "stays",
        "undecided",
    ]
    with pytest.raises(ValueError, match="margin"):
        transfer_verdict(fit, 0.0)


def test_shift_is_in_decades_of_the_rate():
    found = rate_shift(law((-1.0, -0.5)))
    decades = np.log10(16)
    np.testing.assert_allclose(
        [found[name].item() for name in ("shift", "shift_low", "shift_high")],
        [-0.75 * decades, -decades, -0.5 * decades],
    )


def test_differences_add_the_arms_in_square():
    found = exponent_difference(law((-1.3, -0.7), (-0.4, 0.4), (-0.1, 0.3), exponents=[-1, 0, 0]))
    assert found["cell"].values.tolist() == ["mup", "latent"]
    np.testing.assert_allclose(found["difference"], [1.0, 1.0])
    np.testing.assert_allclose(found["difference_low"], 1 - np.hypot([0.4, 0.1], 0.3))
    np.testing.assert_allclose(found["difference_high"], 1 + np.hypot([0.4, 0.3], 0.3))


def test_an_interval_beside_its_slope_does_not_narrow_a_difference():
    found = exponent_difference(law((-1.3, -1.1), (0.0, 0.4), exponents=[-1.0, 0.2]))
    np.testing.assert_allclose(found["difference_low"], 1.2 - 0.2)


def test_differences_cover_the_planted_one():
    rng = np.random.default_rng(4)
    start = rng.uniform(-2, -1.5, (50, 2))
    parts = [
        transfer_sweep(
            {"standard": Law(a, -0.8, wander=0.2), "mup": Law(b, 0.0, wander=0.2)}, random_seed=i
        )
        for i, (a, b) in enumerate(start)
    ]
    data = xr.concat(parts, "experiment")
    found = exponent_difference(best_rate_scaling(data, **QUICK))
    inside = (found["difference_low"] <= 0.8) & (found["difference_high"] >= 0.8)
    assert float(inside.mean()) >= 0.9
    assert float((found["difference_high"] - found["difference_low"]).median()) < 1.0


def test_errors_name_what_is_wrong(data, fit):
    with pytest.raises(ValueError, match="no dimension 'hidden'"):
        best_rate_scaling(data.isel(hidden=0))
    with pytest.raises(ValueError, match="variable 'final_loss'"):
        best_rate_scaling(data.drop_vars("final_loss"))
    with pytest.raises(ValueError, match="confidence"):
        best_rate_scaling(data, resampling=Resampling(confidence=95))
    with pytest.raises(ValueError, match="resamples"):
        best_rate_scaling(data, resampling=Resampling(resamples=0))
    with pytest.raises(ValueError, match=r"reference.*did you mean 'standard'"):
        exponent_difference(fit, "standart")
    with pytest.raises(ValueError, match="dimension 'rule'"):
        exponent_difference(fit, dim="rule")
