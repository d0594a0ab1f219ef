"""Bias and coverage of the exponents of critical rates on simulated sweeps of known exponent.

The rows of docs/statistics.md: Eq. 6's line, `power_law`, beside `threshold_model`.
"""

import sys
import time
from typing import Any, NamedTuple

import numpy as np
import script
import xarray as xr
from machine import describe, package_versions

from rnnjax.analysis import Resampling, power_law, threshold_model
from rnnjax.devices import all_devices
from rnnjax.validate import positive_integer

PAPER = np.round(np.geomspace(10, 10_000, 13)).astype(int)
LAPTOP = np.array([10, 18, 32, 56, 100, 178])
GRIDS = {
    "whole decades to 0.1": np.arange(-5.0, 0),
    "half decades to 1": np.arange(-5.0, 0.1, 0.5),
    "tenths of a decade": np.round(np.arange(-6.0, 1.05, 0.1), 1),
}


class Case(NamedTuple):
    """A kind of simulated sweep; decades of learning rate."""

    grid: str
    sizes: np.ndarray
    seeds: int
    exponent: float
    smallest: float
    """Mean threshold of the smallest size; each sweep shifts it by up to half a decade."""
    seed_scatter: float = 0.1
    size_scatter: float = 0.0
    window: float = np.inf
    """Distance below the threshold from which on learning is too slow."""


def successes(rng: np.random.Generator, case: Case) -> np.ndarray:
    """Outcomes of one sweep, `[hidden, learning_rate, seed]`: 1 in the trainable window."""
    shape = len(case.sizes), case.seeds
    rates = GRIDS[case.grid][None, :, None]
    line = case.exponent * np.log10(case.sizes / case.sizes[0])[:, None]
    line = line + case.smallest + rng.uniform(-0.5, 0.5)
    medians = line + case.size_scatter * rng.normal(size=(len(case.sizes), 1))
    limit = (medians + case.seed_scatter * rng.normal(size=shape))[:, None]
    slowest = limit - case.window + case.seed_scatter * rng.normal(size=shape)[:, None]
    return ((rates <= limit) & (rates >= slowest)).astype(float)


def sweeps(case: Case, count: int, random_seed: int = 0) -> xr.Dataset:
    """`count` simulated sweeps in the format of the analyses."""
    rng = np.random.default_rng(random_seed)
    success = np.stack([successes(rng, case) for _ in range(count)])
    dims = ("sweep", "hidden", "learning_rate", "seed")
    runs = {"accuracy_decision": success, "final_loss": 1 - success, "blind_loss": success + 2}
    status = np.full(success.shape, 4, np.int8)
    return xr.Dataset(
        {name: (dims, values) for name, values in {**runs, "status": status}.items()},
        {"hidden": case.sizes, "learning_rate": 10 ** GRIDS[case.grid], "criterion": 0.75},
    )


def quality(fit: xr.Dataset, exponent: float) -> dict[str, float]:
    """Share of sweeps with a fit; of these, bias, spread, coverage and width of the interval."""
    low, high = fit["exponent_low"], fit["exponent_high"]
    fitted = fit["exponent"].notnull() & low.notnull() & high.notnull()
    error = (fit["exponent"] - exponent).where(fitted)
    inside = ((low <= exponent) & (exponent <= high)).where(fitted)
    values = {
        "fitted": fitted.mean(),
        "bias": error.mean(),
        "spread": error.std(),
        "coverage": inside.mean(),
        "width": (high - low).where(fitted).median(),
    }
    return {name: round(float(value), 4) for name, value in values.items()}


def cases() -> list[Case]:
    """All rows of the table."""
    whole, half, tenth = GRIDS
    found = []
    for scatter in (0.0, 0.2):
        for exponent, smallest in ((-1.34, 0.0), (-1.0, 0.0), (-0.66, -0.5), (-0.33, -0.7)):
            found.append(Case(whole, PAPER, 10, exponent, smallest, 0.1, scatter))
        found += [
            Case(whole, PAPER, 10, -1.0, 0.0, 0.2, scatter, 2.0),
            Case(half, PAPER, 10, -0.33, -0.5, 0.1, scatter),
            Case(half, PAPER, 10, -0.33, -0.5, 0.05, scatter, 1.0),
            Case(half, LAPTOP, 4, -1.0, -0.5, 0.1, scatter),
            Case(half, LAPTOP, 10, -1.34, -0.5, 0.2, scatter, 2.0),
            Case(tenth, LAPTOP, 8, -1.0, -0.5, 0.1, scatter),
            Case(tenth, PAPER, 10, -0.33, -0.5, 0.05, scatter),
        ]
    return found


def measure(case: Case, count: int, resamples: int) -> dict[str, Any]:
    """One row: the settings, and the quality of both fits."""
    data = sweeps(case, count)
    began = time.perf_counter()
    model = threshold_model(data)
    seconds = (time.perf_counter() - began) / count
    line = power_law(data, resampling=Resampling(resamples=resamples))
    names = ("grid", "seeds", "exponent", "smallest", "seed_scatter", "size_scatter")
    row = {name: getattr(case, name) for name in names}
    row |= {"sizes": len(case.sizes), "window": case.window if case.window < np.inf else None}
    row |= {"seconds_per_fit": round(seconds, 4)}
    both = {"threshold_model": model, "power_law": line}
    row |= {name: quality(fit, case.exponent) for name, fit in both.items()}
    return row


def _text(row: dict[str, Any]) -> str:
    """A row of the table, in Markdown."""
    cells = [row["grid"], str(row["sizes"]), str(row["seeds"]), f"{row['exponent']:g}"]
    cells += [f"{row['seed_scatter']:g}", f"{row['size_scatter']:g}"]
    cells.append("" if row["window"] is None else f"{row['window']:g}")
    for name in ("power_law", "threshold_model"):
        of = row[name]
        cells += [f"{of['bias']:+.2f}", f"{of['coverage']:.1%}", f"{of['fitted']:.0%}"]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measures every case, prints the table and writes results/critical_rates-cpu.json."""
    parser = script.Parser(description=__doc__)
    parser.add_argument("--sweeps", type=int, default=300, help="simulated sweeps per row")
    parser.add_argument("--resamples", type=int, default=300, help="of the intervals of power_law")
    parser.add_argument("--out", type=script.Path, default=script.RESULTS)
    given = parser.parse_args()
    with script.refused_in_one_line(parser):
        positive_integer("sweeps", given.sweeps)
        positive_integer("resamples", given.resamples)
        script.writable_folder(given.out)
    rows = []
    for case in cases():
        rows.append(measure(case, given.sweeps, given.resamples))
        print(_text(rows[-1]), flush=True)
    record = {
        "benchmark": "critical_rates",
        "command": " ".join(["python", "benchmarks/critical_rates.py", *sys.argv[1:]]),
        "machine": describe(all_devices()),
        "versions": package_versions(None),
        "sweeps": given.sweeps,
        "rows": rows,
    }
    print(f"Record: {script.save_record(record, given.out)}")


if __name__ == "__main__":
    script.run_main(main)
