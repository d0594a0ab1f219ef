"""Checks of the arguments of metrics: each raises a `ValueError` that names the network."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from einops import rearrange

from rnnjax import arrays

__all__ = ["labelled", "matched_operators", "population", "shared_samples"]


def population(name: str, value: object, axes: str, *, least: int = 2) -> np.ndarray:
    """`value` as a finite array over `axes`, such as "S B T N", of at least `least` networks."""
    return arrays.array(name, value, axes, least=least)


def matched_operators(first: str, a: object, second: str, b: object) -> tuple[np.ndarray, ...]:
    """Two finite stacks of square matrices of the same shape, [M, R, R]."""
    left, right = (arrays.array(name, x, "M R R") for name, x in ((first, a), (second, b)))
    if left.shape != right.shape:
        raise ValueError(
            f"{second}: expected the shape of {first}, {left.shape}, got {right.shape}"
        )
    return left, right


def labelled(name: str, population: Any) -> dict[str, object]:
    """The networks of `population` by the labels that errors use."""
    each = enumerate(arrays.members(name, population))
    return {f"{name}, network {s}": member for s, member in each}


def shared_samples(activities: Mapping[str, object]) -> dict[str, np.ndarray]:
    """Finite activities [samples, N_s] by label, of networks recorded on the same samples.

    Sizes N_s may differ. Every step of every trial of trajectories [B, T, N_s] is a sample.
    """
    given = {label: _samples(label, x) for label, x in activities.items()}
    if len(given) < 2:
        raise ValueError(f"activities: expected at least 2 networks, got {len(given)}")
    first, reference = next(iter(given.items()))
    for label, x in given.items():
        if x.shape[:-1] != reference.shape[:-1]:
            raise ValueError(
                f"{label}: expected the samples of {first}, {reference.shape[:-1]}, "
                f"got {x.shape[:-1]}"
            )
    samples = int(np.prod(reference.shape[:-1]))
    if samples < 3:
        raise ValueError(
            f"activities: expected at least 3 samples, since fewer are always alike, got {samples}"
        )
    return {label: rearrange(x, "... n -> (...) n") for label, x in given.items()}


def _samples(label: str, activity: object) -> np.ndarray:
    return arrays.array(label, activity, "samples N | B T N", each=None)
