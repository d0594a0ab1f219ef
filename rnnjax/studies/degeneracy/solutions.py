"""Kinds of solutions against the strength of feature learning."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xarray as xr

import rnnjax
from rnnjax.analysis import (
    FingerprintOptions,
    KindOptions,
    find_attractors,
    fingerprints,
    solutions,
)
from rnnjax.analysis.fingerprints import constant_input, free_runs
from rnnjax.dynamics import visited_states
from rnnjax.plots import Representative
from rnnjax.plots.style import name_value
from rnnjax.report import Provenance, write_report
from rnnjax.report.page import Page
from rnnjax.report.wording import task_name
from rnnjax.stopping import stop_if_due, until_due
from rnnjax.store.locking import held
from rnnjax.studies.degeneracy.conditions import (
    Condition,
    Factor,
    all_conditions,
    ascending,
    condition,
    costs,
    file_of,
    require_conditions,
    train,
)
from rnnjax.studies.degeneracy.solutions_config import SOLUTIONS
from rnnjax.studies.degeneracy.solutions_page import solutions_page
from rnnjax.studies.degeneracy.tasks import TASKS
from rnnjax.studies.grids import provenance, split_names, write_study_report
from rnnjax.studies.launch import Config
from rnnjax.studies.measures_file import read_measures, remove_measures, write_measures
from rnnjax.studies.pages import mark_partial
from rnnjax.studies.progress import StudyProgress
from rnnjax.studies.workdir import checked_workdir, claim_workdir
from rnnjax.training import Status
from rnnjax.validate import counted, positive_integer, seed

__all__ = ["factors", "report", "run"]


def factors(config: Config) -> list[Factor]:
    """One factor per task, of levels of gamma; raises `ValueError` for invalid settings."""
    gammas = ascending("gammas", config.gammas)
    if not gammas:
        raise ValueError("gammas: expected at least one, got none")
    found = []
    for task in split_names("tasks", config.tasks, least=1):
        tried = tuple(condition(config, task, rule="mup", settings={"gamma": g}) for g in gammas)
        levels = tuple(f"{gamma:g}" for gamma in gammas)
        found.append(Factor(task, name_value(task), "gamma", levels, tried))
    return found


def _options(config: Config) -> tuple[FingerprintOptions, KindOptions]:
    seed("seed", config.seed)
    prints = FingerprintOptions(**config.fingerprint.to_dict()).checked()
    return prints, KindOptions(**config.kinds.to_dict()).checked()


def _key(config: Config, task: str) -> Any:
    return jax.random.fold_in(jax.random.key(config.seed), TASKS[task].stream)


def _file(config: Config, workdir: Path, one: Condition) -> Path:
    """The file of a condition's fingerprints; its store must exist."""
    inputs = {"fingerprint": config.fingerprint.to_dict(), "seed": config.seed}
    return file_of(config, workdir, one, inputs)


def _examine(config: Config, workdir: Path, one: Condition) -> None:
    """Trains the networks of a condition and examines those that converged, if not yet done.

    Networks are examined a few at a time, each part in a file of its own until all are there.
    """
    population = train(config, workdir, one, StudyProgress(one.name))
    file = _file(config, workdir, one)
    if file.exists() or Status.CONVERGED not in population.status:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    networks = population.converged
    parts = {
        file.with_name(f"{file.stem}-from_{first}.nc"): networks[first : first + _PART]
        for first in range(0, len(networks), _PART)
    }
    for part, few in parts.items():
        if part.exists():
            continue
        stop_if_due()
        seeds = f"seeds {few.seeds[0]} to {few.seeds[-1]}"
        print(f"Examining {one.name}, {seeds}", flush=True)
        write_measures(fingerprints(few, _key(config, one.task.name), _options(config)[0]), part)
    found = [read_measures(part) for part in parts]
    write_measures(xr.concat(found, "seed", combine_attrs="override"), file)
    for part in parts:
        remove_measures(part)


def _search_costs(config: Config, conditions: Sequence[Condition]) -> str:
    """Number, and most time and memory, of the searches that follow training."""
    searches = config.fingerprint.starts + config.fingerprint.runs
    size, few = conditions[0].cell.hidden, min(config.seeds, _PART)
    networks = config.seeds * len(conditions)
    step = _SEARCH_SECONDS * size**3
    minutes = networks * searches * config.fingerprint.steps * step / 60
    watched = 4 * few * config.fingerprint.runs * config.fingerprint.watch * size
    memory = (_SEARCH_BYTES * few * searches * size**2 + watched) / 1e6
    return (
        f"Then {searches} searches for points of at most {config.fingerprint.steps} steps, and "
        f"{config.fingerprint.runs} runs of {config.fingerprint.settle + config.fingerprint.watch} "
        f"steps, in each of up to {networks} networks that reach their threshold: at most "
        f"{minutes:.1f} minutes on two cores, and about {memory:.0f} MB. Results are kept every "
        f"{counted(few, 'network')}."
    )


_PART = 8
"""Networks that are examined, and kept, together."""

_SEARCH_SECONDS = 1.2e-9
"""Of a step of a search over N^3, in double precision, on two cores of an AMD EPYC, N = 64."""

_SEARCH_BYTES = 128
"""Of a search over N^2: Jacobians and their factors."""


def run(
    config: Config,
    workdir: Path,
    *,
    dry_run: bool = False,
    command: str = "rnnjax.studies.degeneracy.solutions.run(config, workdir)",
    executor: Any = None,
) -> dict[str, xr.Dataset] | None:
    """Trains and examines the conditions that the workdir lacks, and writes the report.

    Returns the result of `solutions` by task; with `dry_run` only prints the cost. Raises
    `ValueError` for invalid settings, an executor, and a workdir that is in use, damaged, or of
    another config.
    """
    workdir = checked_workdir(workdir, "solutions")
    if executor is not None:
        raise ValueError("executor: expected none, since solutions runs in this process alone")
    positive_integer("seeds", config.seeds)
    _options(config)
    tried = factors(config)
    require_conditions(config, workdir, all_conditions(tried))  # now, not after those before it
    if dry_run:
        left = [c for c in all_conditions(tried) if not _is_examined(config, workdir, c)]
        if not left:
            print("Nothing to train: the folder has all examined networks.")
            return None
        print(costs(config, workdir, left, measured=False))
        print(_search_costs(config, left))
        return None
    workdir.mkdir(parents=True, exist_ok=True)
    (workdir / "store").mkdir(exist_ok=True)
    with held(workdir / "store"):
        claim_workdir(workdir, "solutions", provenance(config, command, None))
        for one in until_due("conditions", all_conditions(tried)):
            _examine(config, workdir, one)
        page, found, about = _page(config, workdir, tried, provenance(config, command, None))
        write_study_report("solutions", workdir, page, about)
    return found


def report(workdir: Path, about: Provenance) -> Path:
    """Writes the report of the tasks of which every condition is examined; trains nothing."""
    config = SOLUTIONS.restored(about.settings)
    tried, missing = [], []
    for factor in factors(config):
        examined = all(_is_examined(config, workdir, one) for one in factor.conditions)
        (tried if examined else missing).append(factor)
    if not tried:
        raise ValueError(f"workdir: no task is examined yet in {workdir}")
    page = _page(config, workdir, tried, about)[0]
    if missing:
        page = mark_partial(page, [task_name(factor.name) for factor in missing])
    return write_report(page, workdir)


def _results(config: Config, workdir: Path, one: Condition) -> xr.Dataset:
    """The results of the seeds of a config, of a store that may have more."""
    results = rnnjax.load_results(workdir / "store" / one.folder)
    return results.sel(seed=results["seed"] < config.seeds)


def _left_out(config: Config, workdir: Path, factor: Factor) -> list[str]:
    """The levels at which networks missed their threshold, with the number of these."""
    found = []
    for level, one in zip(factor.levels, factor.conditions, strict=True):
        status = _results(config, workdir, one)["status"].values
        missed = int((status != Status.CONVERGED).sum())
        if missed:
            found.append(
                f"{factor.title}, {factor.setting} {level}: {missed} of {status.size} networks did "
                "not reach their threshold and are left out"
            )
    return found


def _is_examined(config: Config, workdir: Path, one: Condition) -> bool:
    """Whether a condition is trained, and its converged networks, if there are any, examined."""
    if not (workdir / "store" / one.folder / "manifest.json").exists():
        return False
    status = _results(config, workdir, one)["status"].values
    trained = status.size == config.seeds and bool((status != Status.PENDING).all())
    done = trained and Status.CONVERGED not in status
    return done or (trained and _file(config, workdir, one).exists())


def _page(
    config: Config, workdir: Path, tried: list[Factor], about: Provenance
) -> tuple[Page, dict[str, xr.Dataset], Provenance]:
    """The page on all tasks, their results, and how they were made."""
    found, galleries, lost = {}, {}, []
    for factor in tried:
        files = {
            level: _file(config, workdir, one)
            for level, one in zip(factor.levels, factor.conditions, strict=True)
        }
        prints = {level: read_measures(file) for level, file in files.items() if file.exists()}
        lost += _left_out(config, workdir, factor)
        if not prints:
            continue
        kinds = solutions(prints, _key(config, factor.name), kinds=_options(config)[1])
        found[factor.title] = kinds
        galleries[factor.title] = _representatives(config, workdir, factor, kinds)
    seconds = sum(
        float(_results(config, workdir, one)["seconds"].sum()) for one in all_conditions(tried)
    )
    about = dataclasses.replace(about, seconds=seconds)
    if not found:
        raise ValueError(
            f"tasks: expected some network that reached its threshold, got none ({'; '.join(lost)})"
        )
    return solutions_page(found, galleries, about, lost), found, about


def _representatives(
    config: Config, workdir: Path, factor: Factor, kinds: xr.Dataset
) -> dict[str, Representative]:
    """The network of each kind that is nearest to the others of it, by name."""
    options, key = _options(config)[0], _key(config, factor.name)
    chosen, order = {}, np.flatnonzero(kinds["representative"].values)
    for place in sorted(order, key=lambda place: int(kinds["kind"].values[place])):
        level, seed = str(kinds["level"].values[place]), int(kinds["seed"].values[place])
        condition = factor.conditions[factor.levels.index(level)]
        population = rnnjax.load_population(workdir / "store" / condition.folder)
        one = population.where(population.seeds == seed)
        inputs = np.asarray(one.task.batch(key, options.trials).inputs)
        given = constant_input(one, options)
        begun = visited_states(one.cell, one.params, inputs, count=options.runs, key=key)
        runs = free_runs(one.cell, one.params, begun, given, options)
        points = find_attractors(
            one, key, trials=options.trials, starts=options.starts, steps=options.steps,
            inputs=given, slow=options.slow, ends=runs[:, :, -1],
        )  # fmt: skip
        kind = int(kinds["kind"].values[place])
        share = f"{int(kinds['count'].values[kind].sum())} of {kinds.sizes['network']}"
        name = f"kind {kind + 1} ({share})\n{factor.setting} {level}, seed {seed}"
        chosen[name] = Representative(points, runs[0, :_RUNS])
    return chosen


_RUNS = 8
"""Runs that the gallery shows of a network."""
