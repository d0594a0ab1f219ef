"""The recipe's defaults and conversions; invalid recipes and setups."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import rnnjax
import tiny
from rnnjax import Recipe, cells
from rnnjax.parametrization import LeafRule, Parametrization
from rnnjax.training import Constant, Plateau, Schedule, Setup


@dataclasses.dataclass(frozen=True)
class ForAdam(Parametrization):
    name = "for_adam"
    optimizers = ("adam",)

    def rule(self, leaf, *, hidden, optimizer):
        return LeafRule("normal", 1.0)


def test_defaults():
    recipe = Recipe()
    assert (recipe.optimizer, recipe.eps, recipe.batch, recipe.clip) == ("adam", 1e-8, 50, None)
    assert (recipe.data, recipe.reduction, recipe.stop) == ("fresh", "mean", "never")
    assert Recipe(epochs=3, steps_per_epoch=4).steps == 12


def test_names_of_schedules_and_penalties_become_specs():
    assert Recipe().schedule == Recipe(schedule="none").schedule == Constant()
    recipe = Recipe(schedule="plateau", penalties="l1")
    assert (recipe.schedule, recipe.penalties) == (Plateau(), ("l1",))
    assert recipe == Recipe(schedule=Plateau(), penalties=("l1",))
    assert recipe.validates
    assert not Recipe().validates


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "adamw"}, "did you mean 'adam'"),
        ({"epochs": 0}, "integer of at least 1, got 0"),
        ({"epochs": 2.0}, "got 2.0"),
        ({"steps_per_epoch": -1}, "got -1"),
        ({"batch": 0}, "got 0"),
        ({"data": "stale"}, "one of fresh, fixed"),
        ({"reduction": "means"}, "did you mean 'mean'"),
        ({"clip": 0.0}, "above 0, got 0.0"),
        ({"clip": float("inf")}, "got inf"),
        ({"clip": 1e-46}, "range of float32, got 1e-46"),
        ({"eps": -1e-8}, "above 0"),
        ({"stop": "always"}, "one of never, criterion"),
        ({"matmul_precision": "float16"}, "did you mean 'bfloat16'"),
        ({"snapshots": (0.1,)}, "a recipe that validates"),
        ({"snapshots": (0.1,), "stop": "criterion", "schedule": "plateau"}, "got stop='criterion'"),
        ({"snapshots": (0.1, 0.3), "schedule": "plateau"}, "strictly decreasing"),
        ({"snapshots": (0.0,), "schedule": "plateau"}, "above 0, got 0.0"),
        ({"snapshots": (0.1, 1e-46), "schedule": "plateau"}, "range of float32, got 1e-46"),
        ({"snapshots": 0.1, "schedule": "plateau"}, "got 0.1"),
        (
            {"snapshots": (0.3, 0.1), "stop": "threshold", "threshold": 0.2},
            "at least the threshold",
        ),
    ],
)
def test_invalid_options_are_named(options, message):
    with pytest.raises(ValueError, match=message) as error:
        Recipe(**options)
    assert str(error.value).startswith(f"{next(iter(options))}: expected ")


class Falling(Schedule):
    """Without the decorator that makes it a spec."""

    def factor(self, state, epoch):
        return 0.5


@dataclasses.dataclass
class Changeable(Falling):
    """With a decorator, but it can change."""

    by: float = 0.5


@pytest.mark.parametrize("schedule", [Falling(), Changeable()])
def test_a_schedule_is_a_frozen_spec(schedule):
    with pytest.raises(ValueError, match="^schedule: expected a frozen dataclass"):
        Recipe(schedule=schedule)


def test_numbers_of_numpy_become_plain_ones():
    """Integers of 32 bits would overflow in the products of the cost model."""
    recipe = Recipe(epochs=np.int32(7), batch=np.int64(5), clip=np.float32(0.5), eps=np.float64(1))
    assert {type(n) for n in (recipe.epochs, recipe.batch)} == {int}
    assert {type(x) for x in (recipe.clip, recipe.eps)} == {float}
    assert recipe == Recipe(epochs=7, batch=5, clip=0.5, eps=1.0)
    task = tiny.TASKS["flip_flop"]
    setup = Setup(task, cells.fitted(cells.rate(4), task), evaluation_trials=np.int32(9))
    assert type(setup.evaluation_trials) is int


def test_a_setup_requires_a_cell_that_fits_the_task():
    task = tiny.TASKS["flip_flop"]
    with pytest.raises(ValueError, match=r"^cell: expected 2 inputs .* got 1 and 1 .*fitted"):
        Setup(task, cells.rate(4))


@dataclasses.dataclass(frozen=True)
class Plain(rnnjax.tasks.Task):
    """Two inputs and outputs, and a field that may hold anything."""

    field: object = 0

    name = "plain"
    inputs = outputs = 2
    steps = 4

    def sample(self, key):
        return rnnjax.tasks.Trial(*(jnp.ones((4, 2)) for _ in range(3)))


def test_a_setup_draws_no_trial(monkeypatch):
    """That would start JAX's backend, after which the number of devices is fixed."""
    monkeypatch.setattr(Plain, "sample", None)
    Setup(Plain(), cells.rate(4, inputs=2, outputs=2))


class Easier(Plain):
    """Without a decorator of its own, and without further fields."""

    criterion = 0.5


class Loose(Plain):
    """With a field that only a decorator of its own would give it."""

    other: int = 3


class Looser(Loose):
    """Without the decorator too."""


class Unhashable(Plain):
    """With an equality of its own, which makes Python drop the hash."""

    def __eq__(self, other):
        return self is other


@dataclasses.dataclass(unsafe_hash=True)
class Changing:
    """It has a hash, and can change."""

    number: int = 3


def test_a_setup_requires_frozen_specs_of_plain_data():
    cell = cells.rate(4, inputs=2, outputs=2)
    for task, message in (
        (Loose(), "task: expected a frozen dataclass, .* Loose"),
        (Looser(), "task: expected a frozen dataclass, .* Looser"),
        (Unhashable(), "task: expected a frozen dataclass, .* Unhashable"),
        (dataclasses.replace(Plain(), field=Changing()), "task, field: .* Changing"),
        (dataclasses.replace(Plain(), field=(1, Changing())), "task, field: .* Changing"),
        (dataclasses.replace(Plain(), field=[4, 2]), "task: .* in field, got a list"),
        (dataclasses.replace(Plain(), field=lambda: 0), "task: .* in field, got a function"),
        (dataclasses.replace(Plain(), field=(4, (abs,))), "task: .* got a builtin_function"),
    ):
        with pytest.raises(ValueError, match=f"^{message}"):
            Setup(task, cell)
    assert Setup(Easier(), cell).task.criterion == 0.5


@dataclasses.dataclass(frozen=True)
class Dashed(cells.Rate):
    """With a weight that no store could read again."""

    def leaves(self):
        return {f"w-{name}": leaf for name, leaf in super().leaves().items()}


def test_a_setup_requires_names_of_weights_that_a_store_can_keep():
    with pytest.raises(ValueError, match="^leaves: expected names .* 'w-recurrent'"):
        Setup(Plain(), Dashed(4, 2, 2))


def test_a_setup_requires_an_optimizer_that_its_rule_supports():
    task = tiny.TASKS["flip_flop"]
    cell = cells.Rate(4, 2, 2, parametrization=ForAdam())
    assert Setup(task, cell, Recipe("adam")).recipe.optimizer == "adam"
    with pytest.raises(ValueError, match="optimizer: expected adam, .* 'for_adam' .* got 'sgd'"):
        Setup(task, cell, Recipe("sgd"))
