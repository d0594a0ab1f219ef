"""Checks of arguments: each raises a `ValueError` with name, expectation and value."""

import difflib
import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any, TypeVar

__all__ = [
    "finite_positive",
    "flag",
    "fraction",
    "instance_of",
    "learning_rate",
    "nonnegative",
    "one_of",
    "positive_integer",
    "seed",
    "whole",
]


T = TypeVar("T")


def _fail(name: str, expected: str, got: Any) -> ValueError:
    return ValueError(f"{name}: expected {expected}, got {got!r}")


def whole(name: str, value: Any, least: int = 0) -> int:
    """Returns `value` if it is an integer of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise _fail(name, f"an integer of at least {least}", value)
    return int(value)


def positive_integer(name: str, value: Any) -> int:
    """Returns `value` if it is an integer of at least 1."""
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


def learning_rate(name: str, value: Any) -> float:
    """Returns `value` if it is a positive number within the range of single precision."""
    rate = finite_positive(name, value)
    if not 2.0**-126 <= rate < 2.0**128:
        raise _fail(name, "a number within the range of float32", value)
    return rate


def seed(name: str, value: Any) -> int:
    """Returns `value` if it is an integer from 0 to 2^31 - 1."""
    if whole(name, value) >= 2**31:
        raise _fail(name, "at most 2^31 - 1", value)
    return int(value)


def instance_of(name: str, value: Any, kind: type[T]) -> T:
    """Returns `value` if it is an instance of `kind`."""
    if not isinstance(value, kind):
        raise _fail(name, f"a {kind.__name__}", value)
    return value


def one_of(name: str, value: Any, choices: Iterable[str]) -> str:
    """Returns `value` if it is one of `choices`; otherwise the error suggests the nearest."""
    choices = tuple(choices)
    if value in choices:
        return value
    near = difflib.get_close_matches(str(value), choices, n=1, cutoff=0.4)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise ValueError(f"{name}: expected one of {', '.join(choices)}, got {value!r}{hint}")
