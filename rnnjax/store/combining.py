"""Checks of the sweep that a store gets when it grows, or when stores join.

Configs are plain data here. Parts of the package that know what they mean add checks of their own.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rnnjax.store.manifest import StoreError

__all__ = ["checks_combination", "not_combined", "require_combination"]

Config = Mapping[str, Any]
Check = Callable[[Config, Sequence[Config]], None]

_CHECKS: list[Check] = []


def checks_combination(check: Check) -> Check:
    """Adds `check(both, parts)`, which raises `ValueError` unless the configs `parts` combine.

    The config `both` has the values of all of them on its axes.
    """
    _CHECKS.append(check)
    return check


def require_combination(what: str, both: Config, parts: Sequence[Config]) -> None:
    """Raises `StoreError` unless `parts`, the configs of `what`, combine to the config `both`."""
    for check in _CHECKS:
        try:
            check(both, parts)
        except ValueError as error:
            raise not_combined(what, error) from None


def not_combined(what: str, error: ValueError) -> StoreError:
    """The error for values of `what` that do not combine, for this reason."""
    return StoreError(
        f"store: expected values of {what} that combine to one sweep, got an invalid one "
        f"({error}); keep them in separate stores"
    )
