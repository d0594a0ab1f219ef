"""The standard rule: the scales of its three arms, as numbers and as draws."""

import math

import jax
import numpy as np
import pytest

from rnnjax import cells
from rnnjax.parametrization import Leaf, LeafRule, Standard, initialize

N, I, O = 200, 8, 50  # noqa: E741
ROOT = 1 / math.sqrt(N)

SCALES = {
    "gaussian": {
        "recurrent": ("normal", ROOT),
        "input": ("normal", ROOT),
        "readout": ("normal", ROOT),
        "bias": ("zeros", 0.0),
        "readout_bias": ("zeros", 0.0),
    },
    "uniform": dict.fromkeys(
        ("recurrent", "input", "readout", "bias", "readout_bias"), ("uniform", ROOT)
    ),
    "xavier": {
        "recurrent": ("uniform", math.sqrt(6 / (N + N))),
        "input": ("uniform", math.sqrt(6 / (N + I))),
        "readout": ("uniform", math.sqrt(6 / (N + O))),
        "bias": ("uniform", 1 / math.sqrt(I)),
        "readout_bias": ("uniform", ROOT),
    },
}


@pytest.mark.parametrize("init", SCALES)
def test_each_arm_draws_at_its_scale(init):
    cell = cells.rate(N, inputs=I, outputs=O, bias=True, init=init)
    params = cell.init(jax.random.key(0))
    assert set(params) == set(SCALES[init])
    for name, (distribution, scale) in SCALES[init].items():
        rule = cell.rule(name)
        assert rule.distribution == distribution
        assert rule.scale == pytest.approx(scale)
        assert (rule.multiplier, rule.learning_rate) == (1.0, 1.0)
        weight = np.ravel(params[name])
        if distribution == "zeros":
            assert not weight.any()
            continue
        expected = scale / math.sqrt(3) if distribution == "uniform" else scale
        if weight.size >= 1000:
            assert weight.std() == pytest.approx(expected, rel=5 / math.sqrt(2 * weight.size))
            assert abs(weight.mean()) < 5 * expected / math.sqrt(weight.size)
        if distribution == "uniform":
            assert 0.8 * scale < np.abs(weight).max() <= scale
        else:
            assert np.abs(weight).max() > 2 * scale  # has tails


def test_leaves_are_keyed_by_position():
    leaves = {"a": Leaf("input", (3, 2), 2), "b": Leaf("readout", (3, 2), 2)}
    key = jax.random.key(4)
    params = initialize(key, leaves, Standard("uniform"), hidden=9)
    for index, name in enumerate(leaves):
        drawn = LeafRule("uniform", 1 / 3).sample(jax.random.fold_in(key, index), (3, 2))
        np.testing.assert_array_equal(params[name], drawn)


def test_the_error_for_an_unknown_arm_suggests_the_nearest():
    with pytest.raises(ValueError, match=r"init: .*did you mean 'gaussian'"):
        Standard("gausian")
