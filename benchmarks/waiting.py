"""How long a user waits: imports, the command line, the first figure, whole runs.

    git worktree add ../before 9861582
    python benchmarks/waiting.py --baseline ../before

Every case is a process of its own; trees alternate. See benchmarks/README.md.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import script
from machine import describe, package_versions

from rnnjax.devices import all_devices
from rnnjax.studies.launch import run_in_parallel_on_cpu
from rnnjax.validate import positive_integer

HERE = Path(__file__).parent.parent

USE = (
    "import rnnjax; rnnjax.run_sweep, rnnjax.train_population, rnnjax.cells, rnnjax.analysis, "
    "rnnjax.metrics, rnnjax.rollout"
)
"""An import after which the main parts are loaded."""

BAR = re.compile(r"(\d+)%(?:\|.*?\||,) ((?:\d+:)?\d+:\d+)<((?:\d+:)?\d+:\d+)")
"""Share, elapsed and remaining time of a progress bar."""


class Tree(NamedTuple):
    """A checkout of the project."""

    name: str
    path: Path


class Measured(NamedTuple):
    """Times of one process, seconds."""

    seconds: float
    first_line: float | None = None
    """Until the first progress line."""
    first_figure: float | None = None
    """Until the first report with a figure is complete."""
    forecast_error: float | None = None
    """Largest error of the remaining time shown, of the true one, after the first minute."""


def run_process(tree: Tree, arguments: list[str], folder: Path, cache: str, code: int) -> Measured:
    """Runs Python with a tree's package; watches progress lines and reports."""
    environment = {**os.environ, "PYTHONPATH": str(tree.path), "RNNJAX_COMPILATION_CACHE": cache}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    begin = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=folder, env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    lines: list[tuple[float, str]] = []
    reader = threading.Thread(target=_read_lines, args=(process, lines, begin))
    reader.start()
    figure = None
    while process.poll() is None:
        time.sleep(0.02)
        if figure is None and any(folder.glob("*/report.html")):
            figure = time.perf_counter() - begin
    reader.join()
    seconds = time.perf_counter() - begin
    if process.returncode != code:
        raise RuntimeError(f"{arguments} ended with {process.returncode}:\n{lines[-5:]}")
    bars = [(t, found) for t, text in lines if (found := BAR.search(text))]
    first = next((t for t, text in lines if "%|" in text or "%," in text), None)
    return Measured(seconds, first, figure, _forecast_error(bars, seconds))


def _read_lines(process: subprocess.Popen, lines: list[tuple[float, str]], begin: float) -> None:
    """Reads what a process prints, with the time of every line; bars end with a return."""
    assert process.stderr is not None
    text = b""
    while piece := os.read(process.stderr.fileno(), 4096):
        now = time.perf_counter() - begin
        *whole, text = re.split(rb"[\r\n]", text + piece)
        # A bar begins with a return: its text is complete when the next one begins.
        lines.extend((now, line.decode(errors="replace")) for line in whole if line)


def _forecast_error(bars: list[tuple[float, re.Match[str]]], seconds: float) -> float | None:
    """Largest relative error of the remaining times from one minute on, where a run takes two."""
    late = [
        abs(t + _seconds(found[3]) - seconds) / (seconds - t)
        for t, found in bars
        if t >= 60 and seconds - t > 20  # intervals are shown in whole seconds
    ]
    return max(late) if late and seconds > 120 else None


def _seconds(text: str) -> int:
    value = 0
    for part in text.split(":"):
        value = 60 * value + int(part)
    return value


class Case(NamedTuple):
    """What is timed."""

    name: str
    arguments: Callable[[Tree], list[str]]
    repeats: int
    cached: bool
    """Whether the case compiles, so that it is timed cold and warm."""
    code: int = 0
    """The exit code that is expected."""


def _script(*flags: str) -> Callable[[Tree], list[str]]:
    return lambda tree: [str(tree.path / "experiments" / "lr_collapse.py"), *flags]


def cases(repeats: int, long: bool) -> list[Case]:
    """The cases; the laptop preset only in a long run, once per tree and cache."""
    short = [
        Case("import jax, xarray", lambda _: ["-c", "import jax, xarray"], repeats, False),
        Case("import rnnjax", lambda _: ["-c", "import rnnjax"], repeats, False),
        Case("import its main parts", lambda _: ["-c", USE], repeats, False),
        Case("--help", _script("--help"), repeats, False),
        Case("a typo", _script("--config.seedz=2"), repeats, False, 2),
        Case("smoke", _script("--config=smoke", "--workdir=run"), repeats, True),
    ]
    return short + ([Case("laptop", _script("--workdir=run"), 1, True)] if long else [])


def measure(case: Case, trees: list[Tree]) -> list[dict[str, Any]]:
    """Times of a case by tree and state of the compilation cache."""
    found: dict[tuple[str, str], list[Measured]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for repeat in range(case.repeats):
            for tree in trees:
                cache = Path(scratch, f"cache-{tree.name}-{repeat}")
                for state in _states(case, tree):
                    folder = Path(tempfile.mkdtemp(dir=scratch))
                    took = run_process(tree, case.arguments(tree), folder, str(cache), case.code)
                    found.setdefault((tree.name, state), []).append(took)
                    print(f"{case.name:22s} {tree.name:8s} {state:5s} {took.seconds:8.2f} s",
                          flush=True)  # fmt: skip
    return [
        {"case": case.name, "tree": tree, "cache": state, **_summary(times)}
        for (tree, state), times in found.items()
    ]


def _states(case: Case, tree: Tree) -> tuple[str, ...]:
    """States of the compilation cache; a tree from before it has none."""
    if not case.cached:
        return ("",)
    has_cache = (tree.path / "rnnjax" / "studies" / "compilation.py").exists()
    return ("cold", "warm") if has_cache else ("cold",)


def _summary(times: list[Measured]) -> dict[str, Any]:
    """Medians and ranges of every time that was seen."""
    columns = zip(Measured._fields, zip(*times, strict=True), strict=True)
    return {
        name: script.spread(list(values))
        for name, values in columns
        if all(v is not None for v in values)
    }


def main() -> None:
    """Runs the cases and writes results/waiting-cpu.json."""
    parser = script.Parser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--baseline", type=Path, help="another checkout, timed in alternation")
    parser.add_argument("--repeats", type=int, default=5, help="of the short cases")
    parser.add_argument("--short", action="store_true", help="without the laptop preset")
    parser.add_argument("--out", type=Path, default=script.RESULTS)
    given = parser.parse_args()
    with script.refused_in_one_line(parser):
        positive_integer("repeats", given.repeats)
        script.writable_folder(given.out)
    trees = [Tree("now", HERE)]
    if given.baseline is not None:
        if not (given.baseline / "rnnjax").is_dir():
            parser.error(f"baseline: expected a checkout of rnnjax, got {given.baseline}")
        trees.append(Tree("before", given.baseline.resolve()))
    rows = [row for case in cases(given.repeats, not given.short) for row in measure(case, trees)]
    run_in_parallel_on_cpu()
    record = {
        "benchmark": "waiting",
        "command": " ".join(["python", "benchmarks/waiting.py", *sys.argv[1:]]),
        "machine": describe(all_devices()),
        "versions": package_versions(None),
        "rows": rows,
    }
    print(f"Record: {script.save_record(record, given.out)}")


if __name__ == "__main__":
    script.run_main(main)
