"""One condition of a degeneracy study from nothing: trained, then measured at every level.

The condition is the 3-bit flip-flop of `experiments/task_complexity.py --config=paper`, run through
that study in a folder that is thrown away. Compilation counts: it is what a user waits for.
"""

import argparse
import cProfile
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
from script import RESULTS, Parser, end_by_hand, writable_folder

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
"""What of the study is timed apart, and the function that does it. What is left over is training,
which Python's profile loses sight of, and the report."""

COMPILED = "/jax/core/compile/backend_compile_duration"
LEVELS = ("loss", "ood_loss", "dsa", "pif", "pif_relative", "svcca", "cka")


def options() -> argparse.Namespace:
    """The command line; ends the program on what makes no sense."""
    parser = Parser(description="Times one condition of a degeneracy study from nothing.")
    parser.add_argument("--networks", type=int, default=50, help="default: 50")
    parser.add_argument("--hidden", type=int, default=128, help="units; default: 128")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the record")
    asked = parser.parse_args()
    for name, least in (("networks", 2), ("hidden", 2)):
        if getattr(asked, name) < least:
            parser.error(f"{name}: expected at least {least}, got {getattr(asked, name)}")
    try:
        writable_folder(asked.out)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    return asked


def run(networks: int, hidden: int, workdir: Path) -> dict[str, Any]:
    """Trains and measures the condition; its config, seconds by stage, and what came out."""
    config: Any = configs.task_complexity("paper")
    run_in_parallel_on_cpu()
    config.update(tasks=("flip_flop",), seeds=networks, hidden=hidden)
    config.channels.flip_flop = (3,)
    config.fixed_points.networks = 1
    compilations: list[float] = []

    def note(event: str, duration_secs: float, **_: str | int) -> None:
        if event == COMPILED:
            compilations.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(note)
    profile, begin = cProfile.Profile(), time.perf_counter()
    (found,) = profile.runcall(task_complexity.run, config, workdir).values()
    elapsed = time.perf_counter() - begin
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
    """Seconds in training, in each of `STAGES`, what these call included, and in all."""
    profiled: Any = pstats.Stats(profile)
    spent = {}
    for stage, function in STAGES.items():
        code = function.__code__
        times = profiled.stats.get((code.co_filename, code.co_firstlineno, code.co_name))
        spent[stage] = times[3] if times else 0.0  # too few networks converged to be compared
    return {"training and the rest": elapsed - sum(spent.values()), **spent, "all": elapsed}


def means(found: xr.Dataset) -> dict[str, float]:
    """Of every level, over networks or pairs; none where too few networks converged."""
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
    asked = options()
    command = "python benchmarks/condition.py"
    if (asked.networks, asked.hidden) != (50, 128):
        command += f" --networks {asked.networks} --hidden {asked.hidden}"
    with tempfile.TemporaryDirectory() as folder:
        record = run(asked.networks, asked.hidden, Path(folder) / "condition")
    layout = default_layout()
    record = {
        "benchmark": "condition", "command": command, "machine": describe(layout),
        "versions": {**versions(), "rnnjax": rnnjax.__version__}, **record,
    }  # fmt: skip
    kind = "cpu" if record["machine"]["platform"] == "cpu" else "gpu"
    path = asked.out / f"condition-{kind}.json"
    write_atomically(path, json.dumps(record, indent=1) + "\n")
    for stage, seconds in record["seconds"].items():
        print(f"{stage:<28} {seconds:>8.1f} s")
    print(f"Record: {path}")


if __name__ == "__main__":
    end_by_hand(main)
