"""Axes of sweeps: values, labels, order, and errors."""

import dataclasses
import pickle
import re

import jax.numpy as jnp
import numpy as np
import pytest

import rnnjax
import tiny
from rnnjax import Recipe, Sweep, cells, log_rates, log_widths, tasks
from rnnjax.devices import default_layout
from rnnjax.store import describe
from rnnjax.sweep import Axis, Engine, plan

RUNS = {"learning_rate": (0.1,), "seed": (0,)}
TASK = tiny.TASKS["delayed_cue"]


def made(**values):
    """Axes as a store gives them."""
    return tuple(Axis(name, given, given) for name, given in {**RUNS, **values}.items())


def test_names_of_blocks_are_short_in_bytes():
    """Names of files may have 255 bytes, to which attempts and checkpoints add theirs."""
    sweep = Sweep(TASK, tiny.CELL, tiny.recipe(), {"task": {"\u4e2d" * 100: TASK}, **RUNS}, 4)
    (block,) = plan(sweep, default_layout(), Engine())
    assert len(block.name.encode()) < 120


def test_axes_given_as_arrays_are_those_of_plain_numbers():
    arrays = {
        "hidden": jnp.array([8, 16]),
        "learning_rate": np.array([0.25, 0.5]),
        "seed": [jnp.int32(0), np.array(1)],
    }
    plain = {"hidden": (8, 16), "learning_rate": (0.25, 0.5), "seed": (0, 1)}
    one, two = (Sweep(TASK, cells.rate(), axes=axes) for axes in (arrays, plain))
    assert one == two and hash(one) == hash(two)
    assert all(type(v) in (int, float) for axis in one.dimensions for v in axis.values)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        (5, "axes: expected a mapping"),
        ({1: (1,)}, "axes: expected a str, got 1"),
        ({"hidden": np.ones((2, 2), int)}, "hidden: expected a sequence"),
        (
            {"hidden": np.ma.array([8, 9], mask=[0, 1])},
            "hidden: expected a sequence without a mask",
        ),
        ({"hidden": [[8]]}, "hidden: expected numbers, strings or named specs"),
    ],
)
def test_axes_of_other_types_are_named(axes, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        Sweep(TASK, cells.rate(), axes=axes)


def test_dimensions_keep_their_order_with_the_traced_axes_last():
    axes = {
        "seed": range(3),
        "task": list(tiny.TASKS.values()),
        "learning_rate": np.array([1e-3, 1e-2]),
        "hidden": (4, np.int64(8)),
        "init": ("gaussian", "xavier"),
        "optimizer": ("adam", "sgd"),
    }
    sweep = Sweep(cell=cells.rate(), axes=axes)
    names = [axis.name for axis in sweep.dimensions]
    assert names == ["task", "hidden", "init", "optimizer", "learning_rate", "seed"]
    assert sweep.shape == (3, 2, 2, 2, 2, 3)
    assert sweep.size == 144
    assert sweep.axis("task").labels == tuple(tiny.TASKS)
    assert sweep.axis("hidden").labels == (4, 8)
    assert [type(value) for value in sweep.axis("hidden").values] == [int, int]
    assert sweep.axis("seed").values == (0, 1, 2)


def test_setups_combine_every_static_value():
    axes = {**RUNS, "task": list(tiny.TASKS.values()), "hidden": (4, 8), "init": ("uniform",),
            "batch": (2, 3)}  # fmt: skip
    sweep = Sweep(cell=cells.rate(alpha=0.25), recipe=Recipe("sgd"), axes=axes)
    found = dict(sweep.setups())
    assert list(found) == [(t, h, 0, b) for t in range(3) for h in range(2) for b in range(2)]
    for (t, h, _, b), setup in found.items():
        task = list(tiny.TASKS.values())[t]
        expected = cells.rate((4, 8)[h], alpha=0.25, init="uniform")
        assert setup.task == task
        assert setup.cell == cells.fitted(expected, task)
        assert setup.recipe == Recipe("sgd", batch=(2, 3)[b])


@pytest.mark.parametrize(
    ("cell", "axes"),
    [
        (cells.rate(), {"stop": ("threshold",), "threshold": (0.1, 0.01)}),
        (cells.rate(), {"threshold": (0.1, 0.01), "stop": ("threshold",)}),
        (cells.low_rank(64, rank=8), {"hidden": (4, 8), "rank": (1, 2)}),
    ],
    ids=["stop first", "threshold first", "widths below the rank"],
)
def test_fields_that_go_together_are_set_together(cell, axes):
    """Each of them alone is invalid with the other fields of the recipe or cell."""
    names = tuple(axes)
    for place, setup in Sweep(TASK, cell, axes={**axes, **RUNS}).setups():
        owner = setup.recipe if "stop" in axes else setup.cell
        found = tuple(getattr(owner, name) for name in names)
        assert found == tuple(axes[name][i] for name, i in zip(names, place, strict=True))


def test_a_mapping_gives_the_labels():
    axes = {**RUNS, "task": {"short": tasks.delayed_cue(2, 2, 2), "long": tasks.delayed_cue()},
            "cell": {"leaky": cells.rate(alpha=0.5), "vanilla": cells.rate(alpha=1.0)}}  # fmt: skip
    sweep = Sweep(axes=axes)
    assert sweep.axis("task").labels == ("short", "long")
    alphas = {place: setup.cell.alpha for place, setup in sweep.setups()}
    assert alphas == {(0, 0): 0.5, (0, 1): 1.0, (1, 0): 0.5, (1, 1): 1.0}


def test_a_cell_that_is_no_dataclass_is_named():
    kind = type("Mine", (cells.AdditiveCell,), {"__abstractmethods__": frozenset(), "name": "mine"})
    kind.__abstractmethods__ = frozenset()
    with pytest.raises(ValueError, match="^cell: expected a frozen dataclass, .* Mine"):
        Sweep(TASK, kind(), axes=RUNS)


def test_sweeps_are_specs():
    one, two = tiny.sweep(), tiny.sweep()
    assert one == two
    assert hash(one) == hash(two)
    assert one != tiny.sweep(axes={"seed": (0, 2)})
    assert describe(one) == describe(two) != describe(tiny.sweep("flip_flop"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.task = None
    assert dataclasses.replace(one, evaluation_trials=5).axes == one.axes


def test_axes_are_a_mapping():
    sweep = tiny.sweep(axes={"task": {"one": TASK}, "hidden": (4, 8)})
    assert list(sweep.axes) == ["task", "hidden", "learning_rate", "seed"]
    assert len(sweep.axes) == 4
    assert dict(sweep.axes.items())["hidden"] == sweep.axes["hidden"] == (4, 8)
    assert "hiden" not in sweep.axes and sweep.axes.get("hiden") is None
    with pytest.raises(ValueError, match=r"^axis: .*got 'hiden' \(did you mean 'hidden'\?\)$"):
        sweep.axes["hiden"]
    again = Sweep(sweep.task, sweep.cell, sweep.recipe, sweep.axes, sweep.evaluation_trials)
    assert again == sweep and hash(again) == hash(sweep)  # labels included
    assert pickle.loads(pickle.dumps(sweep)) == sweep


def test_axes_are_replaced_or_added():
    sweep = tiny.sweep(axes={"hidden": {"small": 4, "large": 8}})
    more = sweep.with_axes(seed=range(3), init=("gaussian", "xavier"))
    assert more.axes["seed"] == (0, 1, 2)
    assert list(more.axes) == ["hidden", "init", "learning_rate", "seed"]
    assert more.axis("hidden") == sweep.axis("hidden")
    assert more.with_axes(seed=(0, 1)).with_axes(init=("gaussian",)) != sweep
    assert sweep.with_axes(hidden={"small": 4, "large": 8}) == sweep
    for wrong, message in (
        ({"sed": (1,)}, "axis: .*did you mean 'seed'"),
        ({"seed": (1, 1)}, "seed: expected distinct"),
        ({"epochs": (1, 2)}, "epochs: expected no axis"),
    ):
        with pytest.raises(ValueError, match=f"^{message}"):
            sweep.with_axes(**wrong)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"learning_rate": (0.1,), "sed": (0,)}, "axes: .*did you mean 'seed' for 'sed'"),
        ({"seed": (0,)}, "axes: expected an axis 'learning_rate'"),
        ({"learning_rate": (0.1,)}, "axes: expected an axis 'seed'"),
        ({**RUNS, "seed": ()}, "seed: expected at least one value, got none"),
        ({**RUNS, "hidden": ()}, "hidden: expected at least one value"),
        ({**RUNS, "seed": (1, 1)}, "seed: expected distinct labels, got 1, 1"),
        ({**RUNS, "seed": (-1,)}, "seed: expected an integer of at least 0, got -1"),
        ({**RUNS, "seed": (0.5,)}, "seed: expected an integer"),
        ({**RUNS, "seed": (2**31,)}, "seed: expected at most 2^31 - 1, got 2147483648"),
        ({**RUNS, "learning_rate": (0.0,)}, "learning_rate: expected a finite number above 0"),
        ({**RUNS, "learning_rate": (float("nan"),)}, "learning_rate: .*got nan"),
        ({**RUNS, "learning_rate": (float("inf"),)}, "learning_rate: .*got inf"),
        ({**RUNS, "hiden": (4,)}, "axis: expected .*did you mean 'hidden'"),
        ({**RUNS, "evaluation_trials": (4,)}, "axis: expected one of"),
        ({**RUNS, "hidden": (4, 0)}, "hidden: expected an integer of at least 1, got 0"),
        ({**RUNS, "optimizer": ("adam", "sdg")}, "optimizer: .*did you mean 'sgd'"),
        ({**RUNS, "init": ("xavir",)}, "init: .*did you mean 'xavier'"),
        ({**RUNS, "alpha": (0.5, 1.5)}, r"alpha: expected a number in \(0, 1\], got 1.5"),
        ({**RUNS, "epochs": (1, 2)}, "epochs: expected no axis.* got 2 values"),
        ({**RUNS, "inputs": (1, 2)}, "inputs: expected no axis"),
        (
            {**RUNS, "seed": range(10**12)},
            "seed: expected at most 10,000,000 values, got 1,00",
        ),
        (
            {**RUNS, "seed": range(10**30)},
            "seed: expected at most 10,000,000 values, got more",
        ),
        ({**RUNS, "hidden": np.array(3)}, "hidden: expected a sequence"),
        ({**RUNS, "task": (TASK, tasks.delayed_cue())}, "task: expected distinct labels"),
        ({**RUNS, "clip": (1.0, None)}, "clip: expected numbers, strings or named specs"),
        ({**RUNS, "clip": {"none": None, 1.0: 1.0}}, "clip: expected labels .* all text or all"),
        ({**RUNS, "learning_rate": {"low": 1e-3}}, "learning_rate: expected a sequence of numbers"),
        ({**RUNS, "seed": {"first": 3}}, "seed: expected a sequence of numbers"),
        ({}, "axes: expected an axis 'learning_rate', got none"),
        (made(learning_rate=(-1.0,)), "learning_rate: expected a finite number above 0, got -1.0"),
        (made(seed=(0, 0)), "seed: expected distinct labels, got 0, 0"),
        (made(seed=()), "seed: expected at least one value"),
        (made(epochs=(3,)), "epochs: expected no axis.* got 1 value;"),
        ((*made(), Axis("hidden", ("a", "a"), (3, 4))), "hidden: expected distinct labels, got a"),
        ((*made(), Axis("hidden", ("a",), (3, 4))), "hidden: expected 2 labels, got 1"),
        ((*made(), *made(seed=(1,))[1:]), "axes: expected each axis once, got 'seed' 2 times"),
    ],
)
def test_invalid_axes_are_named(axes, message):
    with pytest.raises(ValueError, match=f"^{message.replace('^', re.escape('^'))}") as error:
        Sweep(TASK, cells.rate(), axes=axes)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("missing", ["task", "cell"])
def test_task_and_cell_are_required(missing):
    parts = {"task": TASK, "cell": cells.rate(), missing: None}
    with pytest.raises(ValueError, match=f"^{missing}: expected a spec, or an axis '{missing}'"):
        Sweep(**parts, axes=RUNS)


def test_other_errors():
    with pytest.raises(ValueError, match=r"^evaluation_trials: expected an integer of at least 2"):
        Sweep(TASK, cells.rate(), axes=RUNS, evaluation_trials=0)
    with pytest.raises(ValueError, match=r"axis: .*did you mean 'seed'"):
        tiny.sweep().axis("seeds")


def test_log_rates():
    assert log_rates(1e-4, 1) == (1e-4, 3.1623e-4, 1e-3, 3.1623e-3, 1e-2, 3.1623e-2, 0.1,
                                  0.31623, 1.0)  # fmt: skip
    assert log_rates(0.1, 1, per_decade=1) == (0.1, 1.0)
    assert log_rates(0.1, 0.1) == (0.1,)
    for low, high, named in [
        (0, 1, "low"),
        (1, float("inf"), "high"),
        (1, 0.1, "high"),
        (1, 1e-4, "high: expected at least low = 1"),
        (1e300, 1e-300, "high: expected at least low"),
        (0.1, 0.5, "high"),
    ]:
        with pytest.raises(ValueError, match=f"^{named}.* got"):
            log_rates(low, high)


def test_log_widths():
    assert log_widths(10, 100) == (10, 18, 32, 56, 100)
    assert log_widths(10, 99) == (10, 18, 32, 56)
    assert log_widths(1, 10, per_decade=9)[:3] == (1, 2, 3)  # rounding leaves no double
    assert len(set(log_widths(1, 10, per_decade=9))) == len(log_widths(1, 10, per_decade=9))
    with pytest.raises(ValueError, match=r"^low: expected an integer of at least 1"):
        log_widths(0, 10)


def test_whole_specs_are_set_before_their_fields():
    rules = [rnnjax.parametrization.InverseWidth(), rnnjax.parametrization.MuPAdam()]
    for order in (("eps_scaling", "parametrization"), ("parametrization", "eps_scaling")):
        values = {"eps_scaling": ("torch", "scaled"), "parametrization": rules}
        axes = {name: values[name] for name in order}
        sweep = rnnjax.Sweep(
            rnnjax.tasks.delayed_cue(), rnnjax.cells.rate(),
            axes={**axes, "learning_rate": (0.1,), "seed": (0,)},
        )  # fmt: skip
        names = [axis.name for axis in sweep.static_axes]
        for place, setup in sweep.setups():
            at = dict(zip(names, place, strict=True))
            rule = setup.cell.parametrization
            assert type(rule) is type(rules[at["parametrization"]])
            assert rule.eps_scaling == values["eps_scaling"][at["eps_scaling"]]
