"""Run-time check of shape annotations, applied to rnnjax by jaxtyping's import hook in the tests.

Only annotations that name an array are checked, by shape and kind of number: NumPy's arrays pass
where JAX's do. Other arguments are left to the errors of the functions that take them.
"""

import dataclasses
import inspect
from typing import Any, Union, get_args, get_type_hints

import jax
import jaxtyping
import numpy as np
from beartype import beartype
from jaxtyping import AbstractArray

__all__ = ["check_arrays", "skip_others"]

_ARRAYS = Union[jax.Array, np.ndarray]  # noqa: UP007 - jaxtyping takes a union of this form


def _widened(annotation: Any) -> Any:
    """The annotation with arrays of either library; None where it names no array."""
    if isinstance(annotation, type) and issubclass(annotation, AbstractArray):
        either = annotation.array_type in (jax.Array, np.ndarray)
        return annotation.dtype[_ARRAYS, annotation.dim_str] if either else annotation
    parts = [part for part in get_args(annotation) if part is not type(None)]
    if len(parts) == 1 and type(None) in get_args(annotation):
        wide = _widened(parts[0])
        return None if wide is None else wide | None
    return None


def check_arrays(function: Any) -> Any:
    """`function` with its array arguments and results checked against their annotations."""
    annotations = getattr(function, "__annotations__", {})
    found = {name: _widened(annotation) for name, annotation in annotations.items()}
    function.__annotations__ = {name: wide for name, wide in found.items() if wide is not None}
    return beartype(function)


def _names_arrays(decorated: Any) -> bool:
    """Whether an annotation of a function, method or dataclass names an array, or may do so."""
    if inspect.isclass(decorated):
        return dataclasses.is_dataclass(decorated) and _names_arrays(decorated.__init__)
    if isinstance(decorated, property):
        return _names_arrays(decorated.fget)
    try:
        hints = get_type_hints(getattr(decorated, "__func__", decorated))
    except NameError:  # of a name that is imported for type checkers alone
        return True
    return any(_widened(annotation) is not None for annotation in hints.values())


def skip_others() -> None:
    """Leaves functions without such annotations unwrapped: the wrappers take time in every call.

    To be called before rnnjax is imported.
    """
    wrapped = jaxtyping.jaxtyped

    def jaxtyped(*, typechecker: Any) -> Any:
        def decorate(decorated: Any) -> Any:
            check = _names_arrays(decorated)
            return wrapped(decorated, typechecker=typechecker) if check else decorated

        return decorate

    jaxtyping.jaxtyped = jaxtyped
