"""Whether sweeps combine to a valid one, where a store grows or stores join."""

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from rnnjax.store.manifest import StoreError

__all__ = ["not_combined", "require_combination"]


def require_combination(
    what: str, both: Mapping[str, Any], parts: Sequence[Mapping[str, Any]]
) -> None:
    """Raises `StoreError` unless the configs `parts`, those of `what`, combine to a valid sweep.

    The config `both` has the values of all of them on its axes.
    """
    # Configs are plain data here: what knows their meaning builds on this package.
    stored = importlib.import_module("rnnjax.sweep.stored")
    try:
        stored.require_combined(both, parts)
    except ValueError as error:
        raise not_combined(what, error) from None


def not_combined(what: str, error: ValueError) -> StoreError:
    """The error for values of `what` that do not combine, for this reason."""
    return StoreError(
        f"store: expected values of {what} that combine to one sweep, got an invalid one "
        f"({error}); keep them in separate stores"
    )
