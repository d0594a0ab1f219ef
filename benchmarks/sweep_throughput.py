"""Training throughput of a sweep against network size, compared with PyTorch on the same work.

    python benchmarks/sweep_throughput.py            # about 5 minutes on 2 cores
    python benchmarks/sweep_throughput.py --widths 16,64 --repeats 2       # a short run
    python benchmarks/sweep_throughput.py --widths 16,128,1024,8192        # on a GPU

Writes sweep_throughput-cpu.json and .png (or -gpu) to benchmarks/results. Needs PyTorch
(`pip install torch==2.13.0`) or --no-torch. The comparison is described in benchmarks/README.md.
"""

import argparse
import contextlib
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import machine
import numpy as np
import script
from competitors import TorchPeers, Window, Work, our_runs
from script import spread

from rnnjax.devices import available_cores
from rnnjax.sweep import Layout, cost, default_layout
from rnnjax.validate import finite_positive, positive_integer

NAME = "sweep_throughput"
WIDTHS = (16, 64, 128, 256, 512, 1024)
CPU_RUNS, GPU_RUNS = 8, 50
LEAKY, VANILLA = 0.5, 1.0

RATIOS = {
    "leaky_over_torch_loop": ("ours_leaky", "torch_loop"),
    "vanilla_over_torch_fused": ("ours_vanilla", "torch_fused"),
    "leaky_over_sequential": ("ours_leaky", "ours_sequential"),
}

CPU_TARGETS = {
    "leaky_over_torch_loop": {16: 4.0, 64: 4.0, 128: 4.0, 256: 3.0},
    "vanilla_over_torch_fused": {16: 1.4, 64: 1.4, 128: 1.4, 256: 1.4},
    "fraction_of_peak": {256: 0.5},
}

FLOORS = {
    "cpu": "6 B T N (N + I + O) operations per run-step at the best measured float32 product",
    "gpu": "the larger of 6 B T N (N + I + O) operations at the best measured float32 product "
    "and 8 T N^2 + 28 N^2 bytes at the measured memory bandwidth, per run-step",
}

Competitors = dict[str, Callable[[float], Window]]


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = script.Parser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--widths", default=",".join(map(str, WIDTHS)), help="sizes N, separated by commas"
    )
    parser.add_argument("--repeats", type=int, default=5, help="timed windows of each competitor")
    parser.add_argument(
        "--runs", type=int, help=f"our runs; default: {CPU_RUNS} on a CPU, {GPU_RUNS} on a GPU"
    )
    parser.add_argument("--steps", type=int, default=50, help="time steps of a trial")
    parser.add_argument("--window", type=float, default=1.2, help="seconds of a timed window")
    parser.add_argument(
        "--out", type=Path, default=script.RESULTS, help="folder of the JSON and PNG"
    )
    parser.add_argument("--no-torch", action="store_true", help="time only ours")
    flags = parser.parse_args(arguments)
    with script.refused_in_one_line(parser):
        flags.widths = script.sizes("widths", flags.widths)
        for name in ("repeats", "steps"):
            positive_integer(name, getattr(flags, name))
        if flags.runs is not None:
            positive_integer("runs", flags.runs)
        finite_positive("window", flags.window)
        if not flags.no_torch and not script.has_torch():
            raise ValueError(
                "PyTorch is not installed: pip install torch==2.13.0, or give --no-torch"
            )
        script.require_matplotlib()
        script.writable_folder(flags.out)
    return flags


def _competitors(
    hidden: int, work: Work, layout: Layout, peers: TorchPeers | None, window: float
) -> tuple[Competitors, Callable[[], dict[str, dict[str, float]]]]:
    """Warm competitors in the order of a round, and a function that returns facts about each."""
    kinds = {"ours_leaky": (LEAKY, layout)}
    if peers is not None:
        kinds["ours_vanilla"] = (VANILLA, layout)
    if not layout.on_cpu:  # the same runs, one after another
        kinds["ours_sequential"] = (LEAKY, Layout(layout.devices, 1))
    share = 0.75 / len(kinds)  # all stay in memory, since their windows alternate
    ours = {name: our_runs(work, hidden, *kind, window, share) for name, kind in kinds.items()}
    timed: Competitors = {name: block.window for name, block in ours.items()}
    if peers is not None:
        for kind in ("torch_loop", "torch_fused"):
            peers.prepare(kind, hidden)
            timed[kind] = lambda seconds, kind=kind: peers.window(kind, seconds)

    def facts() -> dict[str, dict[str, float]]:
        found = {name: {"runs": b.runs, "last_loss": b.loss()} for name, b in ours.items()}
        if peers is not None:
            others = [name for name in timed if name not in ours]
            found |= {k: {"runs": peers.count, "last_loss": peers.loss(k)} for k in others}
        return found

    order = ("ours_leaky", "torch_loop", "ours_vanilla", "torch_fused", "ours_sequential")
    return {name: timed[name] for name in order if name in timed}, facts


def _time_width(
    hidden: int, flags: argparse.Namespace, work: Work, layout: Layout, peers: TorchPeers | None
) -> dict[str, Any]:
    """Windows of all competitors at one width, round by round."""
    timed, facts = _competitors(hidden, work, layout, peers, flags.window)
    windows: dict[str, list[Window]] = {name: [] for name in timed}
    for _ in range(flags.repeats):
        for name, window in timed.items():
            windows[name].append(window(flags.window))
    return {
        "hidden": hidden,
        "rates": {name: [window.rate for window in all_] for name, all_ in windows.items()},
        "cores": {name: [window.cores for window in all_] for name, all_ in windows.items()},
        "facts": facts(),
    }


def _summary(row: dict[str, Any], work: Work, speeds: dict[str, float]) -> dict[str, Any]:
    """Medians and ranges of one width, with ratios to the floor and between competitors."""
    setup, hidden = work.setup(row["hidden"], LEAKY), row["hidden"]
    flops = cost.step_flops(setup)
    seconds = flops / speeds["matmul_peak"]
    bandwidth = speeds.get("memory_bandwidth")
    traffic = (8 * work.steps + 28) * hidden**2
    if bandwidth:
        seconds = max(seconds, traffic / bandwidth)
    summary: dict[str, Any] = {
        "hidden": hidden,
        "flops_per_run_step": flops,
        "floor": {"seconds": seconds, "run_steps_per_second": 1 / seconds},
    }
    if bandwidth:
        summary["bytes_per_run_step"] = traffic
    for name, rates in row["rates"].items():
        rate = np.array(rates)
        summary[name] = {
            "run_steps_per_second": {**spread(rate), "repeats": rates},
            "gflops": spread(rate * flops / 1e9),
            "fraction_of_peak": spread(rate * flops / speeds["matmul_peak"]),
            "fraction_of_floor": spread(rate * seconds),
            "cores_busy": spread(row["cores"][name]),
            **row["facts"][name],
        }
    summary["ratios"] = {
        ratio: spread(np.array(row["rates"][over]) / np.array(row["rates"][under]))
        for ratio, (over, under) in RATIOS.items()
        if {over, under} <= set(row["rates"])
    }
    return summary


def _verdicts(widths: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Targets that this run can check, and the values measured (medians)."""
    found = []
    for claim, targets in CPU_TARGETS.items():
        for row in widths:
            source = row["ours_leaky"] if claim == "fraction_of_peak" else row["ratios"]
            if row["hidden"] in targets and claim in source:
                target, value = targets[row["hidden"]], source[claim]["median"]
                verdict = {"target": target, "measured": value, "met": value >= target}
                found.append({"claim": claim, "hidden": row["hidden"], **verdict})
    return found


def _print_row(row: dict[str, Any], on_cpu: bool) -> None:
    """Prints the rates of one width."""
    parts = [f"{name} {np.median(rates):.1f}" for name, rates in row["rates"].items()]
    print(f"N = {row['hidden']:5d}  run-steps/s: " + ", ".join(parts), flush=True)
    least = min(min(cores) for cores in row["cores"].values())
    if on_cpu and least < 0.9 * available_cores():
        print(
            f"           other programs were running: only {least:.1f} cores were free", flush=True
        )


def _report(record: dict[str, Any]) -> None:
    """Prints peak, ratios and targets."""
    print(f"peak {record['speeds']['matmul_peak'] / 1e9:.0f} GFLOP/s")
    for row in record["widths"]:
        ratios = ", ".join(f"{name} {r['median']:.2f}" for name, r in row["ratios"].items())
        fraction = row["ours_leaky"]["fraction_of_floor"]["median"]
        print(f"N = {row['hidden']:5d}  of floor {fraction:.0%}  {ratios}")
    for verdict in record["targets"]:
        word = "met   " if verdict["met"] else "MISSED"
        at = f"{verdict['claim']} at N = {verdict['hidden']}"
        print(f"{word} {at}: {verdict['measured']:.2f}, target {verdict['target']:.2f}")


def _torch_peers(stack: contextlib.ExitStack, work: Work, on_cpu: bool) -> TorchPeers | None:
    """One process per core, or one on the GPU; None if PyTorch has no GPU."""
    peers = TorchPeers(available_cores() if on_cpu else 1, work, "cpu" if on_cpu else "cuda")
    stack.callback(peers.close)
    if not on_cpu and not peers.about["cuda"]:
        print("note: this PyTorch has no GPU and is not timed", file=sys.stderr)
        return None
    return peers


def _measure(
    flags: argparse.Namespace, work: Work, layout: Layout, peers: TorchPeers | None
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rates at every width, and the speeds of the machine, measured throughout."""
    peak = machine.ProductPeak(layout)
    peak.measure(tries=3)
    on_cpu, rows = layout.on_cpu, []
    for hidden in flags.widths:
        rows.append(_time_width(hidden, flags, work, layout, peers))
        _print_row(rows[-1], on_cpu)
        peak.measure(tries=1)
    speeds = {"matmul_peak": max(peak.routes.values()), "matmul_routes": peak.routes}
    if not on_cpu:
        speeds["memory_bandwidth"] = machine.memory_bandwidth()
    return rows, speeds


def run(flags: argparse.Namespace, command: str) -> dict[str, Any]:
    """Times all widths and returns the record."""
    began = time.time()
    jax.config.update("jax_num_cpu_devices", available_cores())
    on_cpu = jax.default_backend() == "cpu"
    layout = default_layout() if on_cpu else default_layout(devices=1)
    work = Work(runs=flags.runs or (CPU_RUNS if on_cpu else GPU_RUNS), steps=flags.steps)
    about = machine.describe(layout)
    with contextlib.ExitStack() as stack:
        peers = None if flags.no_torch else _torch_peers(stack, work, on_cpu)
        rows, speeds = _measure(flags, work, layout, peers)
    widths = [_summary(row, work, speeds) for row in rows]
    return {
        "benchmark": NAME,
        "command": command,
        "seconds": round(time.time() - began),
        "machine": about,
        "versions": machine.package_versions(peers.about["torch"] if peers else None),
        "work": {**vars(work), "task": "flip_flop", "optimizer": "adam", "dtype": "float32"},
        "timing": {"repeats": flags.repeats, "window_seconds": flags.window},
        "floor": FLOORS["cpu" if on_cpu else "gpu"],
        "speeds": speeds,
        "targets": _verdicts(widths) if on_cpu else [],
        "widths": widths,
    }


def main() -> None:
    """Runs the benchmark and writes its JSON and figure."""
    flags = _parse(sys.argv[1:])
    from throughput_plot import throughput_figure  # needs matplotlib

    record = run(flags, shlex.join(["python", *sys.argv]))
    path = script.save(record, flags.out, throughput_figure)
    _report(record)
    print(f"wrote {path} and {path.with_suffix('.png').name}")


if __name__ == "__main__":
    script.run_main(main)
