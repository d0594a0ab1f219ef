"""Coverage, false positives and power of intervals and trends over networks, on planted data.

Prints the tables of docs/statistics.md.
"""

from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
from scipy import special, stats
from script import Parser, run_main

from rnnjax.analysis import (
    estimate,
    factor_trend,
    interval,
    pool_trends,
    share_intervals,
    trend_difference,
)
from rnnjax.analysis.trends import Statistic

KINDS: tuple[Statistic, ...] = ("pairs", "mean", "spread")
NETWORKS = (8, 16, 50)
CORRELATIONS = (0.0, 0.5, 0.9)
STEPS = {8: 1.5, 16: 1.3, 50: 1.15}
"""Growth per level of the planted trends, by number of networks."""

SHAPES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "normal": lambda z: z,
    "uniform": stats.norm.cdf,
    "exponential": lambda z: -np.log(stats.norm.sf(z)),
    "t, 3 degrees": lambda z: special.stdtrit(3, stats.norm.cdf(z)),
    "log-normal": np.exp,
}
"""Values from normal ones."""

LAYOUTS = {
    "task complexity": ((0, 1, 2), (3, 4), (3, 5, 6), (3, 7), (8, 9), (10, 11)),
    "regularization": tuple(
        (base, base + first, base + first + 1) for base in range(0, 20, 5) for first in (1, 3)
    ),
}
"""Conditions of each series: several series begin with the same."""

SIZES = (1.0, 3.0, 9.0, 1.0, 0.5, 2.0, 4.0, 0.7, 1.0, 2.0, 1.0, 0.3)
"""Of the conditions of the layout of task complexity, where trends are steep."""

POSITIVE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "normal": lambda x: 1 + 0.3 * x,
    "exponential": lambda x: x,
    "log-normal": lambda x: x / np.exp(0.5),
}
"""Values of mean 1."""

GROUPS = {
    "one kind": (0.0, 0.0, 1.0),
    "80% and 20%, 30 sd apart": (0.2, 3.0, 0.1),
    "50% and 50%, 3 sd apart": (0.5, 3.0, 1.0),
    "50% and 50%, 30 sd apart": (0.5, 3.0, 0.1),
    "50% and 50%, alike within": (0.5, 3.0, 0.0),
}
"""Share of the second kind of networks, distance between the kinds, and scatter within them."""

SHARES = ((0.5, 0.5), (0.8, 0.2), (0.6, 0.3, 0.1))
"""Shares of kinds."""

Rows = list[tuple[str, ...]]


def conditions(
    rng: np.random.Generator, kind: Statistic, shape: str, networks: int, rho: float,
    scales: Iterable[float],
) -> list[np.ndarray]:  # fmt: skip
    """Values, or distances between points in three dimensions, whose seeds agree by `rho`."""
    factors = np.array(list(scales))[:, None, None]
    axes = 3 if kind == "pairs" else 1
    shared = rng.normal(size=(networks, axes))
    own = rng.normal(size=(len(factors), networks, axes))
    points = SHAPES[shape](np.sqrt(rho) * shared + np.sqrt(1 - rho) * own)
    if kind == "pairs":
        points = points * factors
        return [np.linalg.norm(x[:, None] - x[None], axis=-1) for x in points]
    # A mean moves by as many standard deviations as a spread would grow.
    points = points * factors if kind == "spread" else points + 10 + factors
    return list(points[..., 0])


def coverage(draws: int) -> Rows:
    """How often 95% intervals of a spread hold it."""
    rows = []
    for shape, change in SHAPES.items():
        rng = np.random.default_rng(0)
        wide = change(rng.normal(size=(2, 4_000_000)))
        robust = np.exp(np.log(np.abs(wide[0] - wide[1])).mean() + np.euler_gamma / 2)
        exact = {"t, 3 degrees": 3**0.5, "log-normal": (np.e * (np.e - 1)) ** 0.5}
        plain = exact.get(shape, wide.std())
        cells = []
        for networks in NETWORKS:
            held = np.zeros(2)
            for values in change(rng.normal(size=(draws, networks))):
                _, low, high = interval("spread", values)
                value, error, _ = estimate("spread", values)
                half = error * special.stdtrit(networks - 1, 0.975)
                held += low <= robust <= high, abs(value - plain) <= half
            cells += [f"{share:.1%}" for share in held / draws]
        rows.append((shape, *cells))
    return rows


def grouped(
    rng: np.random.Generator, count: int, share: float, apart: float, scatter: float
) -> np.ndarray:
    """Points [count, 3] of two kinds."""
    points = scatter * rng.normal(size=(count, 3))
    points[:, 0] += apart * (rng.random(count) < share)
    return points


def pairs(draws: int) -> Rows:
    """Coverage of 95% intervals of a mean over pairs, how many have no width, and false arrows.

    The arrows are those of trends over two levels that do not differ, not paired.
    """
    rows = []
    for name, planted in GROUPS.items():
        rng = np.random.default_rng(5)
        first, second = (grouped(rng, 2_000_000, *planted) for _ in range(2))
        true, cells = np.linalg.norm(first - second, axis=-1).mean(), []
        for networks in NETWORKS:
            found = np.zeros(3)
            for _ in range(draws):
                both = [grouped(rng, networks, *planted) for _ in range(2)]
                both = [np.linalg.norm(x[:, None] - x[None], axis=-1) for x in both]
                _, low, high = interval("pairs", both[0])
                arrow = factor_trend("pairs", both).verdict != "no arrow"
                found += low <= true <= high, high - low <= 1e-9 * true, arrow
            cells += [f"{share:.1%}" for share in found / draws]
        rows.append((name, *cells))
    return rows


def trends(draws: int) -> Rows:
    """False positives of paired trends over three levels; power of paired and unpaired ones."""
    rows = []
    for kind in KINDS:
        for shape in ("normal", "exponential", "log-normal"):
            for networks in NETWORKS:
                cells = []
                for rho in CORRELATIONS:
                    made = partial(conditions, np.random.default_rng(1), kind, shape, networks, rho)
                    found = np.zeros(3)
                    seeds, step = [range(networks)] * 3, STEPS[networks]
                    for _ in range(draws):
                        alike, moved = made((1, 1, 1)), made((1, step, step**2))
                        tried = (
                            factor_trend(kind, alike, seeds=seeds),
                            factor_trend(kind, moved, seeds=seeds),
                            factor_trend(kind, moved),
                        )
                        found += [trend.verdict != "no arrow" for trend in tried]
                    false, paired, alone = found / draws
                    cells += [f"{false:.1%}", f"{paired:.0%}", f"{alone:.0%}"]
                rows.append((kind, shape, str(networks), *cells))
    return rows


def pooled(draws: int) -> Rows:
    """False positives of trends pooled over series with shared conditions."""
    rows = []
    for layout, series in LAYOUTS.items():
        count = 1 + max(map(max, series))
        for kind in KINDS:
            for networks in NETWORKS[:2]:
                cells = []
                for rho in CORRELATIONS:
                    rng, claims = np.random.default_rng(2), 0
                    seeds = [[range(networks)] * len(places) for places in series]
                    for _ in range(draws):
                        made = conditions(rng, kind, "normal", networks, rho, [1.0] * count)
                        levels = [[made[place] for place in places] for places in series]
                        trend = pool_trends(kind, levels, seeds=seeds).trend
                        claims += trend.verdict != "no arrow"
                    cells.append(f"{claims / draws:.1%}")
                rows.append((layout, kind, str(networks), *cells))
    return rows


def relatives(draws: int) -> Rows:
    """How often 95% intervals of steep relative slopes, alone and pooled, hold them.

    Also how many slopes have no interval, as the mean of their levels does not differ from 0.
    """
    sizes, series = np.array(SIZES), LAYOUTS["task complexity"]
    slopes = np.array([_relative_slope(sizes[list(places)]) for places in series])
    rows = []
    for kind in ("pairs", "mean"):
        for shape, positive in POSITIVE.items():
            for networks in NETWORKS:
                cells = []
                for rho in (0.0, 0.9):
                    rng, found = np.random.default_rng(6), np.zeros(3)
                    labels = [[range(networks)] * len(p) for p in series] if rho else None
                    for _ in range(draws):
                        made = conditions(rng, "spread", shape, networks, rho, np.ones(len(sizes)))
                        made = [size * positive(x) for size, x in zip(sizes, made, strict=True)]
                        if kind == "pairs":
                            made = conditions(rng, kind, shape, networks, rho, sizes)
                        levels = [[made[place] for place in places] for places in series]
                        one = factor_trend(kind, levels[0], seeds=labels[0] if labels else None)
                        all_of_them = pool_trends(kind, levels, seeds=labels).trend
                        found += (
                            one.relative_low <= slopes[0] <= one.relative_high,
                            np.isnan(one.relative_low),
                            all_of_them.relative_low <= slopes.mean() <= all_of_them.relative_high,
                        )
                    held, none, pooled_held = found / draws
                    cells += [f"{held / (1 - none):.1%}", f"{none:.1%}", f"{pooled_held:.1%}"]
                rows.append((kind, shape, str(networks), *cells))
    return rows


def _relative_slope(values: np.ndarray) -> float:
    return float(np.polyfit(range(len(values)), values, 1)[0] / values.mean())


def differences(draws: int) -> Rows:
    """False positives of differences between two trends over two levels, paired by seed.

    Either no condition differs, or both trends are equally steep, at values of different size.
    """
    rows = []
    for place, kind in enumerate(KINDS):
        for networks in NETWORKS:
            cells, seeds = [], [[range(networks)] * 2] * 2
            for steep in (False, True):
                scales = np.array((1.0, 3.0, 3.0, 9.0)) if steep else np.ones(4)
                for number, rho in enumerate(CORRELATIONS):
                    rng = np.random.default_rng([4, place, networks, steep, number])
                    claims = 0
                    for _ in range(draws):
                        alike = kind == "mean"  # noise that does not grow with the mean
                        made = conditions(
                            rng, kind, "normal", networks, rho, np.ones(4) if alike else scales
                        )
                        if alike:
                            made = [x + 11 * (s - 1) for x, s in zip(made, scales, strict=True)]
                        trend = trend_difference(kind, [made[:2], made[2:]], seeds=seeds)
                        claims += trend.verdict != "no arrow"
                    cells.append(f"{claims / draws:.1%}")
            rows.append((kind, str(networks), *cells))
    return rows


def shares(draws: int) -> Rows:
    """How often 95% intervals of the shares of the kinds found hold them, at three levels.

    With seeds that repeat at every level, and as if all networks were independent. `rho` is the
    correlation of being of a kind between networks of one seed.
    """
    rows = []
    for planted in SHARES:
        true = np.array(planted)
        for seeds in NETWORKS:
            cells, count = [], 3 * seeds
            repeated = np.tile(np.arange(seeds), 3)
            for rho in (*CORRELATIONS, 1.0):
                rng, held, found = np.random.default_rng(3), np.zeros(2), 0
                for _ in range(draws):
                    own = np.tile(rng.choice(len(true), seeds, p=true), 3)
                    alike = rng.random(count) < np.sqrt(rho)
                    kinds = np.where(alike, own, rng.choice(len(true), count, p=true))
                    seen = np.unique(kinds)
                    found += len(seen)
                    for place, given in enumerate((repeated, np.arange(count))):
                        _, low, high = share_intervals(kinds, given)
                        inside = (low[seen] <= true[seen]) & (true[seen] <= high[seen])
                        held[place] += inside.sum()
                cells += [f"{share:.1%}" for share in held / found]
            rows.append((", ".join(f"{share:.0%}" for share in planted), str(seeds), *cells))
    return rows


def table(head: tuple[str, ...], rows: Rows) -> str:
    """A table in Markdown."""
    lines = (head, ("---",) * len(head), *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Prints the seven tables."""
    parser = Parser(description=__doc__)
    parser.add_argument("--draws", type=int, default=2000, help="planted data sets per cell")
    given = parser.parse_args()
    if given.draws < 1:
        parser.error(f"draws: expected a positive integer, got {given.draws}")
    by_networks = [f"{which}, S = {s}" for s in NETWORKS for which in ("robust", "sd")]
    by_width = [
        f"{which}, S = {s}" for s in NETWORKS for which in ("coverage", "no width", "false")
    ]
    by_rho = [
        f"{which}, {rho:g}"
        for rho in CORRELATIONS
        for which in ("false", "power", "unpaired")
    ]  # fmt: skip
    by_agreement = [
        f"{which}, {rho:g}" for rho in (*CORRELATIONS, 1.0) for which in ("by seed", "independent")
    ]
    plain = [f"correlation {rho:g}" for rho in CORRELATIONS]
    by_slope = [
        f"{which}, {rho:g}" for rho in (0.0, 0.9) for which in ("slope", "no interval", "pooled")
    ]
    by_trend = [f"{trend}, {rho:g}" for trend in ("flat", "steep") for rho in CORRELATIONS]
    parts = [
        table(("values", *by_networks), coverage(given.draws)),
        table(("kinds", *by_width), pairs(given.draws)),
        table(("statistic", "values", "S", *by_rho), trends(given.draws)),
        table(("layout", "statistic", "S", *plain), pooled(given.draws)),
        table(("statistic", "values", "S", *by_slope), relatives(given.draws)),
        table(("statistic", "S", *by_trend), differences(given.draws)),
        table(("shares", "S", *by_agreement), shares(given.draws)),
    ]
    print("\n\n".join(parts))


if __name__ == "__main__":
    run_main(main)
