"""Degeneracy against structural regularization, L1 and nuclear norm (study 2).

    python experiments/regularization.py --workdir=runs/regularization

Presets and settings: experiments/configs/regularization.py. The same command resumes.
"""

from pathlib import Path

import xarray as xr

from compared import compare
from conditions import Factor, ascending, condition
from grids import named
from launch import Config, Study, main
from rnnjax.plots.style import name_value

_PENALTIES = {"l1": "L1 strength", "nuclear": "nuclear strength"}


def factors(config: Config) -> list[Factor]:
    """What a config compares; raises `ValueError` for what makes no sense."""
    found = []
    for task in named(config.tasks):
        for penalty, setting in _PENALTIES.items():
            strengths = ascending(penalty, config[penalty])
            if strengths:
                # Without either penalty the network is one for both series.
                tried = tuple(
                    condition(config, task, **({penalty: value} if value else {}))
                    for value in strengths
                )
                levels = tuple(f"{value:g}" for value in strengths)
                found.append(Factor(f"{task}_{penalty}", name_value(task), setting, levels, tried))
    return found


def run(
    config: Config,
    workdir: Path,
    *,
    dry_run: bool = False,
    command: str = "experiments.regularization.run(config, workdir)",
) -> dict[str, xr.Dataset] | None:
    """Trains what the workdir lacks, compares it and writes the report; see `compared.compare`."""
    return compare(
        "regularization", factors(config), config, workdir, dry_run=dry_run, command=command
    )


if __name__ == "__main__":
    main(Study("regularization", Path(__file__).parent / "configs" / "regularization.py", run))
