"""Degeneracy against the strength of feature learning, gamma (study 2).

    python experiments/feature_learning.py --workdir=runs/feature_learning

Presets and settings: experiments/configs/feature_learning.py. The same command resumes.
"""

from pathlib import Path

import xarray as xr

from compared import compare
from conditions import Factor, ascending, condition
from grids import named
from launch import Config, Study, main
from rnnjax.plots.style import name_value


def factors(config: Config) -> list[Factor]:
    """What a config compares; raises `ValueError` for what makes no sense."""
    tasks = named(config.tasks)
    gammas = ascending("gammas", config.gammas)
    tricks = ascending("trick_gammas", config.trick_gammas)
    return [
        *(_factor(config, task, "mup", gammas) for task in tasks),
        *(
            _factor(config, task, "gamma_trick", tricks)
            for task in named(config.trick_tasks)
            if task in tasks
        ),
    ]


def _factor(config: Config, task: str, rule: str, gammas: tuple[float, ...]) -> Factor:
    tried = tuple(condition(config, task, rule=rule, gamma=gamma) for gamma in gammas)
    title = name_value(task) + (" (gamma-trick)" if rule == "gamma_trick" else "")
    return Factor(f"{task}_{rule}", title, "gamma", tuple(f"{gamma:g}" for gamma in gammas), tried)


def run(
    config: Config,
    workdir: Path,
    *,
    dry_run: bool = False,
    command: str = "experiments.feature_learning.run(config, workdir)",
) -> dict[str, xr.Dataset] | None:
    """Trains what the workdir lacks, compares it and writes the report; see `compared.compare`."""
    return compare(
        "feature_learning", factors(config), config, workdir, dry_run=dry_run, command=command
    )


if __name__ == "__main__":
    main(Study("feature_learning", Path(__file__).parent / "configs" / "feature_learning.py", run))
