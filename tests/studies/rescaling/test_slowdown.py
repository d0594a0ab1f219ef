"""Whether a planted slow-down is found, and attributed to eps where it is."""

import numpy as np
import pytest
import xarray as xr

from learning_curves import planted
from populations import without
from rnnjax.analysis import Resampling
from rnnjax.studies.rescaling.analysis import slowdown, verdict

RATES = (0.1,)


def verdicts(dataset, **options):
    return slowdown(dataset, resampling=Resampling(resamples=300), **options)["verdict"].squeeze(
        drop=True
    )


def test_a_slowdown_in_one_arm_is_eps():
    data = planted({"scaled": 0.0, "torch": 0.4}, rates=RATES, noise=0.03, jitter=0.01)
    found = slowdown(data, resampling=Resampling(resamples=300)).squeeze()
    assert found["verdict"].values.tolist() == ["eps"] * 3
    np.testing.assert_allclose(found["difference"], 0.4, atol=0.05)
    np.testing.assert_allclose(found["exponent"].sel(eps_scaling="torch"), 0.4, atol=0.12)
    assert (found["difference_low"] < 0.4).all() and (found["difference_high"] > 0.3).all()
    np.testing.assert_array_equal(found["hidden_max"], 5000)


@pytest.mark.parametrize(
    ("slopes", "expected"),
    [((0.4, 0.4), "structural"), ((0.7, 0.3), "both"), ((0.0, 0.0), "none"), ((-0.3, 0), "none")],
)
def test_the_other_verdicts(slopes, expected):
    arms = dict(zip(("torch", "scaled"), slopes, strict=True))
    found = verdicts(planted(arms, rates=RATES, noise=0.03, jitter=0.01))
    assert found.values.tolist() == [expected] * 3


@pytest.mark.parametrize(("slope", "expected"), [(0.4, "slower"), (0.0, "none")])
def test_one_arm_alone_has_its_exponents_and_no_cause(slope, expected):
    both = planted({"torch": slope, "scaled": 0.0}, rates=RATES, noise=0.03, jitter=0.01)
    alone = both.sel(eps_scaling=["torch"])
    found = slowdown(alone, resampling=Resampling(resamples=300)).squeeze("eps_scaling")
    assert found["verdict"].values.ravel().tolist() == [expected] * 3
    np.testing.assert_allclose(found["exponent"], slope, atol=0.05)
    assert found["difference"].isnull().all()


def test_paired_seeds_make_the_difference_sharp():
    data = planted({"torch": 0.2, "scaled": 0.2}, rates=RATES, noise=0.3, jitter=0.005, seeds=8)
    found = slowdown(data, targets=[0.1], resampling=Resampling(resamples=500)).squeeze()
    width = found["difference_high"] - found["difference_low"]
    alone = (found["exponent_high"] - found["exponent_low"]).min()
    assert float(width) < 0.2 * float(alone)


@pytest.mark.slow
def test_the_difference_covers():
    inside = []
    for seed in range(30):
        data = planted(
            {"torch": 0.4, "scaled": 0.1},
            rates=RATES, total=400, points=100, first=10, jitter=0.08, seed=seed,
        )  # fmt: skip
        found = slowdown(data, targets=[0.1], resampling=Resampling(resamples=200)).squeeze()
        inside.append(bool((found["difference_low"] <= 0.3) & (found["difference_high"] >= 0.3)))
    assert np.mean(inside) >= 0.85


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        (((0.1, 0.3), (-0.1, 0.04), (0.1, 0.3)), "eps"),
        (((0.5, 0.9), (-0.01, 0.45), (0.1, 0.6)), "eps in part"),
        (((0.1, 0.3), (0.01, 0.04), (0.1, 0.3)), "eps"),  # significant, and negligible
        (((0.1, 0.3), (0.1, 0.3), (-0.1, 0.04)), "structural"),
        (((0.2, 0.6), (0.01, 0.5), (-0.02, 0.5)), "structural in part"),
        (((0.3, 0.4), (0.1, 0.2), (0.1, 0.3)), "both"),
        (((-0.1, 0.04), (-0.1, 0.1), (-0.1, 0.1)), "none"),
        (((0.01, 0.04), (0.01, 0.04), (-0.1, 0.1)), "none"),
        (((-0.1, 0.3), (-0.1, 0.1), (0.1, 0.3)), "undecided"),
        (((0.1, 0.3), (-0.1, 0.3), (-0.1, 0.3)), "undecided"),
        (((0.1, 0.3), (np.nan, np.nan), (np.nan, np.nan)), "unfitted"),
    ],
)
def test_verdicts_of_intervals(intervals, expected):
    assert verdict(*intervals) == expected


def test_sizes_at_which_one_arm_misses_the_target_leave_both_fits():
    data = planted({"torch": 0.4, "scaled": 0.0}, sizes=(500, 1000, 3000, 5000, 9000), rates=RATES)
    last = (data["eps_scaling"] == "torch") & (data["hidden"] == 9000)
    data["loss"] = data["loss"].where(~last, 0.9).transpose(*data["loss"].dims)
    found = slowdown(data, targets=[0.06], resampling=Resampling(resamples=100)).squeeze()
    assert found["points_used"].values.tolist() == [4, 4]
    assert found["points_missing"].values.tolist() == [1, 0]
    assert found["hidden_max"] == 5000
    assert found["verdict"] == "eps"
    assert np.isfinite(found["steps"].sel(eps_scaling="scaled", hidden=9000))
    torch = found["run_steps"].sel(eps_scaling="torch")
    assert torch.sel(hidden=9000).isnull().all() and torch.sel(hidden=5000).notnull().all()


def test_diverged_and_pending_runs():
    data = planted({"torch": 0.4, "scaled": 0.0}, rates=(0.1, 1.0))
    found = slowdown(data, resampling=Resampling(resamples=50))
    assert found.sel(learning_rate=1.0)["verdict"].values.tolist() == ["unfitted"] * 3
    assert (found.sel(learning_rate=1.0)["points_missing"] == 4).all()
    half = slowdown(
        without(data, data["eps_scaling"] == "torch"), resampling=Resampling(resamples=50)
    )
    assert (half["verdict"] == "unfitted").all()
    assert (half["points_missing"].sel(eps_scaling="scaled") == 0).all()
    assert (half["points_missing"].sel(learning_rate=0.1) == 0).all()


def test_a_single_size_is_not_fitted():
    found = slowdown(
        planted({"torch": 0.4, "scaled": 0.0}, sizes=(500,)), resampling=Resampling(resamples=20)
    )
    assert (found["verdict"] == "unfitted").all()


def test_more_dimensions_are_conditions():
    one = planted({"torch": 0.4, "scaled": 0.0}, rates=RATES)
    two = planted({"torch": 0.4, "scaled": 0.4}, rates=RATES)
    data = xr.concat([one, two], xr.Variable("init", ["a", "b"]))
    found = slowdown(data, targets=[0.1], resampling=Resampling(resamples=300)).squeeze()["verdict"]
    assert (found.sel(init="a").item(), found.sel(init="b").item()) == ("eps", "structural")


def test_errors_name_what_is_wrong():
    data = planted({"torch": 0.4, "scaled": 0.0}, rates=RATES, seeds=2, total=100)
    with pytest.raises(ValueError, match="no 'torch'"):
        slowdown(data.sel(eps_scaling=["scaled"]))
    with pytest.raises(ValueError, match="dimension 'arm'"):
        slowdown(data, arms="arm")
    with pytest.raises(ValueError, match="targets"):
        slowdown(data, targets=[-1])
