"""Learning-rate collapse: train the grid, measure critical rates, write figures and a report.

    python experiments/lr_collapse.py --workdir=runs/lr_collapse

Presets and settings: experiments/configs/lr_collapse.py. The same command resumes.
"""

import json
from pathlib import Path
from typing import Any

import xarray as xr

import rnnjax
from launch import Config, Study, checked_workdir, main
from rnnjax.analysis import bisect_critical_rates
from rnnjax.report import collapse_page, write_report
from rnnjax.store import versions
from rnnjax.sweep import cost, default_layout, plan
from rnnjax.validate import fraction, one_of, positive_integer

ARMS = {
    "gaussian": {"init": "gaussian", "bias": False},
    "uniform": {"init": "uniform", "bias": True},
    "xavier": {"init": "xavier", "bias": True},
}

SECONDS_TO_COMPILE = 4  # one program, on a laptop's core


def build_sweep(config: Config) -> rnnjax.Sweep:
    """The population that a config describes; raises `ValueError` for what makes no sense."""
    one_of("arm", config.arm, ARMS)
    seeds = positive_integer("seeds", config.seeds)
    tasks = [rnnjax.tasks.make(name, **_options(config, name)) for name in _names(config.tasks)]
    return rnnjax.Sweep(
        cell=rnnjax.cells.rate(alpha=config.alpha, **ARMS[config.arm]),
        recipe=rnnjax.Recipe(
            epochs=config.epochs, batch=config.batch, data=config.data,
            reduction=config.reduction, eps=config.eps, clip=config.clip,
        ),
        axes={
            "task": tasks,
            "optimizer": _names(config.optimizers),
            "hidden": config.hidden,
            "learning_rate": config.learning_rates,
            "seed": range(seeds),
        },
        evaluation_trials=config.evaluation_trials,
    )  # fmt: skip


def _names(values: tuple[str, ...]) -> list[str]:
    """The flag `--config.tasks=a,b` arrives as one string."""
    return [name.strip() for value in values for name in value.split(",")]


def _options(config: Config, task: str) -> dict[str, Any]:
    return config[task].to_dict() if task in config else {}


def _seconds_in(store: Path) -> float:
    """Seconds of training that the store's results took, over all the calls that made them."""
    return sum(json.loads(file.read_text())["seconds"] for file in store.glob("blocks/*.json"))


def describe_cost(sweep: rnnjax.Sweep, bisect: bool) -> str:
    """What `--dry_run` says: networks, programs, estimated time and memory."""
    layout = default_layout()
    machine = cost.measure_machine(layout)
    blocks = plan(sweep, layout, rnnjax.Engine())
    programs = {(block.setup, block.size) for block in blocks}
    # A bisection trains about eight of the rates on its grid.
    share = min(1.0, 8 / len(sweep.axis("learning_rate").values)) if bisect else 1.0
    lines = [f"{'task':<14} {'optimizer':<9} {'N':>6} {'networks':>9} {'minutes':>8} {'MB':>8}"]
    minutes = 0.0
    for block in blocks:
        setup, runs = block.setup, round(block.runs * share)
        step = cost.step_seconds(setup, runs, layout, machine)
        took = step * setup.recipe.steps / 60
        minutes += took
        memory = cost.block_bytes(setup, block.size, layout) / 1e6
        lines.append(
            f"{setup.task.name:<14} {setup.recipe.optimizer:<9} {setup.cell.hidden:>6} "
            f"{runs:>9} {took:>8.2f} {memory:>8.0f}"
        )
    compiling = len(programs) * SECONDS_TO_COMPILE / 60
    steps = blocks[0].setup.recipe.steps
    lines.append(
        f"{round(sweep.size * share):,} networks x {steps:,} steps in {len(programs)} programs: "
        f"about {minutes + compiling:.1f} minutes, {compiling:.1f} of them compiling, on "
        f"{len(layout.devices)} {layout.devices[0].platform} device(s) of "
        f"{machine.flops / 1e9:,.0f} GFLOP/s together (right within a factor 2)"
    )
    if bisect:
        lines.append("A bisection chooses as it goes; it was counted as 8 rates per condition.")
    return "\n".join(lines)


def run(
    config: Config,
    workdir: Path,
    *,
    dry_run: bool = False,
    command: str = "experiments.lr_collapse.run(config, workdir)",
) -> xr.Dataset | None:
    """Trains what the workdir lacks and writes its report; with `dry_run` only says the cost.

    `command` is what the report names as its origin. Raises `ValueError` for a config that makes
    no sense and for a workdir that is in use, damaged, or of another config.
    """
    sweep = build_sweep(config)
    fraction("level", config.level, open_below=True)
    if config.bisect and config.keep_parameters:
        raise ValueError("keep_parameters: expected False with bisect, which keeps no weights")
    workdir = checked_workdir(Path(workdir))
    if dry_run:
        print(describe_cost(sweep, bisect=config.bisect))
        return None
    store, progress = workdir / "store", rnnjax.ProgressBar("lr_collapse")
    reported = 0

    def report(results: xr.Dataset) -> None:
        page = collapse_page(
            results, settings=config.to_dict(), command=command, versions=versions(),
            elapsed_seconds=_seconds_in(store), level=config.level,
        )  # fmt: skip
        write_report(page, workdir)

    def report_finished_tasks(results: xr.Dataset) -> None:
        """A first report as soon as a task is complete, not only at the end."""
        nonlocal reported
        pending = (results["status"] == rnnjax.Status.PENDING).any(
            set(results["status"].dims) - {"task"}
        )
        done = int((~pending).sum())
        if reported < done < pending.size:
            report(results)
            print(f"\n{done} of {pending.size} tasks done: {workdir / 'report.html'}")
        reported = done

    if config.bisect:
        results = bisect_critical_rates(sweep, store, level=config.level, progress=progress)
    else:
        results = rnnjax.run_sweep(
            sweep, store, progress=progress, keep_parameters=config.keep_parameters,
            after_block=report_finished_tasks,
        )  # fmt: skip
    report(results)
    print(f"Report: {workdir / 'report.html'}")
    return results


if __name__ == "__main__":
    main(Study("lr_collapse", Path(__file__).parent / "configs" / "lr_collapse.py", run))
