"""Fixed points of some networks of a study: the search, its table, and its section of the page."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np

import rnnjax
from rnnjax.analysis import Attractors, find_attractors
from rnnjax.plots import fixed_point_maps
from rnnjax.plots.style import plain_number
from rnnjax.report.page import Picture, Section, Table
from rnnjax.report.wording import bullets
from rnnjax.studies.launch import Config

__all__ = ["FixedPointRow", "FixedPointSummary", "fixed_point_section", "search", "summarize"]

FIGURE = "fixed_points"

_CAPTION = (
    "Points of single networks without input: filled, stable fixed points; open, unstable ones; "
    "crosses, slow points. Grey: states visited in the task. Axes: the two leading principal "
    "components of these states, at one scale where the second has hardly any variance."
)

_TABLE = (
    "Distinct points without input, from searches that start in visited states: fixed points, "
    "stable or not by the eigenvalues of their Jacobian, and slow points, where the speed is small "
    "but not zero; number of the task's memories that the stable points hold, by the signs of the "
    "outputs there; largest moduli of the eigenvalues at the first stable points. Near 1, a "
    "direction hardly decays."
)


class FixedPointRow(NamedTuple):
    """Points of one network."""

    population: str
    seed: int
    stable: int
    unstable: int
    slow: int
    held: int | None
    """Memories that the stable points hold; None where the task has no fixed number."""
    expected: int | None
    """Memories that the task has."""
    largest_speed: float
    """q of the fastest point."""
    moduli: tuple[float, ...]
    """Largest moduli of the eigenvalues at the first stable points."""


class FixedPointSummary(NamedTuple):
    """Result of a search, as a page shows it: plain numbers and the figure."""

    rows: Sequence[FixedPointRow]
    picture: Picture


def search(config: Config, chosen: Mapping[str, rnnjax.Population]) -> dict[str, Attractors]:
    """Fixed points of the first networks of populations, by name."""
    settings, found = config.fixed_points, {}
    for name, population in chosen.items():
        first = population.converged[: settings.networks]
        print(f"Fixed points of {len(first)} networks: {name}", flush=True)
        found[name] = find_attractors(
            first, jax.random.key(config.seed), starts=settings.starts, steps=settings.steps
        )
    return found


def summarize(
    attractors: Mapping[str, Attractors], memories: Mapping[str, int]
) -> FixedPointSummary:
    """Numbers and figure of a search; `memories` is their number by population."""
    rows = [
        _row(name, seed, population, place, memories.get(name))
        for name, population in attractors.items()
        for place, seed in enumerate(population.seeds.tolist())
    ]
    return FixedPointSummary(rows, picture(fixed_point_maps(attractors)))


def picture(image) -> Picture:
    """The figure of a search, or its file, with the caption."""
    return Picture(image, FIGURE, _CAPTION)


def _row(
    name: str, seed: int, population: Attractors, place: int, expected: int | None
) -> FixedPointRow:
    found = population.found[place]
    return FixedPointRow(
        population=name,
        seed=seed,
        stable=int(found.stable.sum()),
        unstable=int((found.fixed & ~found.stable).sum()),
        slow=int((~found.fixed).sum()),
        held=None if expected is None else population.memories(place),
        expected=expected,
        largest_speed=float(found.speeds.max(initial=0.0)),
        moduli=tuple(np.abs(found.eigenvalues[found.stable][:3, 0]).tolist()),
    )


def fixed_point_section(summary: FixedPointSummary) -> Section:
    """The section on fixed points, with the networks that hold fewer memories than their task."""
    short = [row for row in summary.rows if row.expected is not None and row.held < row.expected]  # pyright: ignore[reportOptionalOperand]
    text = ""
    if short:
        text = (
            "Networks whose stable points hold fewer memories than the task has must keep the "
            "others in another way:\n\n" + bullets([_shortfall(row) for row in short])
        )
    elif all(row.expected is not None for row in summary.rows):
        text = "Every network shown holds each memory of its task at a stable point."
    elif any(row.expected is not None for row in summary.rows):
        text = (
            "Every network shown whose task has a fixed number of memories holds each of them at a "
            "stable point."
        )
    columns = ("population", "seed", "stable", "memories", "unstable", "slow", "largest |λ|")
    table = Table(columns, tuple(_cells(row) for row in summary.rows), _TABLE, "lrrrrrr")
    return Section("Fixed points", text, (table,), (summary.picture,))


def _cells(row: FixedPointRow) -> tuple[str, ...]:
    return (
        row.population,
        str(row.seed),
        str(row.stable),
        "-" if row.expected is None else f"{row.held} of {row.expected}",
        str(row.unstable),
        str(row.slow),
        ", ".join(f"{modulus:.3f}" for modulus in row.moduli) or "none",
    )


def _shortfall(row: FixedPointRow) -> str:
    return (
        f"{row.population}, seed {row.seed}: {row.stable} stable points hold {row.held} of "
        f"{row.expected} memories; {row.unstable} unstable and {row.slow} slow points, the fastest "
        f"at a speed q of {plain_number(row.largest_speed)}"
    )
