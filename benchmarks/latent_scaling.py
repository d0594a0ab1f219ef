"""Time and memory of training in the latent space against network size, beside PyTorch.

    python benchmarks/latent_scaling.py             # N = 1e3..1e6, about 15 minutes on 2 cores
    python benchmarks/latent_scaling.py --quick     # a smoke run, under a minute
    python benchmarks/latent_scaling.py --sizes 10000,100000 --no-torch

Writes latent_scaling-cpu.json and .png (or -gpu) to benchmarks/results. Where PyTorch is not
installed, only ours are timed. The comparison is described in benchmarks/README.md.
"""

import argparse
import contextlib
import dataclasses
import os
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import machine
import numpy as np
import script
from competitors import Work
from script import spread
from worker import Answer, Worker

from rnnjax.devices import available_cores
from rnnjax.validate import finite_positive, positive_integer

NAME = "latent_scaling"
SIZES = (1000, 3162, 10_000, 31_623, 100_000, 316_228, 1_000_000)
OURS = ("latent", "low_rank", "dense")
TORCH = "torch"
RANK = 1
WORK = Work(runs=1, trials=50, steps=30, bits=1, learning_rate=0.01)

LARGE, SMALL, LARGEST = 100_000, 10_000, 1_000_000
MEMORY_RANK, MEMORY_STEPS = 3, (100, 400)
QUICK = {"sizes": (500, 2000), "repeats": 2, "window": 0.01}

FLOOR = (
    "2 B T N evaluations of tanh, forward and again backward, at the best rate measured in the "
    "same call on all devices at once"
)

Flags = argparse.Namespace


def _parse(arguments: list[str]) -> Flags:
    parser = script.Parser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--sizes", default=",".join(map(str, SIZES)), help="units N, separated by commas"
    )
    parser.add_argument("--repeats", type=int, default=5, help="timed windows of each competitor")
    parser.add_argument("--window", type=float, default=0.5, help="shortest window, seconds")
    parser.add_argument("--out", type=Path, default=script.RESULTS, help="folder of JSON and PNG")
    parser.add_argument("--no-torch", action="store_true", help="time only ours")
    parser.add_argument("--quick", action="store_true", help="small sizes and two short windows")
    flags = parser.parse_args(arguments)
    with script.refused_in_one_line(parser):
        flags.sizes = script.sizes("sizes", flags.sizes)
        if flags.quick:
            vars(flags).update(QUICK)
        positive_integer("repeats", flags.repeats)
        finite_positive("window", flags.window)
        script.require_matplotlib()
        script.writable_folder(flags.out)
    return flags


class Competitors:
    """Starts the processes of each size, and lists the competitors that cannot be timed."""

    def __init__(self, flags: Flags, platform: str):
        self._flags, self._platform = flags, platform
        self.torch_version: str | None = None
        self.absent: dict[str, str] = {}
        if flags.no_torch:
            self.absent[TORCH] = "excluded by --no-torch"
        elif not script.has_torch():
            self.absent[TORCH] = "PyTorch is not installed (pip install torch==2.13.0)"
            print(f"note: {self.absent[TORCH]}; only ours are timed", file=sys.stderr)

    def start(self, stack: contextlib.ExitStack, hidden: int) -> dict[str, Worker]:
        """Starts one process per competitor, in the order of a round; they end with `stack`."""
        workers = {}
        for name in (OURS[0], TORCH, *OURS[1:]):
            if name not in self.absent:
                workers[name] = self._start(name, hidden, RANK, WORK)
                stack.callback(workers[name].close)
        for name, worker in list(workers.items()):
            about = worker.receive()
            if name == TORCH and self._without_gpu(about):
                del workers[name]
        return workers

    def ours(self, hidden: int, rank: int, work: Work) -> Worker:
        """Starts one process of the latent network."""
        worker = self._start(OURS[0], hidden, rank, work)
        worker.receive()
        return worker

    def _start(self, name: str, hidden: int, rank: int, work: Work) -> Worker:
        settings = {"hidden": hidden, "rank": rank, "work": dataclasses.asdict(work)}
        if name != TORCH:
            return Worker("latent_worker.py", {**settings, "kind": name})
        device = "cpu" if self._platform == "cpu" else "cuda"
        settings |= {"device": device, "cores": available_cores()}
        return Worker("latent_torch_peer.py", settings)

    def _without_gpu(self, about: Answer) -> bool:
        self.torch_version = about["torch"]
        if self._platform == "cpu" or about["cuda"]:
            return False
        self.absent[TORCH] = "this PyTorch has no GPU"
        print(f"note: {self.absent[TORCH]} and is not timed", file=sys.stderr)
        return True


def _prepare(
    workers: dict[str, Worker], window: float, absent: dict[str, str]
) -> tuple[dict[str, Worker], dict[str, str]]:
    """The workers that are warm, and why the others are not timed."""
    warm, skipped = {}, dict(absent)
    for name, worker in workers.items():
        try:
            answer = worker.request(do="prepare", window=window)
        except EOFError as error:  # most likely out of memory; its message is above
            answer = {"skip": str(error)}
        if "skip" in answer:
            skipped[name] = answer["skip"]
            worker.close()
        else:
            warm[name] = worker
    return warm, skipped


def _time_size(hidden: int, flags: Flags, competitors: Competitors) -> dict[str, Any]:
    """Windows of all competitors at one size, round by round, and their memory and losses."""
    with contextlib.ExitStack() as stack:
        workers = competitors.start(stack, hidden)
        workers, skipped = _prepare(workers, flags.window, competitors.absent)
        windows: dict[str, list[Answer]] = {name: [] for name in workers}
        for _ in range(flags.repeats):
            for name, worker in workers.items():
                windows[name].append(worker.request(do="window", seconds=flags.window))
        facts = {name: worker.request(do="facts") for name, worker in workers.items()}
    return {"hidden": hidden, "windows": windows, "facts": facts, "skipped": skipped}


def _memory(hidden: int, competitors: Competitors) -> dict[str, Any]:
    """Peak memory of the latent network of rank 3 for two trial lengths."""
    found = []
    for steps in MEMORY_STEPS:
        work = dataclasses.replace(WORK, steps=steps, bits=MEMORY_RANK)
        with contextlib.closing(competitors.ours(hidden, MEMORY_RANK, work)) as worker:
            answer = worker.request(do="prepare", window=1e-9)
            if "skip" in answer:
                raise RuntimeError(f"N = {hidden}, T = {steps}: {answer['skip']}")
            peak = worker.request(do="facts")["peak_bytes"]
            temporary = worker.request(do="program")["temporary_bytes"]
        found.append({"steps": steps, "peak_bytes": peak, "temporary_bytes": temporary})
    programs = [at["temporary_bytes"] for at in found]
    longer = MEMORY_STEPS[1] - MEMORY_STEPS[0]
    return {
        "hidden": hidden,
        "rank": MEMORY_RANK,
        "bits": MEMORY_RANK,
        "trials": WORK.trials,
        "lengths": found,
        "growth_bytes": found[1]["peak_bytes"] - found[0]["peak_bytes"],
        "program_growth_bytes": None if None in programs else programs[1] - programs[0],
        "one_array_b_t_k_bytes": 4 * WORK.trials * longer * MEMORY_RANK,
        "one_array_b_t_n_bytes": 4 * WORK.trials * longer * hidden,
    }


def _summary(row: dict[str, Any], tanh_rate: float) -> dict[str, Any]:
    """Medians and ranges of one size, with ratios to the floor and between competitors."""
    evaluations = 2 * WORK.trials * WORK.steps * row["hidden"]
    floor = evaluations / tanh_rate
    seconds = {
        name: np.array([1 / window["rate"] for window in windows])
        for name, windows in row["windows"].items()
    }
    summary: dict[str, Any] = {
        "hidden": row["hidden"],
        "tanh_per_epoch": evaluations,
        "floor_ms_per_epoch": 1e3 * floor,
        "skipped": row["skipped"],
    }
    for name, taken in seconds.items():
        windows = row["windows"][name]
        summary[name] = {
            "ms_per_epoch": {**spread(1e3 * taken), "repeats": list(1e3 * taken)},
            "fraction_of_floor": spread(floor / taken),
            **row["facts"][name],
            "cores_busy": spread([window["cores"] for window in windows]),
            "idle_cores": spread([window["idle_cores"] for window in windows]),
        }
    summary["ratios"] = {
        f"{name}_over_latent": spread(taken / seconds["latent"])
        for name, taken in seconds.items()
        if name != "latent" and "latent" in seconds
    }
    return summary


def _verdicts(
    sizes: list[dict[str, Any]], memory: dict[str, Any], cores: int
) -> list[dict[str, Any]]:
    """Targets that this run can check, and the values measured (medians)."""
    found: list[dict[str, Any]] = []

    def check(claim: str, hidden: int, measured: float, sense: str, target: float) -> None:
        met = measured <= target if sense == "at most" else measured >= target
        found.append(
            {"claim": claim, "hidden": hidden, "measured": measured}
            | {"sense": sense, "target": target, "met": bool(met)}
        )

    ours = {row["hidden"]: row["latent"] for row in sizes if "latent" in row}
    median = {hidden: row["ms_per_epoch"]["median"] for hidden, row in ours.items()}
    ratios = {row["hidden"]: row["ratios"] for row in sizes}
    if LARGE in ours and SMALL in ours:
        ratio = median[LARGE] / median[SMALL]
        check(f"time_over_that_at_{SMALL}", LARGE, ratio, "at most", 12.0)
    if LARGE in ours and cores <= 2:
        check("seconds_per_epoch_on_2_cores", LARGE, median[LARGE] / 1e3, "at most", 0.3)
    if "torch_over_latent" in ratios.get(LARGE, {}):
        ratio = ratios[LARGE]["torch_over_latent"]["median"]
        check("torch_over_latent", LARGE, ratio, "at least", 2.0)
    if memory["hidden"] == LARGE:
        short = memory["lengths"][0]
        claim = f"peak_gb_at_rank_{MEMORY_RANK}_and_{MEMORY_STEPS[0]}_steps"
        check(claim, LARGE, short["peak_bytes"] / 1e9, "at most", 1.0)
        # If the units were stored over time, both would grow by several arrays [B, T, N].
        part = memory["growth_bytes"] / memory["one_array_b_t_n_bytes"]
        check("process_growth_with_steps_in_arrays_b_t_n", LARGE, part, "at most", 0.01)
        if memory["program_growth_bytes"] is not None:
            part = memory["program_growth_bytes"] / memory["one_array_b_t_k_bytes"]
            check("program_growth_with_steps_in_arrays_b_t_k", LARGE, part, "at most", 16.0)
    if LARGEST in ours:
        part = ours[LARGEST]["last_loss"] / ours[LARGEST]["first_loss"]
        check("last_loss_over_first", LARGEST, part, "at most", 0.99)
    return found


def _print_row(row: dict[str, Any], on_cpu: bool) -> None:
    """Prints the times of one size."""
    parts = [
        f"{name} {1e3 * np.median([1 / w['rate'] for w in windows]):.4g}"
        for name, windows in row["windows"].items()
    ]
    print(f"N = {row['hidden']:7d}  ms per epoch: " + ", ".join(parts), flush=True)
    for name, why in row["skipped"].items():
        print(f"             {name} is not timed: {why}", flush=True)
    busy = max((w["cores"] for all_ in row["windows"].values() for w in all_), default=0.0)
    if on_cpu and row["hidden"] >= SMALL and busy < 0.9 * available_cores():
        print(
            f"             other programs were running: at most {busy:.1f} cores were free",
            flush=True,
        )


def _report(record: dict[str, Any]) -> None:
    """Prints floor, memory, ratios and targets."""
    print(f"tanh {record['speeds']['ns_per_tanh']:.3f} ns")
    for row in record["sizes"]:
        if "latent" not in row:
            continue
        ratios = ", ".join(f"{name} {r['median']:.2f}" for name, r in row["ratios"].items())
        fraction = row["latent"]["fraction_of_floor"]["median"]
        peak = row["latent"]["peak_bytes"] / 1e9
        print(f"N = {row['hidden']:7d}  of floor {fraction:.0%}, {peak:.2f} GB  {ratios}")
    memory = record["memory"]
    for at in memory["lengths"]:
        print(
            f"N = {memory['hidden']:7d}, K = {memory['rank']}, T = {at['steps']}: "
            f"peak {at['peak_bytes'] / 1e9:.3f} GB"
        )
    for verdict in record["targets"]:
        word = "met   " if verdict["met"] else "MISSED"
        at = f"{verdict['claim']} at N = {verdict['hidden']}"
        print(f"{word} {at}: {verdict['measured']:.3g}, {verdict['sense']} {verdict['target']:g}")


def run(flags: Flags, command: str) -> dict[str, Any]:
    """Times all sizes and returns the record."""
    began = time.time()
    # Several processes share one accelerator, so none may allocate all of its memory.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    rows = []
    with contextlib.closing(Worker("latent_worker.py", {"kind": "machine"})) as bounds:
        about = bounds.receive()
        on_cpu = about["platform"] == "cpu"
        competitors = Competitors(flags, about["platform"])
        speed = bounds.request(do="measure")
        for hidden in flags.sizes:
            rows.append(_time_size(hidden, flags, competitors))
            _print_row(rows[-1], on_cpu)
            speed = bounds.request(do="measure")  # the best so far
        memory = _memory(LARGE if LARGE in flags.sizes else max(flags.sizes), competitors)
    sizes = [_summary(row, speed["tanh_per_second"]) for row in rows]
    return {
        "benchmark": NAME,
        "command": command,
        "seconds": round(time.time() - began),
        "machine": about,
        "versions": machine.package_versions(competitors.torch_version),
        "work": {
            **{name: value for name, value in vars(WORK).items() if name != "runs"},
            "rank": RANK,
            "alpha": 0.5,
            "task": "flip_flop",
            "optimizer": "adam",
            "dtype": "float32",
        },
        "timing": {"repeats": flags.repeats, "window_seconds": flags.window},
        "floor": FLOOR,
        "speeds": {
            "tanh_per_second": speed["tanh_per_second"],
            "ns_per_tanh": 1e9 / speed["tanh_per_second"],
        },
        "targets": _verdicts(sizes, memory, available_cores()) if on_cpu else [],
        "memory": memory,
        "sizes": sizes,
    }


def main() -> None:
    """Runs the benchmark and writes its JSON and figure."""
    flags = _parse(sys.argv[1:])
    from latent_plot import scaling_figure  # needs matplotlib

    try:
        record = run(flags, shlex.join(["python", *sys.argv]))
    except (EOFError, RuntimeError) as error:  # the process has printed its own message
        print(f"error: {error}; nothing was written", file=sys.stderr)
        sys.exit(1)
    path = script.save(record, flags.out, scaling_figure)
    _report(record)
    print(f"wrote {path} and {path.with_suffix('.png').name}")


if __name__ == "__main__":
    script.run_main(main)
