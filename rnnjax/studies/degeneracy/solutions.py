"""Kinds of solutions against the strength of feature learning."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import filelock
import jax
import numpy as np
import xarray as xr

import rnnjax
from rnnjax.analysis import (
    FEATURES,
    FingerprintOptions,
    KindOptions,
    find_attractors,
    fingerprints,
    solutions,
)
from rnnjax.analysis.fingerprints import constant_input, free_runs
from rnnjax.analysis.trends import ALPHA
from rnnjax.dynamics import visited_states
from rnnjax.plots import Representative, kind_shares, solution_gallery
from rnnjax.plots.style import name_value
from rnnjax.report import Provenance, write_report
from rnnjax.report.page import Page, Picture, Section, Table
from rnnjax.report.provenance import settings_section
from rnnjax.report.wording import bullets
from rnnjax.stopping import until_due
from rnnjax.store import digest, read_manifest
from rnnjax.studies.degeneracy.conditions import (
    Condition,
    Factor,
    all_conditions,
    ascending,
    condition,
    costs,
    train,
)
from rnnjax.studies.degeneracy.config import SOLUTIONS
from rnnjax.studies.degeneracy.tasks import TASKS
from rnnjax.studies.grids import provenance, split_names, training_seconds, write_study_report
from rnnjax.studies.launch import Config
from rnnjax.studies.measures_file import read_measures, write_measures
from rnnjax.studies.progress import StudyProgress
from rnnjax.studies.workdir import checked_workdir, claim_workdir
from rnnjax.training import Status
from rnnjax.validate import positive_integer

__all__ = ["factors", "report", "run"]


def factors(config: Config) -> list[Factor]:
    """One factor per task, of levels of gamma; raises `ValueError` for invalid settings."""
    gammas = ascending("gammas", config.gammas)
    found = []
    for task in split_names("tasks", config.tasks, least=1):
        tried = tuple(condition(config, task, rule="mup", settings={"gamma": g}) for g in gammas)
        levels = tuple(f"{gamma:g}" for gamma in gammas)
        found.append(Factor(task, name_value(task), "gamma", levels, tried))
    return found


def _options(config: Config) -> tuple[FingerprintOptions, KindOptions]:
    prints = FingerprintOptions(**config.fingerprint.to_dict()).checked()
    return prints, KindOptions(**config.kinds.to_dict()).checked()


def _key(config: Config, task: str) -> Any:
    return jax.random.fold_in(jax.random.key(config.seed), TASKS[task].stream)


def _file(config: Config, workdir: Path, one: Condition) -> Path:
    """The file of a condition's fingerprints; its store must exist."""
    trained = read_manifest(workdir / "store" / one.name)["hash"]
    inputs = {"fingerprint": config.fingerprint.to_dict(), "seed": config.seed, "store": trained}
    return workdir / "measures" / f"{one.name}-{digest(inputs)[:12]}.nc"


def _examine(config: Config, workdir: Path, one: Condition) -> None:
    """Trains the networks of a condition and examines those that converged, if not yet done."""
    population = train(config, workdir, one, StudyProgress(one.name))
    file = _file(config, workdir, one)
    if not file.exists() and Status.CONVERGED in population.status:
        print(f"Examining {one.name}", flush=True)
        key = _key(config, one.task.name)
        found = fingerprints(population.converged, key, _options(config)[0])
        file.parent.mkdir(parents=True, exist_ok=True)
        write_measures(found, file)


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
    for one in all_conditions(tried):
        one.sweep(config)  # raises now, not after the conditions before it
    if dry_run:
        print(costs(config, all_conditions(tried), measured=False))
        return None
    workdir.mkdir(parents=True, exist_ok=True)
    (workdir / "store").mkdir(exist_ok=True)
    try:
        with filelock.FileLock(workdir / "store" / "lock", timeout=0):
            claim_workdir(workdir, "solutions", provenance(config, command, None))
            for one in until_due("conditions", all_conditions(tried)):
                _examine(config, workdir, one)
            page, found, about = _page(config, workdir, tried, provenance(config, command, None))
            write_study_report("solutions", workdir, page, about)
    except filelock.Timeout:
        raise ValueError(f"workdir: {workdir} is in use by another process") from None
    return found


def report(workdir: Path, about: Provenance) -> Path:
    """Writes the report of the tasks of which every condition is examined; trains nothing."""
    config = SOLUTIONS.restored(about.settings)
    tried = [
        factor
        for factor in factors(config)
        if all(_is_examined(config, workdir, one) for one in factor.conditions)
    ]
    if not tried:
        raise ValueError(f"workdir: no task is examined yet in {workdir}")
    return write_report(_page(config, workdir, tried, about)[0], workdir)


def _is_examined(config: Config, workdir: Path, one: Condition) -> bool:
    """Whether a condition is trained, and its converged networks, if there are any, examined."""
    store = workdir / "store" / one.name
    if not (store / "manifest.json").exists():
        return False
    status = rnnjax.load_results(store)["status"].values
    done = bool((status != Status.PENDING).all()) and Status.CONVERGED not in status
    return done or _file(config, workdir, one).exists()


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
        missing = [f"{factor.setting} {level}" for level in factor.levels if level not in prints]
        if missing:
            lost.append(f"{factor.title}, {', '.join(missing)}: no network reached its threshold")
        if not prints:
            continue
        kinds = solutions(prints, _key(config, factor.name), kinds=_options(config)[1])
        found[factor.title] = kinds
        galleries[factor.title] = _representatives(config, workdir, factor, kinds)
    seconds = sum(training_seconds(workdir / "store" / c.name) for c in all_conditions(tried))
    about = dataclasses.replace(about, seconds=seconds)
    if not found:
        raise ValueError(f"tasks: expected some network that reached its threshold, got {lost}")
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
        population = rnnjax.load_population(workdir / "store" / condition.name)
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
        name = f"kind {kind + 1} ({share}): {factor.setting} {level}, seed {seed}"
        chosen[name] = Representative(points, runs[0, :_RUNS])
    return chosen


_RUNS = 8
"""Runs that the gallery shows of a network."""


def _verdict(title: str, found: xr.Dataset) -> str:
    """One sentence on a task."""
    kinds, total = found.sizes["solution"], found.sizes["network"]
    if kinds == 1:
        return f"{title}: all {total} networks are of one kind."
    sizes = ", ".join(str(int(n)) for n in found["count"].sum("levels").values)
    p, moved = found.attrs["p"], ""
    if not np.isnan(p):
        differ = "differ" if p <= ALPHA else "do not differ detectably"
        moved = f" Their shares {differ} between levels (p = {p:.2g})."
    return f"{title}: {total} networks of {kinds} kinds ({sizes}).{moved}"


def _kind_table(found: Mapping[str, xr.Dataset]) -> Table:
    rows = []
    for title, one in found.items():
        for kind in range(one.sizes["solution"]):
            members = one.isel(network=one["kind"].values == kind)
            share, low, high = (
                float(one[name][kind]) for name in ("share", "share_low", "share_high")
            )
            counts = " / ".join(str(int(n)) for n in one["count"].values[kind])
            medians = [f"{float(members[name].median()):.3g}" for name in FEATURES]
            rows.append(
                (
                    title, str(kind + 1), counts, f"{share:.0%} ({low:.0%} to {high:.0%})",
                    f"{float(one['stability'][kind]):.2f}" if one.sizes["solution"] > 1 else "-",
                    *medians,
                )
            )  # fmt: skip
    columns = (
        "task", "kind", "networks by level", "share (95%)", "stability",
        *(name.replace("_", " ") for name in FEATURES),
    )  # fmt: skip
    caption = (
        "Networks of each kind by level; share of all with Wilson's interval; stability, the mean "
        "Jaccard similarity over resamples of networks; medians over the kind's networks: "
        + "; ".join(f"{name.replace('_', ' ')}: {what}" for name, what in FEATURES.items())
        + "."
    )
    return Table(columns, tuple(rows), caption, align="llrrr" + "r" * len(FEATURES))


def solutions_page(
    found: Mapping[str, xr.Dataset],
    galleries: Mapping[str, Mapping[str, Representative]],
    about: Provenance,
    lost: Sequence[str] = (),
) -> Page:
    """The page on kinds of solutions by task, with one network of each kind; `lost` is listed."""
    unfinished = max(float(one["unfinished"].max()) for one in found.values())
    pictures = (
        Picture(
            kind_shares(found, "gamma"),
            "kind_shares",
            "Share of each kind at every level, with the number of networks.",
        ),
        Picture(
            solution_gallery(galleries),
            "gallery",
            "The network of each kind that is nearest to the others of it, in the plane of the two "
            "leading components of the states that it visits in the task: stable, unstable and "
            "slow points under the constant input, and where its runs end if they still move.",
        ),
    )
    return Page(
        "Kinds of solutions",
        " ".join(_verdict(title, one) for title, one in found.items()),
        (
            Section("Which kinds, how often", bullets(lost), (_kind_table(found),), pictures),
            Section("Limitations", bullets([
                "A kind is what these features tell apart. Networks of one kind can differ in "
                "others, such as their weights.",
                "Kinds are found where they are stable, apart, and differ by at least one feature. "
                "Networks that vary gradually can be divided too, and kinds that differ in few of "
                "the features can be missed: compare the features.",
                "Intervals of shares take networks as independent and kinds as known. Numbers of "
                "points depend on the number of searches.",
                f"Searches for points can end without one: up to {unfinished:.0%} of those of a "
                "network, which are left out.",
                "The constant input is the median over the task's trials, one of many where "
                "trials differ in it. Moving runs whose period does not fit twice into the time "
                "watched count as moving and not as cycles.",
            ])),
            settings_section(about.settings),
        ),
        provenance=about.rows("training"),
    )  # fmt: skip
