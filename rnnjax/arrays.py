"""Checks of arrays: real, finite numbers of a given shape whose squares fit into double precision.

Public functions check their arguments once, at their entry; the code behind them relies on it. An
error names the argument, and the network where there are several.
"""

from collections.abc import Iterable, Mapping
from numbers import Integral
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from rnnjax.typing import Array, Key
from rnnjax.validate import seed, shown

__all__ = ["LARGEST", "SMALLEST", "array", "floating", "leaf", "members", "random_key", "symmetric"]

SMALLEST, LARGEST = 1e-100, 1e100
"""Bounds of the largest magnitude of an array that is not all 0.

Norms and variances square their terms: beyond these the squares become 0 or infinite."""

_SMALLEST_SINGLE, _LARGEST_SINGLE = 1e-37, 1e37
"""The same of leaves in single precision, whose differences are scaled before they are squared."""

Gaps = Literal["none", "missing", "diverged"]
"""Entries that are not finite: none; NaN where a network or step is left out, and infinity, which
the caller checks; or those of a diverged network, whose size is not checked either."""


def _as_numpy(name: str, value: Any) -> np.ndarray:
    parts = (value, *value) if isinstance(value, list | tuple) else (value,)
    if any(isinstance(part, np.ma.MaskedArray) for part in parts):
        raise ValueError(f"{name}: expected an array without a mask, got a masked array")
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:  # ragged lists, keys, traced values
        reason = str(error).strip().split("\n")[0]
        raise ValueError(
            f"{name}: expected an array of numbers, got a {type(value).__name__} that cannot be "
            f"read as one: {reason}"
        ) from error


def floating(name: str, value: Any, *, complex_too: bool = False) -> np.ndarray:
    """`value` as float32, or float64 where it has more digits or is whole numbers.

    With `complex_too`, complex numbers keep their type. The result has the byte order of the host.
    """
    found = _as_numpy(name, value)
    kind = found.dtype.kind
    if complex_too and kind == "c":
        return found.astype(np.complex64 if found.dtype.itemsize <= 8 else np.complex128)
    if kind in "iub":
        return found.astype(np.float64)
    if not jnp.issubdtype(found.dtype, jnp.floating):
        raise ValueError(f"{name}: expected real numbers, got {found.dtype}")
    wanted = np.float32 if found.dtype.itemsize <= 4 else np.float64
    with np.errstate(over="ignore"):  # infinite, which the check of finite numbers reports
        return found.astype(wanted, copy=False)


def array(
    name: str,
    value: Any,
    axes: str,
    *,
    least: int = 0,
    each: str | None = "network",
    gaps: Gaps = "none",
    complex_too: bool = False,
) -> np.ndarray:
    """`value` as a floating-point array over `axes`.

    Args:
        name: name of the argument in errors.
        value: anything that NumPy reads as an array of real numbers.
        axes: letters such as "S N N", or alternatives "N M | S N M". Axes with the same letter have
            the same length; none is empty unless entries may be missing.
        least: fewest members along the first axis.
        each: what the first axis counts, or None where it has no members of their own.
        gaps: entries that may be NaN or infinite.
        complex_too: whether complex numbers are valid.

    Raises:
        ValueError: values that are not real numbers, a masked array, another shape, NaN or
            infinity, or magnitudes beyond `SMALLEST` and `LARGEST`.
    """
    found = floating(name, value, complex_too=complex_too)
    options = [option.split() for option in axes.split("|")]
    _check_shape(name, found.shape, options, empty=gaps == "missing")
    if len(found) < least:
        raise ValueError(f"{name}: expected at least {least} {each or 'row'}s, got {len(found)}")
    if gaps != "diverged" and found.size:
        _check_sizes(name, found, each, missing=gaps == "missing")
    return found


def _check_shape(
    name: str, shape: tuple[int, ...], options: list[list[str]], *, empty: bool
) -> None:
    fits = [letters for letters in options if len(letters) == len(shape)]
    if not fits or (0 in shape and not empty):
        listed = " or ".join(f"[{', '.join(letters)}]" for letters in options)
        raise ValueError(f"{name}: expected shape {listed}, got {shape}")
    lengths: dict[str, int] = {}
    for letter, length in zip(fits[0], shape, strict=True):
        if lengths.setdefault(letter, length) != length:
            raise ValueError(
                f"{name}: expected shape [{', '.join(fits[0])}], square in {letter}, got {shape}"
            )


def leaf(name: str, value: Any) -> Array:
    """`value` as an array of JAX, of any shape; where it is traced only its type is checked.

    Raises:
        ValueError: as `array`, with the bounds of the precision that JAX uses.
    """
    if isinstance(value, Tracer):
        if not jnp.issubdtype(value.dtype, jnp.floating):
            raise ValueError(f"{name}: expected real numbers, got {value.dtype}")
        return value
    found = floating(name, value)
    if 0 in found.shape:
        raise ValueError(f"{name}: expected at least one number, got shape {found.shape}")
    single = found.dtype == np.float32 or not jax.config.read("jax_enable_x64")
    bounds = (_SMALLEST_SINGLE, _LARGEST_SINGLE) if single else (SMALLEST, LARGEST)
    _check_sizes(name, found, None, bounds=bounds)
    return jnp.asarray(found)


def _check_sizes(
    name: str,
    found: np.ndarray,
    each: str | None,
    *,
    missing: bool = False,
    bounds: tuple[float, float] = (SMALLEST, LARGEST),
) -> None:
    """Raises for NaN or infinity, and for members whose largest magnitude is out of bounds."""
    inner = tuple(range(1, found.ndim)) if each else None
    if missing or found.dtype.kind == "c":
        sizes = np.abs(found)
        sizes = np.where(np.isfinite(sizes), sizes, 0.0 if missing else np.inf).max(inner)
    else:  # without a copy of a large array; NaN passes through minimum and maximum
        sizes = np.maximum(np.abs(found.min(inner)), np.abs(found.max(inner)))
    sizes = np.atleast_1d(sizes).astype(np.float64)
    unknown = np.flatnonzero(~np.isfinite(sizes))
    if len(unknown):
        where = f" in {each} {unknown[0]}" if each else ""
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity{where}")
    if found.ndim == 1:  # the numbers themselves: the largest of them counts
        sizes = sizes.max(keepdims=True)
    odd = np.flatnonzero((sizes > 0) & ~((sizes >= bounds[0]) & (sizes <= bounds[1])))
    if len(odd):
        where = f" in {each} {odd[0]}" if each and found.ndim > 1 else ""
        raise ValueError(
            f"{name}: expected magnitudes from {bounds[0]:g} to {bounds[1]:g}, which the "
            f"arithmetic can hold, got at most {sizes[odd[0]]:g}{where}"
        )


def random_key(name: str, value: Any) -> Key:
    """`value` as one typed key: itself, as `jax.random.key` returns, or the key of a seed.

    Raises `ValueError` for anything else, such as a key of `jax.random.PRNGKey`.
    """
    if isinstance(value, Integral) and not isinstance(value, bool):
        return jax.random.key(seed(name, value))
    dtype = getattr(value, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, jax.dtypes.prng_key) or value.shape:
        raise ValueError(
            f"{name}: expected a key, such as jax.random.key(0), or an integer seed, got "
            f"{shown(value)}"
        )
    return value


def symmetric(name: str, value: np.ndarray) -> np.ndarray:
    """Returns `value`, [S, S], if it is symmetric up to rounding; NaN matches NaN.

    Rounding is that of single precision: of each number, and of the largest, near which small ones
    may be differences.
    """
    sizes = np.abs(value[np.isfinite(value)])
    least = 1e-7 * float(sizes.max(initial=0.0))
    if not np.allclose(value, value.T, rtol=1e-5, atol=least, equal_nan=True):
        raise ValueError(f"{name}: expected a symmetric matrix, got one that is not")
    return value


def members(name: str, value: Any) -> list[Any]:
    """The entries of a sequence, an array or another iterable; not of a mapping or a string."""
    if isinstance(value, np.ma.MaskedArray):
        raise ValueError(f"{name}: expected an array without a mask, got a masked array")
    scalar = isinstance(value, Mapping | str | bytes) or getattr(value, "shape", None) == ()
    if scalar or not isinstance(value, Iterable):
        raise ValueError(f"{name}: expected a sequence, got a {type(value).__name__}")
    return list(value)
