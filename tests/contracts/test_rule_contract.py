"""Properties of every registered width rule, for every leaf of every registered cell."""

import dataclasses
import itertools
import json
import math

import pytest

from rnnjax import cells
from rnnjax.parametrization import FIXED, REGISTRY, Leaf, LeafRule
from rnnjax.store import describe

LEAVES = [
    leaf
    for name in cells.REGISTRY
    for leaf in cells.make(name, **({"bias": True} if name == "rate" else {})).leaves().values()
]
LEAVES += cells.structured(structure="sparse").leaves().values()


@pytest.fixture(params=sorted(REGISTRY))
def rule(request):
    return REGISTRY[request.param]()


def test_numbers_are_valid_and_only_rates_depend_on_the_optimizer(rule):
    for leaf, hidden in itertools.product(LEAVES, (1, 64)):
        found = [rule.rule(leaf, hidden=hidden, optimizer=o) for o in rule.optimizers]
        for entry in found:
            named = f"{leaf}, N = {hidden}: {entry}"
            assert entry.distribution in ("normal", "uniform", "zeros"), named
            assert math.isfinite(entry.scale), named
            assert entry.scale >= 0, named
            assert math.isfinite(entry.multiplier), named
            assert entry.multiplier != 0, named
            assert (entry.learning_rate > 0) == (leaf.role != "fixed"), named
            assert entry.eps > 0, named
            assert entry[:3] == found[0][:3], named  # distribution, scale, multiplier


def test_what_is_fixed_has_one_rule(rule):
    leaf = Leaf("fixed", (64, 8), 8)
    assert {rule.rule(leaf, hidden=n, optimizer=rule.optimizers[0]) for n in (8, 64)} == {FIXED}
    assert LeafRule("normal", 1.0, multiplier=1.0, learning_rate=0.0) == FIXED


def test_rules_are_specs_with_a_registered_name(rule):
    assert REGISTRY[rule.name]() == rule
    assert hash(dataclasses.replace(rule)) == hash(rule)
    assert set(rule.optimizers) <= {"adam", "sgd"}
    assert json.loads(json.dumps(describe(rule))) == describe(rule)
