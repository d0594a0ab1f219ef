"""Grids: the labelled axes of a store, and the positions of one grid's runs on another."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from rnnjax.store.manifest import first_difference

__all__ = ["Grid", "Places", "config_grid", "grid_of", "lacking", "places", "same_runs", "united"]

_AXES = ("dimensions", "labels", "axes")
"""Fields of a config that describe its axes."""


class Grid(NamedTuple):
    """The axes of a config, in the order of the dimensions of its results."""

    names: tuple[str, ...]
    labels: tuple[tuple[Any, ...], ...]
    traced: tuple[bool, ...]
    """Whether an axis is one of settings, whose labels are the same where float32 is."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of labels per axis."""
        return tuple(map(len, self.labels))

    def plain(self) -> list[list[Any]]:
        """As JSON: name, labels and kind of every axis."""
        return [[name, list(labels), traced] for name, labels, traced in zip(*self, strict=True)]

    def run(self, cell: Sequence[int]) -> str:
        """The labels of a run, for messages."""
        labels = zip(self.names, self.labels, cell, strict=True)
        return ", ".join(f"{name}={values[i]!r}" for name, values, i in labels)

    @classmethod
    def of(cls, plain: Any) -> "Grid":
        """Inverts `plain`."""
        names, labels, traced = zip(*plain, strict=True)
        return cls(tuple(names), tuple(map(tuple, labels)), tuple(map(bool, traced)))


class Places(NamedTuple):
    """Positions of the labels of one grid, `here`, on the axes of another, `there`."""

    order: tuple[int, ...]
    """For every axis there, which axis here it is."""
    index: tuple[np.ndarray, ...]
    """For every axis there, the position there of each label here, or -1."""

    def cells(self, cells: Any) -> np.ndarray:
        """Cells [S, axes] of the grid here, as cells of the grid there."""
        cells = np.asarray(cells, int).reshape(-1, len(self.order))
        columns = zip(self.order, self.index, strict=True)
        return np.stack([at[cells[:, axis]] for axis, at in columns], axis=1)

    def take(self, values: np.ndarray, fill: Any) -> np.ndarray:
        """Values over the grid there, and further dimensions, as values over the grid here."""
        for axis, at in enumerate(self.index):
            values = np.take(values, at, axis)
            lost = (slice(None),) * axis + (at < 0,)
            values[lost] = fill
        back = [self.order.index(axis) for axis in range(len(self.order))]
        return values.transpose(*back, *range(len(back), values.ndim))


def config_grid(config: Mapping[str, Any]) -> Grid | None:
    """The grid of a config; None if it describes no axes."""
    if any(field not in config for field in _AXES):
        return None
    names, labels, values = (config[field] for field in _AXES)
    traced = tuple(name not in labels for name in names)
    return Grid(tuple(names), tuple(tuple(labels.get(n, values[n])) for n in names), traced)


def grid_of(config: Mapping[str, Any]) -> Grid:
    """The grid of a config that describes its axes."""
    grid = config_grid(config)
    assert grid is not None
    return grid


def _key(label: Any, traced: bool) -> Any:
    """What the labels of one run share; programs compute in single precision."""
    return float(np.float32(label)) if traced and isinstance(label, float) else label


def _positions(labels: Sequence[Any], there: Sequence[Any], traced: bool) -> np.ndarray:
    found = {_key(label, traced): i for i, label in enumerate(there)}
    return np.array([found.get(_key(label, traced), -1) for label in labels], int)


def places(here: Grid, there: Grid) -> Places:
    """The positions of the labels of `here` on the axes of `there`, which have the same names."""
    order = tuple(here.names.index(name) for name in there.names)
    axes = zip(order, there.labels, there.traced, strict=True)
    index = [_positions(here.labels[axis], labels, traced) for axis, labels, traced in axes]
    return Places(order, tuple(index))


def same_runs(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, Any, Any] | None:
    """The first difference of two configs besides the labels of their axes, or None.

    Where one label has two values, this is the difference too.
    """
    shared = set(old.get("dimensions", ())) & set(new.get("dimensions", ()))
    before, after = (_besides_axes(config, shared) for config in (old, new))
    if difference := first_difference(before, after):
        return difference
    if config_grid(old) is None or config_grid(new) is None:
        return first_difference(dict(old), dict(new))
    if set(old["dimensions"]) != set(new["dimensions"]):
        return "axes", old["dimensions"], new["dimensions"]
    if set(old["labels"]) != set(new["labels"]):
        return "labels", sorted(old["labels"]), sorted(new["labels"])
    for name, labels in old["labels"].items():
        there = dict(zip(labels, old["axes"][name], strict=True))
        here = dict(zip(new["labels"][name], new["axes"][name], strict=True))
        for label in here.keys() & there.keys():
            if difference := first_difference(there[label], here[label], f"axes.{name}.{label}"):
                return difference
        twice = [v for label, v in here.items() if label not in there and v in there.values()]
        if twice:
            was = next(label for label, value in there.items() if value == twice[0])
            now = next(label for label, value in here.items() if value == twice[0])
            return f"labels.{name}", was, now
    return None


def _besides_axes(config: Mapping[str, Any], shared: Iterable[str]) -> dict[str, Any]:
    """A config without its axes, and without the fields in whose place those `shared` stand."""
    kept = {name: value for name, value in config.items() if name not in _AXES}
    for axis in sorted(shared):
        if axis in ("task", "cell"):
            kept[axis] = None
            continue
        for path in (("recipe",), ("cell",), ("cell", "parametrization")):  # as a sweep sets them
            if axis in (owner := _at(kept, path)):
                copy = ("cell", *path)  # in a cell that wraps another, such as `structured`
                if path[0] == "cell" and (axis, owner[axis]) in _at(kept, copy).items():
                    kept = _without(kept, (*copy, axis))
                kept = _without(kept, (*path, axis))
                break
    return kept


def _at(config: Any, path: Sequence[str]) -> Mapping[str, Any]:
    """The part of a config at a path; empty if there is none."""
    for name in path:
        config = config.get(name) if isinstance(config, Mapping) else None
    return config if isinstance(config, Mapping) else {}


def _without(config: Mapping[str, Any], path: Sequence[str]) -> dict[str, Any]:
    """A copy of a config without the field at a path."""
    first, *rest = path
    if not rest:
        return {name: value for name, value in config.items() if name != first}
    return {**config, first: _without(config[first], rest)}


def lacking(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, list[Any]]:
    """By axis, the labels of the config `new` that `old` lacks; both of the same runs."""
    here, there = grid_of(new), grid_of(old)
    found = places(here, there)
    names = [(there.names[k], here.labels[axis]) for k, axis in enumerate(found.order)]
    missing = {
        name: [label for label, position in zip(labels, at, strict=True) if position < 0]
        for (name, labels), at in zip(names, found.index, strict=True)
    }
    return {name: labels for name, labels in missing.items() if labels}


def united(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The config with the labels of both on every axis, in the order of `new` where it has all.

    Other numbers that both have in ascending order stay ascending; else those of `old` come first.
    Returns `old` where it has all labels of `new`.
    """
    if not lacking(old, new):
        return dict(old)
    axes, labels = {}, {}
    for name in new["dimensions"]:
        pairs = _join(_pairs(old, name), _pairs(new, name), name not in new["labels"])
        axes[name] = [value for _, value in pairs]
        if name in new["labels"]:
            labels[name] = [label for label, _ in pairs]
    return {**old, "dimensions": list(new["dimensions"]), "labels": labels, "axes": axes}


def _pairs(config: Mapping[str, Any], name: str) -> list[tuple[Any, Any]]:
    values = config["axes"][name]
    return list(zip(config["labels"].get(name, values), values, strict=True))


def _join(
    old: list[tuple[Any, Any]], new: list[tuple[Any, Any]], traced: bool
) -> list[tuple[Any, Any]]:
    """Pairs of label and value of both; those of `old` where the two are the same run."""
    kept, added = ({_key(pair[0], traced): pair for pair in pairs} for pairs in (old, new))
    if set(kept) <= set(added):
        return [kept.get(key, pair) for key, pair in added.items()]
    both = {**added, **kept}
    if _ascends([*kept]) and _ascends([*added]):
        return [both[key] for key in sorted(both)]
    return [*kept.values(), *(pair for key, pair in added.items() if key not in kept)]


def _ascends(keys: list[Any]) -> bool:
    numbers = all(isinstance(key, int | float) and not isinstance(key, bool) for key in keys)
    return numbers and keys == sorted(keys)
