"""Sweeps: a task, a cell, a recipe, and named axes along which they vary."""

import dataclasses
import difflib
import itertools
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any, NamedTuple

import numpy as np

from rnnjax import validate
from rnnjax.cells import Cell, fitted
from rnnjax.contract import require_frozen
from rnnjax.store.limits import MOST_RUNS
from rnnjax.tasks import Task
from rnnjax.training import SETTINGS, TRACED, Recipe, Setup
from rnnjax.validate import instance_of, one_of, shown

__all__ = ["TRACED", "Axes", "Axis", "AxisError", "Sweep", "require_effects"]

_REQUIRED = (*(name for name in SETTINGS if SETTINGS[name].neutral is None), "seed")

_FIXED = ("inputs", "outputs", "epochs", "steps_per_epoch", "snapshots")
"""Fields that no axis may vary: tasks set the channels, `step` is a dimension of its own, and all
runs keep the same snapshots."""


_NEEDS: dict[str, tuple[str, Callable[[Recipe], bool]]] = {
    "eps": ("optimizer='adam'", lambda recipe: recipe.optimizer == "adam"),
    "eps_scaling": ("optimizer='adam'", lambda recipe: recipe.optimizer == "adam"),
    "patience": ("stop='threshold'", lambda recipe: recipe.stop == "threshold"),
    "validation_trials": ("validation", lambda recipe: recipe.validates),
}
"""Axis -> what a recipe must have for its values to differ in effect."""


class Axis(NamedTuple):
    """One named dimension of a sweep: its values and their labels."""

    name: str
    labels: tuple[Any, ...]
    values: tuple[Any, ...]


class AxisError(ValueError, KeyError):
    """An axis that the sweep does not have."""

    __str__ = ValueError.__str__


class Axes(Mapping[str, tuple[Any, ...]]):
    """The axes of a sweep: name -> values, in the order of the results' dimensions.

    Raises `ValueError` for a name that is no axis, and suggests the nearest.
    """

    __slots__ = ("_axes",)

    def __init__(self, axes: tuple[Axis, ...]):
        self._axes = axes

    @property
    def as_tuple(self) -> tuple[Axis, ...]:
        """The axes with their labels."""
        return self._axes

    def __getitem__(self, name: str) -> tuple[Any, ...]:
        for axis in self._axes:
            if axis.name == name:
                return axis.values
        try:
            one_of("axis", name, list(self))
        except ValueError as error:
            raise AxisError(str(error)) from None
        raise AssertionError

    def __iter__(self) -> Iterator[str]:
        return (axis.name for axis in self._axes)

    def __len__(self) -> int:
        return len(self._axes)

    def __eq__(self, other: object) -> bool:
        return self._axes == other._axes if isinstance(other, Axes) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._axes)

    def __repr__(self) -> str:
        values = ", ".join(f"{axis.name!r}: {axis.labels}" for axis in self._axes)
        return f"Axes({{{values}}})"


@dataclasses.dataclass(frozen=True)
class Sweep:
    """A grid of runs: every combination of the values on its axes.

    Args:
        task: the task of the networks; not needed where `task` is an axis.
        cell: the network; its `inputs` and `outputs` are set to fit the task.
        recipe: the training recipe.
        axes: name -> values. `learning_rate` and `seed` are required. They and the other traced
            settings (`rnnjax.training.SETTINGS`: `gamma` under a rule that defines it, strengths of
            penalties that the recipe names) need no recompilation. Any other name is a field of the
            cell (`hidden`, `alpha`, ...), of its parametrization (`init`, `eps_scaling`), of the
            recipe (`optimizer`, `batch`, ...), or one of `task` and `cell`; each combination of
            these is one program. Specs are labelled by their names; pass a mapping
            `{label: value}` to choose the labels.
        evaluation_trials: held-out trials on which every network is evaluated at the end.

    Raises:
        ValueError: an unknown, missing, empty or repeating axis, or a value that is invalid for its
            field.
    """

    task: Task | None = None
    cell: Cell | None = None
    recipe: Recipe = Recipe()
    axes: Mapping[str, Sequence[Any] | Mapping[str, Any]] | tuple[Axis, ...] = ()
    evaluation_trials: int = 200

    def __post_init__(self):
        instance_of("recipe", self.recipe, Recipe)
        validate.whole("evaluation_trials", self.evaluation_trials, least=2)
        given = _axes(self.axes)
        by_name = {axis.name: axis for axis in given}
        for name in _REQUIRED:
            if name not in by_name:
                raise ValueError(
                    f"axes: expected an axis {name!r}, got {', '.join(by_name) or 'none'}"
                    f"{_hint(name, by_name)}"
                )
        for name, part in (("task", self.task), ("cell", self.cell)):
            if part is None and name not in by_name:
                raise ValueError(f"{name}: expected a spec, or an axis {name!r}, got neither")
        ordered = [axis for axis in given if axis.name not in TRACED]
        ordered += [by_name[name] for name in TRACED if name in by_name]
        object.__setattr__(self, "axes", Axes(tuple(ordered)))
        for _, setup in self.setups():  # checks every combination by building it
            for name, setting in SETTINGS.items():
                if name in by_name:
                    setting.require(setup.cell.parametrization, setup.recipe)

    @property
    def static_axes(self) -> tuple[Axis, ...]:
        """The axes that need a program per value."""
        return tuple(axis for axis in self.dimensions if axis.name not in TRACED)

    @property
    def traced_axes(self) -> tuple[Axis, ...]:
        """The axes whose values are arguments of one program."""
        return tuple(axis for axis in self.dimensions if axis.name in TRACED)

    @property
    def dimensions(self) -> tuple[Axis, ...]:
        """The axes in the order of the results' dimensions: the traced ones last."""
        assert isinstance(self.axes, Axes)
        return self.axes.as_tuple

    def with_axes(self, **axes: Sequence[Any] | Mapping[str, Any]) -> "Sweep":
        """The sweep with other values on these axes, which are added where they are new.

        For example `sweep.with_axes(seed=range(20))`. Raises `ValueError` as `Sweep` does.
        """
        new = {axis.name: axis for axis in _axes(axes)}
        kept = [new.pop(axis.name, axis) for axis in self.dimensions]
        return dataclasses.replace(self, axes=(*kept, *new.values()))

    def axis(self, name: str) -> Axis:
        """The axis called `name`; raises `ValueError` if there is none."""
        names = [axis.name for axis in self.dimensions]
        return self.dimensions[names.index(one_of("axis", name, names))]

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of values per axis, in the order of the results' dimensions."""
        return tuple(len(axis.values) for axis in self.dimensions)

    @property
    def size(self) -> int:
        """Number of runs."""
        return math.prod(self.shape)

    def setups(self) -> Iterator[tuple[tuple[int, ...], Setup]]:
        """Every program's indices on the static axes, and its setup."""
        axes = self.static_axes
        for place in itertools.product(*(range(len(axis.values)) for axis in axes)):
            values = {axis.name: axis.values[i] for axis, i in zip(axes, place, strict=True)}
            yield place, self._setup(values)

    def _setup(self, values: dict[str, Any]) -> Setup:
        task: Task = values.pop("task", self.task)
        cell: Cell = values.pop("cell", self.cell)
        recipe = self.recipe
        instance_of("task", task, Task)
        instance_of("cell", cell, Cell)
        require_frozen("cell", cell)
        if "parametrization" in values:  # the whole spec first, then its single fields
            cell = cell.replace(parametrization=values.pop("parametrization"))
        rule: Any = cell.parametrization
        # All fields of a spec at once: one alone may not go with the others' values in the spec.
        changes = _by_owner(values, (recipe, cell, rule))
        recipe = dataclasses.replace(recipe, **changes[0])
        if changes[2]:
            changes[1]["parametrization"] = dataclasses.replace(rule, **changes[2])
        return Setup(task, fitted(cell.replace(**changes[1]), task), recipe, self.evaluation_trials)


def require_effects(sweep: Sweep) -> None:
    """Raises `ValueError` for an axis whose values all train the same networks."""
    for axis in sweep.static_axes:
        if axis.name not in _NEEDS or len(axis.values) == 1:
            continue
        needed, has_effect = _NEEDS[axis.name]
        if not any(has_effect(setup.recipe) for _, setup in sweep.setups()):
            raise ValueError(
                f"{axis.name}: expected one value in a recipe without {needed}, where it has no "
                f"effect, got {', '.join(map(str, axis.labels))}"
            )


def _by_owner(values: Mapping[str, Any], owners: Sequence[Any]) -> list[dict[str, Any]]:
    """The values that replace fields of each owner; the first that has a field takes it."""
    known = [_fields(owner) for owner in owners]
    found: list[dict[str, Any]] = [{} for _ in owners]
    for name, value in values.items():
        if not any(name in fields for fields in known):
            one_of("axis", name, [*TRACED, "task", "cell", *itertools.chain(*known)])
        found[next(i for i, fields in enumerate(known) if name in fields)][name] = value
    return found


def _fields(spec: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(spec) if field.name not in _FIXED]


def _hint(name: str, given: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, [other for other in given if other not in TRACED], n=1)
    return f" (did you mean {name!r} for {near[0]!r}?)" if near else ""


def _axes(given: Any) -> tuple[Axis, ...]:
    if isinstance(given, Axes):
        return given.as_tuple
    if isinstance(given, Mapping):
        for name in given:
            instance_of("axes", name, str)
        return tuple(_axis(name, values) for name, values in given.items())
    if not isinstance(given, tuple) or not all(isinstance(axis, Axis) for axis in given):
        raise ValueError(f"axes: expected a mapping from name to values, got {shown(given)}")
    names = [instance_of("axes", axis.name, str) for axis in given]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"axes: expected each axis once, got {twice[0]!r} {len(twice)} times")
    return tuple(map(_checked, given))


def _axis(name: str, values: Any) -> Axis:
    if isinstance(values, Mapping):
        if name in TRACED:
            raise ValueError(
                f"{name}: expected a sequence of numbers, which are their own labels, got "
                f"{shown(values)}"
            )
        labels = tuple(values)
        values = tuple(validate.plain(value) for value in values.values())
    else:
        _require_few(name, values)
        values = validate.sequence(name, values)
        labels = tuple(getattr(value, "name", value) for value in values)
    return _checked(Axis(name, labels, values))


def _require_few(name: str, values: Any) -> None:
    """Raises `ValueError` for more values than a store has runs, before they are listed."""
    if not isinstance(values, Sized) or getattr(values, "ndim", 1) != 1:
        return
    try:
        count, got = len(values), f"{len(values):,}"
    except OverflowError:  # a range that is longer than the largest index
        count, got = math.inf, f"more than {sys.maxsize:,}"
    if count > MOST_RUNS:
        raise ValueError(f"{name}: expected at most {MOST_RUNS:,} values, got {got}")


def _checked(axis: Axis) -> Axis:
    """The axis with plain numbers; raises `ValueError` for one that no sweep can have."""
    name, labels, values = axis
    if name in _FIXED:
        raise ValueError(
            f"{name}: expected no axis, as it cannot vary within one sweep, got "
            f"{validate.counted(len(values), 'value')}; run one sweep per value"
        )
    if not values:
        raise ValueError(f"{name}: expected at least one value, got none")
    if name in SETTINGS:
        values = labels = tuple(SETTINGS[name].check(name, value) for value in values)
        with np.errstate(over="ignore"):
            single = {np.float32(value) for value in values}
        if len(single) < len(values):
            raise ValueError(f"{name}: expected values that differ in float32, got {values}")
    if name == "seed":
        values = labels = tuple(validate.seed(name, value) for value in values)
    if not all(isinstance(label, str | bool | int | float) for label in labels):
        raise ValueError(
            f"{name}: expected numbers, strings or named specs, got {shown(values)}; "
            "a mapping from label to value labels anything"
        )
    if len(labels) != len(values):
        raise ValueError(f"{name}: expected {len(values)} labels, got {len(labels)}")
    text = sum(isinstance(label, str) for label in labels)
    if name not in TRACED and 0 < text < len(labels):
        raise ValueError(
            f"{name}: expected labels that are all text or all numbers, got {shown(labels)}; "
            "a mapping from label to value gives them"
        )
    if len(set(labels)) < len(labels):
        hint = "" if name in TRACED else "; a mapping from label to value gives them"
        raise ValueError(
            f"{name}: expected distinct labels, got {', '.join(map(str, labels))}{hint}"
        )
    return Axis(name, labels, values)
