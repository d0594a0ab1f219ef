"""Kills, signals, damage and limited files over the studies at their smoke preset, with counts.

    python tests/drills/drill.py --interruptions=200 --damages=300 --fills=12

Every run that is interrupted, damaged or kept from writing must end, by the same command or by what
an error says, in the results of an undisturbed run, bit for bit. Prints a table; exits with 1 if a
result was lost, a damage was silent, or a traceback was printed.
"""

import argparse
import collections
import concurrent.futures
import contextlib
import hashlib
import io
import multiprocessing
import random
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import xarray as xr

from rnnjax import commands
from rnnjax.store import load_results, load_weights
from rnnjax.store.markers import read_markers
from rnnjax.studies import status
from rnnjax.studies.measures_file import read_measures

ROOT = Path(__file__).parents[2]
STUDIES = (
    "lr_collapse", "population", "feature_learning", "width_transfer", "rescaling", "latent",
    "memory_demand",
)  # fmt: skip
SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
PER_RUN = 3
"""Interruptions of one workdir before it may finish."""
STARTING = 0.5
"""Seconds within which Python itself may still be starting."""


def start(study: str, workdir: Path, *flags: str, **options) -> subprocess.Popen:
    command = [sys.executable, str(ROOT / "experiments" / f"{study}.py"), "--config=smoke"]
    return subprocess.Popen(
        [*command, f"--workdir={workdir}", *flags],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


def finish(study: str, workdir: Path) -> str:
    """Runs a study to its end; returns what it printed as errors."""
    with start(study, workdir) as process:
        errors = process.communicate()[1]
    return "" if process.returncode == 0 else errors


def add(found, dataset: xr.Dataset) -> None:
    for name in sorted(map(str, dataset.data_vars)):
        if name != "seconds":
            found.update(name.encode() + np.ascontiguousarray(dataset[name].values).tobytes())


def content(workdir: Path) -> str:
    """Digest of all results, weights and measures in a workdir, without times."""
    found = hashlib.sha256()
    for store in status.stores(workdir):
        add(found, load_results(store))
        for _, marker in sorted(read_markers(store).items()):
            if "weights" in marker:
                weights = load_weights(store, marker["cells"])
                for params in filter(None, weights):
                    for name in sorted(params):
                        found.update(name.encode() + params[name].tobytes())
    for file in sorted(workdir.glob("measures/*.nc")):
        add(found, read_measures(file))
    return found.hexdigest()


def damage(number: int, folder: Path, expected: str) -> collections.Counter:
    """Damages one to three files of a finished run, and follows the advice."""
    chosen, counts = random.Random(number), collections.Counter({"damages": 1})
    study = STUDIES[number % len(STUDIES)]
    workdir = folder / f"damaged_{number}"
    shutil.copytree(folder / study, workdir)
    files = [f for f in sorted(workdir.rglob("*")) if f.is_file() and f.name != "lock"]
    damaged = chosen.sample(files, chosen.choice((1, 1, 2, 3)))
    kinds = [damage_file(file, chosen) for file in damaged]
    what = [f"{k} {f.relative_to(workdir)}" for k, f in zip(kinds, damaged, strict=True)]
    found = list(status.damages(workdir))
    counts["found by status"] += bool(found)
    if "delete" not in kinds and not found:  # a lost marker or digest counts as not made
        chunks = all("results.zarr" in file.parts for file in damaged)
        if not chunks or content(workdir) != expected:  # else of runs that the study leaves out
            counts["silent"] += 1
            print("silent", study, what, flush=True)
    for problem in found:
        follow(problem)
    errors = repeat(study, workdir)
    for _ in damaged:
        if errors and follow(errors):
            errors = repeat(study, workdir)
    left = list(status.damages(workdir))
    if errors or left or content(workdir) != expected:
        counts["lost"] += 1
        print("lost", study, what, found, errors, left, flush=True)
    shutil.rmtree(workdir)
    return counts


def damage_file(file: Path, chosen: random.Random) -> str:
    """Flips a bit of a file, cuts it short or deletes it; returns which."""
    kind = chosen.choice(("flip", "flip", "truncate", "delete"))
    content = bytearray(file.read_bytes())
    if kind == "flip" and content:
        content[chosen.randrange(len(content))] ^= 1 << chosen.randrange(8)
        file.write_bytes(content)
    elif kind == "truncate" and content:
        file.write_bytes(content[: chosen.randrange(len(content))])
    else:
        kind = "delete"
        file.unlink()
    return kind


def follow(problem: str) -> bool:
    """Does what an error says; returns whether that deleted anything."""
    command = problem.partition(": rm -- ")[2].strip()
    files = shlex.split(command) or re.findall(
        r"(\S+) is damaged .*delete (?:it|the file)", problem
    )
    there = [Path(name) for name in files if Path(name).exists()]
    for file in there:
        file.unlink()
    return bool(there)


def repeat(study: str, workdir: Path) -> str:
    """Runs a study to its end in this process; returns what it printed as errors."""
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        try:
            code = commands.main(["run", study, "--config=smoke", f"--workdir={workdir}"])
        except SystemExit as end:
            code = end.code
    return errors.getvalue() if code else ""


class Drill:
    """The undisturbed runs, and the counts of what went wrong."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.content, self.seconds = {}, {}
        for study in STUDIES:
            for name in ("compiled", study):  # the first run fills the compilation cache
                begin = time.monotonic()
                errors = finish(study, folder / name)
                assert not errors, errors
                self.seconds[study] = time.monotonic() - begin
                if name == "compiled":
                    shutil.rmtree(folder / name)
            self.content[study] = content(folder / study)

    def interrupt(self, number: int) -> collections.Counter:
        """Interrupts a run three times at random moments, and then lets it finish."""
        chosen, counts = random.Random(number), collections.Counter()
        study = STUDIES[number % len(STUDIES)]
        workdir = self.folder / f"interrupted_{number}"
        for _ in range(PER_RUN):
            which = chosen.choice(SIGNALS)
            wait = chosen.uniform(0.05, 1.1 * self.seconds[study])
            with start(study, workdir) as process:
                time.sleep(wait)
                process.send_signal(which)
                output, errors = process.communicate()
            counts["kills" if which == signal.SIGKILL else "signals"] += 1
            expected = {0, -which if which == signal.SIGKILL else 128 + which}
            if "Report: " in output:  # the signal came at the end of the interpreter
                expected.add(-which)
            if wait < STARTING and not output + errors and process.returncode == -which:
                continue  # to a shell the exit code is the same
            begun = workdir.exists()
            if begun and process.returncode not in expected:
                counts["wrong exit codes"] += 1
                print(study, which.name, process.returncode, errors[-400:], flush=True)
            if begun and ("Traceback" in errors or "Exception ignored" in errors):
                counts["tracebacks"] += 1
                print(study, which.name, errors[-1500:], flush=True)
        errors = finish(study, workdir)
        if errors or content(workdir) != self.content[study]:
            counts["lost"] += 1
            print(study, "not finished", errors[-600:], flush=True)
        counts["runs finished afterwards"] += 1
        shutil.rmtree(workdir)
        return counts

    def fill(self, number: int) -> collections.Counter:
        """Lets no file grow beyond a random size, and then makes room."""
        chosen, counts = random.Random(number), collections.Counter({"fills": 1})
        study = STUDIES[number % len(STUDIES)]
        workdir = self.folder / f"full_{number}"
        most = int(10 ** chosen.uniform(1, 4.5))

        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

        with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # of the fork
            process = start(study, workdir, preexec_fn=limit)
        errors = process.communicate()[1]
        lines = errors.strip().splitlines()
        if process.returncode and (process.returncode != 2 or "error: " not in lines[-1]):
            counts["wrong exit codes"] += 1
            print(study, most, process.returncode, errors[-600:], flush=True)
        counts["tracebacks"] += "Traceback" in errors
        errors = finish(study, workdir)
        if errors or content(workdir) != self.content[study]:
            counts["lost"] += 1
            print(study, most, errors[-600:], flush=True)
        shutil.rmtree(workdir)
        return counts


BAD = ("lost", "silent", "tracebacks", "wrong exit codes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--interruptions", type=int, default=200)
    parser.add_argument("--damages", type=int, default=300)
    parser.add_argument("--fills", type=int, default=12)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    for number in SIGNALS[1:]:  # a shell's background job ignores some, and children inherit that
        with contextlib.suppress(OSError):
            signal.signal(number, signal.default_int_handler)
    begin, total = time.monotonic(), collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        drill = Drill(Path(folder))
        spawn = multiprocessing.get_context("spawn")
        threads = concurrent.futures.ThreadPoolExecutor(given.workers)
        processes = concurrent.futures.ProcessPoolExecutor(given.workers, spawn)
        numbers = range(given.damages)
        expected = [drill.content[STUDIES[n % len(STUDIES)]] for n in numbers]
        with threads, processes:
            for results in (
                threads.map(drill.interrupt, range(-(-given.interruptions // PER_RUN))),
                processes.map(damage, numbers, [drill.folder] * given.damages, expected),
                threads.map(drill.fill, range(given.fills)),
            ):
                part = collections.Counter()
                for counts in results:
                    part.update(counts)
                total.update(part)
                bad = ", ".join(f"{part[name]} {name}" for name in BAD)
                done = ", ".join(f"{n} {name}" for name, n in part.items() if name not in BAD)
                print(f"{done}: {bad} ({time.monotonic() - begin:.0f} s)", flush=True)
    print(f"{time.monotonic() - begin:.0f} s")
    sys.exit(any(total[name] for name in BAD))


if __name__ == "__main__":
    main()
