"""Rescaling: networks with W/N and W_out/N, with Adam's epsilon as in PyTorch and scaled."""

from pathlib import Path
from typing import Any

import xarray as xr

import rnnjax
from rnnjax.parametrization import InverseWidth
from rnnjax.report import Page, Provenance
from rnnjax.studies.grids import Call, report_sweep, split_names, train_and_report
from rnnjax.studies.launch import Config
from rnnjax.studies.rescaling.config import SETTINGS
from rnnjax.studies.rescaling.page import rescaling_page
from rnnjax.validate import positive_integer


def build_sweep(config: Config) -> rnnjax.Sweep:
    """The sweep of a config; raises `ValueError` for invalid settings."""
    seeds = positive_integer("seeds", config.seeds)
    inits, scalings = (
        split_names("inits", config.inits, least=1),
        split_names("eps_scalings", config.eps_scalings),
    )
    if sorted(scalings) not in (["torch"], ["scaled", "torch"]):
        raise ValueError(
            "eps_scalings: expected torch and scaled, which the study compares, or torch alone, "
            f"got {', '.join(scalings) or 'none'}"
        )
    axes = {
        "eps_scaling": scalings,
        "hidden": config.hidden,
        "learning_rate": config.learning_rates,
        "seed": range(seeds),
    }
    if len(inits) > 1:
        axes["init"] = inits
    init: Any = inits[0]  # validated by the rule
    rule = InverseWidth(init)
    return rnnjax.Sweep(
        task=rnnjax.tasks.flip_flop(**config.flip_flop),
        cell=rnnjax.cells.rate(alpha=config.alpha, bias=config.bias, parametrization=rule),
        recipe=rnnjax.Recipe(
            "adam", epochs=config.epochs, batch=config.batch, reduction=config.reduction,
            eps=config.eps,
        ),
        axes=axes,
        evaluation_trials=config.evaluation_trials,
    )  # fmt: skip


def run(
    config: Config,
    workdir: Path,
    *,
    dry_run: bool = False,
    command: str = "rnnjax.studies.rescaling.study.run(config, workdir)",
    executor: Any = None,
) -> xr.Dataset | None:
    """Trains the runs that the workdir lacks and writes the report.

    With `dry_run`, only prints the cost. `command` is the command that the report lists. Raises
    `ValueError` for invalid settings and for a workdir that is in use, damaged, or of another
    config.
    """
    return train_and_report(
        "rescaling", build_sweep(config), workdir, _page, config, Call(dry_run, command, executor)
    )


def report(workdir: Path, about: Provenance) -> Path:
    """Writes the report of the runs that the workdir has; returns the HTML file."""
    return report_sweep(workdir, _page, about, build_sweep(SETTINGS.restored(about.settings)))


def _page(results: xr.Dataset, about: Provenance, pending: bool) -> Page:
    return rescaling_page(results, about, pending=pending)
