"""Seconds per pair of the distances between networks, and the distances reached, beside peers.

    python benchmarks/metrics.py                    # 10 networks, about 3 minutes on 2 cores
    python benchmarks/metrics.py --networks 50      # and all 1,225 pairs of 50, ours alone
    python benchmarks/metrics.py --quick            # a smoke run, under a minute
    python benchmarks/metrics.py --peer_python ~/peers/bin/python

Writes metrics-cpu.json and .png (or -gpu) to benchmarks/results. Peers that are not installed are
left out, and the record lists them. The comparison is described in benchmarks/README.md.
"""

import argparse
import contextlib
import dataclasses
import os
import shlex
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import machine
import numpy as np
import script
from metrics_timing import OURS, WINDOW, Ours, Peers, summary, time_case
from metrics_work import PEERS, POPULATION_PAIRS, QUICK, Case, Work

from rnnjax.devices import available_cores
from rnnjax.sweep import default_layout
from rnnjax.validate import positive_integer

NAME = "metrics"

FLOOR = (
    "for DSA, the solver's products of two R x R matrices, 2 R^3 operations each, at the best "
    "float32 product measured in the same call; as many as when no start ends early"
)
EXTRAPOLATION = (
    "`extrapolated_seconds` is the time per pair times 1,225 (ours: as measured on all pairs at "
    "once), not a measurement; `populations` has what was measured"
)

TIMES_FASTER = {"dsa_r19": 50.0, "dsa_r54": 20.0, "pif": 1.5}
"""Targets: time of the first peer of a case over ours."""

POPULATION_SECONDS = {"dsa_r19": 120.0, "pif": 300.0}
"""Targets: seconds of 1,225 pairs, with compilation."""

Flags = argparse.Namespace


def _parse(arguments: list[str]) -> Flags:
    parser = script.Parser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3, help="timed windows of each competitor")
    parser.add_argument("--networks", type=int, help="number of networks; peers compare 10 of them")
    parser.add_argument("--out", type=Path, default=script.RESULTS, help="folder of JSON and PNG")
    parser.add_argument(
        "--peers", action=argparse.BooleanOptionalAction, default=True, help="time the peers too"
    )
    parser.add_argument(
        "--peer_python", default=sys.executable, help="the Python that has the peers' packages"
    )
    parser.add_argument("--quick", action="store_true", help="small networks and short windows")
    flags = parser.parse_args(arguments)
    flags.work = QUICK if flags.quick else Work()
    least = flags.work.contestants
    with script.refused_in_one_line(parser):
        if flags.quick:
            flags.repeats = 2
        positive_integer("repeats", flags.repeats)
        flags.networks = least if flags.networks is None else flags.networks
        if flags.networks < least:
            raise ValueError(f"networks: expected at least {least}, got {flags.networks}")
        python = shutil.which(os.path.expanduser(flags.peer_python))
        if flags.peers and python is None:
            raise ValueError(f"peer_python: expected a program, got {flags.peer_python!r}")
        flags.peer_python = python
        script.require_matplotlib()
        script.writable_folder(flags.out)
    return flags


def _population(case: Case, networks: int, path: Path, work: Work) -> dict[str, Any]:
    """All pairs of the first `networks`, in a process of its own."""
    with contextlib.ExitStack() as stack:
        ours = Ours(stack, path, work)
        answer = ours.first(case, networks)
        peak = ours.peak_bytes()
    print(
        f"{case.name:8s} {answer['pairs']} pairs of {networks} networks: "
        f"{answer['seconds']:.1f} s with compilation, peak {peak / 1e9:.2f} GB",
        flush=True,
    )
    return {
        "contest": case.name,
        "networks": networks,
        "pairs": answer["pairs"],
        "seconds_with_compilation": answer["seconds"],
        "peak_bytes": peak,
        "mean_distance": answer["mean_distance"],
    }


def _populations(flags: Flags, path: Path) -> list[dict[str, Any]]:
    """The networks that the peers compare, and the larger population if there is one."""
    work: Work = flags.work
    sizes = sorted({work.contestants, flags.networks})
    chosen = [work.cases[0], *(c for c in work.cases if c.metric == "pif")]
    return [_population(c, networks, path, work) for networks in sizes for c in chosen]


def _print_row(row: dict[str, Any]) -> None:
    """Prints the times and distances of a case."""
    names = [name for name in (OURS, *PEERS) if name in row]
    times = [f"{name} {1e3 * row[name]['seconds_per_pair']['median']:.4g}" for name in names]
    reached = [f"{name} {row[name]['mean_distance']:.4f}" for name in names]
    print(f"{row['contest']:8s} ms per pair: " + ", ".join(times), flush=True)
    print("         distance:    " + ", ".join(reached), flush=True)
    for peer, why in row["skipped"].items():
        print(f"         {peer} is not timed: {why}", flush=True)
    # Only peers are checked: our process also waits for its devices.
    least = min((row[name]["cores_busy"]["min"] for name in names[1:]), default=np.inf)
    if least < 0.9 * available_cores():
        print(
            f"         other programs were running: the peers had only {least:.1f} cores",
            flush=True,
        )


def _measure(
    flags: Flags, path: Path, peak: machine.ProductPeak
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Summaries of all cases, and the versions of the peers."""
    work: Work = flags.work
    with contextlib.ExitStack() as stack:
        ours = Ours(stack, path, work)
        peers = Peers(stack, path, work, flags.peer_python) if flags.peers else None
        absent = dict.fromkeys(PEERS, "excluded by --no-peers") if peers is None else peers.absent
        rows = []
        for case in work.cases:
            window = 0.01 if flags.quick else WINDOW
            row = time_case(case, work, ours, peers, flags.repeats, window)
            peak.measure(tries=1)
            rows.append(summary(row, absent, max(peak.routes.values())))
            _print_row(rows[-1])
    about = {
        "not_timed": absent,
        "peers": None if peers is None else {"python": peers.python, **peers.versions},
    }
    return rows, about


def _verdicts(
    rows: list[dict[str, Any]], populations: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Targets that this run can check, and the values measured (medians and means)."""
    found: list[dict[str, Any]] = []

    def check(claim: str, case: str, measured: float, sense: str, target: float) -> None:
        met = measured <= target if sense == "at most" else measured >= target
        found.append(
            {"claim": claim, "contest": case, "measured": measured}
            | {"sense": sense, "target": target, "met": bool(met)}
        )

    for row in rows:
        name = row["contest"]
        if name not in TIMES_FASTER or not row["ratios"]:
            continue
        peer = next(iter(row["ratios"]))
        ratio = row["ratios"][peer]["median"]
        check(f"{peer}_over_ours", name, ratio, "at least", TIMES_FASTER[name])
        ours, theirs = row[OURS]["mean_distance"], row[peer]["mean_distance"]
        check(f"mean_distance_against_{peer}", name, ours, "at most", theirs)
    for population in populations:
        name, pairs = population["contest"], population["pairs"]
        if name in POPULATION_SECONDS and pairs == POPULATION_PAIRS:
            seconds = population["seconds_with_compilation"]
            check(f"seconds_of_{pairs}_pairs", name, seconds, "at most", POPULATION_SECONDS[name])
    return found


def _report(record: dict[str, Any]) -> None:
    """Prints ratios, extrapolations and targets."""
    for row in record["contests"]:
        for peer, ratio in row["ratios"].items():
            times = [
                row[name]["extrapolated_seconds"][str(POPULATION_PAIRS)] for name in (OURS, peer)
            ]
            print(
                f"{row['contest']:8s} {peer} over ours {ratio['median']:.2f} "
                f"({ratio['min']:.2f} to {ratio['max']:.2f}); extrapolated to {POPULATION_PAIRS} "
                f"pairs {times[0]:.0f} s and {times[1]:.0f} s"
            )
    for verdict in record["targets"]:
        word = "met   " if verdict["met"] else "MISSED"
        at = f"{verdict['contest']}: {verdict['claim']}"
        print(f"{word} {at} {verdict['measured']:.4g}, {verdict['sense']} {verdict['target']:.4g}")


def run(flags: Flags, command: str) -> dict[str, Any]:
    """Trains the networks, times all cases and returns the record."""
    began = time.time()
    # Several processes share one accelerator, so none may allocate all of its memory.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    jax.config.update("jax_num_cpu_devices", available_cores())
    layout, work = default_layout(), flags.work
    about = machine.describe(layout)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "networks.npz"
        with contextlib.ExitStack() as stack:
            made = Ours(stack, path, work).make(flags.networks)
        print(
            f"trained {made['networks']} networks in {made['training_seconds']:.0f} s, "
            f"held-out loss {made['loss']['mean']:.4f}",
            flush=True,
        )
        peak = machine.ProductPeak(layout, 512 if flags.quick else 4096)
        peak.measure(tries=3)
        rows, versions = _measure(flags, path, peak)
        populations = _populations(flags, path)
    checked = about["platform"] == "cpu" and not flags.quick
    return {
        "benchmark": NAME,
        "command": command,
        "seconds": round(time.time() - began),
        "machine": about,
        "versions": machine.package_versions((versions["peers"] or {}).get("torch")),
        **versions,
        "work": {
            **dataclasses.asdict(work),
            "task": "flip_flop",
            "optimizer": "adam",
            "alpha": 1.0,
            "init": "xavier",
            "dtype": "float32",
        },
        "timing": {"repeats": flags.repeats},
        "networks": made,
        "floor": FLOOR,
        "extrapolation": EXTRAPOLATION,
        "speeds": {"matmul_peak": max(peak.routes.values()), "matmul_routes": peak.routes},
        "targets": _verdicts(rows, populations) if checked else [],
        "contests": rows,
        "populations": populations,
    }


def main() -> None:
    """Runs the benchmark and writes its JSON and figure."""
    flags = _parse(sys.argv[1:])
    from metrics_plot import metrics_figure  # needs matplotlib

    try:
        record = run(flags, shlex.join(["python", *sys.argv]))
    except (EOFError, RuntimeError) as error:  # the process has printed its own message
        print(f"error: {error}; nothing was written", file=sys.stderr)
        sys.exit(1)
    path = script.save(record, flags.out, metrics_figure)
    _report(record)
    print(f"wrote {path} and {path.with_suffix('.png').name}")


if __name__ == "__main__":
    script.run_main(main)
