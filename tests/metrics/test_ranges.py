"""Pairs that workers solve in ranges are those of one process."""

import concurrent.futures

import jax
import numpy as np
import pytest

from rnnjax.jobs import JobError
from rnnjax.metrics import ranges
from rnnjax.metrics.base import SolverOptions
from rnnjax.metrics.dsa import compare_operators, operator_distances
from rnnjax.metrics.weights import compare_weights, pif_pairs

MATRICES = np.random.default_rng(0).normal(size=(5, 9, 9))


@pytest.fixture
def workers(monkeypatch):
    """Two workers, which solve 10 pairs in four ranges, of 3 and of 2."""
    monkeypatch.setattr(ranges, "RANGES", 4)
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        yield threads


def matched(function):
    """Of the pairs of a population, in its order."""
    i, j = np.triu_indices(len(MATRICES), 1)
    return lambda matrices, **options: function(matrices[i], matrices[j], **options)


@pytest.mark.parametrize(
    ("compare", "key", "count"),
    [
        (compare_operators, 3, 4),
        (compare_weights, 3, 5),  # of one size, for fewer programs
        (matched(operator_distances), 3, 4),
        (matched(pif_pairs), 3, 5),
        (compare_operators, jax.random.key(3), 4),
        (compare_operators, jax.random.key(3, impl="rbg"), 4),
    ],
)
def test_ranges_are_the_whole(compare, key, count, workers, monkeypatch):
    monkeypatch.setattr(ranges, "RANGES", count)
    seen = []
    few = {"starts": 3, "steps": 20}
    whole = compare(MATRICES, key=key, solver=SolverOptions(**few))
    solver = SolverOptions(**few, workers=workers, progress=lambda *at: seen.append(at))
    found = compare(MATRICES, key=key, solver=solver)
    for name, expected in whole._asdict().items():
        np.testing.assert_allclose(getattr(found, name), expected, atol=1e-4, err_msg=name)
    assert [of for _, of in seen] == [10] * count
    assert sorted(done for done, _ in seen)[-1] == 10


def fail(*_):
    raise MemoryError("no room")


def test_a_range_that_fails_is_named(workers):
    numbers, solver = (np.arange(5), np.arange(5)), SolverOptions(workers=workers)
    with pytest.raises(JobError, match=r"4 of 4 jobs failed: 'pairs .* no room") as error:
        ranges.solve_on_workers(fail, (MATRICES, MATRICES), numbers, jax.random.key(0), solver)
    assert sorted(error.value.errors) == [
        "pairs 0 to 1", "pairs 2 to 2", "pairs 3 to 3", "pairs 4 to 4"
    ]  # fmt: skip
    with pytest.raises(ValueError, match="^executor: expected an executor"):
        SolverOptions(workers=4)
