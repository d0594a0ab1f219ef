"""Degeneracy of populations whose answer is known: copies, relabelled, mirrored, with noise."""

import concurrent.futures
import sys

import jax
import numpy as np
import pytest
import xarray as xr

import tiny
from compared_levels import comparison, condition
from rnnjax import Population, Status, cells, metrics, tasks
from rnnjax.analysis import (
    MEASURES,
    DegeneracyOptions,
    at_shared_places,
    chart_trends,
    degeneracy,
    embedding,
    find_attractors,
    matched,
    measure_estimate,
    measure_interval,
    measure_pooled,
    measure_trend,
)
from rnnjax.analysis.degeneracy import Compared, dynamics_distances, moving_activity
from rnnjax.metrics import dsa, ranges, weights
from rnnjax.metrics.base import SolverOptions
from rnnjax.parametrization import MuPAdam
from rnnjax.training import Hyper, Recipe, Setup, initial_params

N = 10
TASK = tasks.flip_flop(2, 0.3, 20)
CELL = cells.fitted(cells.rate(N, alpha=0.5, bias=True), TASK)
SETUP = Setup(TASK, CELL, Recipe.until(0.1, steps_per_epoch=5), tiny.TRIALS)
KEY = jax.random.key(4)
OPTIONS = DegeneracyOptions(**{
    "trials": 8, "probe_trials": 2, "probe_times": 2, "samples": 4, "dsa_trials": 12, "order": 8,
    "longest_delay": 3, "components": (2, 4, 16), "delays": (1, 2, 4),
})  # fmt: skip
GROUPS = np.array([0, 0, 0, 0, 1, 1, 1, 1])
MIRRORED = np.array([3])  # of the first group


def network(rng):
    shapes = {name: leaf.shape for name, leaf in CELL.leaves().items()}
    weights = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    weights["recurrent"] *= 1.3 / np.sqrt(N)
    weights["bias"] *= 0.3
    return weights


def moved(weights, rng, mirror=False):
    """The same network under another numbering of its units, and with signs flipped."""
    order = rng.permutation(N)
    sign = rng.choice([-1.0, 1.0], N) if mirror else np.ones(N)
    found = {}
    for name, value in weights.items():
        for axis in np.flatnonzero(np.array(value.shape) == N):
            value = np.take(value, order, axis)
            value = value * np.expand_dims(sign, [i for i in range(value.ndim) if i != axis])
        found[name] = value
    return found


@pytest.fixture(scope="module")
def population():
    """Four copies of one network and four of another; a ninth that never converged."""
    rng = np.random.default_rng(2)
    kinds = [network(rng), network(rng)]
    members = [moved(kinds[group], rng, row in MIRRORED) for row, group in enumerate(GROUPS)]
    members.append(network(rng))
    params = {name: np.stack([m[name] for m in members]).astype("f4") for name in members[0]}
    for row in (5, 6):  # and noise
        noise = 1e-3 * rng.normal(size=params["recurrent"][row].shape)
        params["recurrent"][row] += noise.astype("f4")
    untrained = [network(rng) for _ in members]
    initial = {name: np.stack([m[name] for m in untrained]).astype("f4") for name in untrained[0]}
    status = [int(Status.CONVERGED)] * 8 + [int(Status.EXHAUSTED)]
    results = xr.Dataset(
        {
            "status": ("seed", status),
            "steps_taken": ("seed", [10] * 9),
            "held_out_loss": (("seed", "epoch"), np.full((9, 2), 0.05)),
        },
        {"seed": np.arange(9)},
    )
    return Population(SETUP, Hyper(0.01, np.arange(9), 1.0), initial, params, results)


@pytest.fixture(scope="module")
def found(population):
    return degeneracy(population, KEY, OPTIONS)


@pytest.mark.slow
def test_workers_compare_weights_and_operators(population, found, monkeypatch):
    sent = []

    class Executor(concurrent.futures.Executor):
        def submit(self, function, /, *arguments):
            sent.append(function)
            ended = concurrent.futures.Future()
            ended.set_result(function(*arguments))
            return ended

    monkeypatch.setattr(ranges, "RANGES", 1)
    some = DegeneracyOptions(**{**vars(OPTIONS), "components": (2,), "delays": (1,)})
    shared = degeneracy(population, KEY, some, executor=Executor())
    assert len(sent) == 4  # trained and untrained weights, dynamics, one place
    for name in ("dsa", "pif_relative", "pif_untrained"):
        np.testing.assert_allclose(shared[name], found[name], atol=1e-4, err_msg=name)


@pytest.mark.slow
def test_progress_counts_pairs_and_can_stop(population, found):
    seen = []

    def stop(done, pairs):
        seen.append((done, pairs))
        raise InterruptedError

    with pytest.raises(InterruptedError):
        degeneracy(population, KEY, OPTIONS, progress=stop)
    assert seen == [(28, 28)]


def pairs(matrix, same):
    """Distances between networks that are (not) of one group."""
    values, alike = np.asarray(matrix)[:8, :8], GROUPS[:, None] == GROUPS
    return values[(alike == same) & ~np.eye(8, dtype=bool)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dsa", "dsa_raw", "dsa_chord", "eigenvalues", "svcca", "cka"])
def test_copies_are_at_no_distance_and_groups_are_apart(found, name):
    within, across = pairs(found[name], True), pairs(found[name], False)
    assert within.max() < 0.1 * across.min()
    bound = pairs(found["dsa_lower_bound"], False)
    assert (bound <= pairs(found["dsa_raw"], False) + 1e-6).all()


@pytest.mark.slow
def test_initial_weights_that_conditions_share_are_compared_once(population, found, monkeypatch):
    compared, solve = [], weights.compare_weights

    def counted(matrices, **options):
        compared.append(matrices)
        return solve(matrices, **options)

    monkeypatch.setattr(weights, "compare_weights", counted)
    module = sys.modules[degeneracy.__module__]
    monkeypatch.setattr(module, "_UNTRAINED", {})
    few = DegeneracyOptions(**{**vars(OPTIONS), "components": (2,), "delays": (1,)})
    for _ in range(2):
        again = degeneracy(population, KEY, few)
        xr.testing.assert_identical(again["pif_untrained"], found["pif_untrained"])
    assert len(compared) == 3
    degeneracy(population, jax.random.key(1), few)
    assert len(compared) == 5


@pytest.mark.slow
def test_weights_of_relabelled_copies_are_at_no_distance(found):
    pif = found["pif"].values
    plain = [row for row in range(4) if row not in MIRRORED]
    assert pif[np.ix_(plain, plain)].max() < 1e-4
    assert 0 < pif[5, 7] < 2e-3 * N  # the noise that was added
    assert pairs(pif, False).min() > 1
    mirrored = pif[MIRRORED[0], plain]
    assert mirrored.min() > 0.5  # the same dynamics in other weights
    relative = found["pif_relative"].values - found["pif_untrained"].values
    np.testing.assert_allclose(found["pif_gain"], relative)
    np.testing.assert_allclose(found["pif_per_parameter"], pif / N**2)


@pytest.mark.slow
def test_the_planted_groups_are_apart_in_the_plane(found):
    places = embedding(found["dsa"].values)
    assert places.shape == (8, 2)
    np.testing.assert_allclose(places.mean(0), 0, atol=1e-6)
    axis = places[GROUPS == 1].mean(0) - places[GROUPS == 0].mean(0)
    assert ((places @ axis > 0) == GROUPS).all()
    flat = np.linalg.norm(places[:, None] - places[None], axis=-1)
    np.testing.assert_allclose(flat, found["dsa"].values[:8, :8], atol=0.1 * flat.max())


@pytest.mark.slow
def test_those_that_did_not_converge_are_named_and_left_out(found):
    assert found.attrs["left_out"] == "seed 8: EXHAUSTED"
    assert np.isnan(found["dsa"].values[8]).all()
    assert np.isnan(found["pif"].values[:, 8]).all()
    assert measure_estimate(found, "dsa").networks == 8
    assert measure_estimate(found, "ood_spread").networks == 8
    assert np.isfinite(found["ood_loss"].values[8])
    kept = found["ood_loss"].values[:8]
    assert measure_estimate(found, "ood_spread").value == pytest.approx(kept.std())


@pytest.mark.slow
def test_the_chart_holds_the_distances_of_its_places_and_names_no_others(found, population):
    chart = found["dsa_chart"]
    there = np.isfinite(chart.values[..., 0, 1])
    # 16 components are more than the units; 4 of 4 delays make an order of 16.
    np.testing.assert_array_equal(there, [[True, True, True], [True, True, False], [False] * 3])
    about = found["dsa"].attrs
    assert about["components"] * about["delays"] <= 8
    assert about["delays"] <= about["longest_tried"] <= 3
    assert 0 <= about["unsettled"] <= 1
    solved = {name for name in found if "unsettled" in found[name].attrs}
    assert solved == {
        "dsa", "dsa_raw", "dsa_chord", "dsa_chart",
        "pif", "pif_per_parameter", "pif_relative", "pif_untrained",
    }  # fmt: skip
    for name in solved:
        assert (
            0 <= found[name].attrs["above_bound"] < 1 and 0 <= found[name].attrs["unsettled"] <= 1
        )
    expected = {"dsa_raw": "dsa", "pif_relative": "pif", "pif_per_parameter": "pif"}
    for name, like in expected.items():
        assert found[name].attrs["unsettled"] == found[like].attrs["unsettled"]
    # The trials are not those that any of the networks was trained with, but others of the task.
    states = population.converged.trajectories(jax.random.key(9), 200).rates
    direct = metrics.dsa_distances(states, key=KEY, components=4, delays=2, variance=None)
    value = chart.sel(component=4, delay=2).values[:8, :8]
    assert pairs(value, False).mean() == pytest.approx(pairs(direct, False).mean(), rel=0.2)


@pytest.mark.slow
def test_a_condition_without_two_networks_has_no_distances(population):
    lonely = population.where(population.seeds >= 7)
    with pytest.raises(ValueError, match=r"two networks .*, got \d: .* \d [A-Z]+"):
        degeneracy(lonely, KEY, OPTIONS)
    found = degeneracy(lonely, KEY, OPTIONS, allow_few=True)
    assert np.isnan(found["dsa"].values).all()
    assert found["dsa_chart"].shape == (3, 3, 2, 2)
    assert measure_estimate(found, "pif").networks == 0
    assert np.isfinite(found["representation_alignment"]).values.tolist() == [True, False]
    assert measure_trend([found, found], "pif").verdict == "too few networks"


@pytest.mark.slow
def test_attractors_are_described_in_the_plane_of_visited_states(population):
    found = find_attractors(population.where(population.seeds < 2), KEY, trials=4, starts=16)
    assert found.plane.shape == (2, 3, N)
    np.testing.assert_allclose(found.plane[0] @ found.plane[0].T, np.eye(3), atol=1e-6)
    assert (np.diff(found.variance, axis=1) <= 0).all()
    assert [len(outputs) for outputs in found.outputs] == [len(p.points) for p in found.found]
    assert found.memories(0) == found.memories(1) <= 4
    one, copy = found.found
    # The copy's points are the same ones under its numbering.
    assert len(one.points) == len(copy.points) > 0
    np.testing.assert_allclose(
        np.sort(np.linalg.norm(one.points, axis=1)), np.sort(np.linalg.norm(copy.points, axis=1)),
        atol=1e-6,
    )  # fmt: skip


def test_trends_follow_planted_scales():
    rising = comparison(networks=20)
    for measure in ("dsa", "pif", "ood_spread", "weight_change"):
        assert measure_trend(rising.data, measure).verdict == "rises", measure
    falling = measure_trend(rising.data[::-1], "dsa")
    assert falling.verdict == "falls"
    charts = chart_trends(rising.data)
    np.testing.assert_array_equal(charts["verdict"], [["rises", "rises"], ["rises", "left out"]])
    # A level of which none converged is passed over, as by the other trends.
    lost = rising.data[-1].copy()
    lost["dsa_chart"] = xr.full_like(lost["dsa_chart"], np.nan)
    xr.testing.assert_equal(
        chart_trends([*rising.data, lost])[["relative", "p", "verdict"]],
        charts[["relative", "p", "verdict"]],
    )
    # So is a level with one network, which has no distance.
    chart = rising.data[-1]["dsa_chart"]
    lost["dsa_chart"] = chart.where((chart["seed"] == 0) & (chart["other"] == 0))
    xr.testing.assert_equal(chart_trends([*rising.data, lost])["verdict"], charts["verdict"])
    want = [measure_trend([d.assign(dsa=d["dsa_chart"][0, 1]) for d in rising.data], "dsa").slope]
    value = charts["value"].values[0, 1]
    np.testing.assert_allclose((value[2] - value[0]) / 2, want)
    assert np.isnan(charts["p"].values[1, 1])


def test_matched_conditions_share_an_interval_of_losses():
    rng = np.random.default_rng(0)
    first, second = condition(rng), condition(rng, missed=1)
    first["loss"] = ("seed", [1.0, 2, 3, 4, 5, 6])
    second["loss"] = ("seed", [3.0, 4, 5, 9, 9, 4.5])  # the last one is exhausted
    nobody = condition(rng, missed=6)
    for given in ([first, second], [nobody, first, second], [first, second, nobody]):
        kept = [some for some in matched(given) if some.sizes["seed"]]
        one, two = kept
        assert one.seed.values.tolist() == [2, 3, 4, 5]
        assert two.seed.values.tolist() == [0, 1, 2]
        assert (one["status"] == Status.CONVERGED).all()
    assert measure_estimate(one, "dsa").networks == 4
    np.testing.assert_array_equal(one["dsa"].values, first["dsa"].values[2:, 2:])
    assert measure_estimate(two, "ood_spread").networks == 3


def test_conditions_that_no_slope_uses_do_not_restrict_the_others():
    rng = np.random.default_rng(0)
    first, second = condition(rng, networks=8), condition(rng, 2.0, networks=8)
    for few in (condition(rng, networks=8, missed=missed) for missed in (7, 6)):
        few["loss"] = few["loss"] * 0 + 99.0
        for name in ("dsa_chart", "eigenvalue_chart"):
            few[name] = few[name].where(few["delay"] > 1)  # lacks half of the places
        whole, given = [first, second], [first, second, few]
        for alone, kept in zip(matched(whole), matched(given), strict=False):
            assert kept["seed"].values.tolist() == alone["seed"].values.tolist() != []
        for alone, kept in zip(at_shared_places(whole), at_shared_places(given), strict=False):
            xr.testing.assert_equal(alone["dsa_chart"], kept["dsa_chart"])
        assert measure_trend(given, "dsa_chart").slope == measure_trend(whole, "dsa_chart").slope
        names = ["relative", "p", "verdict"]
        xr.testing.assert_equal(chart_trends(given)[names], chart_trends(whole)[names])
    # Where all are such, they share what all of them have.
    pair = [first.isel(seed=slice(2), other=slice(2)), few]
    assert not any(kept.sizes["seed"] for kept in matched(pair))
    places = at_shared_places(pair)[0]["dsa_chart"].notnull().any(("seed", "other"))
    assert places.values.tolist() == [[False, True], [False, False]]


def test_conditions_without_distances_are_matched_and_have_no_chart():
    """As `measure_population` describes them."""
    whole = comparison().data
    plain = [one[["loss", "status"]] for one in whole]
    for some, other in zip(matched(plain), matched(whole), strict=True):
        assert some["seed"].values.tolist() == other["seed"].values.tolist()
    with pytest.raises(ValueError, match="^datasets: .*'dsa_chart'"):
        chart_trends(plain)


def test_initial_weights_are_compared_again_with_other_settings(monkeypatch):
    module, solved = sys.modules[degeneracy.__module__], []
    monkeypatch.setattr(module, "_UNTRAINED", {})
    monkeypatch.setattr(
        weights, "compare_weights", lambda _, key, solver: solved.append(solver) or len(solved)
    )
    settings = [SolverOptions(**given) for given in ({}, {"starts": 1}, {"steps": 2}, {})]
    found = [
        module._compare_untrained(
            np.zeros((2, 3, 3)), Compared(None, None, None, KEY, None, solver)
        )
        for solver in settings
    ]
    assert found == [1, 2, 3, 1]


def test_networks_that_are_all_alike_are_at_one_place():
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(embedding(np.zeros((3, 3))), np.zeros((3, 2)))


@pytest.mark.parametrize(
    ("name", "value"),
    [("samples", 0), ("dsa_trials", 1.5), ("order", 0), ("longest_delay", -1), ("components", ()),
     ("delays", (1, 0)), ("variance", 0.0), ("stretch", 0.0), ("lag", "shortest"),
     ("activity", "spikes"), ("components", (4, 2, 4)), ("delays", (3, 3))],
)  # fmt: skip
def test_options_are_checked_once(name, value):
    with pytest.raises(ValueError, match=f"^{name}: expected"):
        DegeneracyOptions(**{name: value})


def test_delays_of_noise_are_none_on_trials_held_out_and_all_in_the_fit_itself(monkeypatch):
    def unsolved(operators, **_):
        return dsa.DSAResult(*np.zeros((8, len(operators), len(operators))))

    monkeypatch.setattr(dsa, "compare_operators", unsolved)
    noise = np.random.default_rng(0).normal(size=(2, 12, 40, 2)).astype("f4")
    for lag, expected in {"held_out": 1, "reconstruction": 3}.items():
        options = DegeneracyOptions(**{**vars(OPTIONS), "lag": lag})
        given = Compared(None, None, noise, KEY, options, SolverOptions())
        assert dynamics_distances(given).attributes["dsa"]["delays"] == expected


def test_dynamics_are_those_of_rates_or_of_states():
    current = cells.fitted(cells.current(4, parametrization=MuPAdam()), TASK)
    params = {k: v[None] for k, v in initial_params(current, 0).items()}
    hyper = Hyper(0.01, np.arange(1), 1.0)
    population = Population(
        Setup(TASK, current, SETUP.recipe, tiny.TRIALS), hyper, params, params, xr.Dataset()
    )
    rates, states = (
        moving_activity(population, KEY, DegeneracyOptions(activity=kind, dsa_trials=3))
        for kind in ("rates", "states")
    )
    np.testing.assert_allclose(rates, np.tanh(states), rtol=1e-5, atol=1e-6)
    assert np.ptp(states - rates) > 1e-3


@pytest.mark.slow
def test_every_measure_is_in_the_dataset(found):
    missing = {m.variable for m in MEASURES.values()} - set(found.data_vars)
    assert not missing
    for metric in metrics.METRICS.values():
        assert found[metric.name].dims == ("seed", "other")
        assert MEASURES[metric.name].title == metric.title


def test_bad_arguments_are_named(population):
    with pytest.raises(ValueError, match="^population: expected a Population"):
        degeneracy({}, KEY)  # pyright: ignore
    with pytest.raises(ValueError, match="^options: expected a DegeneracyOptions"):
        degeneracy(population, KEY, {"order": 3})  # pyright: ignore
    for compute in (measure_estimate, measure_interval):
        with pytest.raises(ValueError, match="^dataset: .*'seed', got another"):
            compute(xr.Dataset(), "dsa")
    with pytest.raises(ValueError, match="^series: expected a sequence"):
        measure_pooled(None, "dsa")
    with pytest.raises(ValueError, match="^options: .*did you mean 'tolerance'"):
        find_attractors(population, KEY, tolernce=1)
    with pytest.raises(ValueError, match="^measure: .*did you mean 'dsa'"):
        measure_estimate(comparison().data[0], "dsaa")
    data = comparison().data
    other = data[1].assign_coords(delay=[1, 3])
    with pytest.raises(ValueError, match="^datasets: expected charts over the same"):
        chart_trends([data[0], other])
    lacking = [d.drop_vars("recurrent_kernel_alignment") for d in data]
    assert measure_trend(lacking, "recurrent_kernel_alignment").verdict == "too few networks"
    with pytest.raises(ValueError, match="^variable: "):
        chart_trends(comparison().data, "pif")
    with pytest.raises(ValueError, match=r"^distances: expected shape \[S, S\]"):
        embedding(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="^distances: expected at least 2 networks, got 1"):
        embedding(np.diag([0.0, np.nan]))
