"""What the four degeneracy studies share: train every condition, measure it, report the factors."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import filelock
import jax
import xarray as xr

import rnnjax
from conditions import Condition, Factor, all_conditions, costs, populate
from configs.trained import TASKS
from grids import device_name, training_seconds
from launch import Config, checked_workdir
from rnnjax.analysis import Comparison, attractors, degeneracy
from rnnjax.analysis.rest import Attractors
from rnnjax.report import degeneracy_page, write_report
from rnnjax.store import digest, read_manifest, versions, write_atomically
from rnnjax.validate import fraction, positive_integer

__all__ = ["compare", "read_study"]

INDEX = "study.json"

Rest: TypeAlias = Callable[
    [Mapping[str, rnnjax.Population]], tuple[dict[str, Attractors], dict[str, int]]
]
"""Fixed points of some populations, and how many memories their tasks ask of them."""


def _options(config: Config) -> dict[str, Any]:
    """The arguments of `rnnjax.analysis.degeneracy` that a config holds; checked."""
    asked = config.dsa
    options = {
        "stretch": config.stretch,
        "trials": config.measured_trials,
        "probe_trials": config.probe_trials,
        "probe_times": config.probe_times,
        "samples": config.samples,
        "dsa_trials": asked.trials,
        "variance": asked.variance,
        "longest_delay": asked.longest_delay,
        "order": asked.order,
        "components": tuple(asked.components),
        "delays": tuple(asked.delays),
    }
    fraction("dsa.variance", asked.variance, open_below=True)
    for name, value in options.items():
        if name not in ("stretch", "variance"):
            if value == ():
                raise ValueError(f"dsa.{name}: expected at least one number, got none")
            for number in value if isinstance(value, tuple) else (value,):
                positive_integer(name, number)
    return options


def measured(config: Config, workdir: Path, condition: Condition, population: rnnjax.Population):
    """The condition's measures: read if the workdir has them, else taken and kept."""
    options = _options(config)
    trained = read_manifest(workdir / "store" / condition.name)["hash"]
    asked = digest({**options, "seed": config.seed, "store": trained})[:12]
    file = workdir / "measures" / f"{condition.name}-{asked}.nc"
    if not file.exists():
        key = jax.random.fold_in(jax.random.key(config.seed), TASKS.index(condition.task.name))
        print(f"Measuring {condition.name}", flush=True)
        begin = time.time()
        found = degeneracy(population, key, **options)
        found.attrs["seconds"] = time.time() - begin
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_name("." + file.name)  # never half-written under its own name
        found.to_netcdf(fresh, engine="scipy")
        fresh.replace(file)
    return file, _read(file)


def _read(file: Path) -> xr.Dataset:
    return xr.load_dataset(file, engine="scipy")


def compare(
    study: str,
    factors: Sequence[Factor],
    config: Config,
    workdir: Path,
    *,
    dry_run: bool,
    command: str,
    rest: Rest | None = None,
) -> dict[str, xr.Dataset] | None:
    """Trains and measures the conditions that the workdir lacks, and writes the study's report.

    Every condition is a store of its own: the same call after an interruption trains none twice.
    `rest(populations by condition)` finds fixed points. Returns the measures by condition; with
    `dry_run` only says the cost. Raises `ValueError` for a config that makes no sense and for a
    workdir that is in use, damaged, or of another config.
    """
    workdir = checked_workdir(Path(workdir))
    positive_integer("seeds", config.seeds)
    _options(config)
    if not factors:
        raise ValueError("tasks: expected something to compare, got none")
    conditions = all_conditions(factors)
    for condition in conditions:
        condition.sweep(config)  # refused now, not after the conditions before it
    if dry_run:
        print(costs(config, conditions))
        return None
    workdir.mkdir(parents=True, exist_ok=True)
    (workdir / "store").mkdir(exist_ok=True)  # by which a workdir is known as a study's own
    try:
        with filelock.FileLock(workdir / "store" / "lock", timeout=0):
            return _compare(study, factors, conditions, config, workdir, command, rest)
    except filelock.Timeout:
        raise ValueError(f"workdir: {workdir} is in use by another process") from None


def _compare(
    study: str,
    factors: Sequence[Factor],
    conditions: Sequence[Condition],
    config: Config,
    workdir: Path,
    command: str,
    rest: Rest | None,
) -> dict[str, xr.Dataset]:
    known = _known(workdir)
    if known is not None and known["study"] != study:
        raise ValueError(f"workdir: expected that of {study}, got that of {known['study']}")
    found, files, populations = {}, {}, {}
    for condition in conditions:
        populations[condition.name] = population = populate(config, workdir, condition)
        files[condition.name], found[condition.name] = measured(
            config, workdir, condition, population
        )
    comparisons = [
        Comparison(f.name, f.title, f.setting, f.levels, tuple(found[c.name] for c in f.conditions))
        for f in factors
    ]
    resting, expected = rest(populations) if rest is not None else ({}, {})
    seconds = sum(training_seconds(workdir / "store" / condition.name) for condition in conditions)
    seconds += sum(float(data.attrs["seconds"]) for data in found.values())
    page = degeneracy_page(
        study, comparisons, settings=config.to_dict(), command=command,
        versions={"devices": device_name(), **versions()}, elapsed_seconds=seconds,
        attractors=resting, expected=expected,
    )  # fmt: skip
    write_report(page, workdir)
    listed = [
        {**f._asdict(), "conditions": [f"measures/{files[c.name].name}" for c in f.conditions]}
        for f in factors
    ]
    index = {"study": study, "command": command, "factors": listed}
    write_atomically(workdir / INDEX, json.dumps(index, indent=1) + "\n")
    print(f"Report: {workdir / 'report.html'}")
    return found


def read_study(study: str, workdir: Path) -> tuple[str, list[Comparison]]:
    """The command of a finished study and its comparisons; raises `ValueError` if there is none."""
    known = _known(workdir)
    if known is None:
        raise ValueError(
            f"{study}: expected the workdir of a finished study, got {workdir}; make it with "
            f"python experiments/{study}.py --workdir={workdir}"
        )
    if known["study"] != study:
        raise ValueError(f"{study}: expected its workdir, got that of {known['study']}: {workdir}")
    try:
        comparisons = [
            Comparison(
                factor["name"], factor["title"], factor["setting"], tuple(factor["levels"]),
                tuple(_read(Path(workdir) / file) for file in factor["conditions"]),
            )
            for factor in known["factors"]
        ]  # fmt: skip
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise ValueError(f"{study}: {workdir} is damaged: {error}") from None
    return known["command"], comparisons


def _known(workdir: Path) -> dict[str, Any] | None:
    """What a finished study says of itself; None if there is none."""
    index = Path(workdir) / INDEX
    if not index.exists():
        return None
    try:
        known = json.loads(index.read_text())
        return {name: known[name] for name in ("study", "command", "factors")}
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"workdir: {index} is damaged: {error!r}") from None


def resting(config: Config, chosen: Mapping[str, rnnjax.Population]) -> dict[str, Attractors]:
    """Fixed points of the first networks of populations, by name."""
    asked, found = config.fixed_points, {}
    for name, population in chosen.items():
        first = population.converged[: asked.networks]
        print(f"Fixed points of {len(first)} networks: {name}", flush=True)
        found[name] = attractors(
            first, jax.random.key(config.seed), starts=asked.starts, steps=asked.steps
        )
    return found
