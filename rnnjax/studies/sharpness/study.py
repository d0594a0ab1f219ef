"""Sharpness: curvature before training against the largest stable rate, per rule and size."""

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import rnnjax
from rnnjax.cells import Cell, rate
from rnnjax.parametrization import InverseWidth, MuPSGD
from rnnjax.report import Page, Provenance
from rnnjax.store import describe
from rnnjax.store.locking import held
from rnnjax.studies.grids import (
    ARMS,
    Call,
    cached,
    cached_value,
    provenance,
    report_sweep,
    require_usable,
    split_names,
    task_options,
    train_and_report,
)
from rnnjax.studies.launch import Config
from rnnjax.studies.sharpness.config import SETTINGS
from rnnjax.studies.sharpness.page import sharpness_page
from rnnjax.studies.workdir import checked_workdir, claim_workdir
from rnnjax.training import sharpness_along_training, sharpness_at_start
from rnnjax.validate import finite_positive, nonnegative, one_of, positive_integer, sequence

RULES = (*ARMS, "inverse_width", "mup")


def rule_cells(config: Config) -> dict[str, Cell]:
    """The cell of each rule; raises `ValueError` for invalid settings."""
    alpha = config.alpha
    cells = {arm: rate(alpha=alpha, **how) for arm, how in ARMS.items()}
    cells["inverse_width"] = rate(alpha=alpha, parametrization=InverseWidth())
    cells["mup"] = rate(alpha=alpha, parametrization=MuPSGD())
    names = split_names("rules", config.rules, least=1)
    return {name: cells[one_of("rules", name, RULES)] for name in names}


def build_sweep(config: Config) -> rnnjax.Sweep:
    """The sweep of a config; raises `ValueError` for invalid settings."""
    seeds = positive_integer("seeds", config.seeds)
    return rnnjax.Sweep(
        task=rnnjax.tasks.make(config.task, **task_options(config, config.task)),
        recipe=rnnjax.Recipe(
            "sgd", epochs=config.epochs, batch=config.batch, reduction=config.reduction
        ),
        axes={
            "cell": rule_cells(config),
            "activation": split_names("activations", config.activations, least=1),
            "hidden": config.hidden,
            "learning_rate": config.learning_rates,
            "seed": range(seeds),
        },
        evaluation_trials=config.evaluation_trials,
    )


def _check(config: Config) -> None:
    """Raises `ValueError` for settings that the sweep does not check."""
    if len(set(config.hidden)) < 2:
        raise ValueError(f"hidden: expected at least two sizes, got {tuple(config.hidden)}")
    for name in ("trials", "start_seeds"):
        positive_integer(name, config[name])
    for name in ("below", "above"):
        nonnegative(name, config[name])
    if config.start_seeds < config.seeds:
        raise ValueError(
            f"start_seeds: expected at least {config.seeds}, as many as are trained (seeds), got "
            f"{config.start_seeds}"
        )
    smallest, largest = min(config.hidden), max(config.hidden)
    if not smallest <= config.training.hidden <= largest:
        raise ValueError(
            f"training.hidden: expected a size from {smallest} to {largest}, those of hidden, got "
            f"{config.training.hidden}"
        )
    for name in ("hidden", "seeds", "every"):
        positive_integer(f"training.{name}", config.training[name])
    if config.training.every > config.epochs:
        raise ValueError(
            f"training.every: expected at most {config.epochs}, the training steps (epochs), got "
            f"{config.training.every}"
        )
    factors = sequence("training.factors", config.training.factors)
    if not factors:
        raise ValueError("training.factors: expected at least one, got none")
    for factor in factors:
        finite_positive("training.factors", factor)


def _each(sweep: rnnjax.Sweep) -> list[tuple[dict[str, str], Cell]]:
    """Labels and cell of every rule and activation."""
    rules, activations = sweep.axis("cell"), sweep.axis("activation")
    return [
        ({"cell": rule, "activation": activation}, cell.replace(activation=activation))
        for rule, cell in zip(rules.labels, rules.values, strict=True)
        for activation in activations.labels
    ]


def _measured(
    file: Path, name: str, of: dict[str, Any], measure: Any, measures: bool
) -> xr.Dataset | None:
    """A dataset read from a file of values, or else, with `measures`, computed and written."""

    def compute() -> dict[str, Any]:
        print(f"measuring the {name}", file=sys.stderr)
        return measure().to_dict()

    value = cached(file, name, of, compute) if measures else cached_value(file, name, of)
    return None if value is None else xr.Dataset.from_dict(value)


def _joined(parts: list[tuple[dict[str, str], xr.Dataset]]) -> xr.Dataset:
    """Datasets along the dimensions of their labels, in the order of the parts."""
    joined = xr.merge(
        [part.expand_dims({name: [value] for name, value in labels.items()})
         for labels, part in parts],
        join="outer", compat="no_conflicts", combine_attrs="override",
    )  # fmt: skip
    labels = [labels for labels, _ in parts]
    return joined.sel(
        {name: list(dict.fromkeys(one[name] for one in labels)) for name in labels[0]}
    )


def predictions(
    config: Config, sweep: rnnjax.Sweep, workdir: Path, *, measures: bool = True
) -> xr.Dataset | None:
    """Sharpness before training, (cell, activation, hidden, seed): read, or else measured.

    Without `measures`, None where any condition is missing.
    """
    file, found = workdir / "sharpness.json", []
    for labels, cell in _each(sweep):
        name = f"sharpness at start, {labels['cell']}, {labels['activation']}"
        all_sizes = _at_start(config, sweep, cell, list(config.hidden))
        parts = [_measured(file, name, *all_sizes, False)]  # as earlier versions kept them
        if parts[0] is None:
            each = {f"{name}, N = {size}": [size] for size in config.hidden}
            parts = [
                _measured(file, one, *_at_start(config, sweep, cell, size), measures)
                for one, size in each.items()
            ]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return None
        found.append((labels, xr.concat(known, "hidden")))
    return _joined(found)


def _at_start(
    config: Config, sweep: rnnjax.Sweep, cell: Cell, widths: list[int]
) -> tuple[dict[str, Any], Callable[[], xr.Dataset]]:
    """What the sharpness before training depends on, and the function that measures it."""
    task, recipe = sweep.task, sweep.recipe
    assert task is not None
    how = {"widths": widths, "seeds": config.start_seeds, "trials": config.trials}
    of = describe({"task": task, "cell": cell, "reduction": recipe.reduction, "how": how})
    return of, functools.partial(sharpness_at_start, task, cell, recipe, **how)


def followed(
    config: Config, sweep: rnnjax.Sweep, start: xr.Dataset, workdir: Path, *, measures: bool = True
) -> xr.Dataset | None:
    """Sharpness along training at multiples of the prediction, as `sharpness_curves` takes it."""
    task, recipe, how = sweep.task, sweep.recipe, config.training
    assert task is not None
    found = []
    for labels, cell in _each(sweep):
        sized, setting = cell.replace(hidden=how.hidden), {"trials": config.trials}
        near = start["largest_rate"].sel(labels).median("seed").sortby("hidden").dropna("hidden")
        expected = float(
            np.exp(np.interp(np.log(how.hidden), np.log(near["hidden"]), np.log(near)))
        )
        rates = [float(f"{factor * expected:.3g}") for factor in how.factors]
        setting |= {"learning_rates": rates, "seeds": how.seeds, "every": how.every}
        of = describe({"task": task, "cell": sized, "recipe": recipe, "how": setting})
        measure = functools.partial(sharpness_along_training, task, sized, recipe, **setting)
        name = f"sharpness along training, {labels['cell']}, {labels['activation']}"
        part = _measured(workdir / "sharpness.json", name, of, measure, measures)
        if part is None:
            return None
        part = part.rename(learning_rate="factor")
        part["learning_rate"] = ("factor", rates)
        found.append((labels, part.assign_coords(factor=list(how.factors))))
    return _joined(found).assign_attrs(hidden=how.hidden)


def wanted_runs(sweep: rnnjax.Sweep, config: Config, start: xr.Dataset | None) -> np.ndarray:
    """Mask of the runs that are trained: rates near the median prediction of their size.

    Without predictions, as in a dry run before they are measured, as many rates in the middle of
    the grid.
    """
    rates = np.log10(np.array(sweep.axis("learning_rate").values))
    names = ("cell", "activation", "hidden")
    wanted = np.zeros(sweep.shape, bool)
    for place in np.ndindex(sweep.shape[:3]):
        expected = rates[[len(rates) // 2 - 1, len(rates) // 2]].mean()  # rarely on the grid
        if start is not None:
            at = {name: sweep.axis(name).labels[i] for name, i in zip(names, place, strict=True)}
            expected = np.log10(float(start["largest_rate"].sel(at).median("seed")))
        slack = 1e-9
        near = (rates >= expected - config.below - slack) & (
            rates <= expected + config.above + slack
        )
        wanted[place] = near[:, None]
    return wanted


def _require_rates(wanted: np.ndarray, sweep: rnnjax.Sweep) -> None:
    """Raises `ValueError` for a rule without a rate at any size."""
    rules, activations = sweep.axis("cell").labels, sweep.axis("activation").labels
    for i, j in np.argwhere(~wanted.any(axis=(2, 3, 4))):
        raise ValueError(
            "learning_rates: expected a rate near the predicted one of some size (below, above), "
            f"got none for {rules[i]}, {activations[j]}"
        )


def run(
    config: Config,
    workdir: Path,
    *,
    dry_run: bool = False,
    command: str = "rnnjax.studies.sharpness.study.run(config, workdir)",
    executor: Any = None,
) -> xr.Dataset | None:
    """Measures the curvature, trains the runs that the workdir lacks, and writes the report.

    With `dry_run`, only prints the cost of training. `command` is the command that the report
    lists. Raises `ValueError` for invalid settings and for a workdir that is in use, damaged, or of
    another config.
    """
    sweep = build_sweep(config)
    _check(config)
    call = Call(dry_run, command, executor)
    workdir = checked_workdir(workdir, "sharpness")
    store = workdir / "store"
    if dry_run:
        start = predictions(config, sweep, workdir, measures=False)
    else:
        require_usable(store, sweep)
        store.mkdir(parents=True, exist_ok=True)
        with held(store):  # else the same command would measure beside this one
            claim_workdir(workdir, "sharpness", provenance(config, command, None))
            start = predictions(config, sweep, workdir)
    if start is None:
        print(
            "The sharpness before training is not measured yet; as many rates of each size are "
            "counted, in the middle of the grid."
        )

    def page(results: xr.Dataset, about: Provenance, pending: bool) -> Page:
        assert start is not None
        curves = followed(config, sweep, start, workdir, measures=False)
        if curves is None:
            with held(store):
                curves = followed(config, sweep, start, workdir)
        return _page(results, about, pending, config, start, curves)

    wanted = wanted_runs(sweep, config, start)
    if start is not None:
        _require_rates(wanted, sweep)
    results = train_and_report("sharpness", sweep, workdir, page, config, call, wanted)
    if dry_run and (
        start is None or followed(config, sweep, start, workdir, measures=False) is None
    ):
        print(f"Then the sharpness along training is measured, N = {config.training.hidden}.")
    return results


def _page(
    results: xr.Dataset,
    about: Provenance,
    pending: bool,
    config: Config,
    start: xr.Dataset,
    curves: xr.Dataset | None,
) -> Page:
    return sharpness_page(
        results, about, pending=pending, sharpness=start, curves=curves, below=config.below,
        above=config.above,
    )  # fmt: skip


def report(workdir: Path, about: Provenance) -> Path:
    """Writes the report of what the workdir has; nothing is trained or measured."""
    config = SETTINGS.restored(about.settings)
    sweep = build_sweep(config)
    start = predictions(config, sweep, workdir, measures=False)
    if start is None:
        raise ValueError(f"workdir: expected the sharpness before training in {workdir}, got none")
    curves = followed(config, sweep, start, workdir, measures=False)

    def page(results: xr.Dataset, made: Provenance, pending: bool) -> Page:
        return _page(results, made, pending or curves is None, config, start, curves)

    return report_sweep(workdir, page, about, sweep, wanted_runs(sweep, config, start))
