"""CKA and Procrustes against explicit Gram matrices and explicit rotations."""

import numpy as np
import pytest
from scipy import linalg, stats

from rnnjax.metrics import shape

RNG = np.random.default_rng(0)
SHARED = RNG.normal(size=(60, 4))
NETWORKS = [
    SHARED @ RNG.normal(size=(4, units)) + RNG.normal(size=(60, units)) + 3
    for units in (8, 5, 8, 90)  # the last has more units than samples
]
PAIRS = {
    "cka": (shape.cka_distance, shape.cka_distances),
    "procrustes": (shape.procrustes_distance, shape.procrustes_distances),
}


def explicit_cka(x, y):
    """By the centered Gram matrices of all samples."""
    center = np.eye(len(x)) - 1 / len(x)
    k, m = center @ x @ x.T @ center, center @ y @ y.T @ center
    return 1 - np.trace(k @ m) / np.sqrt(np.trace(k @ k) * np.trace(m @ m))


def explicit_procrustes(x, y):
    """By the best rotation, of samples padded with silent units."""
    size = max(x.shape[1], y.shape[1])
    padded = [np.pad(h - h.mean(0), ((0, 0), (0, size - h.shape[1]))) for h in (x, y)]
    first, second = (h / np.linalg.norm(h) for h in padded)
    rotation = linalg.orthogonal_procrustes(second, first)[0]
    return np.linalg.norm(first - second @ rotation)


@pytest.mark.parametrize(
    ("name", "oracle"), [("cka", explicit_cka), ("procrustes", explicit_procrustes)]
)
def test_explicit_formulas(name, oracle):
    one, many = PAIRS[name]
    distances = many(NETWORKS)
    for i, j in ((0, 1), (0, 2), (1, 3), (0, 3)):
        assert distances[i, j] == pytest.approx(oracle(NETWORKS[i], NETWORKS[j]), abs=1e-9)
        assert one(NETWORKS[i], NETWORKS[j]) == distances[i, j]
    np.testing.assert_array_equal(distances, distances.T)


@pytest.mark.parametrize(("one", "many"), PAIRS.values(), ids=PAIRS)
def test_relabelling_rotation_and_scaling_change_nothing_and_mixing_does(one, many):
    x, y, wide = NETWORKS[0], NETWORKS[2], NETWORKS[3]
    expected = one(x, y)
    rotation = stats.ortho_group.rvs(8, random_state=1)
    for moved in (
        x[:, [3, 0, 7, 1, 6, 2, 5, 4]],
        x @ rotation,
        1e-4 * x + 5,
        np.pad(x, ((0, 0), (1, 9))),
    ):
        assert one(moved, y) == pytest.approx(expected, abs=1e-9)
        assert one(x, moved) == pytest.approx(0, abs=1e-7)
    assert one(wide, wide[:, ::-1]) == pytest.approx(0, abs=1e-7)
    assert one(x * np.geomspace(1, 0.1, 8), y) != pytest.approx(expected, abs=1e-2)


@pytest.mark.parametrize(
    ("one", "farthest"), [(shape.cka_distance, 1), (shape.procrustes_distance, np.sqrt(2))]
)
def test_uncorrelated_activity_is_farthest(one, farthest):
    waves = [np.sin(np.outer(np.arange(64) * np.pi / 32, k)) for k in ((1, 2), (3, 4, 5))]
    assert one(*waves) == pytest.approx(farthest)


@pytest.mark.parametrize(("one", "many"), PAIRS.values(), ids=PAIRS)
def test_trajectories_are_samples_and_progress_counts_pairs(one, many):
    states, seen = np.random.default_rng(1).normal(size=(4, 6, 10, 3)), []
    distances = many(states, progress=lambda *counts: seen.append(counts))
    np.testing.assert_array_equal(distances, many(states.reshape(4, 60, 3)))
    assert seen == [(3, 6), (6, 6)]


@pytest.mark.parametrize(("one", "many"), PAIRS.values(), ids=PAIRS)
@pytest.mark.parametrize(
    ("odd", "message"),
    [
        (np.ones((60, 3)), "network 1: expected activity that varies"),
        (np.where(SHARED > 1, np.inf, SHARED), "network 1: expected finite numbers"),
        (SHARED[1:], "network 1: expected the samples of activities, network 0"),
    ],
)
def test_errors_name_the_network(one, many, odd, message):
    with pytest.raises(ValueError, match=message):
        many([SHARED, odd])
    with pytest.raises(ValueError, match="^y: "):
        one(SHARED, odd)
