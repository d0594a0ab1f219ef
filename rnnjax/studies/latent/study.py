"""Latent training: networks of up to a million units in their K latent variables."""

import dataclasses
import functools
import sys
from collections.abc import Mapping
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xarray as xr

import rnnjax
from rnnjax.devices import default_layout
from rnnjax.parametrization import InverseWidth
from rnnjax.report import Page, Provenance
from rnnjax.store import describe, versions
from rnnjax.studies.grids import (
    Call,
    cached,
    cached_value,
    device_name,
    is_cached,
    report_sweep,
    task_options,
    train_and_report,
)
from rnnjax.studies.latent.config import SETTINGS
from rnnjax.studies.latent.cost import EpochCost, epoch_cost
from rnnjax.studies.latent.page import latent_page
from rnnjax.studies.launch import Config
from rnnjax.sweep.cost import out_of_memory, require_memory
from rnnjax.training import Setup
from rnnjax.validate import positive_integer, sequence


def build_sweep(config: Config) -> rnnjax.Sweep:
    """The sweep of a config; raises `ValueError` for invalid settings."""
    seeds = positive_integer("seeds", config.seeds)
    task = rnnjax.tasks.make(config.task, **task_options(config, config.task))
    if config.readout == "latent" and config.rank < task.outputs:
        raise ValueError(
            f"rank: expected at least {task.outputs}, the outputs of {config.task}, where they are "
            f"read from the latent variables, got {config.rank}"
        )
    sizes = [positive_integer("hidden", size) for size in sequence("hidden", config.hidden)]
    if not sizes:
        raise ValueError("hidden: expected at least one size, got none")
    return rnnjax.Sweep(
        task=task,
        cell=rnnjax.cells.latent(
            min(sizes), rank=config.rank, alpha=config.alpha, bias=config.bias,
            readout=config.readout, parametrization=InverseWidth(eps_scaling=config.eps_scaling),
        ),
        recipe=rnnjax.Recipe(
            "adam", epochs=config.epochs, batch=config.batch, reduction=config.reduction,
            eps=config.eps,
        ),
        axes={
            "hidden": config.hidden,
            "learning_rate": config.learning_rates,
            "seed": range(seeds),
        },
        evaluation_trials=config.evaluation_trials,
    )  # fmt: skip


_COSTS = "cost.json"


def _timing(config: Config) -> dict[str, int]:
    """How often an epoch is timed."""
    return {"repeats": config.cost_repeats, "epochs": config.cost_epochs}


def _cost_inputs(config: Config, setup: Setup) -> dict[str, Any]:
    """What the time of an epoch depends on."""
    return {
        **_timing(config),
        "setup": describe(setup),
        "devices": device_name(),
        "jax": versions()["jax"],
    }


def _cost_text(setups: Mapping[int, Setup], config: Config, workdir: Path) -> str:
    """Which sizes the workdir lacks times of, on this machine."""
    sizes = [
        f"{size:,}"
        for size, setup in setups.items()
        if not is_cached(workdir / _COSTS, f"N={size}", _cost_inputs(config, setup))
    ]
    if not sizes:
        return "The folder has the times of epochs at all sizes."
    return f"Then epochs of one network are timed at N = {'; '.join(sizes)}."


def measure_costs(
    setups: dict[int, Setup], config: Config, workdir: Path, *, measures: bool = True
) -> xr.Dataset:
    """Seconds and peak memory of an epoch at each size: read from the workdir, or else measured.

    Without `measures`, sizes that the workdir lacks are NaN.
    """

    def measure(size: int) -> EpochCost:
        print(f"timing an epoch at N = {size:,}", file=sys.stderr)
        try:
            return epoch_cost(setups[size], **_timing(config))
        except (BrokenProcessPool, jax.errors.JaxRuntimeError) as error:
            if not isinstance(error, BrokenProcessPool) and not out_of_memory(error):
                raise
            raise ValueError(
                f"cost_hidden: expected sizes whose epochs can be timed, got {size}: {error}"
            ) from error

    file, found = workdir / _COSTS, []
    for size, setup in setups.items():
        of = _cost_inputs(config, setup)
        if measures:
            found.append(cached(file, f"N={size}", of, functools.partial(measure, size)))
        else:
            unknown = {"seconds": [np.nan] * config.cost_repeats, "peak_bytes": np.nan}
            found.append(cached_value(file, f"N={size}", of) or unknown)
    seconds = np.array([cost["seconds"] for cost in found])
    values = {
        "seconds_per_epoch": np.median(seconds, axis=1),
        "seconds_per_epoch_low": seconds.min(axis=1),
        "seconds_per_epoch_high": seconds.max(axis=1),
        "peak_bytes": np.array([cost["peak_bytes"] for cost in found]),
    }
    return xr.Dataset({name: ("hidden", v) for name, v in values.items()}, {"hidden": [*setups]})


def _sized_setups(config: Config, sweep: rnnjax.Sweep) -> dict[int, Setup]:
    """The setups whose epochs are timed, by size."""
    for name in ("cost_repeats", "cost_epochs"):
        positive_integer(name, config[name])
    sizes = sorted(positive_integer("cost_hidden", size) for size in config.cost_hidden)
    if not sizes:
        raise ValueError("cost_hidden: expected at least one size, got none")
    _, setup = next(sweep.setups())
    cell: Any = setup.cell
    return {
        size: dataclasses.replace(setup, cell=dataclasses.replace(cell, hidden=size))
        for size in sizes
    }


def _require_memory(setups: Mapping[int, Setup], config: Config, workdir: Path) -> None:
    """Raises `ValueError` where a network that is to be timed does not fit into memory."""
    layout = default_layout(share="units")
    for size, setup in setups.items():
        if is_cached(workdir / _COSTS, f"N={size}", _cost_inputs(config, setup)):
            continue
        try:
            require_memory(setup, layout)
        except ValueError as error:  # names the setting of a sweep
            raise ValueError(f"cost_hidden: {str(error).partition(': ')[2]}") from error


def run(
    config: Config,
    workdir: Path,
    *,
    dry_run: bool = False,
    command: str = "rnnjax.studies.latent.study.run(config, workdir)",
    executor: Any = None,
) -> xr.Dataset | None:
    """Trains the runs that the workdir lacks, times an epoch at each size, and writes the report.

    With `dry_run`, only prints the cost of training. `command` is the command that the report
    lists. Raises `ValueError` for invalid settings, for a network to be timed that does not fit
    into memory, and for a workdir that is in use, damaged, or of another config.
    """
    sweep = build_sweep(config)
    setups = _sized_setups(config, sweep)
    if not dry_run:  # another machine may run it
        _require_memory(setups, config, Path(workdir))

    def page(results: xr.Dataset, about: Provenance, pending: bool) -> Page:
        costs = measure_costs(setups, config, Path(workdir))
        return latent_page(results, costs, about, pending=pending)

    call = Call(dry_run, command, executor)
    results = train_and_report("latent", sweep, workdir, page, config, call)
    if dry_run:
        print(_cost_text(setups, config, Path(workdir)))
    return results


def report(workdir: Path, about: Provenance) -> Path:
    """Writes the report of what the workdir has; nothing is trained or timed."""
    config = SETTINGS.restored(about.settings)
    sweep = build_sweep(config)
    costs = measure_costs(_sized_setups(config, sweep), config, workdir, measures=False)
    untimed = bool(costs["seconds_per_epoch"].isnull().any())

    def page(results: xr.Dataset, made: Provenance, pending: bool) -> Page:
        return latent_page(results, costs, made, pending=pending or untimed)

    return report_sweep(workdir, page, about, sweep)
