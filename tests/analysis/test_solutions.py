"""Kinds of solutions: networks built to be of known kinds, and planted distances."""

import dataclasses
import importlib

import jax
import numpy as np
import pytest
import xarray as xr
from scipy.stats import binomtest

import tiny
from rnnjax import Population, Status, cells, tasks
from rnnjax.analysis import (
    FEATURES,
    FingerprintOptions,
    KindOptions,
    compare_fingerprints,
    find_kinds,
    fingerprints,
    share_intervals,
    shares_moved,
    solutions,
)
from rnnjax.analysis.attractors import _ends
from rnnjax.analysis.fingerprints import _period
from rnnjax.analysis.solutions import _checked_kinds
from rnnjax.training import Hyper, Recipe, Setup

N = 6
TASK = tasks.flip_flop(2, 0.3, 12)
CELL = cells.fitted(cells.rate(N, alpha=0.5), TASK)
KEY = jax.random.key(2)
OPTIONS = FingerprintOptions(starts=48, runs=12, settle=300, watch=256, probes=16)


def built(recurrent, reads):
    """A network of the task: pulses drive the first units, which the outputs read."""
    weights = {name: np.zeros(leaf.shape, "f4") for name, leaf in CELL.leaves().items()}
    weights["recurrent"] = np.asarray(recurrent, "f4")
    for name, units in (("input", range(2)), ("readout", reads)):
        matrix = weights[name]
        for channel, unit in enumerate(units):
            place = (unit, channel) if matrix.shape == (N, 2) else (channel, unit)
            matrix[place] = 4.0
    return weights


def bistable(*units, gain=2.0):
    """Units that each keep a sign; the others forget."""
    return gain * np.diag([1.0 if unit in units else 0.0 for unit in range(N)])


def turning(angle, gain=1.5):
    """Two units on a cycle, driven by the first input."""
    matrix = np.zeros((N, N))
    matrix[:2, :2] = gain * np.array(
        [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    )
    return matrix


def population(networks, seeds=None):
    params = {name: np.stack([one[name] for one in networks]) for name in networks[0]}
    seeds = np.arange(len(networks)) if seeds is None else np.asarray(seeds)
    results = xr.Dataset(
        {"status": ("seed", [int(Status.CONVERGED)] * len(seeds))}, {"seed": seeds}
    )
    setup = Setup(TASK, CELL, Recipe.until(0.1, steps_per_epoch=5), tiny.TRIALS)
    return Population(setup, Hyper(0.01, seeds, 1.0), params, params, results)


def noisy(network, rng):
    weights = {name: value.copy() for name, value in network.items()}
    weights["recurrent"] += 0.02 * rng.normal(size=(N, N)).astype("f4")
    return weights


@pytest.mark.slow
def test_fingerprints_of_networks_with_known_dynamics(monkeypatch):
    four = [
        built(bistable(0, 1), (0, 1)),  # 2 x 2 stable points, the outputs tell all of them
        built(bistable(0), (0, 1)),  # 2 stable points
        built(bistable(0, 1, gain=0.5), (0, 1)),  # forgets
        built(turning(0.8), (0, 1)),  # a cycle
    ]
    networks = population(four * 3)  # as many as in other tests, whose programs serve these
    found = fingerprints(networks, KEY, OPTIONS)
    module = importlib.import_module("rnnjax.analysis.fingerprints")  # not the function
    monkeypatch.setattr(module, "batch_size", lambda _: 5)
    xr.testing.assert_allclose(fingerprints(networks, KEY, OPTIONS), found, atol=1e-4)
    assert found["stable"].values.tolist() == [4, 2, 1, 0] * 3
    assert found["memories"].values[:2].tolist() == [4, 2]
    assert found["cycles"].values.tolist() == [0, 0, 0, 1] * 3
    assert found["moving"].values.tolist() == [0, 0, 0, 1] * 3
    # Near 0, x' = (1 - alpha + alpha gain) x = 3 x / 4.
    assert found["memory"].values[2] == pytest.approx(-1 / np.log(0.75), rel=1e-5)
    assert found["period"].values[3] == pytest.approx(_measured_period(), rel=0.05)
    assert found["answers"].shape == (12, 16, 2)
    assert (found["unfinished"] >= 0).all() and (found["unfinished"] <= 1).all()


def _measured_period():
    """Steps of a turn, by the mean advance of the angle in a plain loop."""
    matrix, state, angles = turning(0.8)[:2, :2], np.array([0.5, 0.0]), []
    for _ in range(3000):
        state = 0.5 * state + 0.5 * np.tanh(matrix @ state)
        angles.append(np.arctan2(state[1], state[0]))
    advance = np.unwrap(angles)[1000:]
    return 2 * np.pi * (len(advance) - 1) / abs(advance[-1] - advance[0])


@pytest.mark.slow
@pytest.mark.parametrize("gain", [1.02, 1.2])
def test_runs_that_grow_change_nothing_else(gain):
    """By 1% a step from 0.1: far away at the end of a run; by 10%: beyond single precision.

    The first unit remembers; the second is driven by nothing and grows, in linear networks.
    """
    linear = cells.fitted(cells.rate(N, alpha=0.5, activation="linear"), TASK)
    networks = population([built(bistable(5, gain=gain), (0, 1))])
    networks = dataclasses.replace(networks, setup=dataclasses.replace(networks.setup, cell=linear))
    networks.params["input"] = np.full_like(networks.params["input"], 0.1)
    found = fingerprints(networks, KEY, OPTIONS._replace(settle=900, watch=600))
    assert (found["stable"].item(), found["saddles"].item()) == (0, 1)
    assert found["moving"].item() == 1
    assert found["cycles"].item() == 0


@pytest.mark.slow
def test_points_stay_apart_where_runs_end_far_away():
    """x = relu(1.02 x - 0.02) at 0, which is stable, and at 1, above which runs grow to 10^6."""
    bent = cells.fitted(cells.rate(N, alpha=0.5, bias=True, activation="relu"), TASK)
    networks = population([built(bistable(0, gain=1.02), (0, 1))])
    networks = dataclasses.replace(networks, setup=dataclasses.replace(networks.setup, cell=bent))
    networks.params["bias"] = np.array([[-0.02, *[0.0] * (N - 1)]], "f4")
    networks.params["readout_bias"] = np.zeros((1, 2), "f4")
    found = fingerprints(networks, KEY, OPTIONS._replace(settle=900, watch=600))
    assert (found["stable"].item(), found["saddles"].item()) == (1, 1)
    assert 0 < found["moving"].item() < 1


@pytest.mark.slow
def test_no_attractor_in_which_a_run_ends_is_missed():
    found = fingerprints(
        population([built(bistable(0, 1), (0, 1))]), KEY,
        OPTIONS._replace(starts=1, runs=40, steps=30),
    )  # fmt: skip
    assert found["stable"].item() == found["memories"].item() == 4


@pytest.mark.slow
def test_planted_kinds_are_found_with_their_shares_and_a_factor_that_moves_them():
    rng = np.random.default_rng(0)
    kinds = {
        "all": built(bistable(0, 1), (0, 1)),
        "half": built(bistable(0), (0, 1)),
        "cycle": built(turning(0.8), (0, 1)),
    }

    def level(*counts):
        return population(
            [
                noisy(kinds[name], rng)
                for name, n in zip(kinds, counts, strict=True)
                for _ in range(n)
            ]
        )

    found = solutions(
        {"lazy": level(8, 2, 2), "rich": level(2, 2, 8)}, KEY, fingerprint=OPTIONS
    )  # fmt: skip
    assert found.sizes["solution"] == 3
    planted = np.tile(np.repeat([0, 1, 2], 4), 2)
    planted[:12], planted[12:] = np.repeat([0, 1, 2], (8, 2, 2)), np.repeat([0, 1, 2], (2, 2, 8))
    labels = found["kind"].values
    assert len({(a, b) for a, b in zip(planted, labels, strict=True)}) == 3
    assert sorted(found["share"].values) == pytest.approx([4 / 24, 10 / 24, 10 / 24])
    assert (found["share_low"] < found["share"]).all() and (
        found["share"] < found["share_high"]
    ).all()
    distance, nearest = found["distance"].values, found["representative"].values
    for kind in range(3):
        rows = np.flatnonzero(labels == kind)
        means = np.array([distance[row, rows].mean() for row in rows])
        (chosen,) = np.flatnonzero(nearest[rows])
        assert means[chosen] == pytest.approx(means.min())
        assert kind > 1 or means.min() < means.max()  # two alone are equally near
    assert found.attrs["p"] < 0.05 and found.attrs["association"] > 0.4
    assert (found["stability"] >= 0.75).all()


def blobs(rng, centers, count, spread):
    points = np.concatenate([c + spread * rng.normal(size=(count, len(c))) for c in centers])
    return np.linalg.norm(points[:, None] - points[None], axis=-1)


@pytest.mark.parametrize("planted", [1, 2, 4])
def test_as_many_kinds_as_were_planted(planted):
    found = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        centers = 10 * np.eye(8)[:planted]
        labels, stability, separation = find_kinds(blobs(rng, centers, 12, 1.0), seed)
        found.append(len(stability))
        assert labels.max() + 1 == len(stability)
        assert np.isnan(separation) == (len(stability) == 1)
    assert found == [planted] * 4


def test_a_difference_of_exactly_one_feature_is_enough():
    for sizes in ((3, 4), (6, 6), (10, 14), (25, 25)):
        one = np.repeat([0.0, 1.0], sizes)
        apart = np.abs(one[:, None] - one[None]) / 13
        assert len(find_kinds(apart, 0, KindOptions(apart=1 / 13))[1]) == 2


def test_a_division_that_is_not_found_again_is_no_kind():
    place = np.random.default_rng(0).uniform(size=(30, 2))  # no groups
    apart = np.linalg.norm(place[:, None] - place[None], axis=-1)
    anything = KindOptions(separation=0.0, stability=0.0)
    assert len(find_kinds(apart, 0, anything)[1]) > 1
    assert len(find_kinds(apart, 0, anything._replace(stability=0.95))[1]) == 1


def test_kinds_must_differ_by_as_much_as_is_wanted():
    close = blobs(np.random.default_rng(0), 0.01 * np.eye(8)[:2], 12, 0.001)
    assert len(find_kinds(close, 0)[1]) == 2
    assert len(find_kinds(close, 0, KindOptions(apart=0.05))[1]) == 1
    far = 1000 * close  # and of any size
    assert [len(find_kinds(far, 0, KindOptions(apart=x))[1]) for x in (5.0, 50.0)] == [2, 1]
    rounded = far + 1e-8 * np.diag(np.arange(24) - 12.0)
    rounded[[0, 1], [1, 0]] = -1e-9  # two equal networks
    found = find_kinds(rounded, 0)[0]
    np.testing.assert_array_equal(found == found[0], np.arange(24) < 12)


def test_kinds_are_numbered_by_falling_size():
    rng = np.random.default_rng(1)
    points = np.concatenate([rng.normal(size=(3, 2)), 50 + rng.normal(size=(9, 2))])
    labels, _, _ = find_kinds(np.linalg.norm(points[:, None] - points[None], axis=-1), 0)
    assert labels.tolist() == [1] * 3 + [0] * 9


def test_shares_that_do_not_move_give_uniform_p_values():
    rng, p = np.random.default_rng(2), []
    levels, seeds = np.repeat([0, 1, 2], 12), np.tile(np.arange(12), 3)
    for draw in range(200):
        # Networks of one seed tend to be of one kind at all levels.
        own = np.tile(rng.integers(0, 3, 12), 3)
        kinds = np.where(rng.random(36) < 0.5, own, rng.integers(0, 3, 36))
        p.append(shares_moved(kinds, levels, seeds, draw, permutations=39).p)
    assert 0.01 <= np.mean(np.array(p) <= 0.05) <= 0.09
    assert 0.4 <= np.mean(p) <= 0.6


def test_shares_that_move_are_found_and_one_kind_has_no_test():
    levels, seeds = np.repeat(["a", "b"], 10), np.tile(np.arange(10), 2)
    moved = shares_moved(np.repeat([0, 1], 10), levels, seeds, 0)
    assert moved.p < 0.01 and moved.association == pytest.approx(1.0)
    apart = shares_moved(np.repeat([0, 1], 10), levels, np.arange(20), 0)  # no seed twice
    same = shares_moved(np.repeat([0, 1], 10), levels, np.repeat(np.arange(10), 2), 0)
    assert apart.p < 0.01 and same.p < 0.01  # or no seed at two levels
    alone = shares_moved(np.zeros(20, int), levels, seeds, 0)
    assert np.isnan(alone.p) and np.isnan(alone.association)


def test_shares_of_networks_of_one_seed_count_as_often_as_they_differ():
    wilson = [binomtest(n, 12).proportion_ci(method="wilson") for n in (7, 4, 1)]
    ends = [[one.low for one in wilson], [one.high for one in wilson]]
    once = np.repeat([0, 1, 2], (7, 4, 1))
    share, *alone = share_intervals(once, np.arange(12))
    np.testing.assert_allclose(share, [7 / 12, 4 / 12, 1 / 12])
    first = binomtest(7, 12).proportion_ci(confidence_level=0.8, method="wilson")
    _, low, high = share_intervals(once, np.arange(12), confidence=0.8)
    np.testing.assert_allclose([low[0], high[0]], [first.low, first.high])
    np.testing.assert_allclose(alone, ends)
    # Networks that repeat those of their seed add nothing.
    np.testing.assert_allclose(share_intervals(np.tile(once, 3), np.tile(range(12), 3))[1:], ends)
    # Those that differ as much as any do not widen an interval.
    kinds, seeds = np.tile([0, 1], 12), np.repeat(np.arange(12), 2)
    np.testing.assert_allclose(share_intervals(kinds, seeds), share_intervals(kinds, np.arange(24)))
    # One kind does not tell whether networks of a seed agree: as if they did.
    _, low, high = share_intervals(np.zeros(24, int), seeds)
    assert low.item() == pytest.approx(binomtest(12, 12).proportion_ci(method="wilson").low)
    assert high.item() == 1


def test_the_effective_number_of_networks_is_that_of_the_variance_between_seeds():
    kinds = np.array([0, 0, 0, 1, 1, 0, 1, 1, 0, 0, 2])
    seeds = np.array([5, 5, 5, 7, 7, 7, 9, 9, 2, 2, 4])
    total, between, binomial = len(kinds), 0.0, 0.0
    for kind in range(3):
        p = np.mean(kinds == kind)
        binomial += p * (1 - p) / total
        for seed in set(seeds.tolist()):
            between += sum((k == kind) - p for k in kinds[seeds == seed]) ** 2
    count = total * binomial / (between * 5 / 4 / total**2)
    assert 5 < count < total
    share, low, high = share_intervals(kinds, seeds)
    for p, one in zip(share, np.array([low, high]).T, strict=True):
        for end in one:  # Wilson's ends lie 1.96 of their own standard errors from the share
            assert abs(p - end) == pytest.approx(1.959964 * np.sqrt(end * (1 - end) / count))


@pytest.mark.slow
@pytest.mark.parametrize("networks", [8, 16])
def test_intervals_of_shares_hold_where_networks_of_a_seed_agree(networks):
    shares = np.array([0.6, 0.3, 0.1])
    for agreement in (0.0, 0.5, 0.9):
        rng, held, found = np.random.default_rng(4), np.zeros(2), 0
        for _ in range(1000):
            own = np.tile(rng.choice(3, networks, p=shares), 3)
            alike = rng.random(3 * networks) < np.sqrt(agreement)
            kinds = np.where(alike, own, rng.choice(3, 3 * networks, p=shares))
            seen = np.unique(kinds)
            found += len(seen)
            by_seed, alone = np.tile(np.arange(networks), 3), np.arange(3 * networks)
            for place, seeds in enumerate((by_seed, alone)):
                _, low, high = share_intervals(kinds, seeds)
                held[place] += ((low[seen] <= shares[seen]) & (shares[seen] <= high[seen])).sum()
        by_seed, alone = held / found
        assert 0.92 <= by_seed <= 0.98
        assert alone < 0.83 or agreement < 0.9


@pytest.mark.slow
def test_networks_that_differ_in_no_feature_are_of_one_kind():
    rng = np.random.default_rng(3)
    alike = population([noisy(built(bistable(0, 1), (0, 1)), rng) for _ in range(12)])
    found = solutions(alike, KEY, fingerprint=OPTIONS)
    assert found.sizes["solution"] == 1
    assert np.isnan(found.attrs["separation"]) and np.isnan(found.attrs["p"])


def test_fingerprints_of_one_level_are_those_of_a_mapping():
    one = made(6, stable=[1, 1, 1, 15, 15, 15])
    found = solutions(one, 0)
    assert found.sizes["solution"] > 0
    xr.testing.assert_identical(found, solutions({"all": one}, 0))


def made(count, **features):
    values = {name: ("seed", np.ones(count)) for name in FEATURES}
    values |= {name: ("seed", np.asarray(value, float)) for name, value in features.items()}
    values["answers"] = (("seed", "probe", "output"), np.ones((count, 4, 1)))
    return xr.Dataset(values, {"seed": np.arange(count)}, {"decision": "sign"})


def test_distances_count_doublings_up_to_one():
    found = made(3, stable=[1, 3, 15], moving=[0, 0.5, 0])
    distances = compare_fingerprints(found) * (len(FEATURES) + 1)
    np.testing.assert_allclose(distances, [[0, 1.5, 1], [1.5, 0, 1.5], [1, 1.5, 0]])
    found["answers"][1, :2] = -1
    assert compare_fingerprints(found)[0, 1] * (len(FEATURES) + 1) == pytest.approx(2.0)


def test_a_drift_has_no_period():
    time = np.arange(256)
    for course in (time, np.exp(-time / 100), np.sin(2 * np.pi * time / 1000)):
        assert _period((course - course.mean())[:, None] * np.ones(3)) == 0
    wave = np.sin(2 * np.pi * time / 37.5)[:, None] * np.ones(3)
    assert _period(wave - wave.mean(0)) == pytest.approx(37.5, rel=0.01)


def test_errors_name_what_is_wrong():
    with pytest.raises(ValueError, match="^found: .*no 'stable'"):
        compare_fingerprints(made(2).drop_vars("stable"))
    with pytest.raises(ValueError, match="^found: expected finite"):
        compare_fingerprints(made(2, stable=[1, np.nan]))
    with pytest.raises(ValueError, match="^distances: "):
        find_kinds(np.array([[0.0, 1.0], [2.0, 0.0]]), 0)
    with pytest.raises(ValueError, match="^distances: .*at least 0, got -1"):
        find_kinds(np.array([[0.0, -1.0], [-1.0, 0.0]]), 0)
    with pytest.raises(ValueError, match="^distances: .*diagonal, got 1 for network 0"):
        find_kinds(np.ones((3, 3)), 0)
    with pytest.raises(ValueError, match="^kinds: "):
        shares_moved(np.zeros(0, int), np.zeros(0), np.zeros(0), 0)
    with pytest.raises(ValueError, match="^most: "):
        find_kinds(np.zeros((3, 3)), 0, KindOptions(most=0))
    for options in ({"most": 3}, {}):
        with pytest.raises(ValueError, match="^options: expected a KindOptions"):
            find_kinds(np.zeros((3, 3)), 0, options)
    for ends, message in ((np.full((2, 1, 3), np.nan), "network 0"), (np.ones((2, 3)), "shape")):
        with pytest.raises(ValueError, match=f"^ends: expected .*{message}"):
            _ends(ends, np.zeros((2, 4, 3)))
    with pytest.raises(ValueError, match="^levels: "):
        shares_moved(np.zeros(3, int), np.zeros(2), np.zeros(3), 0)
    with pytest.raises(ValueError, match="^seeds: "):
        share_intervals(np.zeros(3, int), np.zeros(2))
    with pytest.raises(ValueError, match="^populations: expected at least one"):
        solutions({}, 0)
    with pytest.raises(ValueError, match="^inputs: "):
        FingerprintOptions(inputs="mean").checked()
    with pytest.raises(ValueError, match="^watch: "):
        FingerprintOptions(watch=1).checked()
    one = made(3)
    with pytest.raises(ValueError, match="^populations: .*one key"):
        solutions({"a": one, "b": one.assign_attrs(probes="other")}, 0)
    with pytest.raises(ValueError, match="^populations: .*one watch, got .256, 512."):
        solutions({n: one.assign_attrs(option_watch=n) for n in (256, 512)}, 0)
    assert len(solutions({"a": one, "b": one.assign_attrs(option_watch=2)}, 0).network) == 6
    with pytest.raises(ValueError, match="^most: "):  # before anything is examined
        solutions({"a": None}, 0, kinds=KindOptions(most=-1))
    with pytest.raises(ValueError, match="^populations: .*'seed'"):
        solutions(xr.Dataset(), 0)
    with pytest.raises(ValueError, match="^found: expected a Dataset"):
        compare_fingerprints(None)
    with pytest.raises(ValueError, match="^kinds: expected whole numbers"):
        shares_moved(np.array([0, -1]), np.zeros(2), np.zeros(2), 0)
    with pytest.raises(ValueError, match="^kinds: expected whole numbers"):
        _checked_kinds([0, 1, np.nan])
    with pytest.raises(ValueError, match="^confidence: "):
        share_intervals(np.zeros(3, int), np.zeros(3), confidence=1)
