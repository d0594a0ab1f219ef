"""One process that trains the networks, or computes our distances between them, on request.

`metrics.py` starts one for the training, one for all cases, and a new one for each measurement of
the peak memory of a whole population.
"""

import contextlib
import functools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from latent_worker import peak_bytes
from metrics_work import QUICK, Work, all_pairs, make_networks
from worker import Answer, run_for, serve

from rnnjax.devices import available_cores
from rnnjax.metrics import SolverOptions, dsa, weights
from rnnjax.metrics.svcca import svcca_distances
from rnnjax.sweep import default_layout

Distances = Callable[[int], np.ndarray]
"""Seed -> [M], on the host."""


class Metrics:
    """Handlers of the requests; the file `path` has the arrays of every case."""

    def __init__(self, path: Path, work: Work):
        self._path, self._work = path, work
        self._metric = {case.name: case.metric for case in work.cases}

    @functools.cache  # noqa: B019 - one object per process
    def _array(self, case: str) -> np.ndarray:
        with np.load(self._path) as file:
            return file[case]

    def make(self, networks: int) -> Answer:
        """Trains the networks and writes the file."""
        return make_networks(self._work, networks, self._path)

    def _of_pairs(self, case: str, pairs: np.ndarray) -> Distances:
        """Function that computes the distances of these pairs."""
        left, right = (self._array(case)[member] for member in pairs.T)
        if self._metric[case] == "dsa":
            return lambda seed: (
                dsa.operator_distances(left, right, key=jax.random.key(seed)).angular
            )
        solver = SolverOptions(starts=self._work.starts)
        return lambda seed: (
            weights.pif_pairs(left, right, key=jax.random.key(seed), solver=solver).distance
        )

    def _of_all(self, case: str, networks: int) -> Distances:
        """Function that computes the distances of all pairs of the first networks."""
        return lambda seed: self._compare(case, networks, seed)[0]

    def _compare(self, case: str, networks: int, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Distances of all pairs of the first networks, and their lower bounds if there are any."""
        array, pairs = self._array(case)[:networks], tuple(all_pairs(networks).T)
        key = jax.random.key(seed)
        if self._metric[case] == "dsa":
            operators = dsa.compare_operators(array, key=key)
            return operators.angular[pairs], operators.lower_bound[pairs]
        if self._metric[case] == "pif":
            solver = SolverOptions(starts=self._work.starts)
            matched = weights.compare_weights(array, key=key, solver=solver)
            return matched.distance[pairs], matched.lower_bound[pairs]
        return svcca_distances(array)[pairs], None

    def first(self, case: str, networks: int) -> Answer:
        """All pairs of the first `networks`, at the first call of this case, with compilation."""
        begin = time.perf_counter()
        values, bounds = self._compare(case, networks, 0)
        seconds = time.perf_counter() - begin
        return {
            "seconds": seconds,
            "pairs": len(values),
            "mean_distance": float(values.mean()),
            "mean_lower_bound": None if bounds is None else float(bounds.mean()),
            "solver": self._solver(case),
        }

    def _solver(self, case: str) -> dict[str, int]:
        """Settings of our solver."""
        if self._metric[case] == "dsa":
            starts = dsa.default_starts(self._array(case).shape[-1])
            return {"starts": starts, "steps": dsa.STEPS}
        if self._metric[case] == "pif":
            return {"starts": self._work.starts, "steps": weights.STEPS}
        return {}

    def window(self, case: str, pairs: list[list[int]] | None, seconds: float, seed: int) -> Answer:
        """Computes the pairs, or all pairs, repeatedly for `seconds`."""
        if pairs is None:
            distances = self._of_all(case, self._work.contestants)
        else:
            distances = self._of_pairs(case, np.array(pairs))
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
        """Handlers by the name of the request."""
        return {"make": self.make, "first": self.first, "window": self.window, "facts": self.facts}


def main() -> None:
    """Answers requests until the parent closes the pipe."""
    settings = json.loads(sys.argv[1])
    jax.config.update("jax_num_cpu_devices", available_cores())
    metrics = Metrics(Path(settings["path"]), QUICK if settings["quick"] else Work())
    serve({"jax": jax.__version__}, metrics.handlers())


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):  # the parent prints the message
        main()
