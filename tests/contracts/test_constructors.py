"""Every public constructor, given anything: a valid spec, or an error that names the argument."""

import dataclasses
import inspect

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies

import rnnjax
from odd import assert_names, cases, odd_values
from rnnjax import cells, parametrization, tasks
from rnnjax.analysis import DegeneracyOptions, Resampling
from rnnjax.metrics import SolverOptions
from rnnjax.metrics.operators import Regression
from rnnjax.metrics.pairwise import all_pairs
from rnnjax.store import describe
from rnnjax.training import Recipe, Setup
from rnnjax.training.schedules import SCHEDULES

TASK, CELL = tasks.flip_flop(bits=2, steps=5), cells.rate(hidden=4)
FLIP_FLOP_CELL = cells.rate(hidden=4, inputs=2, outputs=2)


def sweep(**axes):
    return rnnjax.Sweep(TASK, CELL, axes={"learning_rate": (0.1,), "seed": (0,), **axes})


def sweep_over(axes):
    return rnnjax.Sweep(TASK, CELL, axes=axes)


AXES = ("hidden", "alpha", "learning_rate", "seed", "task", "cell", "optimizer", "init", "batch")

CONSTRUCTORS = {
    **{name: (make, {}) for name, make in tasks.REGISTRY.items()},
    **{type(make()).__name__: (type(make()), {}) for make in tasks.REGISTRY.values()},
    **{name: (make, {}) for name, make in cells.REGISTRY.items()},
    **{name: (kind, {}) for name, kind in cells.STRUCTURES.items()},
    **{name: (make, {}) for name, make in parametrization.REGISTRY.items()},
    **{name: (make, {}) for name, make in SCHEDULES.items()},
    "task": (tasks.make, {"name": "flip_flop"}),
    "cell": (cells.make, {"name": "rate"}),
    "rule": (parametrization.make, {"name": "standard"}),
    "fitted": (cells.fitted, {"cell": CELL, "task": TASK}),
    "recipe": (Recipe, {}),
    "until": (Recipe.until, {"threshold": 0.1}),
    "setup": (Setup, {"task": TASK, "cell": FLIP_FLOP_CELL}),
    "sweep": (
        rnnjax.Sweep,
        {"task": TASK, "cell": CELL, "axes": {"learning_rate": (0.1,), "seed": (0,)}},
    ),
    "axis": (sweep, {}),
    "axes": (sweep_over, {"axes": {"learning_rate": (0.1,), "seed": (0,)}}),
    "engine": (rnnjax.Engine, {}),
    "solver": (SolverOptions, {}),
    "regression": (Regression, {}),
    "resampling": (Resampling, {}),
    "degeneracy": (DegeneracyOptions, {}),
    "rates": (rnnjax.log_rates, {"low": 1e-3, "high": 1.0}),
    "widths": (rnnjax.log_widths, {"low": 8, "high": 64}),
    "pairs": (all_pairs, {"networks": 3}),
}
"""Name -> function and valid arguments."""


def parameters(function):
    found = inspect.signature(function).parameters.values()
    return [p.name for p in found if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]


NAMES = {
    *(name for function, _ in CONSTRUCTORS.values() for name in parameters(function)),
    *(field.name for field in dataclasses.fields(Recipe)),
    *AXES,
    "a", "steps", "options", "channels", "pulse", "settings", "decision", "network", "networks",
}  # fmt: skip
"""Names by which errors may call an argument: parameters, fields and axes."""


@strategies.composite
def calls(draw):
    """A constructor and its arguments, of which one or two are odd."""
    name = draw(strategies.sampled_from(sorted(CONSTRUCTORS)))
    function, valid = CONSTRUCTORS[name]
    known = list(AXES) if name == "axis" else parameters(function)
    if not known:
        return function, dict(valid)
    chosen = draw(strategies.lists(strategies.sampled_from(known), min_size=1, max_size=2))
    return function, {**valid, **{key: draw(odd_values) for key in chosen}}


@pytest.mark.slow
@cases(share=0.5)
@hypothesis.given(calls())
def test_a_spec_or_an_error_that_names_the_argument(call):
    function, arguments = call
    if function is all_pairs and isinstance(arguments["networks"], int):
        arguments["networks"] = min(arguments["networks"], 100)  # not an array of 2^61 pairs
    try:
        spec = function(**arguments)
    except (ValueError, TypeError) as error:
        assert_names(error, NAMES)
        return
    if dataclasses.is_dataclass(spec) and not isinstance(spec, SolverOptions):
        hash(spec)
        assert spec == dataclasses.replace(spec)
        assert isinstance(describe(spec), dict)


def numbers(spec):
    return {f.name: v for f in dataclasses.fields(spec) if isinstance(v := getattr(spec, f.name),
                                                                      int | float)}  # fmt: skip


@pytest.mark.parametrize("kind", [tasks.REGISTRY, cells.REGISTRY, cells.STRUCTURES],
                         ids=["tasks", "cells", "structures"])  # fmt: skip
def test_numbers_of_numpy_become_those_of_python(kind):
    for name, make in kind.items():
        spec = make()
        given = {key: np.float64(v) if isinstance(v, float) else np.int8(v)
                 for key, v in numbers(spec).items() if not isinstance(v, bool)}  # fmt: skip
        found = dataclasses.replace(spec, **given)
        assert found == spec
        for field in dataclasses.fields(found):
            assert not isinstance(getattr(found, field.name), np.generic), (name, field.name)
    wide = cells.rate(np.int16(200), parametrization=parametrization.MuPAdam())
    assert wide.rule("recurrent").eps == pytest.approx(1 / 200**2)


@pytest.mark.parametrize("base", [type(TASK), type(CELL), cells.STRUCTURES["sparse"]])
def test_mixins_of_specs_take_part_in_their_construction(base):
    class Noting:
        def __post_init__(self):
            object.__setattr__(self, "noted", 7)

    @dataclasses.dataclass(frozen=True)
    class Mixed(base, Noting):
        noted: int = dataclasses.field(init=False)

    assert Mixed().noted == 7


@pytest.mark.parametrize("name", sorted(CONSTRUCTORS))
def test_the_valid_arguments_are_valid(name):
    function, valid = CONSTRUCTORS[name]
    function(**valid)
