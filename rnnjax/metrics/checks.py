"""Checks of the arguments of metrics: each raises a `ValueError` that names the network."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from einops import rearrange

from rnnjax import arrays
from rnnjax.metrics.trials import with_gaps

__all__ = ["labelled", "matched_operators", "population", "require_samples", "shared_samples"]


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


def labelled(name: str, population: Any, names: tuple[str, ...] | None = None) -> dict[str, object]:
    """The networks of `population` by the labels that errors use, with their names if any."""
    members = arrays.members(name, population)
    each = zip(names or range(len(members)), members, strict=True)
    return {f"{name}, network {n}": member for n, member in each}


def shared_samples(
    activities: Mapping[str, object], *, gaps: bool = False
) -> dict[str, np.ndarray]:
    """Activities [samples, N_s] by label, of networks recorded on the same samples.

    Sizes N_s may differ. Every step of every trial of trajectories [B, T, N_s] is a sample. With
    `gaps`, samples may be missing, that is NaN in every unit; otherwise all are finite.
    """
    given = {label: _samples(label, x, gaps) for label, x in activities.items()}
    if len(given) < 2:
        raise ValueError(f"activities: expected at least 2 networks, got {len(given)}")
    first, reference = next(iter(given.items()))
    for label, x in given.items():
        if x.shape[:-1] != reference.shape[:-1]:
            raise ValueError(
                f"{label}: expected the samples of {first}, {reference.shape[:-1]}, "
                f"got {x.shape[:-1]}; samples are compared one by one, so both need the same "
                "trials and steps, with NaN where one is missing"
            )
    require_samples("activities", int(np.prod(reference.shape[:-1])))
    return {label: rearrange(x, "... n -> (...) n") for label, x in given.items()}


def require_samples(name: str, samples: int) -> None:
    """Raises for fewer than 3 samples."""
    if samples < 3:
        raise ValueError(
            f"{name}: expected at least 3 samples, since fewer are always alike, got {samples}"
        )


def _samples(label: str, activity: object, gaps: bool) -> np.ndarray:
    if gaps:
        return with_gaps(label, activity, "samples N | B T N")
    return arrays.array(label, activity, "samples N | B T N", each=None)
