"""One condition as a sweep over its seeds, and the folder that may hold it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rnnjax.store import StoreError, lacking, read_manifest, same_runs
from rnnjax.store.earlier import with_epochs
from rnnjax.sweep import Sweep
from rnnjax.training import SETTINGS, Hyper, Setup

__all__ = ["condition_sweep", "require_condition"]


def condition_sweep(setup: Setup, hyper: Hyper) -> Sweep:
    """The sweep of one condition."""
    rule, recipe = setup.cell.parametrization, setup.recipe
    axes: dict[str, Any] = {"seed": np.asarray(hyper.seed).tolist()}
    for name, setting in SETTINGS.items():
        if setting.available(rule, recipe):
            axes[name] = [float(getattr(hyper, name))]
    return Sweep(setup.task, setup.cell, setup.recipe, axes, setup.evaluation_trials)


def require_condition(store: str | Path, config: Mapping[str, Any]) -> None:
    """Raises `StoreError` for a folder that lacks the condition: only its seeds grow here."""
    try:
        held = read_manifest(store)["config"]
    except (StoreError, OSError):
        return  # a new folder, or a damaged one, which opening it names
    held = with_epochs(held, config)  # the folder may have fewer
    if same_runs(held, config) is not None:
        return
    others = [name for name in lacking(held, config) if name != "seed"]
    if others:
        name = others[0]
        raise StoreError(
            f"store: {store} was made with another config: {name} is {held['axes'][name]} in the "
            f"store but {config['axes'][name]} in this call; choose another folder, or the same "
            "config"
        )
