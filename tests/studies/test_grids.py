"""Reports of sweeps: the runs that belong to a study, and whether it lacks some."""

import numpy as np
import pytest

import tiny
from rnnjax import Engine, Status, run_sweep
from rnnjax.report import Page, Provenance
from rnnjax.studies.grids import report_sweep, unfinished_runs

SWEEP = tiny.sweep("delayed_match", {"seed": (0, 1, 2)})


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A folder in which one run of the last rate is missing."""
    folder, mask = tmp_path_factory.mktemp("run"), np.ones(SWEEP.shape, bool)
    mask[-1, -1] = False
    run_sweep(SWEEP, folder / "store", engine=Engine(block_runs=4), mask=mask)
    return folder


@pytest.mark.parametrize(
    ("kept", "left", "runs", "partial"),
    [
        (None, None, 5, True),  # all are wanted
        (1, None, 3, False),  # those of the first rate, which are there
        (None, 0, 5, False),  # as after a bisection, which decides itself what it lacks
        (None, 1, 5, True),
    ],
)
def test_a_report_has_the_runs_that_are_wanted(kept, left, runs, partial, workdir):
    seen = []

    def page(results, about, pending):
        seen.append((int((results["status"] != Status.PENDING).sum()), pending))
        return Page("a sweep", "", ())

    mask = np.zeros(SWEEP.shape, bool)
    mask[:kept] = True
    missing = None if left is None else lambda _: np.full(SWEEP.shape, bool(left))
    report_sweep(workdir, page, Provenance("python"), SWEEP, mask if kept else None, missing)
    assert seen == [(runs, partial)]
    assert unfinished_runs(workdir / "store", SWEEP, mask).sum() == (0 if kept else 1)
