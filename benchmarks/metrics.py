"""Seconds per pair of the distances between networks, and how short they get, beside the peers.

    python benchmarks/metrics.py                    # 10 networks, about 5 minutes on 2 cores
    python benchmarks/metrics.py --networks 50      # and all 1,225 pairs of 50, ours alone
    python benchmarks/metrics.py --quick            # a smoke run, under a minute
    python benchmarks/metrics.py --peer_python ~/peers/bin/python

Writes metrics-cpu.json and .png (or -gpu) to benchmarks/results. Peers that are not installed are
left out, and the record says so. benchmarks/README.md says what is compared.
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
from metrics_contest import OURS, SPARE, Ours, Peers, summary, time_contest
from metrics_work import ANNOUNCED, PEERS, QUICK, Contest, Work

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
"""What the first peer of a contest is to take over what we take."""

POPULATION_SECONDS = {"dsa_r19": 120.0, "pif": 300.0}
"""What 1,225 pairs are to take, compilation included."""

Flags = argparse.Namespace


def _parse(arguments: list[str]) -> Flags:
    parser = script.Parser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3, help="timed windows of each contestant")
    parser.add_argument("--networks", type=int, help="of ours; 10 of them meet the peers")
    parser.add_argument("--out", type=Path, default=script.RESULTS, help="folder of JSON and PNG")
    parser.add_argument(
        "--peers", action=argparse.BooleanOptionalAction, default=True, help="time them too"
    )
    parser.add_argument(
        "--peer_python", default=sys.executable, help="the Python that has the peers' packages"
    )
    parser.add_argument("--quick", action="store_true", help="small networks and short windows")
    flags = parser.parse_args(arguments)
    flags.work = QUICK if flags.quick else Work()
    least = flags.work.contestants
    try:
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
    except (ValueError, OSError) as error:
        parser.error(str(error))
    return flags


def _population(contest: Contest, networks: int, path: Path, work: Work) -> dict[str, Any]:
    """All pairs of so many networks in a process of their own."""
    with contextlib.ExitStack() as stack:
        ours = Ours(stack, path, work)
        answer = ours.first(contest, networks)
        peak = ours.peak_bytes()
    print(
        f"{contest.name:8s} {answer['pairs']} pairs of {networks} networks: "
        f"{answer['seconds']:.1f} s with compilation, peak {peak / 1e9:.2f} GB",
        flush=True,
    )
    return {
        "contest": contest.name,
        "networks": networks,
        "pairs": answer["pairs"],
        "seconds_with_compilation": answer["seconds"],
        "peak_bytes": peak,
        "mean_distance": answer["mean_distance"],
    }


def _populations(flags: Flags, path: Path) -> list[dict[str, Any]]:
    """Those who met the peers, and the larger population where one was asked for."""
    work: Work = flags.work
    sizes = sorted({work.contestants, flags.networks})
    chosen = [work.contests[0], *(c for c in work.contests if c.metric == "pif")]
    return [_population(c, networks, path, work) for networks in sizes for c in chosen]


def _say(row: dict[str, Any]) -> None:
    """One line per contest while the benchmark goes on, and one per distance reached."""
    names = [name for name in (OURS, *PEERS) if name in row]
    times = [f"{name} {1e3 * row[name]['seconds_per_pair']['median']:.4g}" for name in names]
    reached = [f"{name} {row[name]['mean_distance']:.4f}" for name in names]
    print(f"{row['contest']:8s} ms per pair: " + ", ".join(times), flush=True)
    print("         distance:    " + ", ".join(reached), flush=True)
    for peer, why in row["skipped"].items():
        print(f"         {peer} is not timed: {why}", flush=True)
    # Theirs never wait for anything, but ours join what their devices have done.
    least = min((row[name]["cores_busy"]["min"] for name in names[1:]), default=np.inf)
    if least < 0.9 * machine.cores():
        print(f"         a neighbor was busy: down to {least:.1f} cores for the peers", flush=True)


def _measure(
    flags: Flags, path: Path, peak: machine.ProductPeak
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Every contest's summary, and what the contestants say of themselves."""
    work: Work = flags.work
    with contextlib.ExitStack() as stack:
        ours = Ours(stack, path, work)
        peers = Peers(stack, path, work, flags.peer_python) if flags.peers else None
        absent = dict.fromkeys(PEERS, "not asked for") if peers is None else peers.absent
        rows = []
        for contest in work.contests:
            spare = 0.01 if flags.quick else SPARE
            row = time_contest(contest, work, ours, peers, flags.repeats, spare)
            peak.look(tries=1)
            rows.append(summary(row, absent, max(peak.routes.values())))
            _say(rows[-1])
    about = {
        "not_timed": absent,
        "peers": None if peers is None else {"python": peers.python, **peers.versions},
    }
    return rows, about


def _verdicts(
    rows: list[dict[str, Any]], populations: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Every target that this run can speak to, with what was measured (medians and means)."""
    found: list[dict[str, Any]] = []

    def judge(claim: str, contest: str, measured: float, sense: str, target: float) -> None:
        met = measured <= target if sense == "at most" else measured >= target
        found.append(
            {"claim": claim, "contest": contest, "measured": measured}
            | {"sense": sense, "target": target, "met": bool(met)}
        )

    for row in rows:
        name = row["contest"]
        if name not in TIMES_FASTER or not row["ratios"]:
            continue
        peer = next(iter(row["ratios"]))
        ratio = row["ratios"][peer]["median"]
        judge(f"{peer}_over_ours", name, ratio, "at least", TIMES_FASTER[name])
        ours, theirs = row[OURS]["mean_distance"], row[peer]["mean_distance"]
        judge(f"mean_distance_against_{peer}", name, ours, "at most", theirs)
    for population in populations:
        name, pairs = population["contest"], population["pairs"]
        if name in POPULATION_SECONDS and pairs == ANNOUNCED:
            seconds = population["seconds_with_compilation"]
            judge(f"seconds_of_{pairs}_pairs", name, seconds, "at most", POPULATION_SECONDS[name])
    return found


def _report(record: dict[str, Any]) -> None:
    """Ratios, extrapolations and verdicts."""
    for row in record["contests"]:
        for peer, ratio in row["ratios"].items():
            times = [row[name]["extrapolated_seconds"][str(ANNOUNCED)] for name in (OURS, peer)]
            print(
                f"{row['contest']:8s} {peer} over ours {ratio['median']:.2f} "
                f"({ratio['min']:.2f} to {ratio['max']:.2f}); extrapolated to {ANNOUNCED} "
                f"pairs {times[0]:.0f} s and {times[1]:.0f} s"
            )
    for verdict in record["targets"]:
        word = "met   " if verdict["met"] else "MISSED"
        at = f"{verdict['contest']}: {verdict['claim']}"
        print(f"{word} {at} {verdict['measured']:.4g}, {verdict['sense']} {verdict['target']:.4g}")


def run(flags: Flags, command: str) -> dict[str, Any]:
    """Makes the networks, times everything and returns the record."""
    began = time.time()
    # Several processes share one accelerator, so that none may take all of its memory at once.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    jax.config.update("jax_num_cpu_devices", machine.cores())
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
        peak.look(tries=3)
        rows, said = _measure(flags, path, peak)
        populations = _populations(flags, path)
    judged = about["platform"] == "cpu" and not flags.quick
    return {
        "benchmark": NAME,
        "command": command,
        "seconds": round(time.time() - began),
        "machine": about,
        "versions": machine.package_versions((said["peers"] or {}).get("torch")),
        **said,
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
        "targets": _verdicts(rows, populations) if judged else [],
        "contests": rows,
        "populations": populations,
    }


def main() -> None:
    """Runs the benchmark and writes its JSON and figure."""
    flags = _parse(sys.argv[1:])
    from metrics_plot import metrics_figure  # needs matplotlib, which is now known to be here

    try:
        record = run(flags, shlex.join(["python", *sys.argv]))
    except (EOFError, RuntimeError) as error:  # a process's own message is above
        print(f"error: {error}; nothing was written", file=sys.stderr)
        sys.exit(1)
    path = script.save(record, flags.out, metrics_figure)
    _report(record)
    print(f"wrote {path} and {path.with_suffix('.png').name}")


if __name__ == "__main__":
    script.end_by_hand(main)
