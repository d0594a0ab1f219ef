"""Width transfer: loss against learning rate at every width, one panel per width rule."""

import dataclasses
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import rnnjax
from rnnjax.cells import (
    STRUCTURES,
    Cell,
    gru,
    latent,
    linear_attention,
    linear_recurrence,
    lstm,
    mgu,
    rate,
    structured,
)
from rnnjax.devices import available_cores
from rnnjax.parametrization import InverseWidth, MuPAdam, MuPSGD
from rnnjax.report import Page, Provenance
from rnnjax.store import describe
from rnnjax.studies.grids import (
    ARMS,
    Call,
    cached,
    cached_value,
    report_sweep,
    require_used,
    split_names,
    task_options,
    train_and_report,
)
from rnnjax.studies.launch import Config
from rnnjax.studies.width_transfer.config import SETTINGS
from rnnjax.studies.width_transfer.page import transfer_page
from rnnjax.training import coordinate_check
from rnnjax.validate import fraction, one_of, positive_integer, positive_single

RATE_RULES = ("standard", "inverse_width", "mup", "latent")
RECURRENCES: dict[str, Callable[..., Cell]] = {
    "gru": gru,
    "lstm": lstm,
    "mgu": mgu,
    "lru": linear_recurrence,
    "attention": linear_attention,
}
"""Other cells, under the standard rule in its arm `xavier`, and as `NAME_mup` under muP."""

RULES = (
    *RATE_RULES, *RECURRENCES, *(f"{name}_mup" for name in RECURRENCES), *STRUCTURES
)  # fmt: skip


def rule_cells(config: Config) -> dict[str, Cell]:
    """The cell of each rule; raises `ValueError` for invalid settings."""
    one_of("arm", config.arm, ARMS)
    one_of("optimizer", config.optimizer, ("adam", "sgd"))
    inverse = InverseWidth(eps_scaling=config.eps_scaling)
    mup = MuPAdam(config.eps_scaling) if config.optimizer == "adam" else MuPSGD()
    shared = {"alpha": config.alpha, "bias": config.bias}
    cells = {
        "standard": rate(init=config.arm, **shared),
        "inverse_width": rate(parametrization=inverse, **shared),
        "mup": rate(parametrization=mup, **shared),
        "latent": latent(rank=config.rank, parametrization=inverse, **shared),
    }
    for name, factory in RECURRENCES.items():
        cells |= {name: factory(), f"{name}_mup": factory(parametrization=mup)}
    cells |= {name: structured(structure=name, cell=cells["standard"]) for name in STRUCTURES}
    names = split_names("rules", config.rules, least=1)
    return {name: cells[one_of("rules", name, RULES)] for name in names}


def build_sweep(config: Config) -> rnnjax.Sweep:
    """The sweep of a config; raises `ValueError` for invalid settings."""
    seeds = positive_integer("seeds", config.seeds)
    return rnnjax.Sweep(
        task=rnnjax.tasks.make(config.task, **task_options(config, config.task)),
        recipe=rnnjax.Recipe(
            config.optimizer, epochs=config.epochs, batch=config.batch,
            reduction=config.reduction, eps=config.eps,
        ),
        axes={
            "cell": rule_cells(config),
            "hidden": config.hidden,
            "learning_rate": config.learning_rates,
            "seed": range(seeds),
        },
        evaluation_trials=config.evaluation_trials,
    )  # fmt: skip


def wanted_runs(sweep: rnnjax.Sweep, config: Config) -> np.ndarray:
    """Mask of the runs that are trained, each rule at its own rates and widths."""
    wanted = np.zeros(sweep.shape, bool)
    rates = np.array(sweep.axis("learning_rate").values)
    widths = np.array(sweep.axis("hidden").values)
    for i, rule in enumerate(sweep.axis("cell").labels):
        low, high = config.lowest[rule], config.highest[rule]
        tried, built = (rates >= low) & (rates <= high), widths <= config.widest[rule]
        if not tried.any() or not built.any():
            raise ValueError(
                f"rules: expected a rate from lowest.{rule} to highest.{rule} and a width up to "
                f"widest.{rule} on the grid, got none for {rule!r}"
            )
        wanted[i] = (built[:, None] & tried[None, :])[:, :, None]
    return wanted


def check_coordinates(
    config: Config, sweep: rnnjax.Sweep, workdir: Path, *, measures: bool = True
) -> xr.Dataset | None:
    """The coordinate check of every rule: read from the workdir, or else run.

    Several at once, in threads, as most of the time is that of the compiler. Without `measures`,
    only those rules that the workdir has; None if it has none.
    """
    how, task = config.coordinates.to_dict(), sweep.task
    file = workdir / "coordinates.json"
    assert task is not None

    def check(name: str, cell: Cell) -> dict[str, Any]:
        print(f"coordinate check: {name}", file=sys.stderr)
        return coordinate_check(task, cell, sweep.recipe, **how).to_dict()

    cells = dict(zip(sweep.axis("cell").labels, sweep.axis("cell").values, strict=True))
    inputs = {
        name: describe({"task": task, "cell": cell, "recipe": sweep.recipe, "how": how})
        for name, cell in cells.items()
    }
    pool = ThreadPoolExecutor(available_cores())
    begun = {
        pool.submit(check, name, cells[name]): (name, of)
        for name, of in inputs.items()
        if measures and cached_value(file, name, of) is None
    }
    try:
        for checked in as_completed(begun):  # each is kept as soon as it ends
            cached(file, *begun.pop(checked), checked.result)
    finally:
        pool.shutdown(cancel_futures=True)
        for checked, (name, of) in begun.items():
            if not checked.cancelled() and checked.exception() is None:
                cached(file, name, of, checked.result)
    values = {name: cached_value(file, name, of) for name, of in inputs.items()}
    found = {name: xr.Dataset.from_dict(value) for name, value in values.items() if value}
    if not found:
        return None
    labels = xr.DataArray(list(found), dims="cell", name="cell")
    parts = list(found.values())
    checks: Any = xr.concat(parts, labels, combine_attrs="identical")  # of datasets: a Dataset
    return checks


def _validate_coordinates(config: Config, sweep: rnnjax.Sweep) -> None:
    """Raises `ValueError` before the training for invalid settings of the coordinate check."""
    how = config.coordinates
    if len(set(how.widths)) < 2:
        raise ValueError(
            f"coordinates.widths: expected at least two different sizes, got {tuple(how.widths)}"
        )
    for name in ("seeds", "steps"):
        positive_integer(f"coordinates.{name}", how[name])
    positive_single("coordinates.learning_rate", how.learning_rate)
    for cell in sweep.axis("cell").values:
        for width in how.widths:
            dataclasses.replace(cell, hidden=width)


def run(
    config: Config,
    workdir: Path,
    *,
    dry_run: bool = False,
    command: str = "rnnjax.studies.width_transfer.study.run(config, workdir)",
    executor: Any = None,
) -> xr.Dataset | None:
    """Trains the runs that the workdir lacks and writes the report.

    With `dry_run`, only prints the cost. `command` is the command that the report lists. Raises
    `ValueError` for invalid settings and for a workdir that is in use, damaged, or of another
    config.
    """
    level = fraction("level", config.level, open_below=True)
    sweep = build_sweep(config)
    if not (Path(workdir) / "store" / "manifest.json").exists():  # earlier versions took them
        require_used(config, SETTINGS.config(), ("eps", "eps_scaling"), (config.optimizer,))
    _validate_coordinates(config, sweep)

    def page(results: xr.Dataset, about: Provenance, pending: bool) -> Page:
        checks = check_coordinates(config, sweep, Path(workdir))
        return transfer_page(results, about, pending=pending, coordinates=checks, level=level)

    results = train_and_report(
        "width_transfer", sweep, workdir, page, config,
        Call(dry_run, command, executor), wanted_runs(sweep, config),
    )  # fmt: skip
    if dry_run:
        checks = check_coordinates(config, sweep, Path(workdir), measures=False)
        known = [] if checks is None else checks["cell"].values.tolist()
        left = [rule for rule in sweep.axis("cell").labels if rule not in known]
        if left:
            widths = ", ".join(map(str, config.coordinates.widths))
            print(f"Then coordinate checks at N = {widths} of {', '.join(map(str, left))}.")
    return results


def report(workdir: Path, about: Provenance) -> Path:
    """Writes the report of what the workdir has; nothing is trained or checked."""
    config = SETTINGS.restored(about.settings)
    sweep = build_sweep(config)
    checks = check_coordinates(config, sweep, workdir, measures=False)
    checked = 0 if checks is None else checks.sizes["cell"]
    unchecked = checked < len(sweep.axis("cell").labels)

    def page(results: xr.Dataset, made: Provenance, pending: bool) -> Page:
        return transfer_page(
            results, made, pending=pending or unchecked, coordinates=checks, level=config.level
        )

    return report_sweep(workdir, page, about, sweep, wanted_runs(sweep, config))
