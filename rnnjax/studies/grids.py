"""What the studies that train a grid share: names, costs, and train-then-report."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xarray as xr

import rnnjax
from rnnjax.report import Page, Provenance, write_report
from rnnjax.store import digest, versions, write_atomically
from rnnjax.studies.launch import Config, checked_workdir
from rnnjax.sweep import cost, default_layout, plan

__all__ = [
    "ARMS",
    "cached",
    "cost_text",
    "device_name",
    "named",
    "provenance",
    "task_options",
    "train_and_report",
    "training_seconds",
]

ARMS = {
    "gaussian": {"init": "gaussian", "bias": False},
    "uniform": {"init": "uniform", "bias": True},
    "xavier": {"init": "xavier", "bias": True},
}
"""Arms of the standard rule in the collapse study: initial weights, and whether with biases."""

SECONDS_TO_COMPILE = 4  # one program, on a laptop's core


def named(values: Iterable[str]) -> list[str]:
    """The flag `--config.tasks=a,b` arrives as one string."""
    return [name.strip() for value in values for name in value.split(",")]


def task_options(config: Config, task: str) -> dict[str, Any]:
    """What the config says of a task's times."""
    return config[task].to_dict() if task in config else {}


def training_seconds(store: Path) -> float:
    """Seconds of training that the store's results took, over all the calls that made them."""
    return sum(json.loads(file.read_text())["seconds"] for file in store.glob("blocks/*.json"))


def device_name() -> str:
    """The devices that results of this process come from."""
    devices = jax.local_devices()
    kind = devices[0].device_kind
    info = Path("/proc/cpuinfo")
    if devices[0].platform == "cpu" and info.exists():
        kind = info.read_text().partition("model name")[2].partition("\n")[0].strip("\t :") or kind
    return f"{len(devices)} x {kind}"


def cached(file: Path, name: str, of: dict[str, Any], compute: Callable[[], Any]) -> Any:
    """The value of `name` in `file` for the inputs `of`; `compute()`, then written, if it has none.

    `of` is everything that the value depends on. Values of other inputs stay in the file.
    """
    known: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    key = f"{name} {digest(of)[:12]}"
    if key not in known:
        known[key] = {"of": of, "value": compute()}
        write_atomically(file, json.dumps(known, indent=1) + "\n")
    return known[key]["value"]


def _label(sweep: rnnjax.Sweep, place: Sequence[int]) -> str:
    """The places on the sweep's static axes other than the width, as words."""
    axes = zip(sweep.static_axes, place, strict=False)
    return " ".join(str(axis.labels[i]) for axis, i in axes if axis.name != "hidden")


def cost_text(
    sweep: rnnjax.Sweep, *, wanted: np.ndarray | None = None, bisect: bool = False
) -> str:
    """What `--dry_run` says: networks, programs, estimated time and memory."""
    layout = default_layout()
    machine = cost.measure_machine(layout)
    blocks = plan(sweep, layout, rnnjax.Engine(), wanted)
    programs = {(block.setup, block.size) for block in blocks}
    # A bisection trains about eight of the rates on its grid.
    share = min(1.0, 8 / len(sweep.axis("learning_rate").values)) if bisect else 1.0
    labels = [_label(sweep, block.cells[0]) or block.setup.task.name for block in blocks]
    width = max(map(len, labels))
    lines = [f"{'':<{width}} {'N':>8} {'networks':>9} {'minutes':>8} {'MB':>8}"]
    minutes, networks = 0.0, 0
    for label, block in zip(labels, blocks, strict=True):
        setup, runs = block.setup, round(block.runs * share)
        took = cost.step_seconds(setup, runs, layout, machine) * setup.recipe.steps / 60
        minutes, networks = minutes + took, networks + runs
        memory = cost.block_bytes(setup, block.size, layout) / 1e6
        lines.append(
            f"{label:<{width}} {setup.cell.hidden:>8} {runs:>9} {took:>8.2f} {memory:>8.0f}"
        )
    compiling = len(programs) * SECONDS_TO_COMPILE / 60
    lines.append(
        f"{networks:,} networks x {blocks[0].setup.recipe.steps:,} steps in {len(programs)} "
        f"programs: about {minutes + compiling:.1f} minutes, {compiling:.1f} of them compiling, on "
        f"{len(layout.devices)} {layout.devices[0].platform} device(s) of "
        f"{machine.flops / 1e9:,.0f} GFLOP/s together (right within a factor 2)"
    )
    if any(block.setup.recipe.stop == "threshold" for block in blocks):
        lines.append("That is the most: networks stop at their threshold.")
    if bisect:
        lines.append("A bisection chooses as it goes; it was counted as 8 rates per condition.")
    return "\n".join(lines)


def provenance(config: Config, command: str, seconds: float | None) -> Provenance:
    """How a page of this process came about; `seconds` is the time that the computation took."""
    about = {"devices": device_name(), **versions()}
    return Provenance(command, config.to_dict(), about, seconds)


def train_and_report(
    study: str,
    sweep: rnnjax.Sweep,
    workdir: Path,
    make_page: Callable[[xr.Dataset, Provenance], Page],
    config: Config,
    *,
    dry_run: bool,
    command: str,
    wanted: np.ndarray | None = None,
) -> xr.Dataset | None:
    """Trains what the workdir lacks and writes its report; a dry run only prints the cost.

    Raises `ValueError` for a workdir that is in use, damaged, or of another config.
    """
    workdir = checked_workdir(Path(workdir))
    if dry_run:
        print(cost_text(sweep, wanted=wanted))
        return None
    store = workdir / "store"
    results = rnnjax.run_sweep(
        sweep, store, progress=rnnjax.ProgressBar(study), mask=wanted,
        keep_parameters=config.keep_parameters,
    )  # fmt: skip
    page = make_page(results, provenance(config, command, training_seconds(store)))
    write_report(page, workdir)
    print(f"Report: {workdir / 'report.html'}")
    return results
