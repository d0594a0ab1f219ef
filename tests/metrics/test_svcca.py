"""SVCCA against other packages, explicit whitening and known angles; its invariances."""

import numpy as np
import pytest
from scipy import stats

from references import DATA
from rnnjax.metrics.svcca import svcca_distance, svcca_distances

with np.load(DATA / "representations.npz") as file:
    REFERENCE = dict(file)

SHARED = np.random.default_rng(0).normal(size=(300, 6))


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def activity(rng, units, noise=0.3):
    """Activity [300, units] with a part that all networks share and a part of its own."""
    own = noise * rng.normal(size=(300, units)) @ rng.normal(size=(units, units))
    return SHARED @ rng.normal(size=(6, units)) + own + rng.normal(size=units)


def whitened_cca(x, y, variance):
    """1 - mean correlation by covariances: whiten by Cholesky factors, cross, take roots."""

    def whitened(h):
        h = h - h.mean(0)
        values, vectors = np.linalg.eigh(np.cov(h.T))
        kept = 1
        while values[-kept:].sum() < variance * values.sum():
            kept += 1
        scores = h @ vectors[:, -kept:]
        return scores @ np.linalg.inv(np.linalg.cholesky(scores.T @ scores)).T

    cross = whitened(x).T @ whitened(y)
    roots = np.sort(np.linalg.eigvals(cross @ cross.T).real)[::-1][: min(cross.shape)]
    return 1 - np.sqrt(np.clip(roots, 0, None)).mean()


def test_the_references_of_three_packages():
    acts = REFERENCE["svcca_acts"].swapaxes(1, 2)
    distances = svcca_distances(acts)
    for (i, j), expected in zip(REFERENCE["svcca_pairs"], REFERENCE["svcca_mean_qr"], strict=True):
        assert 1 - distances[i, j] == pytest.approx(expected, abs=1e-6)
        assert svcca_distance(acts[i], acts[j]) == distances[i, j]


@pytest.mark.parametrize("variance", [0.5, 0.9, 0.99])
def test_explicit_whitening(rng, variance):
    networks = [activity(rng, 12), activity(rng, 7), activity(rng, 20, noise=2)]
    distances = svcca_distances(networks, variance=variance)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        expected = whitened_cca(networks[i], networks[j], variance)
        assert distances[i, j] == pytest.approx(expected, abs=1e-7)
    np.testing.assert_array_equal(distances, distances.T)
    np.testing.assert_allclose(np.diag(distances), 0)


def test_known_angles_and_the_mean_over_the_smaller_network(rng):
    axes = np.linalg.qr(np.column_stack([np.ones(40), rng.normal(size=(40, 4))]))[0][:, 1:]
    turned = np.column_stack([axes[:, 0] * 0.6 + axes[:, 2] * 0.8, axes[:, 1]])
    assert svcca_distance(axes[:, :2], turned) == pytest.approx(1 - (0.6 + 1) / 2)
    assert svcca_distance(axes[:, 2:], axes[:, :2]) == pytest.approx(1)
    assert svcca_distance(axes, turned) == pytest.approx(0)  # 4 dimensions hold both of 2


@pytest.mark.parametrize("variance", [0.9, 1])
def test_more_units_than_samples(rng, variance):
    """Nine units turned into 500 by an isometry are the same network."""
    x, y = activity(rng, 9), activity(rng, 8)
    isometry = np.linalg.qr(rng.normal(size=(500, 9)))[0].T
    expected = svcca_distance(x, y, variance=variance)
    assert svcca_distance(x @ isometry, y, variance=variance) == pytest.approx(expected, abs=1e-7)


def test_relabelling_rotation_and_scaling_change_nothing_and_mixing_does(rng):
    x, y = activity(rng, 10), activity(rng, 10)
    rotation = stats.ortho_group.rvs(10, random_state=1)
    expected = svcca_distance(x, y)
    for moved in (x[:, rng.permutation(10)], x @ rotation, 1e-4 * x + 5, -x):
        assert svcca_distance(moved, y) == pytest.approx(expected, abs=1e-9)
        assert svcca_distance(x, moved) == pytest.approx(0, abs=1e-9)
    assert svcca_distance(x * np.geomspace(1, 1e-3, 10), y) != pytest.approx(expected, abs=1e-2)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("variance", [0.99, 1])
def test_dead_and_redundant_units_change_nothing(rng, dtype, variance):
    x, y = activity(rng, 6).astype(dtype), activity(rng, 6).astype(dtype)
    dead = np.full((300, 4), [0.1, 1e6, 0, 1e6], dtype)
    dead[::2, 3] *= 1 - np.finfo(dtype).eps / 2  # varies in its last bit
    expected = svcca_distance(x, y, variance=variance)
    assert svcca_distance(np.hstack([dead, x]), y, variance=variance) == pytest.approx(expected)
    doubled = np.hstack([x, x])
    assert svcca_distance(doubled, y, variance=variance) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("bits", [0, 0.5], ids=["constant", "last bit"])
def test_a_network_that_never_varies_is_named(rng, dtype, bits):
    alive, still = rng.normal(size=(3000, 5)), np.full((3000, 4), 0.7, dtype)
    still[::2] *= 1 - bits * np.finfo(dtype).eps
    with pytest.raises(ValueError, match="activities, network 1: expected activity that varies"):
        svcca_distances([alive, still, alive])


def test_dimensions_that_must_overlap_are_refused(rng):
    x, y = rng.normal(size=(13, 5)), rng.normal(size=(13, 7))
    assert svcca_distance(x, y, variance=1) > 0.01
    with pytest.raises(ValueError, match="y: its 7 dimensions and the 5 of x .* only 12 samples"):
        svcca_distance(x[1:], y[1:], variance=1)
    with pytest.raises(ValueError, match="network 2: its 9 dimensions and the 7 of .*network 1"):
        svcca_distances([x, y, rng.normal(size=(13, 9))], variance=1)


def test_trajectories_are_samples(rng):
    states = rng.normal(size=(3, 6, 10, 4)).astype("f4")
    expected = svcca_distances(states.reshape(3, 60, 4))
    np.testing.assert_array_equal(svcca_distances(states), expected)


def test_progress_that_is_no_function_is_named_before_anything_else():
    with pytest.raises(ValueError, match="^progress: expected a function"):
        svcca_distances(np.ones((3, 50, 2)), progress=3)


def test_progress_counts_all_pairs(rng):
    seen = []
    svcca_distances(rng.normal(size=(7, 50, 3)), progress=lambda *counts: seen.append(counts))
    assert seen == [(7, 21), (14, 21), (21, 21)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: [h[0], np.where(h[1] > 2, np.nan, h[1])], "network 1: expected finite"),
        (lambda h: [h[0], h[1][:-1]], "network 1: expected the samples of activities, network 0"),
        (lambda h: h[:1], "at least 2 networks, got 1"),
        (lambda h: h[0], r"network 0: expected shape \[samples, N\]"),
        (lambda h: h.astype(complex), "network 0: expected real numbers"),
    ],
)
def test_bad_populations_are_refused(rng, change, message):
    with pytest.raises(ValueError, match=message):
        svcca_distances(change(rng.normal(size=(2, 100, 5))))


@pytest.mark.parametrize("variance", [0, 1.1, -1, float("nan")])
def test_bad_variances_are_refused(variance):
    with pytest.raises(ValueError, match="variance"):
        svcca_distance(SHARED, SHARED, variance=variance)
