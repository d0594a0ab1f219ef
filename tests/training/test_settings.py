"""The table of traced settings: checks, defaults, and the arguments that derive from it."""

import numpy as np
import pytest

import rnnjax
import tiny
from rnnjax import cells
from rnnjax.parametrization import MuPAdam
from rnnjax.training import SETTINGS, TRACED, Hyper, check_settings, setting_values
from rnnjax.training.penalties import PENALTIES

TASK = tiny.TASKS["delayed_cue"]


def test_the_table_matches_the_fields_and_the_order_of_stored_dimensions():
    assert (*SETTINGS, "seed") == TRACED
    assert set(TRACED) == set(Hyper._fields)
    assert set(PENALTIES) < set(SETTINGS)
    stored = ["gamma", "l1", "nuclear", "learning_rate"]  # the order in which stores hold them
    assert [name for name in TRACED if name in stored] == stored


@pytest.mark.parametrize("name", SETTINGS)
def test_a_neutral_setting_changes_nothing(name):
    """Penalties are 0 by default and scales 1; only the learning rate has no default."""
    neutral = {"learning_rate": None, "gamma": 1.0} | dict.fromkeys(PENALTIES, 0.0)
    assert SETTINGS[name].neutral == neutral[name]


def test_missing_settings_are_neutral():
    values = check_settings({"learning_rate": np.float32(0.5), "l1": 1})
    neutral = {name: setting.neutral for name, setting in SETTINGS.items()}
    assert values == neutral | {"learning_rate": 0.5, "l1": 1.0}
    assert setting_values(Hyper(seed=3, **values)) == values


@pytest.mark.parametrize(
    ("cell", "penalties", "available"),
    [
        (cells.rate(4), (), {"learning_rate"}),
        (cells.rate(4), ("nuclear",), {"learning_rate", "nuclear"}),
        (cells.rate(4, parametrization=MuPAdam()), ("l1",), {"learning_rate", "gamma", "l1"}),
    ],
)
def test_rule_and_recipe_decide_which_settings_are_available(cell, penalties, available):
    recipe = tiny.recipe("adam", penalties=penalties)
    found = {n for n, s in SETTINGS.items() if s.available(cell.parametrization, recipe)}
    assert found == available


TRAIN = {
    "train_one": rnnjax.train_one,
    "train_population": lambda *parts, **how: rnnjax.train_population(*parts, seeds=1, **how),
    "coordinate_check": rnnjax.training.coordinate_check,
}


@pytest.mark.parametrize("train", TRAIN.values(), ids=TRAIN)
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"learning_rate": 0.1, "gama": 2.0}, "settings: .*did you mean 'gamma'"),
        ({"learning_rate": 0.1, "seedz": 2}, "settings: .*did you mean 'seed"),
        (
            {"learning_rate": 0.1, "nuclear": -1.0},
            "nuclear: expected a finite number of at least 0",
        ),
        ({"learning_rate": 0.1, "l1": 0.1}, "l1: expected 0, or a recipe with penalties"),
        ({"learning_rate": 0.1, "l1": 1e39}, "l1: expected a number within the range of float32"),
        ({"learning_rate": 0.1, "nuclear": 1e-50}, "nuclear: .* of float32, got 1e-50"),
    ],
)
def test_wrong_settings_are_named(train, settings, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        train(TASK, cells.rate(4), tiny.recipe(), **settings)


@pytest.mark.parametrize("train", [TRAIN["train_one"], TRAIN["train_population"]])
def test_the_learning_rate_is_required(train):
    with pytest.raises(ValueError, match="^learning_rate: expected a value, got none"):
        train(TASK, cells.rate(4), tiny.recipe())
