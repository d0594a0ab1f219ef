"""Checks of specs that users write: frozen, traceable by JAX, without draws from global state."""

import dataclasses
import enum
import inspect
import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["ROUNDING", "agree", "reproduced", "require_copies", "require_frozen", "traced"]

_TRACING = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.NonConcreteBooleanIndexError,
    jax.errors.UnexpectedTracerError,
)
"""Errors of code that needs the value of a traced array."""


def require_frozen(name: str, spec: Any) -> None:
    """Raises `ValueError` unless `spec` is a frozen dataclass of plain data and such dataclasses.

    It is an argument of compiled programs, which hash it, and stores describe it.
    """
    kind = type(spec)
    settings: Any = getattr(kind, "__dataclass_params__", None)
    is_frozen = settings is not None and settings.frozen and settings.eq
    if not is_frozen or kind.__hash__ is None or _has_lost_fields(kind):
        raise ValueError(
            f"{name}: expected a frozen dataclass, as @dataclasses.dataclass(frozen=True) makes of "
            f"{kind.__name__}"
        )
    for field in dataclasses.fields(spec):
        for odd in _not_plain(f"{name}, {field.name}", getattr(spec, field.name)):
            raise ValueError(
                f"{name}: expected numbers, strings, tuples and specs in {field.name}, got a "
                f"{type(odd).__name__}"
            )


def _has_lost_fields(kind: type) -> bool:
    """Whether a class, or a base of it, declares fields without the decorator that makes them."""
    undecorated = itertools.takewhile(
        lambda one: "__dataclass_params__" not in vars(one), kind.__mro__
    )
    declared = [one for each in undecorated for one in inspect.get_annotations(each).values()]
    return any("ClassVar" not in str(one) for one in declared)


_PLAIN = (bool, int, float, str, enum.Enum, np.integer, np.floating, type(None))


def _not_plain(name: str, value: Any) -> Iterator[Any]:
    """The parts of `value` that cannot be hashed, or that no store describes, such as functions.

    Raises `ValueError` for dataclasses in it that are no specs.
    """
    if isinstance(value, _PLAIN):
        return
    if isinstance(value, tuple | range):
        for part in value:
            yield from _not_plain(name, part)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        require_frozen(name, value)
    else:
        yield value


def require_copies(name: str, spec: Any) -> None:
    """Raises `ValueError` unless a copy of `spec`, as axes and widths make of it, equals it."""
    if dataclasses.replace(spec) != spec:
        raise ValueError(f"{name}: expected a copy to equal it; leave __eq__ to the dataclass")


def reproduced(name: str, function: Callable[[Any], Any], key: Any) -> Any:
    """`function(key)`; raises `ValueError` if it depends on anything but its key.

    It is called twice, with generators of NumPy and of Python in different states.
    """
    numpy_state, python_state = np.random.get_state(legacy=False), random.getstate()
    try:
        found = []
        for seed in (1, 2):
            if numpy_state["bit_generator"] == "MT19937":  # no other can be seeded there
                np.random.seed(seed)
            random.seed(seed)
            before = np.random.get_state(legacy=False), random.getstate()
            found.append(function(key))
            after = np.random.get_state(legacy=False), random.getstate()
            if not (_same_state(before[0], after[0]) and before[1] == after[1]):
                raise ValueError(
                    f"{name}: expected draws from its key alone, as by jax.random.normal(key), got "
                    "draws from np.random or from Python's random, which are the same in all trials"
                )
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)
    if not agree(*found, exact=True):
        raise ValueError(
            f"{name}: expected the same values for the same key, got others; draw everything from "
            "the key, as by jax.random.normal(key)"
        )
    return found[0]


def _same_state(a: Any, b: Any) -> bool:
    """Whether two states of NumPy's global generator, of whatever kind, are the same."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same_state(a[name], b[name]) for name in a)
    return np.array_equal(a, b)


def traced(name: str, function: Callable[[Any], Any], argument: Any) -> Any:
    """`jax.jit(function)(argument)`; raises `ValueError` if JAX cannot trace the function."""
    try:
        return jax.jit(function)(argument)
    except _TRACING as error:
        kind = type(error).__name__
        raise ValueError(
            f"{name}: expected a function that JAX can compile, without `if`, float() or NumPy on "
            f"values that depend on its arguments (jnp.where instead), got {kind}: "
            f"{str(error).splitlines()[0]}"
        ) from None


_SMALLEST = 1e-30
"""Arrays of numbers below this in magnitude are as good as 0."""


ROUNDING = 1e-6
"""What rounding leaves of numbers of order 1 that cancel, in single precision."""


def agree(a: Any, b: Any, *, exact: bool = False, floor: float = 0.0) -> bool:
    """Whether two trees of arrays are the same, or the same up to rounding; NaN equals NaN.

    Rounding is that of single precision after many steps, relative to the largest entry of a leaf,
    and at least `floor`.
    """
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        kind = complex if jnp.iscomplexobj(x) or jnp.iscomplexobj(y) else float
        x, y = np.asarray(x, kind), np.asarray(y, kind)
        size = np.max(np.abs(x), initial=_SMALLEST, where=np.isfinite(x))
        rounding = {"rtol": 0.0, "atol": 0.0 if exact else max(1e-3 * size, floor)}
        if x.shape != y.shape or not np.allclose(x, y, **rounding, equal_nan=True):
            return False
    return True
