"""Checks of arguments: each raises a `ValueError` with name, expectation and value."""

import dataclasses
import difflib
import inspect
import math
import os
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeVar

__all__ = [
    "MOST",
    "PlainFields",
    "callback",
    "confidence",
    "counted",
    "expanded",
    "finite_positive",
    "flag",
    "fraction",
    "instance_of",
    "known_options",
    "nonnegative",
    "nonnegative_single",
    "one_of",
    "path_of",
    "plain",
    "positive_integer",
    "positive_single",
    "seed",
    "sequence",
    "shown",
    "whole",
]


T = TypeVar("T")


MOST = 2**31 - 1
"""2^31 - 1, the largest integer that programs, with their 32-bit integers, can hold."""

_SINGLE = 2.0**-126, (2 - 2.0**-23) * 2.0**127
"""The smallest normal and the largest number of float32."""

_SHOWN = 500
"""Most characters of a value in an error."""


def shown(value: Any) -> str:
    """`value` as it appears in errors: in one line of bounded length."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # integers of thousands of digits, or an object whose own text fails
        return f"a {type(value).__name__} that cannot be shown"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def counted(count: int, word: str) -> str:
    """`1 unit`, `2 units`."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _fail(name: str, expected: str, got: Any) -> ValueError:
    return ValueError(f"{name}: expected {expected}, got {shown(got)}")


def whole(name: str, value: Any, least: int = 0) -> int:
    """Returns `value` if it is an integer from `least` to `MOST`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise _fail(name, f"an integer of at least {least}", value)
    number = int(value)
    if number > MOST:
        raise _fail(name, "at most 2^31 - 1", value)
    return number


def positive_integer(name: str, value: Any) -> int:
    """Returns `value` if it is an integer from 1 to `MOST`."""
    return whole(name, value, least=1)


def _is_number(value: Any) -> bool:
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer above the largest float
        return False


def finite_positive(name: str, value: Any) -> float:
    """Returns `value` if it is a finite number above zero."""
    if not _is_number(value) or value <= 0:
        raise _fail(name, "a finite number above 0", value)
    return float(value)


def nonnegative(name: str, value: Any) -> float:
    """Returns `value` if it is a finite number of at least zero."""
    if not _is_number(value) or value < 0:
        raise _fail(name, "a finite number of at least 0", value)
    return float(value)


def flag(name: str, value: Any) -> bool:
    """Returns `value` if it is true or false."""
    if not isinstance(value, bool):
        raise _fail(name, "True or False", value)
    return value


def fraction(name: str, value: Any, *, open_below: bool = False) -> float:
    """Returns `value` if it lies in [0, 1], or in (0, 1] with `open_below`."""
    if not _is_number(value) or value > 1 or value < 0 or (open_below and value == 0):
        raise _fail(name, "a number in (0, 1]" if open_below else "a number in [0, 1]", value)
    return float(value)


def confidence(name: str, value: Any) -> float:
    """Returns `value` if it is a coverage of an interval, above 0 and below 1."""
    if not _is_number(value) or not 0 < value < 1:
        raise _fail(name, "a number above 0 and below 1", value)
    return float(value)


def positive_single(name: str, value: Any) -> float:
    """Returns `value` if it is a positive number within the range of single precision."""
    number = finite_positive(name, value)
    if not _SINGLE[0] <= number <= _SINGLE[1]:
        raise _fail(name, "a number within the range of float32", value)
    return number


def nonnegative_single(name: str, value: Any) -> float:
    """Returns `value` if it is 0 or a positive number within the range of single precision."""
    return positive_single(name, value) if nonnegative(name, value) else 0.0


def seed(name: str, value: Any) -> int:
    """Returns `value` if it is an integer from 0 to `MOST`."""
    return whole(name, value)


def instance_of(name: str, value: Any, kind: type[T]) -> T:
    """Returns `value` if it is an instance of `kind`."""
    if not isinstance(value, kind):
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise _fail(name, f"{article} {kind.__name__}", value)
    return value


def path_of(name: str, value: Any, kind: str = "folder") -> Path:
    """Returns the `Path` of a folder or file, whether it exists or not."""
    if not isinstance(value, str | os.PathLike):
        raise _fail(name, f"the path of a {kind}", value)
    return Path(value)


def expanded(name: str, value: str | os.PathLike[str]) -> Path:
    """The path with the home of the user in place of a leading `~`."""
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise _fail(name, "a path in the home of a known user", value) from None


def one_of(name: str, value: Any, choices: Iterable[str]) -> str:
    """Returns `value` if it is one of `choices`; otherwise the error suggests the nearest."""
    choices = tuple(choices)
    if isinstance(value, str) and value in choices:
        return value
    text = shown(value)
    near = difflib.get_close_matches(text.strip("'"), choices, n=1, cutoff=0.5)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise ValueError(f"{name}: expected one of {', '.join(choices)}, got {text}{hint}")


def sequence(name: str, value: Any) -> tuple[Any, ...]:
    """The entries of a list, tuple, one-dimensional array or other iterable, as plain values.

    Strings and mappings are none, and neither is an array with a mask or with more axes.
    """
    axes = getattr(value, "ndim", 1)
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable) or axes != 1:
        raise _fail(name, "a sequence", value)
    mask = getattr(value, "mask", None)
    if mask is not None and not callable(mask):  # that of a pandas Series is a function
        raise _fail(name, "a sequence without a mask", value)
    return tuple(plain(entry) for entry in value)


def callback(name: str, value: T) -> T:
    """Returns `value` if it can be called, or is None."""
    if value is not None and not callable(value):
        raise _fail(name, "a function", value)
    return value


def known_options(function: Callable[..., Any], options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns `options` if they name parameters of `function`; otherwise the error suggests one."""
    parameters = inspect.signature(function).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        for name in options:
            one_of("options", name, parameters)
    return options


def plain(value: Any) -> Any:
    """The number of a NumPy or JAX scalar; any other value unchanged."""
    scalar = getattr(value, "ndim", None) == 0 and hasattr(value, "item")
    return value.item() if scalar else value


class PlainFields:
    """Base of specs that replaces NumPy scalars in their fields, whose integers overflow."""

    def __post_init__(self):
        spec: Any = self
        for field in dataclasses.fields(spec):
            value = getattr(spec, field.name, None)  # a field with init=False may come later
            if isinstance(value, Real):
                object.__setattr__(spec, field.name, plain(value))
        following = getattr(super(), "__post_init__", None)
        if following is not None:
            following()
