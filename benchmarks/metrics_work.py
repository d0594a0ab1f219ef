"""Cases of `metrics.py`: the trained networks, the arrays of each metric, and the peers.

The library is imported only where networks are trained, so that the processes of the peers, whose
Python may not have it, can import this file.
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

POPULATION_PAIRS = 1225
"""Pairs of 50 networks; times are extrapolated to them."""

PEERS = {
    "dsa_metric": "dsa-metric",
    "scipy_faq": "scipy",
    "procrustes_umeyama": "qc-procrustes",
    "procrustes_nmf": "qc-procrustes",
    "numpy_svcca": "numpy",
}
"""Package of every peer."""


@dataclasses.dataclass(frozen=True)
class Case:
    """One metric at one size, and its peers."""

    name: str
    metric: str
    """`dsa`, `pif` or `svcca`."""
    peers: tuple[str, ...]
    per_core: int
    """Pairs per core and window."""
    components: int = 0
    delays: int = 0

    @property
    def rank(self) -> int:
        """R of the operators [R, R]; 0 where there are none."""
        return self.components * self.delays


@dataclasses.dataclass(frozen=True)
class Work:
    """The networks, and the settings of the solvers."""

    contestants: int = 10
    """Networks that all competitors compare; a larger population is timed for ours alone."""
    hidden: int = 128
    bits: int = 3
    p: float = 0.3
    steps: int = 100
    batch: int = 64
    epochs: int = 400
    learning_rate: float = 1e-3
    common_trials: int = 50
    starts: int = 8
    """Starts of PIF, of ours and of scipy: the barycenter and random ones."""
    dsa_metric_iterations: int = 1500
    dsa_metric_learning_rate: float = 5e-3
    cases: tuple[Case, ...] = (
        Case("dsa_r19", "dsa", ("dsa_metric",), 3, components=19, delays=1),
        Case("dsa_r54", "dsa", ("dsa_metric",), 3, components=18, delays=3),
        Case("pif", "pif", ("scipy_faq", "procrustes_umeyama", "procrustes_nmf"), 22),
        Case("svcca", "svcca", ("numpy_svcca",), 22),
    )


QUICK = Work(
    contestants=4,
    hidden=32,
    epochs=40,
    common_trials=10,
    dsa_metric_iterations=60,
    cases=(
        Case("dsa_r6", "dsa", ("dsa_metric",), 1, components=6, delays=1),
        Case("dsa_r15", "dsa", ("dsa_metric",), 1, components=5, delays=3),
        Case("pif", "pif", ("scipy_faq", "procrustes_umeyama", "procrustes_nmf"), 1),
        Case("svcca", "svcca", ("numpy_svcca",), 3),
    ),
)
"""Settings of a short run."""


def dsa_products(rank: int) -> int:
    """Products of two R x R matrices of our solver per pair, if no start ends early.

    Seven per step of a start: two for C B C^T, two for P, one for the step, two for Newton-Schulz.
    """
    from rnnjax.metrics import dsa
    from rnnjax.metrics.conjugation import rounds

    plan = rounds(rank, dsa.default_starts(rank), dsa.STEPS)
    return 7 * sum(width * (steps + 1) for width, steps in plan)


def all_pairs(networks: int) -> np.ndarray:
    """All pairs i < j, [M, 2]."""
    return np.stack(np.triu_indices(networks, k=1), axis=1)


def pairs_of_round(networks: int, count: int, turn: int) -> np.ndarray:
    """`count` pairs, different in every round as long as there are any; the same for all."""
    shuffled = np.random.default_rng(0).permutation(all_pairs(networks))
    return shuffled[(turn * count + np.arange(count)) % len(shuffled)]


def make_networks(work: Work, networks: int, path: Path) -> dict[str, Any]:
    """Trains `networks` networks and writes the arrays of every case, by its name, to `path`.

    Returns the seconds of training and the held-out losses.
    """
    import time

    from rnnjax import cells, tasks
    from rnnjax.sweep import default_layout
    from rnnjax.sweep.block import train_block
    from rnnjax.training import Hyper, Recipe, Setup

    began = time.perf_counter()
    task = tasks.flip_flop(work.bits, work.p, work.steps)
    cell = cells.fitted(cells.rate(work.hidden, alpha=1.0, init="xavier", bias=True), task)
    setup = Setup(task, cell, Recipe("adam", epochs=work.epochs, batch=work.batch))
    hyper = Hyper(
        learning_rate=np.full(networks, work.learning_rate),
        seed=np.arange(networks),
        gamma=np.ones(networks),
    )
    block = train_block(setup, hyper, default_layout(), size=networks, segment=100)
    assert block.weights is not None
    arrays = _arrays(work, setup, block.weights.trained)
    np.savez(path, allow_pickle=False, **arrays)
    loss = block.values["final_loss"]
    return {
        "networks": networks,
        "training_seconds": time.perf_counter() - began,
        "loss": {"mean": float(loss.mean()), "min": float(loss.min()), "max": float(loss.max())},
    }


def _arrays(work: Work, setup: Any, params: Any) -> dict[str, np.ndarray]:
    """Operators [S, R, R], weights [S, N, N], and activities [S, samples, N] by case."""
    import jax

    from rnnjax import rollout
    from rnnjax.metrics.operators import fit_operators

    inputs = setup.task.batch(jax.random.key(123), work.common_trials).inputs
    run = jax.jit(lambda one: rollout(setup.cell, one, inputs).states)
    count = len(next(iter(params.values())))
    each = [{name: leaf[s] for name, leaf in params.items()} for s in range(count)]
    states = np.stack([np.asarray(run(one)) for one in each])
    found = {}
    for case in work.cases:
        if case.metric == "dsa":
            fitted = fit_operators(states, delays=case.delays, components=case.components)
            found[case.name] = fitted.matrix
        elif case.metric == "pif":
            found[case.name] = np.stack([setup.cell.connectivity(one) for one in each])
        else:
            few = states[: work.contestants]
            found[case.name] = few.reshape(len(few), -1, few.shape[-1])
    return found
