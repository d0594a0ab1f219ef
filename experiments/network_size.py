"""Degeneracy against network size, at a fixed strength of feature learning (study 2).

    python experiments/network_size.py --workdir=runs/network_size

Presets and settings: experiments/configs/network_size.py. The same command resumes.
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
    return [
        *(_factor(config, task, "mup", gamma=config.gamma) for task in tasks),
        *(
            _factor(config, task, "standard")
            for task in named(config.standard_tasks)
            if task in tasks
        ),
    ]


def _factor(config: Config, task: str, rule: str, **settings: float) -> Factor:
    widths = ascending("widths", config.widths)
    tried = tuple(condition(config, task, rule=rule, hidden=width, **settings) for width in widths)
    title = name_value(task) + (" (standard)" if rule == "standard" else "")
    return Factor(f"{task}_{rule}", title, "units", tuple(map(str, widths)), tried)


def run(
    config: Config,
    workdir: Path,
    *,
    dry_run: bool = False,
    command: str = "experiments.network_size.run(config, workdir)",
) -> dict[str, xr.Dataset] | None:
    """Trains what the workdir lacks, compares it and writes the report; see `compared.compare`."""
    return compare(
        "network_size", factors(config), config, workdir, dry_run=dry_run, command=command
    )


if __name__ == "__main__":
    main(Study("network_size", Path(__file__).parent / "configs" / "network_size.py", run))
