"""One single-threaded process that computes distances by other packages, on request.

`metrics.py` starts one per core, each with an equal share of the pairs. The process restarts itself
under the Python that has the packages, in an environment that keeps their linear algebra on one
thread. It is the only file of the project that imports dsa-metric, qc-procrustes and, for a
metric, PyTorch. To be fair to the peers, all arrays are in memory and all code is imported and warm
before timing starts, and denormal numbers are flushed to zero in PyTorch, as in XLA. Of
dsa-metric, whose `__init__` requires further packages, only the solver is imported.
"""

import contextlib
import importlib.metadata
import importlib.util
import io
import json
import os
import sys
import types
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from metrics_work import PEERS
from worker import Answer, run_for, serve

NEEDS = {
    "dsa_metric": ("torch", "ot", "DSA"),
    "scipy_faq": ("scipy",),
    "procrustes_umeyama": ("procrustes",),
    "procrustes_nmf": ("procrustes",),
    "numpy_svcca": (),
}
"""Modules that each peer imports."""

SVCCA_VARIANCE = 0.99
SVCCA_EPSILON = 1e-10

Distance = Callable[[np.ndarray, np.ndarray, int], float]


def _similarity_module() -> types.ModuleType:
    """Imports DSA/simdist.py alone, without the dependencies of the package's `__init__`."""
    package = importlib.util.find_spec("DSA")
    assert package is not None
    folder = next(iter(package.submodule_search_locations or ()))
    spec = importlib.util.spec_from_file_location("dsa_simdist", Path(folder) / "simdist.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def dsa_metric(work: Answer) -> Distance:
    """The solver, iterations and rate that dsa-metric's own `DSA` class uses; angular."""
    import torch  # pyright: ignore[reportMissingImports]

    torch.set_flush_denormal(True)
    torch.set_num_threads(1)
    similarity = _similarity_module().SimilarityTransformDist

    def distance(a: np.ndarray, b: np.ndarray, seed: int) -> float:
        torch.manual_seed(seed)
        solver = similarity(
            iters=work["dsa_metric_iterations"],
            lr=work["dsa_metric_learning_rate"],
            score_method="angular",
            verbose=False,
        )
        return float(solver.fit_score(torch.tensor(a).float(), torch.tensor(b).float()))

    return distance


def scipy_faq(work: Answer) -> Distance:
    """scipy's FAQ, the best from the barycenter and random starts."""
    from scipy.optimize import quadratic_assignment

    def distance(a: np.ndarray, b: np.ndarray, seed: int) -> float:
        random = np.random.default_rng(seed)
        best = -np.inf
        for start in ("barycenter", *["randomized"] * (work["starts"] - 1)):
            options = {"maximize": True, "P0": start, "rng": random}
            best = max(best, quadratic_assignment(a, b, method="faq", options=options).fun)
        return float(np.sqrt(max(np.sum(a**2) + np.sum(b**2) - 2 * best, 0.0)))

    return distance


def _procrustes(method: str, uniform: bool) -> Distance:
    from procrustes import permutation_2sided  # pyright: ignore[reportMissingImports]

    def distance(a: np.ndarray, b: np.ndarray, seed: int) -> float:
        del seed  # deterministic
        guess = {"guess_p2": np.full(a.shape, 1 / len(a))} if uniform else {}
        found = permutation_2sided(b, a, single=True, method=method, **guess)
        return float(np.sqrt(found.error))

    return distance


def procrustes_umeyama(work: Answer) -> Distance:
    """An eigendecomposition of each network, then an assignment."""
    del work
    return _procrustes("approx-umeyama", uniform=False)


def procrustes_nmf(work: Answer) -> Distance:
    """Multiplicative updates; from the default guess, the identity, they do not move."""
    del work
    return _procrustes("nmf", uniform=True)


def _directions(samples: np.ndarray) -> np.ndarray:
    """[k, samples]: the leading directions of one network over samples, with their scale."""
    centred = (samples - samples.mean(0)).T
    _, scale, right = np.linalg.svd(centred, full_matrices=False)
    share = np.cumsum(scale**2) / np.sum(scale**2)
    kept = int(np.argmax(share >= SVCCA_VARIANCE)) + 1
    return scale[:kept, None] * right[:kept]


def _inverse_root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix + SVCCA_EPSILON * np.eye(len(matrix)))
    return vectors / np.sqrt(values) @ vectors.T


def numpy_svcca(work: Answer) -> Distance:
    """SVCCA as users of google/svcca write it: pair by pair, two SVDs, then CCA by covariances."""
    del work

    def distance(a: np.ndarray, b: np.ndarray, seed: int) -> float:
        del seed
        first, second = _directions(a), _directions(b)
        both, split = np.cov(first, second), len(first)
        whitened = (
            _inverse_root(both[:split, :split])
            @ both[:split, split:]
            @ _inverse_root(both[split:, split:])
        )
        return float(1 - np.linalg.svd(whitened, compute_uv=False).mean())

    return distance


MAKERS: dict[str, Callable[[Answer], Distance]] = {
    "dsa_metric": dsa_metric,
    "scipy_faq": scipy_faq,
    "procrustes_umeyama": procrustes_umeyama,
    "procrustes_nmf": procrustes_nmf,
    "numpy_svcca": numpy_svcca,
}


class Peers:
    """Handlers of the requests; the file `path` has the arrays of every case."""

    def __init__(self, path: str, work: Answer):
        self._file, self._work = np.load(path), work
        self._arrays: dict[str, np.ndarray] = {}
        self._distances: dict[str, Distance] = {}

    def prepare(self, peer: str, case: str) -> Answer:
        """Imports the peer and computes one distance of the case with few iterations."""
        short = self._work | {"dsa_metric_iterations": 20, "starts": 1}
        # Double precision, as is usual, unless the peer converts arrays itself.
        self._arrays[case] = self._file[case].astype(float)
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            MAKERS[peer](short)(self._arrays[case][0], self._arrays[case][1], 0)
        self._distances[peer] = MAKERS[peer](self._work)
        return {}

    def window(
        self, peer: str, case: str, pairs: list[list[int]], seconds: float, seed: int
    ) -> Answer:
        """Computes the pairs in turn, repeatedly for `seconds` and at least once."""
        array, distance = self._arrays[case], self._distances[peer]
        last: list[float] = []

        def step() -> float:
            last[:] = [distance(array[i], array[j], seed) for i, j in pairs]
            return float(np.mean(last))

        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            found = run_for(step, seconds, least=1)
        return {
            "times": found["steps"],
            "seconds": found["seconds"],
            "busy": found["busy"],
            "distances": last,
        }


def version(package: str) -> str | None:
    """Version of a package, if it is installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def about() -> Answer:
    """Versions of the packages, and the missing modules of each peer."""
    lacks = {
        peer: [name for name in names if importlib.util.find_spec(name) is None]
        for peer, names in NEEDS.items()
    }
    names = {*PEERS.values(), "torch"}
    return {
        "versions": {name: found for name in names if (found := version(name))},
        "python": sys.version.split()[0],
        "lacks": {peer: missing for peer, missing in lacks.items() if missing},
    }


def restart(settings: Answer) -> None:
    """Restarts this program under the peers' Python, with single-threaded linear algebra."""
    python = settings.pop("python")
    # The packages bring their own OpenBLAS, which is slower with settings for another one.
    unwanted = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
    environment = {name: value for name, value in os.environ.items() if name not in unwanted}
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment |= dict.fromkeys(threads, "1")
    os.execve(python, [python, __file__, json.dumps(settings)], environment)


def main() -> None:
    """Answers requests until the parent closes the pipe."""
    settings = json.loads(sys.argv[1])
    if "python" in settings:
        restart(settings)
    peers = Peers(settings["path"], settings["work"])
    serve(about(), {"prepare": peers.prepare, "window": peers.window})


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):  # the parent prints the message
        main()
