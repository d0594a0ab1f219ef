"""Coverage of the intervals of `rnnjax.analysis.match_variability`, on planted data.

Prints the table of docs/variability.md.
"""

from typing import NamedTuple

import numpy as np
from script import Parser, run_main

from rnnjax.analysis import MatchOptions, match_variability

ANIMALS, NETWORKS, UNITS = 7, 8, 40
TRIALS, STEPS, LATENTS = 12, 5, 3
RECORDED = 12, 30
"""Fewest units of an animal, on which all are compared, and one more than the most."""
OPTIONS = MatchOptions("procrustes", resamples=1, units=RECORDED[0], copies=1)
MANY, OFTEN = 60, 20
"""Members of either group, and draws of them, whose mean ratio is taken for a true one that is not
1."""


class Case(NamedTuple):
    """Spreads of what is an animal's and a network's own, relative to what all have in common."""

    name: str
    animals: float
    networks: float
    noise: float = 0.0
    """Share of the variance that is noise, of both."""


CASES = (
    Case("one distribution", 0.4, 0.4),
    Case("one distribution, noise of 0.3", 0.4, 0.4, 0.3),
    Case("networks that differ more", 0.2, 0.8),
)


def activity(rng: np.random.Generator, spread: float, units: int, noise: float) -> np.ndarray:
    """Activity [B, T, N] of latent variables, in part its own, which random units express."""
    common = np.random.default_rng(0).normal(size=(TRIALS, STEPS, LATENTS))
    latent = common + spread * rng.normal(size=common.shape)
    clean = latent @ rng.normal(size=(LATENTS, units))
    scatter = np.sqrt(clean.reshape(-1, units).var(0) * noise / (1 - noise))
    return clean + scatter * rng.normal(size=clean.shape)


def ratio(seed: int, case: Case, animals: int, networks: int) -> tuple[float, float, float]:
    """The ratio of the mean distances among networks and among animals, with its interval."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(*RECORDED, animals)
    recorded = [activity(rng, case.animals, int(n), case.noise) for n in sizes]
    # The analysis gives networks the noise of the recordings.
    ensemble = [activity(rng, case.networks, UNITS, 0.0) for _ in range(networks)]
    names = {f"animal {place}": one for place, one in enumerate(recorded)}
    found = match_variability({"networks": ensemble}, names, OPTIONS, key=seed, noise=case.noise)
    return tuple(found[name].item() for name in ("ratio", "ratio_low", "ratio_high"))


def main() -> None:
    """Prints the table."""
    parser = Parser(description=__doc__)
    parser.add_argument("--draws", type=int, default=400, help="planted data sets per case")
    given = parser.parse_args()
    if given.draws < 1:
        parser.error(f"draws: expected a positive integer, got {given.draws}")
    print("| animals and networks | true ratio | 95% intervals that hold it | median width |")
    print("| --- | --- | --- | --- |")
    for case in CASES:
        alike = case.animals == case.networks
        true = 1.0
        if not alike:
            wide = [ratio(given.draws + k, case, MANY, MANY)[0] for k in range(OFTEN)]
            true = float(np.mean(wide))
        found = np.array([ratio(seed, case, ANIMALS, NETWORKS) for seed in range(given.draws)])
        held = np.mean((found[:, 1] <= true) & (true <= found[:, 2]))
        width = np.median(found[:, 2] / found[:, 1])
        print(f"| {case.name} | {true:.2f} | {held:.1%} | factor {width:.2f} |", flush=True)


if __name__ == "__main__":
    run_main(main)
