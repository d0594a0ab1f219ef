"""The sweep of a store, built again from its manifest."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rnnjax.cells import Cell
from rnnjax.parametrization import Parametrization
from rnnjax.store import StoreError, first_difference, read_manifest, rebuild
from rnnjax.sweep.axes import Axis, Sweep
from rnnjax.sweep.engine import Engine, sweep_config
from rnnjax.tasks import Task
from rnnjax.training import Recipe, Schedule

__all__ = ["load_sweep"]


def load_sweep(store: str | Path) -> Sweep:
    """The sweep that the store at `store` is of.

    Classes are found by their names among those in memory, so a spec of your own needs its module
    imported first. Raises `StoreError` for a store that is not one, is damaged, or is of a spec
    that is not known here or has other fields here.
    """
    config = read_manifest(store)["config"]
    try:
        fields: dict[str, Any] = {
            name: rebuild(config[name], _kinds())
            for name in ("task", "cell", "recipe", "axes", "evaluation_trials")
        }
        axes = [(name, fields["axes"][name]) for name in config["dimensions"]]
        labels = config["labels"]  # of static axes, whose values may be called otherwise
        fields["axes"] = tuple(Axis(n, tuple(labels.get(n, values)), values) for n, values in axes)
        sweep = Sweep(**fields)
        again = sweep_config(sweep, Engine(points=config["points"], spacing=config["spacing"]))
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"store: {store} is of a sweep that cannot be built here: {error} (a spec of your own "
            "needs its module imported first)"
        ) from None
    if difference := first_difference(config, again):
        field, there, here = difference
        raise StoreError(
            f"store: {store} is of another version: {field} is {there!r} there and {here!r} here"
        )
    return sweep


def _kinds() -> dict[str, type]:
    """Classes of specs, by name: ours, and then those that anyone else has defined.

    Raises `ValueError` where two modules define classes of one name, other than ours.
    """

    def below(kind: type) -> Iterator[type]:
        yield kind
        for child in kind.__subclasses__():
            yield from below(child)

    bases = (Task, Cell, Parametrization, Schedule, Recipe)
    found: dict[str, type] = {}
    for kind in itertools.chain.from_iterable(map(below, bases)):
        known = found.get(kind.__name__)
        if known is None or _place(known) == _place(kind):  # the latest of a notebook's cell
            found[kind.__name__] = kind
        elif _is_ours(known) == _is_ours(kind):
            raise ValueError(
                f"two classes are called {kind.__name__!r}, in {known.__module__} and "
                f"{kind.__module__}"
            )
        elif _is_ours(kind):
            found[kind.__name__] = kind
    return found


def _place(kind: type) -> tuple[str, str]:
    return kind.__module__, kind.__qualname__


def _is_ours(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == __name__.partition(".")[0]
