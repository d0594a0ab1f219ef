"""Checks of the arguments of metrics: each raises a `ValueError` that names the network."""

from collections.abc import Iterable, Mapping

import jax.numpy as jnp
import numpy as np
from einops import rearrange

__all__ = [
    "finite",
    "floating",
    "labelled",
    "matched_operators",
    "population",
    "shared_samples",
    "square_matrices",
]


def floating(name: str, value: object) -> np.ndarray:
    """`value` as float32, or float64 where it is float64 or whole numbers."""
    array = np.asarray(value)
    if array.dtype.kind in "iub":
        return array.astype(np.float64)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise ValueError(f"{name}: expected real numbers, got {array.dtype}")
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)


def finite(name: str, value: np.ndarray, *, each: str = "network") -> np.ndarray:
    """Returns `value`, [S, ...]; the error names the first member with NaN or infinity."""
    bad = ~np.isfinite(value).all(axis=tuple(range(1, value.ndim)))
    if bad.any():
        which = int(np.flatnonzero(bad)[0])
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity in {each} {which}")
    return value


def population(name: str, value: object, axes: str, *, least: int = 2) -> np.ndarray:
    """`value` as a finite array over `axes`, such as "S B T N", of at least `least` networks."""
    array = floating(name, value)
    shape = f"[{', '.join(axes.split())}]"
    if array.ndim != len(axes.split()) or 0 in array.shape:
        raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")
    if len(array) < least:
        raise ValueError(f"{name}: expected at least {least} networks, got {len(array)}")
    return finite(name, array)


def square_matrices(name: str, value: np.ndarray) -> np.ndarray:
    """Returns `value` if its matrices, [M, R, R], are square."""
    if value.shape[-1] != value.shape[-2]:
        raise ValueError(f"{name}: expected square matrices, got shape {value.shape}")
    return value


def matched_operators(first: str, a: object, second: str, b: object) -> tuple[np.ndarray, ...]:
    """Two finite stacks of square matrices of the same shape, [M, R, R]."""
    left, right = (population(name, x, "M R R", least=1) for name, x in ((first, a), (second, b)))
    square_matrices(first, left)
    if left.shape != right.shape:
        raise ValueError(
            f"{second}: expected the shape of {first}, {left.shape}, got {right.shape}"
        )
    return left, right


def labelled(name: str, population: Iterable[object]) -> dict[str, object]:
    """The networks of `population` by the labels that errors use."""
    return {f"{name}, network {s}": member for s, member in enumerate(population)}


def shared_samples(activities: Mapping[str, object]) -> dict[str, np.ndarray]:
    """Finite activities [samples, N_s] by label, of networks recorded on the same samples.

    Sizes N_s may differ. Every step of every trial of trajectories [B, T, N_s] is a sample.
    """
    arrays = {label: floating(label, x) for label, x in activities.items()}
    if len(arrays) < 2:
        raise ValueError(f"activities: expected at least 2 networks, got {len(arrays)}")
    first, reference = next(iter(arrays.items()))
    for label, x in arrays.items():
        if x.ndim not in (2, 3) or 0 in x.shape:
            raise ValueError(f"{label}: expected shape [samples, N] or [B, T, N], got {x.shape}")
        if x.shape[:-1] != reference.shape[:-1]:
            raise ValueError(
                f"{label}: expected the samples of {first}, {reference.shape[:-1]}, "
                f"got {x.shape[:-1]}"
            )
        if not np.isfinite(x).all():
            raise ValueError(f"{label}: expected finite numbers, got NaN or infinity")
    samples = int(np.prod(reference.shape[:-1]))
    if samples < 3:
        raise ValueError(
            f"activities: expected at least 3 samples, since fewer are always alike, got {samples}"
        )
    return {label: rearrange(x, "... n -> (...) n") for label, x in arrays.items()}
