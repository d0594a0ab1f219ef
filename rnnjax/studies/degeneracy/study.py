"""The degeneracy studies: train every condition, measure it, report the factor."""

import platform
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import filelock
import jax
import xarray as xr
from ml_collections import ConfigDict

import rnnjax
from rnnjax.analysis import (
    Comparison,
    DegeneracyOptions,
    degeneracy,
)
from rnnjax.jobs import Job, as_workers, run_jobs
from rnnjax.report import write_report
from rnnjax.stopping import until_due
from rnnjax.store import DamageError, StoreInUse, digest
from rnnjax.studies.degeneracy.conditions import (
    Condition,
    Factor,
    all_conditions,
    costs,
    networks_of,
    train,
)
from rnnjax.studies.degeneracy.fixed_points import FixedPointSummary
from rnnjax.studies.degeneracy.stages_page import study_page
from rnnjax.studies.degeneracy.tasks import TASKS
from rnnjax.studies.grids import provenance, training_seconds
from rnnjax.studies.launch import Config
from rnnjax.studies.measures_file import read_measures, write_measures
from rnnjax.studies.progress import StudyProgress, print_found
from rnnjax.studies.workdir import checked_workdir, claim_workdir, read_index, record_run
from rnnjax.sweep import Progress
from rnnjax.validate import positive_integer

__all__ = ["measures_file", "read_study", "run_study"]


_IN_USE = 60.0
"""Seconds that a worker waits for a condition that another process trains."""


class _Measured(NamedTuple):
    """A condition with its measures."""

    population: rnnjax.Population
    file: Path
    data: xr.Dataset


def _options(config: Config) -> DegeneracyOptions:
    """The options of `rnnjax.analysis.degeneracy` that a config holds."""
    dsa = config.dsa
    return DegeneracyOptions(
        stretch=config.stretch,
        trials=config.measured_trials,
        probe_trials=config.probe_trials,
        probe_times=config.probe_times,
        samples=config.samples,
        dsa_trials=dsa.trials,
        variance=dsa.variance,
        longest_delay=dsa.longest_delay,
        order=dsa.order,
        components=tuple(dsa.components),
        delays=tuple(dsa.delays),
        lag=dsa.lag,
        activity=dsa.activity,
    )


_SOLVER = 2
"""Rises when distances of the same networks become others: finished studies measure them again."""


def measures_file(config: Config, workdir: Path, condition: Condition) -> Path:
    """The file of a condition's measures; its store must exist."""
    inputs = {
        **vars(_options(config)), **networks_of(config, workdir, condition),
        "seed": config.seed, "solver": _SOLVER,
    }  # fmt: skip
    if condition.loss is not None:
        inputs["loss"] = condition.loss
    return workdir / "measures" / f"{condition.name}-{digest(inputs)[:12]}.nc"


def _is_measured(config: Config, workdir: Path, condition: Condition) -> bool:
    try:
        return measures_file(config, workdir, condition).exists()
    except DamageError:  # no store yet, or one that opening restores
        return False


def _measure(
    config: Config, workdir: Path, condition: Condition, progress: Progress | None
) -> _Measured:
    """Trains and measures a condition, or reads what the workdir holds of it."""
    population, options = train(config, workdir, condition, progress), _options(config)
    file = measures_file(config, workdir, condition)
    if not file.exists():
        key = jax.random.fold_in(jax.random.key(config.seed), TASKS[condition.task.name].stream)
        print(f"Measuring {condition.name}", flush=True)
        begin = time.time()
        found = degeneracy(population, key, options, allow_few=True)
        found.attrs["seconds"] = time.time() - begin
        file.parent.mkdir(parents=True, exist_ok=True)
        write_measures(found, file)
    return _Measured(population, file, read_measures(file))


def measure_job(settings: dict[str, Any], workdir: Path, conditions: Sequence[Condition]) -> None:
    """Trains and measures conditions of one folder on a worker, which leaves all in the workdir.

    Raises `FileNotFoundError` for a workdir that the worker cannot reach.
    """
    if not (workdir / "store").is_dir():
        raise FileNotFoundError(
            f"workdir: expected a folder that all workers can reach, got {workdir}, which does not "
            f"exist on {platform.node()}"
        )
    end = time.monotonic() + _IN_USE
    while True:
        try:
            for condition in conditions:
                _measure(ConfigDict(settings), workdir, condition, None)
            return
        except StoreInUse:  # by a worker that the scheduler takes for lost
            if time.monotonic() > end:
                raise
            time.sleep(1)


def _measure_on_workers(
    study: str, config: Config, workdir: Path, conditions: Sequence[Condition], executor: Any
) -> None:
    """Trains and measures conditions, those of each folder on one worker."""
    settings, place = config.to_dict(), workdir.absolute()
    folders: dict[str, list[Condition]] = {}
    for condition in conditions:
        folders.setdefault(condition.folder, []).append(condition)

    def job(folder: str) -> Job:
        key = digest([study, str(place), folder, settings])
        return Job(folder, key, lambda _: (measure_job, (settings, place, folders[folder])))

    workers = as_workers(executor)
    assert workers is not None
    note = "; finished conditions are kept: the same command tries the others again"
    for number, (done, _) in enumerate(run_jobs(workers, map(job, folders), note), start=1):
        print(f"{study}: {number} of {len(folders)} trainings done, {done.name}", flush=True)


def run_study(
    study: str,
    factors: Sequence[Factor],
    config: Config,
    workdir: Path,
    *,
    dry_run: bool,
    command: str,
    executor: Any = None,
    search: Callable[[Mapping[str, rnnjax.Population]], FixedPointSummary | None] | None = None,
) -> dict[str, xr.Dataset] | None:
    """Trains and measures the conditions that the workdir lacks, and writes the study's report.

    Every condition is a store of its own: the same call after an interruption trains no condition
    twice. With an executor every condition is trained and measured by one worker.
    `search(populations by condition)` finds fixed points. Returns the measures by condition; with
    `dry_run` only prints the cost. Raises `ValueError` for invalid settings and for a workdir
    that is in use, damaged, or of another config.
    """
    workdir = checked_workdir(workdir, study)
    positive_integer("seeds", config.seeds)
    _options(config)
    factors = [factor for factor in factors if factor.conditions]
    if not factors:
        raise ValueError("tasks: expected something to compare, got none")
    conditions = all_conditions(factors)
    for condition in conditions:
        condition.sweep(config)  # raises now, not after the conditions before it
    if dry_run:
        missing = [c for c in conditions if not _is_measured(config, workdir, c)]
        print(costs(config, missing) if missing else "Nothing to train: the folder has all.")
        return None
    workdir.mkdir(parents=True, exist_ok=True)
    (workdir / "store").mkdir(exist_ok=True)  # marks the folder as the workdir of a study
    try:
        with filelock.FileLock(workdir / "store" / "lock", timeout=0):
            claim_workdir(workdir, study, provenance(config, command, None))
            missing = [c for c in conditions if not _is_measured(config, workdir, c)]
            there = len(conditions) - len(missing)
            stages = any(condition.loss is not None for condition in conditions)
            things = "conditions at a loss" if stages else "conditions"
            print_found(study, there, len(conditions), things)
            if executor is not None:
                _measure_on_workers(study, config, workdir, missing, executor)
            measured = {
                c.name: _measure(config, workdir, c, StudyProgress(c.folder))
                for c in until_due("conditions", conditions)
            }
            print("Writing the report", flush=True)
            _report(study, factors, config, workdir, command, measured, search)
    except filelock.Timeout:
        raise ValueError(f"workdir: {workdir} is in use by another process") from None
    return {name: one.data for name, one in measured.items()}


def _report(
    study: str,
    factors: Sequence[Factor],
    config: Config,
    workdir: Path,
    command: str,
    measured: Mapping[str, _Measured],
    search: Callable[[Mapping[str, rnnjax.Population]], FixedPointSummary | None] | None,
) -> None:
    """Writes the report, and the index from which `read_study` reads the study."""
    comparisons = [
        Comparison(
            f.name,
            f.title,
            f.setting,
            f.levels,
            tuple(measured[c.name].data for c in f.conditions),
            f.stage,
        )
        for f in factors
    ]
    fixed_points = None
    if search is not None:
        fixed_points = search({name: one.population for name, one in measured.items()})
    folders = {c.folder for f in factors for c in f.conditions}
    seconds = sum(training_seconds(workdir / "store" / folder) for folder in folders)
    seconds += sum(float(one.data.attrs["seconds"]) for one in measured.values())
    about = provenance(config, command, seconds)
    page = study_page(study, comparisons, about, fixed_points=fixed_points)
    write_report(page, workdir)
    listed = [
        {**f._asdict(), "conditions": [_place(measured[c.name].file) for c in f.conditions]}
        for f in factors
    ]
    rows = [row._asdict() for row in fixed_points.rows] if fixed_points else []
    record_run(workdir, study, about, factors=listed, fixed_points=rows)
    print(f"Report: {workdir / 'report.html'}")


def _place(file: Path) -> str:
    """Path of a condition's measures, relative to its workdir."""
    return f"measures/{file.name}"


def _listed(workdir: Path, place: str) -> Path:
    """The file that an index lists; raises `ValueError` for one that is not among the measures."""
    file = Path(place)
    if file.parent != Path("measures") or file.suffix != ".nc":
        raise ValueError(f"conditions: expected measures/NAME.nc, got {place!r}")
    return Path(workdir) / file


def read_study(study: str, workdir: Path) -> tuple[str, list[Comparison]]:
    """The command of a finished study and its comparisons; raises `ValueError` if there is none."""
    known = read_index(workdir)
    if known is None or "factors" not in known:
        raise ValueError(
            f"{study}: expected the workdir of a finished study, got {workdir}; make it with "
            f"rnnjax run {study} --workdir={shlex.quote(str(workdir))}"
        )
    if known["study"] != study:
        raise ValueError(f"{study}: expected its workdir, got that of {known['study']}: {workdir}")
    try:
        comparisons = [
            Comparison(
                factor["name"], factor["title"], factor["setting"], tuple(factor["levels"]),
                tuple(read_measures(_listed(workdir, file)) for file in factor["conditions"]),
                factor.get("stage"),
            )
            for factor in known["factors"]
        ]  # fmt: skip
    except (KeyError, TypeError, ValueError, FileNotFoundError) as error:
        raise ValueError(f"{study}: {workdir} is damaged: {error}") from None
    return known["command"], comparisons
