"""Reports of sweeps: the runs that belong to a study, and whether it lacks some."""

import dataclasses

import filelock
import numpy as np
import pytest
from ml_collections import ConfigDict

import tiny
from rnnjax import Engine, Status, run_sweep
from rnnjax.population.condition import require_condition
from rnnjax.report import Page, Provenance
from rnnjax.store import StoreError, StoreInUse, read_json
from rnnjax.studies.grids import (
    Call,
    cached,
    cached_value,
    report_sweep,
    train_and_report,
    unfinished_runs,
)
from rnnjax.studies.workdir import INDEX
from rnnjax.sweep import sweep_config

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
        assert about.seconds == pytest.approx(float(np.nansum(results["seconds"])))
        blocks = (workdir / "store").glob("blocks/*.json")
        whole = sum(read_json(file)["seconds"] for file in blocks)
        assert (
            about.seconds < 0.9 * whole if kept else about.seconds == pytest.approx(whole, rel=0.02)
        )
        return Page("a sweep", "", ())

    mask = np.zeros(SWEEP.shape, bool)
    mask[:kept] = True
    missing = None if left is None else lambda _: np.full(SWEEP.shape, bool(left))
    report_sweep(workdir, page, Provenance("python"), SWEEP, mask if kept else None, missing)
    assert seen == [(runs, partial)]
    assert unfinished_runs(workdir / "store", SWEEP, mask).sum() == (0 if kept else 1)


def test_a_dry_run_refuses_the_folder_of_another_config_as_training_does(workdir):
    other = dataclasses.replace(SWEEP.recipe, batch=SWEEP.recipe.batch + 1)
    with pytest.raises(StoreError, match="recipe.batch"):
        unfinished_runs(workdir / "store", dataclasses.replace(SWEEP, recipe=other))
    # A sweep may grow; a condition of the degeneracy studies has one learning rate.
    grown = SWEEP.with_axes(learning_rate=[*SWEEP.axis("learning_rate").values, 0.77])
    assert unfinished_runs(workdir / "store", grown).sum() == 1 + 3
    assert unfinished_runs(workdir / "store", SWEEP).sum() == 1
    require_condition(workdir / "store", sweep_config(SWEEP, Engine()))
    with pytest.raises(StoreError, match="learning_rate"):
        require_condition(workdir / "store", sweep_config(grown, Engine()))


def test_values_that_another_command_adds_meanwhile_stay(tmp_path):
    file = tmp_path / "cost.json"

    def compute():
        cached(file, "theirs", {"n": 1}, lambda: 1)
        return 2

    assert cached(file, "ours", {"n": 1}, compute) == 2
    assert cached_value(file, "theirs", {"n": 1}) == 1
    assert cached_value(file, "ours", {"n": 1}) == 2


def test_a_refused_command_does_not_claim_the_folder(workdir):
    other = dataclasses.replace(SWEEP.recipe, batch=SWEEP.recipe.batch + 1)
    sweep, config = dataclasses.replace(SWEEP, recipe=other), ConfigDict()
    with pytest.raises(StoreError, match="recipe.batch"):
        train_and_report("latent", sweep, workdir, None, config, Call(False, "none", None))
    with filelock.FileLock(workdir / "store" / "lock"), pytest.raises(StoreInUse):
        train_and_report("latent", SWEEP, workdir, None, config, Call(False, "none", None))
    assert not (workdir / INDEX).exists()


def test_a_report_has_the_timings_of_its_own_machine_or_the_last(tmp_path):
    file = tmp_path / "cost.json"
    for devices, jax in (("a", 1), ("b", 1), ("b", 2), ("c", 1)):
        of = {"size": 8, "devices": devices, "jax": jax}
        cached(file, "N=8", of, lambda value=f"{devices}{jax}": value)

    def found(devices, jax):
        return cached_value(file, "N=8", {"size": 8, "devices": devices, "jax": jax})

    assert [found(*machine) for machine in (("a", 1), ("a", 9), ("b", 1), ("b", 9), ("z", 9))] == [
        "a1", "a1", "b1", "b2", "c1"
    ]  # fmt: skip
    assert found("z", 1) == "c1"
