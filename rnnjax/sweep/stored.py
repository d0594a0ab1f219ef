"""The sweep of a store, rebuilt from its manifest."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rnnjax.cells import Cell, Structure
from rnnjax.parametrization import Parametrization
from rnnjax.store import StoreError, first_difference, read_manifest, rebuild
from rnnjax.sweep.axes import Axis, Sweep
from rnnjax.sweep.engine import Engine, sweep_config
from rnnjax.tasks import Task
from rnnjax.training import Recipe, Schedule
from rnnjax.validate import path_of

__all__ = ["load_sweep", "require_combined"]

_NOT_REBUILT = (KeyError, TypeError, ValueError, AttributeError, OverflowError)


def load_sweep(store: str | Path) -> Sweep:
    """The sweep whose results are in the store at `store`.

    Classes are found by name among all imported ones: if the sweep uses task or cell classes of
    your own, import their module first. Raises `StoreError` for a folder that is no store or is
    damaged, and for specs whose class is not imported or has other fields.
    """
    path_of("store", store)
    config = read_manifest(store)["config"]
    try:
        sweep = Sweep(**_fields(config))
        rebuilt = sweep_config(sweep, Engine(points=config["points"], spacing=config["spacing"]))
    except _NOT_REBUILT as error:
        raise StoreError(
            f"store: {store} holds a sweep that cannot be rebuilt: {error} (if it uses task or "
            "cell classes of your own, import their module first)"
        ) from None
    if difference := first_difference(config, rebuilt):
        field, there, here = difference
        raise StoreError(
            f"store: {store} is from another version: {field} is {there!r} in the store but "
            f"{here!r} in this version"
        )
    return sweep


def _fields(config: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the sweep that a config describes."""
    fields: dict[str, Any] = {
        name: rebuild(config[name], _kinds())
        for name in ("task", "cell", "recipe", "axes", "evaluation_trials")
    }
    axes = [(name, fields["axes"][name]) for name in config["dimensions"]]
    labels = config["labels"]  # of static axes, which may differ from the values
    fields["axes"] = tuple(Axis(n, tuple(labels.get(n, values)), values) for n, values in axes)
    return fields


def require_combined(both: Mapping[str, Any], parts: Sequence[Mapping[str, Any]]) -> None:
    """Raises `ValueError` where each of the `parts` describes a valid sweep, but `both` does not.

    Nothing is checked where specs cannot be rebuilt, such as those of a class that is not imported.
    """
    try:
        for config in parts:
            Sweep(**_fields(config))
        fields = _fields(both)
    except _NOT_REBUILT:
        return
    Sweep(**fields)


def _kinds() -> dict[str, Callable[..., Any]]:
    """Classes of specs by name, those of this package first.

    A name that several other classes share maps to a function that raises `ValueError`.
    """

    def below(kind: type) -> Iterator[type]:
        yield kind
        for child in kind.__subclasses__():
            yield from below(child)

    bases = (Task, Cell, Structure, Parametrization, Schedule, Recipe)
    named: dict[str, dict[tuple[str, str], type]] = {}
    for kind in itertools.chain.from_iterable(map(below, bases)):
        # The latest definition, where a notebook's cell was run twice.
        named.setdefault(kind.__name__, {})[kind.__module__, kind.__qualname__] = kind
    return {name: _one_of_that_name(name, kinds) for name, kinds in named.items()}


def _one_of_that_name(name: str, kinds: dict[tuple[str, str], type]) -> Callable[..., Any]:
    package = __name__.partition(".")[0]
    ours = [kind for (module, _), kind in kinds.items() if module.partition(".")[0] == package]
    if ours or len(kinds) == 1:
        return (ours or list(kinds.values()))[0]
    places = " and ".join(f"{module}.{place}" for module, place in kinds)

    def ambiguous(**fields: Any) -> Any:
        raise ValueError(f"several classes are called {name!r}: {places}")

    return ambiguous
