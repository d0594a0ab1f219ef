"""Learning-rate collapse: train the grid, measure critical rates, write figures and a report."""

import functools
from pathlib import Path
from typing import Any

import xarray as xr

import rnnjax
from rnnjax.analysis import bisect_critical_rates
from rnnjax.analysis.bisection import next_runs
from rnnjax.report import Page, Provenance, write_report
from rnnjax.stopping import until_due
from rnnjax.studies.collapse.config import SETTINGS
from rnnjax.studies.collapse.page import collapse_page
from rnnjax.studies.costs import cost_text
from rnnjax.studies.grids import (
    ARMS,
    MakePage,
    provenance,
    report_sweep,
    require_usable,
    require_used,
    run_seconds,
    runs_of,
    split_names,
    task_options,
    unfinished_runs,
    write_study_report,
)
from rnnjax.studies.launch import Config
from rnnjax.studies.progress import StudyProgress
from rnnjax.studies.results_file import write_results
from rnnjax.studies.workdir import checked_workdir, claim_workdir
from rnnjax.validate import fraction, one_of, positive_integer


def build_sweep(config: Config) -> rnnjax.Sweep:
    """The sweep of a config; raises `ValueError` for invalid settings."""
    one_of("arm", config.arm, ARMS)
    seeds = positive_integer("seeds", config.seeds)
    tasks = [
        rnnjax.tasks.make(name, **task_options(config, name))
        for name in split_names("tasks", config.tasks)
    ]
    return rnnjax.Sweep(
        cell=rnnjax.cells.rate(alpha=config.alpha, **ARMS[config.arm]),
        recipe=rnnjax.Recipe(
            epochs=config.epochs, batch=config.batch, data=config.data,
            reduction=config.reduction, eps=config.eps, clip=config.clip,
        ),
        axes={
            "task": tasks,
            "optimizer": split_names("optimizers", config.optimizers),
            "hidden": config.hidden,
            "learning_rate": config.learning_rates,
            "seed": range(seeds),
        },
        evaluation_trials=config.evaluation_trials,
    )  # fmt: skip


def _require_bisection(config: Config, sweep: rnnjax.Sweep) -> None:
    """Raises `ValueError` for settings with which rates cannot be bisected."""
    rates = sweep.axis("learning_rate").values
    if list(rates) != sorted(rates):
        raise ValueError(f"learning_rates: expected values that rise with bisect, got {rates}")
    if config.keep_parameters:
        raise ValueError("keep_parameters: expected False with bisect, got True")


def run(
    config: Config,
    workdir: Path,
    *,
    dry_run: bool = False,
    command: str = "rnnjax.studies.collapse.study.run(config, workdir)",
    executor: Any = None,
) -> xr.Dataset | None:
    """Trains the runs that the workdir lacks and writes the report.

    With `dry_run`, only prints the cost. `command` is the command that the report lists. Raises
    `ValueError` for invalid settings and for a workdir that is in use, damaged, or of another
    config.
    """
    sweep = build_sweep(config)
    if not (Path(workdir) / "store" / "manifest.json").exists():  # earlier versions took it
        require_used(config, SETTINGS.config(), ("eps",), config.optimizers)
    fraction("level", config.level, open_below=True)
    if config.bisect:
        _require_bisection(config, sweep)
    workdir = checked_workdir(workdir, "lr_collapse")
    if dry_run:
        print(_cost(config, sweep, workdir / "store"))
        return None
    store = workdir / "store"
    require_usable(store, sweep)
    claim_workdir(workdir, "lr_collapse", provenance(config, command, None))
    engine = rnnjax.Engine(executor=executor)
    progress = StudyProgress("lr_collapse", rounds=config.bisect)
    reported = 0

    def report_finished_tasks(results: xr.Dataset) -> None:
        """Writes a report whenever a task is complete, not only at the end."""
        nonlocal reported
        pending = (results["status"] == rnnjax.Status.PENDING).any(
            set(results["status"].dims) - {"task"}
        )
        done = int((~pending).sum())
        if reported < done < pending.size:
            about = provenance(config, command, run_seconds(results))
            write_report(_page(config)(results, about, True), workdir)
            print(f"\n{done} of {pending.size} tasks done: {workdir / 'report.html'}")
        reported = done

    if config.bisect:
        # How many blocks a bisection still needs is not known before its end.
        (results,) = (
            bisect_critical_rates(one, store, level=config.level, progress=progress, engine=engine)
            for one in until_due("bisections", [sweep])
        )
    else:
        results = rnnjax.run_sweep(
            sweep, store, progress=progress, keep_parameters=config.keep_parameters or None,
            after_block=report_finished_tasks, engine=engine,
        )  # fmt: skip
    progress.close()
    about = provenance(config, command, run_seconds(results))
    write_results(results, workdir)
    write_study_report("lr_collapse", workdir, _page(config)(results, about, False), about)
    return results


def _cost(config: Config, sweep: rnnjax.Sweep, store: Path) -> str:
    """What the store lacks of the sweep, and its cost; raises `StoreError` for another config."""
    left = unfinished_runs(store, sweep)
    if not config.bisect:
        return cost_text(sweep, wanted=left, keep_parameters=config.keep_parameters)
    found = left.size - int(left.sum())
    if found and not next_runs(sweep, runs_of(sweep, store), level=config.level).any():
        return "Nothing to train: the folder has all networks that the bisection needs."
    text = cost_text(sweep, bisect=True)
    return f"{text}\nThe folder has {found:,} of these networks already." if found else text


def report(workdir: Path, about: Provenance) -> Path:
    """Writes the report of the runs that the workdir has; returns the HTML file."""
    config = SETTINGS.restored(about.settings)
    sweep = build_sweep(config)
    left = functools.partial(next_runs, sweep, level=config.level) if config.bisect else None
    return report_sweep(workdir, _page(config), about, sweep, left=left)


def _page(config: Config) -> MakePage:
    def page(results: xr.Dataset, about: Provenance, pending: bool) -> Page:
        return collapse_page(results, about, pending=pending, level=config.level)

    return page
