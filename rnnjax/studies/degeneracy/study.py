"""The degeneracy studies: train every condition, measure it, report the factor."""

import itertools
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import xarray as xr

import rnnjax
from rnnjax.analysis import Comparison
from rnnjax.report import write_report
from rnnjax.stopping import until_due
from rnnjax.store.locking import held
from rnnjax.studies.degeneracy.conditions import (
    Condition,
    Factor,
    all_conditions,
    costs,
    require_conditions,
)
from rnnjax.studies.degeneracy.fixed_points import FixedPointSummary
from rnnjax.studies.degeneracy.measuring import (
    Measured,
    by_folder,
    checked_options,
    is_measured,
    measure_at_losses,
    measure_on_workers,
)
from rnnjax.studies.degeneracy.stages_page import study_page
from rnnjax.studies.grids import provenance, run_seconds
from rnnjax.studies.launch import Config
from rnnjax.studies.measures_file import read_measures
from rnnjax.studies.progress import StudyProgress, print_found
from rnnjax.studies.workdir import checked_workdir, claim_workdir, read_index, record_run
from rnnjax.validate import positive_integer

__all__ = ["read_study", "run_study"]


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
    checked_options(config)
    factors = [factor for factor in factors if factor.conditions]
    if not factors:
        raise ValueError("tasks: expected one with levels to compare, got none")
    conditions = all_conditions(factors)
    require_conditions(config, workdir, conditions)  # now, not after those before it
    if dry_run:
        missing = [c for c in conditions if not is_measured(config, workdir, c)]
        nothing = "Nothing to train: the folder has all measures."
        print(costs(config, workdir, missing) if missing else nothing)
        return None
    workdir.mkdir(parents=True, exist_ok=True)
    (workdir / "store").mkdir(exist_ok=True)  # marks the folder as the workdir of a study
    with held(workdir / "store"):
        claim_workdir(workdir, study, provenance(config, command, None))
        missing = [c for c in conditions if not is_measured(config, workdir, c)]
        stages = any(condition.loss is not None for condition in conditions)
        things = "measurements" if stages else "conditions"
        each = " (condition x loss)" if stages else ""
        there = len(conditions) - len(missing)
        print_found(study, there, len(conditions), things + each)
        if executor is not None:
            measure_on_workers(study, config, workdir, missing, executor)
        measured = _measured(config, workdir, conditions, missing, things)
        print("Writing the report", flush=True)
        _report(study, factors, config, workdir, command, measured, search)
    return {name: one.data for name, one in measured.items()}


def _measured(
    config: Config,
    workdir: Path,
    conditions: Sequence[Condition],
    missing: Sequence[Condition],
    things: str,
) -> dict[str, Measured]:
    """Trains and measures all conditions, those of a folder together; by name.

    Those that are there come first, so that all after the one under way are left.
    """
    folders, measured = by_folder(conditions), {}
    ordered = sorted(folders.values(), key=lambda group: any(one in missing for one in group))
    for condition in until_due(things, list(itertools.chain(*ordered))):
        if condition.name not in measured:
            together = folders[condition.folder]
            found = measure_at_losses(config, workdir, together, StudyProgress(condition.folder))
            measured |= dict(zip([one.name for one in together], found, strict=True))
    return measured


def _report(
    study: str,
    factors: Sequence[Factor],
    config: Config,
    workdir: Path,
    command: str,
    measured: Mapping[str, Measured],
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
    folders = {c.folder: measured[c.name] for f in factors for c in f.conditions}
    seconds = sum(run_seconds(one.population.results) for one in folders.values())
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
