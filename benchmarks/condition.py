"""Time of one condition of a degeneracy study: training, then measures in every aspect.

The condition is the 3-bit flip-flop of `experiments/task_complexity.py --config=paper`, run by that
study in a temporary folder. Compilation is included, since users wait for it.
"""

import argparse
import cProfile
import inspect
import json
import pstats
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xarray as xr
from machine import describe
from script import RESULTS, Parser, refused_in_one_line, run_main, writable_folder

import rnnjax
from rnnjax.analysis import find_attractors, measure_population
from rnnjax.analysis.degeneracy import STAGES as DEGENERACY_STAGES
from rnnjax.store.manifest import versions, write_atomically
from rnnjax.studies.degeneracy import config as configs
from rnnjax.studies.degeneracy import task_complexity
from rnnjax.studies.launch import run_in_parallel_on_cpu
from rnnjax.sweep import default_layout

STAGES: dict[str, Any] = {
    "losses, tangent kernels": measure_population,
    "trajectories": rnnjax.Population.trajectories,
    **DEGENERACY_STAGES,
    "fixed points of one network": find_attractors,
}
"""Function of each timed stage. The rest of the time is training, which the profiler does not
resolve, and the report."""

COMPILED = "/jax/core/compile/backend_compile_duration"
LEVELS = ("loss", "ood_loss", "dsa", "pif", "pif_relative", "svcca", "cka")


def options() -> argparse.Namespace:
    """Parses the command line; ends the program on invalid values."""
    parser = Parser(description="Times one condition of a degeneracy study.")
    parser.add_argument("--networks", type=int, default=50, help="default: 50")
    parser.add_argument("--hidden", type=int, default=128, help="units; default: 128")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the record")
    flags = parser.parse_args()
    for name, least in (("networks", 2), ("hidden", 2)):
        if getattr(flags, name) < least:
            parser.error(f"{name}: expected at least {least}, got {getattr(flags, name)}")
    with refused_in_one_line(parser):
        writable_folder(flags.out)
    return flags


def run(networks: int, hidden: int, workdir: Path) -> dict[str, Any]:
    """Trains and measures the condition; returns config, seconds by stage, and results."""
    config: Any = configs.TASK_COMPLEXITY.config("paper")
    run_in_parallel_on_cpu()
    config.update(tasks=("flip_flop",), seeds=networks, hidden=hidden)
    config.channels.flip_flop = (3,)
    config.fixed_points.networks = 1
    compilations: list[float] = []

    def record_compilation(event: str, duration_secs: float, **_: str | int) -> None:
        if event == COMPILED:
            compilations.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(record_compilation)
    profile, begin = cProfile.Profile(), time.perf_counter()
    datasets = profile.runcall(task_complexity.run, config, workdir)
    elapsed = time.perf_counter() - begin
    assert datasets is not None  # not a dry run
    (found,) = datasets.values()
    return {
        "config": json.loads(config.to_json_best_effort()),
        "seconds": stages(profile, elapsed),
        "compilation": {"programs": len(compilations), "seconds": sum(compilations)},
        "epochs": found["epochs"].values.tolist(),
        "left_out": found.attrs["left_out"],
        "means": means(found),
        "dsa": {name: np.asarray(value).item() for name, value in found["dsa"].attrs.items()},
    }


def stages(profile: cProfile.Profile, elapsed: float) -> dict[str, float]:
    """Seconds of training, of each of `STAGES` with all that it calls, and in total."""
    profiled: Any = pstats.Stats(profile)
    spent = {}
    for stage, function in STAGES.items():
        code = inspect.unwrap(function).__code__  # decorated ones share the code of their wrapper
        times = profiled.stats.get((code.co_filename, code.co_firstlineno, code.co_name))
        spent[stage] = times[3] if times else 0.0  # too few converged networks
    return {"training and the rest": elapsed - sum(spent.values()), **spent, "all": elapsed}


def means(found: xr.Dataset) -> dict[str, float]:
    """Means over networks or pairs by measure; empty if too few networks converged."""
    if found.attrs["left_out"] and found["dsa"].isnull().all():
        return {}
    same = np.eye(found.sizes["seed"], dtype=bool)
    levels = {}
    for name in LEVELS:
        values = found[name].values
        levels[name] = float(
            np.nanmean(np.where(same, np.nan, values) if values.ndim == 2 else values)
        )
    return levels


def main() -> None:
    """Runs the condition and writes the record."""
    flags = options()
    command = "python benchmarks/condition.py"
    if (flags.networks, flags.hidden) != (50, 128):
        command += f" --networks {flags.networks} --hidden {flags.hidden}"
    with tempfile.TemporaryDirectory() as folder:
        record = run(flags.networks, flags.hidden, Path(folder) / "condition")
    layout = default_layout()
    record = {
        "benchmark": "condition", "command": command, "machine": describe(layout),
        "versions": {**versions(), "rnnjax": rnnjax.__version__}, **record,
    }  # fmt: skip
    kind = "cpu" if record["machine"]["platform"] == "cpu" else "gpu"
    path = flags.out / f"condition-{kind}.json"
    write_atomically(path, json.dumps(record, indent=1) + "\n")
    for stage, seconds in record["seconds"].items():
        print(f"{stage:<28} {seconds:>8.1f} s")
    print(f"Record: {path}")


if __name__ == "__main__":
    run_main(main)
