"""Parts of the studies that train a grid: settings, cached values, and the run itself."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np
import xarray as xr
from ml_collections import ConfigDict

import rnnjax
from rnnjax.report import Page, Provenance, write_report
from rnnjax.store import (
    DamageError,
    StoreError,
    StoreInUse,
    digest,
    read_manifest,
    same_runs,
    versions,
    write_checked,
)
from rnnjax.store.grid import grid_of, places
from rnnjax.store.locking import acquire
from rnnjax.store.opening import existing_manifest
from rnnjax.studies.costs import cost_text
from rnnjax.studies.launch import Config
from rnnjax.studies.progress import StudyProgress
from rnnjax.studies.results_file import write_results
from rnnjax.studies.workdir import (
    MEASURED_AGAIN,
    checked_workdir,
    claim_workdir,
    read_values,
    record_run,
)
from rnnjax.sweep import sweep_config
from rnnjax.validate import instance_of, sequence

__all__ = [
    "ARMS",
    "Call",
    "MakePage",
    "cached",
    "cached_value",
    "device_name",
    "is_cached",
    "provenance",
    "report_sweep",
    "require_config",
    "require_usable",
    "require_used",
    "run_seconds",
    "runs_of",
    "split_names",
    "task_options",
    "train_and_report",
    "unfinished_runs",
    "write_study_report",
]

ARMS = {
    "gaussian": {"init": "gaussian", "bias": False},
    "uniform": {"init": "uniform", "bias": True},
    "xavier": {"init": "xavier", "bias": True},
}
"""Arms of the standard rule: initial weights, and whether there are biases."""


def split_names(setting: str, values: Iterable[str], *, least: int = 0) -> list[str]:
    """Splits the names of a setting at commas: the flag `--config.tasks=a,b` gives one string.

    Raises `ValueError` for other values than strings, a name that comes twice, or for fewer names
    than `least`.
    """
    given = [instance_of(setting, value, str) for value in sequence(setting, values)]
    names = [name.strip() for value in given for name in value.split(",")]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{setting}: expected each name once, got {twice!r} twice")
    if len(names) < least:
        raise ValueError(f"{setting}: expected at least {least} name, got none")
    return names


def task_options(config: Config, task: str) -> dict[str, Any]:
    """Options of a task in the config; `steps`, where they are given, replace the `delay`."""
    options = config.get(task, {})
    found = options.to_dict() if isinstance(options, ConfigDict) else {}
    if found.get("steps") is not None:
        found.pop("delay", None)
    return found


def run_seconds(results: xr.Dataset) -> float:
    """Seconds of training of these runs; the store may hold others.

    Of runs that went on with more epochs, those of the last call.
    """
    return float(results["seconds"].sum())


def device_name() -> str:
    """Number and kind of the devices of this process."""
    devices = jax.local_devices()
    kind = devices[0].device_kind
    info = Path("/proc/cpuinfo")
    if devices[0].platform == "cpu" and info.exists():
        kind = info.read_text().partition("model name")[2].partition("\n")[0].strip("\t :") or kind
    return f"{len(devices)} x {kind}"


def cached(file: Path, name: str, of: dict[str, Any], compute: Callable[[], Any]) -> Any:
    """The value of `name` for the inputs `of`, read from `file` or else computed and written there.

    `of` holds everything that the value depends on. Values of other inputs stay in the file.
    """
    known = read_values(file, MEASURED_AGAIN) if file.exists() else {}
    key = f"{name} {digest(of)[:12]}"
    if key not in known:
        found = {"of": of, "value": compute()}
        # Another command may have added values meanwhile.
        known = {**(read_values(file, MEASURED_AGAIN) if file.exists() else {}), key: found}
        write_checked(file, known)
    return known[key]["value"]


def is_cached(file: Path, name: str, of: dict[str, Any]) -> bool:
    """Whether `cached` would read the value of `name` for the inputs `of`."""
    return file.exists() and f"{name} {digest(of)[:12]}" in read_values(file, MEASURED_AGAIN)


def cached_value(file: Path, name: str, of: dict[str, Any]) -> Any:
    """The value of `name` for the inputs `of`; None if there is none.

    That of the same devices and version of JAX, of the same devices, or else the last one.
    """
    known = read_values(file, MEASURED_AGAIN) if file.exists() else {}
    wanted = _inputs(of)
    found = [
        entry
        for key, entry in known.items()
        if key.rpartition(" ")[0] == name and _inputs(entry["of"]) == wanted
    ]

    def nearness(entry: dict[str, Any]) -> tuple[bool, bool]:
        return tuple(entry["of"].get(field) == of.get(field) for field in _MACHINE)

    best = max(reversed(found), key=nearness, default=None)
    return None if best is None else best["value"]


_MACHINE = ("devices", "jax")
"""Inputs of measured times, by which no other value is told apart."""


def _inputs(of: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in of.items() if name not in _MACHINE}


def provenance(config: Config, command: str, seconds: float | None) -> Provenance:
    """Provenance of a page written by this process; `seconds` is the time of the computation."""
    about = {"devices": device_name(), **versions()}
    return Provenance(command, config.to_dict(), about, seconds)


MakePage: TypeAlias = Callable[[xr.Dataset, Provenance, bool], Page]
"""A page from results, their provenance, and whether runs are missing."""


class Call(NamedTuple):
    """How a study is run."""

    dry_run: bool
    command: str
    """Command line that repeats the run."""
    executor: Any = None
    """Where blocks train, as in `rnnjax.Engine`."""


def train_and_report(
    study: str,
    sweep: rnnjax.Sweep,
    workdir: Path,
    make_page: MakePage,
    config: Config,
    call: Call,
    wanted: np.ndarray | None = None,
) -> xr.Dataset | None:
    """Trains the runs that the workdir lacks and writes the report; a dry run prints the cost.

    Args:
        study: label of the progress bar.
        sweep: the runs.
        workdir: folder of the store and the report.
        make_page: page from results, provenance, and whether runs are missing.
        config: settings, which the page lists.
        call: how the study is run; a dry run only prints the cost.
        wanted: part of the sweep to train, `[*sweep.shape]`; all by default.

    Raises `ValueError` for a workdir that is in use, damaged, or of another config.
    """
    workdir = checked_workdir(workdir, study)
    if call.dry_run:
        left = unfinished_runs(workdir / "store", sweep, wanted)
        print(cost_text(sweep, wanted=left, keep_parameters=config.keep_parameters))
        return None
    store = workdir / "store"
    require_usable(store, sweep)
    claim_workdir(workdir, study, provenance(config, call.command, None))
    progress = StudyProgress(study)
    results = rnnjax.run_sweep(
        sweep,
        store,
        progress=progress,
        mask=wanted,
        keep_parameters=config.keep_parameters or None,
        engine=rnnjax.Engine(executor=call.executor),
    )
    progress.close()
    results = _only(results, sweep, wanted)
    about = provenance(config, call.command, run_seconds(results))
    write_results(results, workdir)
    write_study_report(study, workdir, make_page(results, about, False), about)
    return results


def write_study_report(study: str, workdir: Path, page: Page, about: Provenance) -> None:
    """Writes a study's report, prints its place, and keeps how it was made in the workdir."""
    print("Writing the report", flush=True)
    file = write_report(page, workdir)
    record_run(workdir, study, about)
    print(f"Report: {file}")


def report_sweep(
    workdir: Path,
    make_page: MakePage,
    about: Provenance,
    sweep: rnnjax.Sweep,
    wanted: np.ndarray | None = None,
    left: Callable[[xr.Dataset], np.ndarray] | None = None,
) -> Path:
    """Writes the report of those runs of a sweep that a workdir has; returns the HTML file.

    The store may hold others, of a larger sweep.

    Args:
        workdir: folder of the store and the report.
        make_page: as in `train_and_report`.
        about: how the results were computed.
        sweep: that of the settings in `about`.
        wanted: mask `sweep.shape` of the runs that the study trains; all by default.
        left: the results -> mask of the runs that it lacks, where they decide which these are.

    Raises `ValueError` for a store that is missing, damaged, or without the sweep's runs.
    """
    store = workdir / "store"
    results = _only(runs_of(sweep, store), sweep, wanted)
    write_results(results, workdir)
    about = dataclasses.replace(about, seconds=run_seconds(results))
    missing = (results["status"] == rnnjax.Status.PENDING).values
    if wanted is not None:
        missing = missing & wanted
    if left is not None:
        missing = left(results)
    return write_report(make_page(results, about, bool(missing.any())), workdir)


def unfinished_runs(
    store: Path, sweep: rnnjax.Sweep, wanted: np.ndarray | None = None
) -> np.ndarray:
    """Mask `sweep.shape` of the `wanted` runs, by default all, that a store lacks.

    Raises `StoreError` for a store of another config, which training refuses.
    """
    wanted = np.ones(sweep.shape, bool) if wanted is None else wanted
    try:
        held = existing_manifest(store, _described(sweep))
    except DamageError:
        return wanted
    if held is None or same_runs(held["config"], _described(sweep)) is not None:
        return wanted  # no store yet, or runs that all go on to more epochs
    try:
        status = runs_of(sweep, store)["status"]
    except (StoreError, OSError):  # none with a finished block, or a damaged one
        return wanted
    return wanted & (status == rnnjax.Status.PENDING).values


def require_config(store: Path, sweep: rnnjax.Sweep) -> None:
    """Raises `StoreError` for a store of another config, which training refuses."""
    with contextlib.suppress(DamageError):
        existing_manifest(store, _described(sweep))


def require_usable(store: Path, sweep: rnnjax.Sweep) -> None:
    """Raises `StoreError` for a store that training refuses: of another config, or in use.

    Before a study claims its folder, whose index would else name the refused command.
    """
    require_config(store, sweep)
    if not (store / "lock").exists():
        return
    try:
        acquire(store).release()
    except StoreInUse:
        raise
    except StoreError:  # training raises it again
        return


def require_used(
    config: Config, defaults: Config, names: Iterable[str], optimizers: Iterable[str]
) -> None:
    """Raises `ValueError` for a setting of Adam, of those in `names`, where only SGD trains."""
    if "adam" in optimizers:
        return
    for name in names:
        if config[name] != defaults[name]:
            raise ValueError(
                f"{name}: expected {defaults[name]}, as it is Adam's and SGD does not use it, got "
                f"{config[name]}"
            )


def _described(sweep: rnnjax.Sweep) -> dict[str, Any]:
    return sweep_config(sweep, rnnjax.Engine())


def runs_of(sweep: rnnjax.Sweep, store: Path) -> xr.Dataset:
    """The results of a sweep's runs in its order; those that the store lacks are pending."""
    results, here = rnnjax.load_results(store), grid_of(_described(sweep))
    there = grid_of(read_manifest(store)["config"])
    at = places(here, there)
    index = dict(zip(there.names, at.index, strict=True))
    labels = {name: np.array(values) for name, values in zip(here.names, here.labels, strict=True)}
    found = results.isel({name: np.maximum(where, 0) for name, where in index.items()})
    known = functools.reduce(np.multiply.outer, [index[name] >= 0 for name in here.names])
    found = found.assign_coords(labels).transpose(*here.names, ...)
    return found if known.all() else _only(found, sweep, known)


def _only(results: xr.Dataset, sweep: rnnjax.Sweep, wanted: np.ndarray | None) -> xr.Dataset:
    """Results with those runs alone that are `wanted`; others, of earlier settings, count as not
    run."""
    if wanted is None:
        return results
    mask = xr.DataArray(wanted, dims=[axis.name for axis in sweep.dimensions])
    return results.map(
        lambda part: part.where(mask, np.nan if part.dtype.kind == "f" else 0).astype(part.dtype)
        .transpose(*part.dims),
        keep_attrs=True,
    )  # fmt: skip
