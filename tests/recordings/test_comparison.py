"""The dataset of `compare`: values, labels, settings, and what it refuses."""

import inspect
import io

import jax
import numpy as np
import pytest
import xarray as xr

import rnnjax
from rnnjax import plots
from rnnjax.commands import compare as command
from rnnjax.metrics import METRICS, Solved, SolverOptions, dsa, dsa_distances, svcca_distances
from rnnjax.recordings.comparison import cautions
from rnnjax.report import comparison_page

SIZES = ((4, 6, 20), (7, 5, 31), (3, 9, 25), (5, 4, 40), (6, 7, 22))
"""Units, trials and steps of five recordings."""
FEW = {"solver": SolverOptions(starts=2, steps=3)}


def recordings():
    rng = np.random.default_rng(0)
    found = {}
    for number, (units, trials, steps) in enumerate(SIZES):
        x = rng.normal(size=(trials, steps, units)).cumsum(1)
        x[1, steps - number :] = np.nan
        found[f"mouse {number}"] = x
    return found


@pytest.fixture(scope="module")
def found():
    options = {"dsa": {**FEW, "components": 2, "delays": (1, 2)}}
    return rnnjax.compare(recordings(), "dsa", key=3, options=options)


@pytest.mark.slow
def test_values_are_those_of_the_metric(found):
    """Also of lists of trials, which are padded nowhere."""
    lists = [[trial[np.isfinite(trial[:, 0])] for trial in x] for x in recordings().values()]
    options = {**FEW, "components": 2, "delays": (1, 2), "key": jax.random.key(3)}
    np.testing.assert_array_equal(found["dsa"], dsa_distances(lists, **options))
    full = dsa.compare_dynamics(recordings(), **options)
    np.testing.assert_array_equal(found["dsa_lower_bound"], full.result.lower_bound)
    np.testing.assert_array_equal(found["dsa_status"], full.result.status)
    np.testing.assert_array_equal(found["dsa_error"], full.operators.error)
    assert found["dsa"].attrs["delays"] == full.delays
    assert found["dsa"].attrs["delays_tried"] == [1, 2]


def test_recordings_of_one_size_have_the_values_of_an_array():
    states = np.random.default_rng(1).normal(size=(3, 5, 12, 4)).cumsum(2)
    names = {"a": states[0], "b": states[1], "c": states[2]}
    options = {"dsa": FEW, "svcca": {"variance": 0.8}}
    found = rnnjax.compare(names, ("dsa", "svcca"), options=options)
    np.testing.assert_array_equal(found["dsa"], dsa_distances(states, key=jax.random.key(0), **FEW))
    np.testing.assert_array_equal(found["svcca"], svcca_distances(states, variance=0.8))
    assert found["svcca"].attrs["variance"] == 0.8
    unnamed = rnnjax.compare(states, ("dsa", "svcca"), key=jax.random.key(0), options=options)
    assert list(unnamed["network"].values) == ["0", "1", "2"]
    np.testing.assert_array_equal(unnamed["dsa"], found["dsa"])


@pytest.mark.slow
def test_labels_and_sizes(found):
    assert found["dsa"].dims == ("network", "other")
    assert list(found["network"].values) == list(found["other"].values) == list(recordings())
    np.testing.assert_array_equal(found["units"], [n for n, _, _ in SIZES])
    np.testing.assert_array_equal(found["trials"], [b for _, b, _ in SIZES])
    lost = np.arange(len(SIZES))
    np.testing.assert_array_equal(found["steps"], [b * t for _, b, t in SIZES] - lost)
    assert found["dsa"].attrs["components"] == 2
    assert found["dsa"].attrs["key"] == 3
    words = found["dsa_status"].attrs["flag_meanings"].split()
    assert words == [code.name.lower() for code in Solved]


def test_netcdf_holds_all_of_it(found):
    back = xr.load_dataset(io.BytesIO(bytes(found.to_netcdf(engine="scipy"))), engine="scipy")
    xr.testing.assert_equal(back, found)
    for name, values in found.items():
        for attribute, value in values.attrs.items():
            np.testing.assert_array_equal(back[name].attrs[attribute], value)


@pytest.mark.parametrize(
    ("score", "bound"),
    [("raw", "raw_lower_bound"), ("chord", "lower_bound"), ("wasserstein", None)],
)
def test_bounds_are_those_of_the_score(score, bound):
    options = {**FEW, "components": 2, "score": score}
    found = rnnjax.compare(recordings(), options={"dsa": options})
    if bound is None:
        assert "dsa_lower_bound" not in found
        return
    result = dsa.compare_dynamics(recordings(), key=jax.random.key(0), **options).result
    expected = getattr(result, bound)
    if score == "chord":
        expected = 2 * np.sin(expected / 2)
    np.testing.assert_array_equal(found["dsa_lower_bound"], expected)
    assert (found["dsa_lower_bound"] <= found["dsa"] + 1e-12).all()


X = np.random.default_rng(0).normal(size=(2, 5, 12, 3))


@pytest.mark.parametrize(
    ("score", "title", "unit"),
    [("angular", "DSA, angular", "radians"), ("wasserstein", "DSA, Wasserstein", None)],
)
def test_page_and_figures_are_titled_by_the_score(score, title, unit):
    found = rnnjax.compare(X, options={"dsa": {**FEW, "components": 2, "score": score}})
    assert (found["dsa"].attrs["long_name"], found["dsa"].attrs.get("units")) == (title, unit)
    (axes, _) = plots.distance_matrix(found).axes
    assert axes.get_title("left") == (f"{title} ({unit})" if unit else title)
    page = comparison_page(found)
    assert page.lead.startswith(f"{title}: ")
    (section,) = [section for section in page.sections if section.heading == title]
    assert ("operators up to a rotation" in section.text) == (score == "angular")


def test_scores_have_titles():
    known = {METRICS["dsa"].label({"score": score}) for score in command.SCORES}
    assert len(known) == len(command.SCORES)
    assert METRICS["dsa"].label({}) == METRICS["dsa"].label({"score": "angular"})


def test_operators_of_one_number_are_explained_by_their_cause():
    found = rnnjax.compare(X, options={"dsa": {**FEW, "components": 2}})
    assert cautions(found) == []
    found["dsa"].attrs["rank"] = 1
    (sentence,) = cautions(found)
    assert "rank" in sentence and "delay" not in sentence


def test_one_candidate_needs_one_trial():
    options = {"dsa": {**FEW, "components": 2, "delays": [2]}}
    assert rnnjax.compare(X[:, :1], options=options)["dsa"].attrs["delays"] == 2


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        (X, {"metrics": "pif"}, "metrics: .* got 'pif', which compares recurrent weights"),
        (X, {"metrics": ("dsa", "sca")}, "metrics: .*did you mean 'svcca'"),
        (X, {"metrics": ()}, "metrics: expected at least one name"),
        (X, {"options": {"svcca": {}}}, "options: expected one of dsa, got 'svcca'"),
        (X, {"options": {"dsa": {"delay": 2}}}, "options, dsa: .*did you mean 'delays'"),
        (X, {"options": {"dsa": {"delays": 2.5}}}, "^delays: expected an integer"),
        (X, {"options": {"dsa": {"delays": []}}}, "^delays: expected at least one number"),
        (X, {"options": {"dsa": {"delays": (1, 40)}}}, "^delays: expected at most 11"),
        (X[:, :1], {"options": {"dsa": {"delays": (1, 2)}}}, "2 trials.*give one number of delays"),
        (X, {"options": {"dsa": {"key": 2}}}, "options, dsa: expected one of"),
        (X, {"key": "a"}, "key: expected a key"),
        (X, {"key": -1}, "key: expected an integer of at least 0"),
        (X[:1], {}, "recordings: expected at least 2, got 1"),
        (X[0], {}, r"recordings: expected several .* got one array .* \(5, 12, 3\)"),
        ({"a": X[0], "b": X[1, 0, 0]}, {}, "recordings, b: expected shape"),
        ({"a": X[0], "b": X[1] * np.nan}, {}, "recording b: .*NaN or infinity in every step"),
        (list(recordings().values()), {"metrics": "cka"}, "recording 1: expected the samples of"),
        (recordings(), {"options": {"dsa": {"components": 4}}}, "3 units of recording mouse 2"),
        (3, {}, "recordings: expected a sequence"),
    ],
)
def test_what_is_refused_is_named(given, options, message):
    with pytest.raises(ValueError, match=message):
        rnnjax.compare(given, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delays": (1, 2)}, "at least 2 trials"),
        ({"delays": 12}, "^delays: "),
        ({"score": "c"}, "score"),
    ],
)
def test_what_dsa_refuses_is_refused_before_other_metrics_compare(options, message):
    def compared(done, pairs):
        raise AssertionError

    with pytest.raises(ValueError, match=message):
        rnnjax.compare(X[:, :1], ("svcca", "dsa"), options={"dsa": options}, progress=compared)


@pytest.mark.slow
def test_distances_that_compare_little_are_warned_of():
    """Nine units of independent noise, of which a recording of two lets two components be kept."""
    noise = np.random.default_rng(0).normal(size=(2, 8, 30, 9))
    few = {"Ada": noise[0], "Bo": noise[1, ..., :2]}
    with pytest.warns(UserWarning, match=r"The smallest recording, Bo, has 2 units, .* of Ada"):
        found = rnnjax.compare(few, options={"dsa": FEW})
    share = float(found["dsa_variance"].min())
    assert share < 0.5
    (sentence,) = cautions(found)
    assert f"{share:.1%}" in sentence and cautions(found, below=share) == []
    assert sentence in comparison_page(found).lead
    with pytest.warns(UserWarning, match="signs"):
        found = rnnjax.compare(few, options={"dsa": {**FEW, "components": 1}})
    angle = float(found["dsa"][0, 1])
    assert min(angle, np.pi - angle) < 1e-3


def test_the_command_knows_the_metrics_and_scores():
    assert {*command.METRICS} == {name for name, m in METRICS.items() if m.takes != "weights"}
    assert dsa.get_args(dsa.Score) == command.SCORES
    known = inspect.signature(dsa_distances).parameters
    assert {"delays", "components", "score", "variance"} < {*known}
