"""Which ensemble varies as the animals do: simulated animals of known spread."""

import numpy as np
import pytest

from rnnjax.analysis import MatchOptions, match_variability, noise_share, variability
from rnnjax.plots import matched_variability

TRIALS, STEPS = 12, 5
SPREADS = {"alike": 0.1, "middle": 0.4, "varied": 1.2}
"""Size of what is a network's own, relative to what all have in common."""
OPTIONS = MatchOptions("procrustes", resamples=3)


def network(rng, spread, units, common, noise=0.0):
    """Activity [B, T, N] of latent variables, in part its own, seen by random units."""
    latent = common + spread * rng.normal(size=common.shape)
    activity = latent @ rng.normal(size=(common.shape[-1], units))
    variance = activity.reshape(-1, units).var(0)
    return activity + np.sqrt(variance * noise / (1 - noise)) * rng.normal(size=activity.shape)


def groups(seed, of="middle", noise=0.0, animals=7, names=tuple(SPREADS)):
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(TRIALS, STEPS, 3))
    ensembles = {
        name: [network(rng, SPREADS[name], 40, common) for _ in range(8)] for name in names
    }
    recorded = {
        f"animal {n}": network(rng, SPREADS[of], int(rng.integers(12, 30)), common, noise)
        for n in range(animals)
    }
    return ensembles, recorded


@pytest.mark.parametrize("of", SPREADS)
def test_the_ensemble_from_which_the_animals_are_drawn_is_the_nearest(of):
    found = match_variability(*groups(3, of), OPTIONS, noise=0)
    assert found["ensemble"].values[found["nearest"].values.argmax()] == of
    assert found["nearest"].sel(ensemble=of) > 0.8
    assert found["ratio_low"].sel(ensemble=of) < 1 < found["ratio_high"].sel(ensemble=of)
    order = list(SPREADS)
    for name in SPREADS:
        if name != of:
            expected = "less" if order.index(name) < order.index(of) else "more"
            assert found["verdict"].sel(ensemble=name) == expected


def test_noise_is_matched():
    """Noise adds to distances, so that noisy animals differ more than the networks they are."""
    ensembles, animals = groups(4, "alike", noise=0.5)
    ignored = match_variability(ensembles, animals, OPTIONS, noise=0)
    matched = match_variability(ensembles, animals, OPTIONS, noise=0.5)
    ratios = [one["ratio"].sel(ensemble="alike").item() for one in (ignored, matched)]
    assert ratios[0] < 0.5
    assert 0.8 < ratios[1] < 1.25
    assert ignored["verdict"].sel(ensemble="alike") == "less"


def test_animals_of_less_noise_get_more():
    ensembles, animals = groups(5, noise=0.2, names=("middle",))
    clean = groups(5, names=("middle",))[1]
    mixed = {name: (clean if n % 2 else animals)[name] for n, name in enumerate(animals)}
    noise = [0.0 if n % 2 else 0.2 for n in range(len(mixed))]
    found = match_variability(ensembles, mixed, OPTIONS, noise=noise)
    assert found.attrs["noise"] == 0.2
    assert found["ratio_low"] < 1 < found["ratio_high"]


def test_noise_that_hides_all_differences_is_no_agreement():
    """At a share of 0.9 distances are those of noise, whatever the networks do."""
    found = match_variability(*groups(6, "varied", 0.9, names=("middle",)), OPTIONS, noise=0.9)
    assert abs(np.log(found["ratio"].item())) < np.log(1.1)
    assert found["floor"].item() > 0.5 * found["distance"].sel(group="middle")
    assert found["verdict"].item() == "undecided"
    clean = match_variability(*groups(6, "varied", names=("varied",)), OPTIONS, noise=0)
    assert clean["floor"].item() < 0.5 * clean["distance"].min()


@pytest.mark.parametrize(("shown", "words"), [(True, "as the recordings"), (False, "less")])
def test_a_floor_that_rules_out_agreement_leaves_a_difference(shown, words):
    """A ratio of 0.9 that is known to 2%: within the margin, and below 1."""
    logs, spread, sizes = np.array([np.log(0.9), 0.0]), np.full(2, 0.01), np.array([8, 8])
    found = variability._compared(logs, spread, sizes, np.array([shown]), OPTIONS)
    assert found["p"] < 0.05 and found["ratio_low"] > 0.8
    assert found["verdict"].tolist() == [words]


@pytest.mark.slow
def test_intervals_hold_a_ratio_of_one_as_often_as_they_promise():
    """Animals from the ensemble itself: the share of 95% intervals that hold 1."""
    options = MatchOptions("procrustes", resamples=1, units=12, copies=1)
    held = []
    for seed in range(200):
        found = match_variability(*groups(seed, names=("middle",)), options, key=seed, noise=0)
        held.append(found["ratio_low"].item() <= 1 <= found["ratio_high"].item())
    assert 0.9 <= np.mean(held) <= 0.99


@pytest.mark.slow
def test_dynamics_are_compared_too():
    rng = np.random.default_rng(0)
    walks = rng.normal(size=(6, 8, 12, 4)).cumsum(2)
    options = MatchOptions("dsa", {"components": 2, "delays": 1}, units=3, trials=6, resamples=1)
    found = match_variability({"walks": walks[:3]}, list(walks[3:]), options, noise=0)
    assert found["distance"].values.min() > 0
    assert found["count"].values.tolist() == [3, 3]


def test_the_settings_of_the_metric_are_kept_and_shown():
    rng = np.random.default_rng(0)
    walks = rng.normal(size=(6, 8, 12, 4)).cumsum(2)
    settings = {"score": "wasserstein", "components": 2, "delays": (1, 2)}
    options = MatchOptions("dsa", settings, resamples=1)
    found = match_variability({"walks": walks[:3]}, list(walks[3:]), options, noise=0)
    kept = found["distances"].attrs
    assert (kept["score"], kept["components"], kept["delays"]) == ("wasserstein", 2, [1, 2])
    assert "Wasserstein" in matched_variability(found).axes[0].get_xlabel()
    assert found.to_netcdf(engine="scipy")


def test_numbers_by_hand():
    """Distances of clouds on a line: the same trials of all, whole recordings, no noise."""
    rng = np.random.default_rng(0)
    clouds = rng.normal(size=(7, 10, 1, 6))
    options = MatchOptions("procrustes", resamples=2)
    found = match_variability({"nets": clouds[:4]}, clouds[4:], options, noise=0)
    distances = found["distances"].values
    np.testing.assert_allclose(distances, distances.T)
    own, animals = distances[:4, :4], distances[4:, 4:]
    mean = own[np.triu_indices(4, 1)].mean()
    np.testing.assert_allclose(found["distance"].sel(group="nets"), mean)
    np.testing.assert_allclose(found["ratio"].item(), mean / animals[np.triu_indices(3, 1)].mean())
    # Intervals are symmetric on a log scale.
    ends = found["distance_low"] * found["distance_high"]
    np.testing.assert_allclose(ends, found["distance"] ** 2, rtol=1e-6)
    assert (found["distance_low"] < found["distance"]).all()
    np.testing.assert_allclose(found["to_recordings"].item(), distances[:4, 4:].mean())
    assert found["group_of"].values.tolist() == ["nets"] * 4 + ["recordings"] * 3
    assert (found.attrs["units"], found.attrs["trials"]) == (6, 10)
    # Procrustes does not see the order of units: every resample has the same distances.
    one = match_variability(
        {"nets": clouds[:4]}, clouds[4:], MatchOptions("procrustes"), key=5, noise=0
    )
    np.testing.assert_allclose(one["distances"], distances, atol=1e-6)


def test_members_equally_far_apart_give_no_verdict():
    """Three orthogonal patterns: the jackknife has no error, and no verdict follows from it."""
    rng = np.random.default_rng(0)
    equal = 10 * np.eye(3)[:, :, None, None] * np.ones(4)  # [3, B, T, N], one trial each
    animals = rng.normal(size=(3, 3, 1, 4))
    options = MatchOptions("procrustes", resamples=1)
    found = match_variability({"equal": equal, "other": animals + 0.1}, animals, options, noise=0)
    assert found["distance"].sel(group="equal") > 0
    for name in ("distance_low", "distance_high"):
        assert np.isnan(found[name].sel(group="equal"))
    one = found.sel(ensemble="equal")
    assert np.isnan([one["ratio_low"], one["ratio_high"], one["p"]]).all()
    assert one["verdict"] == "undecided" and np.isfinite(one["ratio"])
    assert found["nearest"].isnull().all()
    assert np.isfinite(found["ratio_low"].sel(ensemble="other"))
    matched_variability(found)


def test_recordings_of_the_noisiest_level_are_left_as_they_are():
    clouds = np.random.default_rng(0).normal(size=(7, 10, 1, 6))
    options = MatchOptions("procrustes", resamples=1)
    animals = [
        match_variability({"nets": clouds[:4]}, clouds[4:], options, noise=noise)["distances"]
        for noise in (0.0, 0.3)
    ]
    np.testing.assert_allclose(animals[1][4:, 4:], animals[0][4:, 4:], atol=1e-6)
    assert np.abs(animals[1][:4, :4] - animals[0][:4, :4]).max() > 0.01


@pytest.mark.parametrize("share", [0.0, 0.25])
def test_noise_reaches_the_level(share):
    rng, kinds = np.random.default_rng(2), np.repeat(np.arange(40), 6)
    signal = rng.normal(size=(40, 20, 5))[kinds]
    noisy = signal + np.sqrt(share / (1 - share)) * rng.normal(size=signal.shape)
    group = variability._Group({"one": noisy}, np.array([share]))
    (drawn,) = variability._drawn({"nets": group}, (5, 240), 0.6, rng, np.arange(240))
    np.testing.assert_allclose(noise_share(drawn, kinds), 0.6, atol=0.02)


def test_shares_of_noise_are_found():
    rng = np.random.default_rng(1)
    kinds = np.repeat(np.arange(40), 6)
    signal = rng.normal(size=(40, 20, 5))[kinds]
    for share in (0.1, 0.6):
        noisy = signal + np.sqrt(share / (1 - share)) * rng.normal(size=signal.shape)
        np.testing.assert_allclose(noise_share(noisy, kinds), share, atol=0.02)
    assert noise_share(signal, kinds) < 1e-12
    assert noise_share(rng.normal(size=(40, 20, 3)), [0, 1] * 20) > 0.95


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ensembles": {}}, "ensembles: expected at least one"),
        ({"ensembles": {"recordings": 0}}, "ensembles: .*'recordings'"),
        ({"ensembles": {"a": np.ones((2, 3, 4, 5))}}, "ensembles, a: expected at least 3, got 2"),
        ({"recordings": np.ones((3, 4, 5))}, "recordings: expected several recordings"),
        ({"ensembles": {"a": np.ones((3, 4, 5))}}, "ensembles, a: expected several recordings"),
        ({"recordings": np.ones((3, 3, 5, 5))}, "got trials of 4, 5 steps"),
        ({"recordings": np.full((3, 3, 4, 5), np.nan)}, "recordings, 0: "),
        ({"noise": 1.0}, "noise: expected shares below 1"),
        ({"noise": (0.1, 0.2)}, "noise: .*3 recordings, got 2"),
        ({"options": MatchOptions(units=6)}, "units: expected at most 5, .* got 6"),
        ({"options": {}}, "options: expected a MatchOptions"),
        ({"options": MatchOptions("cka")}, "a: expected members that differ|varies"),
        ({"options": MatchOptions("dsa")}, "network a/0 "),
        (
            {"ensembles": {"a/b": {n: np.ones((3, 4, 5)) for n in "cde"},
                           "a": {f"b/{n}": np.ones((3, 4, 5)) for n in "cde"}}},
            "ensembles: expected different names",
        ),
    ],
)  # fmt: skip
def test_what_does_not_compare_is_refused(change, message):
    same = np.ones((3, 3, 4, 5))
    given = {"ensembles": {"a": same}, "recordings": same, "noise": 0.0}
    with pytest.raises(ValueError, match=message):
        match_variability(**{**given, **change})


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"metric": "pif"}, "metric"),
        ({"metric": "dsa", "settings": {"delay": 5}}, "settings"),
        ({"metric": "dsa", "settings": {"key": 1}}, "settings"),
        ({"margin": 1.0}, "margin"),
        ({"resamples": 0}, "resamples"),
        ({"units": 0}, "units"),
        ({"confidence": 0.0}, "confidence"),
        ({"confidence": 1.0}, "confidence"),
        ({"copies": 0}, "copies"),
    ],
)
def test_invalid_options_are_named(options, named):
    with pytest.raises(ValueError, match=rf"^{named}: expected "):
        MatchOptions(**options)


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ([0, 1, 2], "two trials of some condition"),
        ([0, 0, 0], "two different"),
        ([0, 0], "one for each of the 3 trials"),
        ([0.0, 0.0, np.nan], "^conditions: .*got NaN"),
        (["left", "left", np.nan], "^conditions: .*got NaN"),
        (["left", "left", None], "^conditions: .*got NaN"),
        (None, "^conditions: expected a sequence"),
    ],
)
def test_conditions_without_repeats_are_refused(conditions, message):
    with pytest.raises(ValueError, match=message):
        noise_share(np.ones((3, 4, 5)), conditions)


def test_the_figure_has_the_distances_and_the_band_of_the_recordings():
    found = match_variability(*groups(3), OPTIONS, noise=0)
    (axes,) = matched_variability(found).axes
    middles = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(middles, found["distance"].values[:-1])
    assert [label.get_text() for label in axes.get_yticklabels()] == list(SPREADS)
    low, high = (found[f"distance_{end}"].sel(group="recordings") for end in ("low", "high"))
    band = axes.patches[0].get_extents().transformed(axes.transData.inverted())
    np.testing.assert_allclose([band.x0, band.x1], [low, high])
    with pytest.raises(ValueError, match="found"):
        matched_variability(found.drop_vars("nearest"))
