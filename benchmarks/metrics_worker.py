"""One process that makes the networks, or computes our distances between them, on request.

`metrics.py` starts one for the training, one for the contests, and a fresh one wherever it wants
to know the largest memory that a whole population takes.
"""

import contextlib
import functools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import machine
import numpy as np
from latent_worker import peak_bytes
from metrics_work import QUICK, Work, all_pairs, make_networks
from worker import Answer, run_for, serve

from rnnjax.metrics import SolverOptions, dsa, weights
from rnnjax.metrics.svcca import svcca_distances
from rnnjax.sweep import default_layout

Distances = Callable[[int], np.ndarray]
"""Seed -> [M], on the host."""


class Metrics:
    """Handlers of the requests; every contest's arrays lie in the file `path`."""

    def __init__(self, path: Path, work: Work):
        self._path, self._work = path, work
        self._metric = {contest.name: contest.metric for contest in work.contests}

    @functools.cache  # noqa: B019 - one object, as long as its process
    def _array(self, contest: str) -> np.ndarray:
        with np.load(self._path) as file:
            return file[contest]

    def make(self, networks: int) -> Answer:
        """Trains the networks and writes the file."""
        return make_networks(self._work, networks, self._path)

    def _of_pairs(self, contest: str, pairs: np.ndarray) -> Distances:
        """The distances of these pairs and no others."""
        left, right = (self._array(contest)[member] for member in pairs.T)
        if self._metric[contest] == "dsa":
            return lambda seed: (
                dsa.operator_distances(left, right, key=jax.random.key(seed)).angular
            )
        solver = SolverOptions(starts=self._work.starts)
        return lambda seed: (
            weights.pif_pairs(left, right, key=jax.random.key(seed), solver=solver).distance
        )

    def _of_all(self, contest: str, networks: int) -> Distances:
        """The distances of all pairs of the first networks, as a user would ask for them."""
        return lambda seed: self._compared(contest, networks, seed)[0]

    def _compared(
        self, contest: str, networks: int, seed: int
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Distances of all pairs of the first networks, and where there are any, lower bounds."""
        array, pairs = self._array(contest)[:networks], tuple(all_pairs(networks).T)
        key = jax.random.key(seed)
        if self._metric[contest] == "dsa":
            operators = dsa.compare_operators(array, key=key)
            return operators.angular[pairs], operators.lower_bound[pairs]
        if self._metric[contest] == "pif":
            solver = SolverOptions(starts=self._work.starts)
            matched = weights.compare_weights(array, key=key, solver=solver)
            return matched.distance[pairs], matched.lower_bound[pairs]
        return svcca_distances(array)[pairs], None

    def first(self, contest: str, networks: int) -> Answer:
        """All pairs of the first `networks`, from a cold start: compilation is included."""
        begin = time.perf_counter()
        values, bounds = self._compared(contest, networks, 0)
        seconds = time.perf_counter() - begin
        return {
            "seconds": seconds,
            "pairs": len(values),
            "mean_distance": float(values.mean()),
            "mean_lower_bound": None if bounds is None else float(bounds.mean()),
            "solver": self._solver(contest),
        }

    def _solver(self, contest: str) -> dict[str, int]:
        """How hard ours tries."""
        if self._metric[contest] == "dsa":
            starts = dsa.default_starts(self._array(contest).shape[-1])
            return {"starts": starts, "steps": dsa.STEPS}
        if self._metric[contest] == "pif":
            return {"starts": self._work.starts, "steps": weights.STEPS}
        return {}

    def window(
        self, contest: str, pairs: list[list[int]] | None, seconds: float, seed: int
    ) -> Answer:
        """The same pairs, or all, again and again, whole times, for so long."""
        if pairs is None:
            distances = self._of_all(contest, self._work.contestants)
        else:
            distances = self._of_pairs(contest, np.array(pairs))
        last = np.zeros(0)

        def step() -> float:
            nonlocal last
            last = distances(seed)
            return float(last.mean())

        found = run_for(step, seconds, least=1)
        return {
            "times": found["steps"],
            "seconds": found["seconds"],
            "cores": found["busy"] / found["seconds"],
            "distances": last.tolist(),
        }

    def facts(self) -> Answer:
        """Peak memory so far."""
        return {"peak_bytes": peak_bytes(default_layout())}

    def handlers(self) -> dict[str, Callable[..., Answer]]:
        """By the name of the request."""
        return {"make": self.make, "first": self.first, "window": self.window, "facts": self.facts}


def main() -> None:
    """Answers requests until the parent closes the pipe."""
    settings = json.loads(sys.argv[1])
    jax.config.update("jax_num_cpu_devices", machine.cores())
    metrics = Metrics(Path(settings["path"]), QUICK if settings["quick"] else Work())
    serve({"jax": jax.__version__}, metrics.handlers())


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):  # the parent says what there is to say
        main()
