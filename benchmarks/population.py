"""Seconds per epoch of a population of networks, compared with PyTorch on the same training.

    python benchmarks/population.py                  # N = 128, about 4 minutes on 2 cores
    python benchmarks/population.py --hidden 32 --repeats 1 --tasks sine_wave     # a short run

Writes population-cpu.json and .png to benchmarks/results. Needs PyTorch (`pip install torch`) or
--no-torch. The comparison is described in benchmarks/README.md.
"""

import argparse
import contextlib
import shlex
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import machine
import numpy as np
import script
from matplotlib.figure import Figure
from script import spread
from worker import Worker

from rnnjax import cells, tasks
from rnnjax.devices import available_cores
from rnnjax.sweep import Layout, cost, default_layout
from rnnjax.sweep.programs import advance_block, end_epoch_block, init_block, start_block
from rnnjax.training import Hyper, Recipe, Setup, Status
from rnnjax.validate import one_of, positive_integer

NAME = "population"
POPULATION, EPOCH, HELD_OUT, CLIP = 50, 128, 256, 1.0
SEGMENT = 32  # steps per program call

WORK: dict[str, tuple[tasks.Task, int, float]] = {
    "flip_flop": (tasks.flip_flop(3, p=0.3, steps=100), 256, 1e-3),
    "delayed_discrimination": (tasks.delayed_discrimination(), 256, 1e-3),
    "sine_wave": (tasks.sine_wave(), 32, 5e-4),
    "path_integration": (tasks.path_integration(2), 64, 1e-3),
}
"""Task, trials per step and learning rate, as in the degeneracy studies."""

FLOOR = (
    "128 steps of 6 B T N (N + I + O) operations and 256 held-out trials of a third of that, at "
    "the best measured float32 product"
)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = script.Parser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", default=",".join(WORK), help="names, separated by commas")
    parser.add_argument("--hidden", type=int, default=128, help="units of each network, N")
    parser.add_argument("--repeats", type=int, default=3, help="timed epochs of each competitor")
    parser.add_argument("--runs", type=int, help="our networks in a timed epoch")
    parser.add_argument(
        "--out", type=Path, default=script.RESULTS, help="folder of the JSON and PNG"
    )
    parser.add_argument("--no-torch", action="store_true", help="time only ours")
    flags = parser.parse_args(arguments)
    with script.refused_in_one_line(parser):
        flags.tasks = [one_of("tasks", name.strip(), WORK) for name in flags.tasks.split(",")]
        for name in ("hidden", "repeats"):
            positive_integer(name, getattr(flags, name))
        if flags.runs is not None:
            positive_integer("runs", flags.runs)
        if not flags.no_torch and not script.has_torch():
            raise ValueError("PyTorch is not installed: pip install torch, or give --no-torch")
        script.writable_folder(flags.out)
    return flags


class OurPopulation:
    """Networks in the compiled programs of the engine, one epoch at a time."""

    def __init__(self, setup: Setup, runs: int, layout: Layout, learning_rate: float):
        """Compiles by a first epoch, which is not timed."""
        self._setup, self._layout = setup, layout
        self.runs = layout.padded(runs)
        seeds = jnp.arange(self.runs, dtype=jnp.int32)
        rates = jnp.full(seeds.shape, learning_rate, jnp.float32)
        none = jnp.zeros_like(rates)
        hyper = Hyper(rates, seeds, jnp.ones_like(rates), none, none)
        hyper, real = jax.device_put((hyper, seeds >= 0), layout.sharding())
        params = init_block(setup.cell, layout, hyper.seed)
        self._runs = start_block(setup, layout, hyper, params, real)
        self.epoch()

    def epoch(self) -> dict[str, float]:
        """Trains all networks for one epoch and computes the held-out loss."""
        begin, busy = time.perf_counter(), time.process_time()
        for _ in range(EPOCH // SEGMENT):
            self._runs, losses = advance_block(self._setup, self._layout, self._runs, SEGMENT)
            losses = np.asarray(losses)  # waits for the devices, as the engine does
        self._runs = end_epoch_block(self._setup, self._layout, self._runs)
        assert self._runs.validation is not None
        held = float(np.mean(np.asarray(self._runs.validation.loss)))
        seconds = time.perf_counter() - begin
        if np.any(np.asarray(self._runs.status) != Status.RUNNING):
            raise RuntimeError("a run stopped, so its steps take no time")
        return {
            "seconds": seconds / self.runs,
            "cores": (time.process_time() - busy) / seconds,
            "loss": float(losses[:, -1].mean()),
            "held_out": held,
        }


class Peers:
    """PyTorch processes that train one network each, all at the same time."""

    def __init__(self, count: int, threads: int):
        one = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        self._workers = [
            Worker("population_torch_peer.py", {"threads": threads, "seed": seed}, one)
            for seed in range(count)
        ]
        abouts = [worker.receive() for worker in self._workers]
        self.torch = abouts[0]["torch"]

    def _all(self, **message: Any) -> list[dict[str, Any]]:
        for worker in self._workers:
            worker.send(**message)
        return [worker.receive() for worker in self._workers]

    def prepare(self, **settings: Any) -> None:
        """Creates a network in every process and warms it up."""
        self._all(do="prepare", **settings)

    def epoch(self) -> dict[str, float]:
        """Trains one network per process for one epoch."""
        begin = time.perf_counter()
        answers = self._all(do="epoch", steps=EPOCH)
        return {
            "seconds": (time.perf_counter() - begin) / len(answers),
            "cores": sum(answer["cores"] for answer in answers),
            "loss": float(np.mean([answer["loss"] for answer in answers])),
            "held_out": float(np.mean([answer["held_out"] for answer in answers])),
        }

    def close(self) -> None:
        """Ends the processes."""
        for worker in self._workers:
            worker.close()


def _save_batches(task: tasks.Task, batch: int, file: Path) -> None:
    """Writes four of our batches and the held-out trials for the peers."""
    trial = jax.vmap(lambda key: task.batch(key, batch))(jax.random.split(jax.random.key(0), 4))
    held = task.batch(jax.random.key(1), HELD_OUT)
    np.savez(
        file, inputs=trial.inputs, targets=trial.targets,
        held_inputs=held.inputs, held_targets=held.targets,
    )  # fmt: skip


def _setup(name: str, hidden: int) -> Setup:
    task, batch, _ = WORK[name]
    cell = cells.fitted(cells.rate(hidden, alpha=1.0, bias=True, init="uniform"), task)
    # A threshold that is never reached, so that every timed epoch is complete.
    recipe = Recipe.until(1e-30, epochs=10**6, batch=batch, clip=CLIP, validation_trials=HELD_OUT)
    return Setup(task, cell, recipe)


def _time_task(
    name: str, flags: argparse.Namespace, layout: Layout, peers: dict[str, Peers], folder: Path
) -> dict[str, Any]:
    """Epochs of all competitors in turn, round by round."""
    task, batch, learning_rate = WORK[name]
    setup = _setup(name, flags.hidden)
    # On an accelerator the population is one program; on a CPU two networks per core suffice.
    runs = flags.runs or (2 * layout.lanes if layout.map_width == 1 else POPULATION)
    ours = OurPopulation(setup, runs, layout, learning_rate)
    timed: dict[str, Callable[[], dict[str, float]]] = {"ours": ours.epoch}
    if peers:
        file = folder / f"{name}.npz"
        _save_batches(task, batch, file)
        for kind, peer in peers.items():
            peer.prepare(
                file=str(file), hidden=flags.hidden, learning_rate=learning_rate, clip=CLIP
            )
            timed[kind] = peer.epoch
    epochs: dict[str, list[dict[str, float]]] = {kind: [] for kind in timed}
    for _ in range(flags.repeats):
        for kind, epoch in timed.items():
            epochs[kind].append(epoch())
    steps = EPOCH * cost.step_flops(setup)
    held = 2 * HELD_OUT * task.steps * setup.cell.products
    row: dict[str, Any] = {
        "task": name, "batch": batch, "steps": task.steps, "runs": ours.runs,
        "flops_per_network_epoch": steps + held,
    }  # fmt: skip
    for kind, found in epochs.items():
        seconds = [epoch["seconds"] for epoch in found]
        row[kind] = {
            "seconds_per_network_epoch": {**spread(seconds), "repeats": seconds},
            "seconds_per_population_epoch": spread(POPULATION * np.array(seconds)),
            "cores_busy": spread([epoch["cores"] for epoch in found]),
            "last_loss": found[-1]["loss"],
            "last_held_out_loss": found[-1]["held_out"],
        }
    row["ratios"] = {
        f"{kind}_over_ours": spread(
            np.array(row[kind]["seconds_per_network_epoch"]["repeats"])
            / np.array(row["ours"]["seconds_per_network_epoch"]["repeats"])
        )
        for kind in epochs
        if kind != "ours"
    }
    return row


def _whole_population(flags: argparse.Namespace, layout: Layout) -> dict[str, Any]:
    """Measured time of all networks at once, on the cheapest task."""
    name = min(flags.tasks, key=lambda task: cost.step_flops(_setup(task, flags.hidden)))
    ours = OurPopulation(_setup(name, flags.hidden), POPULATION, layout, WORK[name][2])
    seconds = [ours.epoch()["seconds"] * ours.runs for _ in range(flags.repeats)]
    return {"task": name, "runs": ours.runs, "seconds_per_epoch": spread(seconds)}


def population_figure(record: dict[str, Any]) -> Figure:
    """Seconds per epoch of a population, by task."""
    from rnnjax.plots.style import CONDITION_COLORS, SMALL, name_value, new_figure, tidy

    figure, ((axes,),) = new_figure(1, 1, 5.6, 3.0)
    names = {"ours": "rnnjax", "torch_processes": "PyTorch, a process per core",
             "torch_threads": "PyTorch, one after another"}  # fmt: skip
    kinds = [kind for kind in names if kind in record["tasks"][0]]
    places = np.arange(len(record["tasks"]))
    for number, kind in enumerate(kinds):
        found = [row[kind]["seconds_per_population_epoch"] for row in record["tasks"]]
        middle = np.array([value["median"] for value in found])
        error = [middle - [v["min"] for v in found], [v["max"] for v in found] - middle]
        axes.bar(
            places + 0.27 * (number - (len(kinds) - 1) / 2), middle, 0.25, yerr=error, capsize=2,
            color=CONDITION_COLORS[number], label=names[kind],
        )  # fmt: skip
    tidy(axes, f"{POPULATION} networks, N = {record['work']['hidden']}, an epoch of {EPOCH} steps")
    axes.set_xticks(places, [name_value(row["task"]).replace(" ", "\n") for row in record["tasks"]])
    axes.set_yscale("log")
    axes.set_ylabel("seconds")
    axes.legend(fontsize=SMALL, frameon=False)
    return figure


def run(flags: argparse.Namespace, command: str) -> dict[str, Any]:
    """Times all tasks and returns the record."""
    began = time.time()
    jax.config.update("jax_num_cpu_devices", available_cores())
    layout = default_layout()
    on_cpu = layout.on_cpu
    about = machine.describe(layout)
    peak = machine.ProductPeak(layout)
    peak.measure(tries=3)
    rows = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        peers: dict[str, Peers] = {}
        if not flags.no_torch and on_cpu:
            peers["torch_processes"] = Peers(available_cores(), 1)
            peers["torch_threads"] = Peers(1, available_cores())
            for peer in peers.values():
                stack.callback(peer.close)
        for name in flags.tasks:
            rows.append(_time_task(name, flags, layout, peers, folder))
            peak.measure(tries=1)
            _print_row(rows[-1])
    speed = max(peak.routes.values())
    for row in rows:
        floor = row["flops_per_network_epoch"] / speed
        row["floor_seconds_per_network_epoch"] = floor
        row["fraction_of_floor"] = floor / row["ours"]["seconds_per_network_epoch"]["median"]
    torch = next(iter(peers.values())).torch if peers else None
    return {
        "benchmark": NAME,
        "command": command,
        "whole_population": _whole_population(flags, layout),
        "seconds": round(time.time() - began),
        "machine": about,
        "versions": machine.package_versions(torch),
        "work": {
            "hidden": flags.hidden, "epoch": EPOCH, "held_out_trials": HELD_OUT, "clip": CLIP,
            "population": POPULATION, "optimizer": "adam", "dtype": "float32",
        },
        "timing": {"repeats": flags.repeats},
        "floor": FLOOR,
        "speeds": {"matmul_peak": speed, "matmul_routes": peak.routes},
        "tasks": rows,
    }  # fmt: skip


def _print_row(row: dict[str, Any]) -> None:
    ours = row["ours"]["seconds_per_population_epoch"]["median"]
    ratios = ", ".join(f"{name} {ratio['median']:.2f}" for name, ratio in row["ratios"].items())
    print(f"{row['task']:24s} {ours:7.1f} s per epoch of {POPULATION}  {ratios}", flush=True)


def main() -> None:
    """Runs the benchmark and writes its JSON and figure."""
    flags = _parse(sys.argv[1:])
    record = run(flags, shlex.join(["python", *sys.argv]))
    path = script.save(record, flags.out, population_figure)
    for row in record["tasks"]:
        print(f"{row['task']:24s} {row['fraction_of_floor']:.0%} of the speed of the floor")
    print(f"wrote {path} and {path.with_suffix('.png').name}")


if __name__ == "__main__":
    script.run_main(main)
