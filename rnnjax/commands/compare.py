"""Distances between recordings, as a page.

    rnnjax compare mice.npz --output=mice
    rnnjax compare a.npy b.npy c.nc --output=abc --metrics=dsa,svcca --delays=5
    rnnjax compare a.nwb b.nwb --output=ab --bin_width=0.05 --smoothing=0.1

FILE is .npz, .npy, .nc (netCDF) or .nwb. Its arrays are recordings [trials, time, units] or
[time, units], in which a missing step is NaN in every unit. With the metric dsa, recordings may
differ in units, trials and lengths; svcca, cka and procrustes compare the same trials and steps.

Writes distances.nc, figures, report.md and report.html into the folder of --output. A folder with
anything else in it, or with another comparison, is refused.
"""

import argparse
import functools
import os
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnjax.validate import expanded, finite_positive, fraction, one_of, positive_integer, seed

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

__all__ = ["METRICS", "SCORES", "SUFFIXES", "add_arguments", "execute"]

METRICS = ("dsa", "svcca", "cka", "procrustes")
"""Metrics that take recordings; listed here too, so that a typo does not wait for JAX."""

SCORES = ("angular", "chord", "raw", "wasserstein")
SUFFIXES = (".npz", ".npy", ".nc", ".nwb")

_INDEX = "comparison.json"
"""File of a folder that tells which comparison it holds."""

_DISTANCES = "distances.nc"

_WIDTH = 0.1
"""Of the bins of NWB files, seconds."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add = parser.add_argument
    add("files", nargs="+", metavar="FILE", help="files with recordings")
    add("--output", required=True, metavar="FOLDER", help="a new folder for the page")
    add("--metrics", default="dsa", help="dsa, svcca, cka, procrustes, separated by commas (dsa)")
    dsa = parser.add_argument_group("dsa")
    dsa.add_argument("--key", help="seed of the solver's starts, and of the folds of trials where "
                     "delays are chosen, an integer (0)")  # fmt: skip
    dsa.add_argument("--delays", help="delays of the embedding; of several, as 1,2,5, "
                     "the best on held-out ones of 2 or more trials is taken (1)")  # fmt: skip
    dsa.add_argument("--components", help="principal components of every recording (as many as "
                     "the share of the variance needs)")  # fmt: skip
    dsa.add_argument("--score", help="angular, chord, raw or wasserstein (angular)")
    parser.add_argument_group("dsa and svcca").add_argument(
        "--variance", help="share of the variance that components keep (0.99)"
    )
    nwb = parser.add_argument_group("NWB files")
    nwb.add_argument("--bin_width", help="width of the bins, seconds (0.1)")
    nwb.add_argument("--smoothing", help="standard deviation of a Gaussian kernel, seconds (none)")
    nwb.add_argument("--trials", help="intervals of the file that are trials, such as epochs "
                     "(trials, where the file has them)")  # fmt: skip


def execute(given: argparse.Namespace) -> int:
    """Compares the recordings and writes the page; returns the exit code.

    Raises `ValueError` or `OSError` for what is refused, before anything is written.
    """
    metrics = [one_of("metrics", word, METRICS) for word in _words("metrics", given.metrics)]
    options = _options(given, metrics)
    key = 0 if given.key is None else seed("key", _number("key", given.key, int))
    width = _optional("bin_width", given.bin_width, float, finite_positive)
    smoothing = _optional("smoothing", given.smoothing, float, finite_positive)
    _require_files(given.files)
    _require_nwb(given)
    from rnnjax import recordings
    from rnnjax.commands import require
    from rnnjax.studies.launch import print_warning, run_in_parallel_on_cpu

    require(("jinja2", "matplotlib"))  # of the page
    run_in_parallel_on_cpu()
    warnings.showwarning = print_warning
    output = expanded("output", given.output)
    earlier = _earlier(output)
    width = _WIDTH if width is None else width
    described = _described(given.files, metrics, {"key": key, "options": options})
    described["binning"] = {"width": width, "smoothing": smoothing, "trials": given.trials}
    _require_same(output, earlier, described)
    named = _read(given.files, width, smoothing, given.trials)
    print(f"recordings: {', '.join(named)}", flush=True)
    found = recordings.compare(
        named,
        metrics,
        key=key,
        options=options,
        progress=_progress if sys.stderr.isatty() else None,
    )
    print(_write(found, output, described))
    return 0


def _words(name: str, text: str, kind: str = "name") -> list[str]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise ValueError(f"{name}: expected at least one {kind}, got {text!r}")
    return words


def _number(name: str, text: str, kind: type) -> Any:
    try:
        return kind(text)
    except ValueError:
        wanted = "an integer" if kind is int else "a number"
        raise ValueError(f"{name}: expected {wanted}, got {text!r}") from None


def _optional(name: str, text: str | None, kind: type, check: Callable[..., Any]) -> Any:
    return None if text is None else check(name, _number(name, text, kind))


def _options(given: argparse.Namespace, metrics: list[str]) -> dict[str, dict[str, Any]]:
    """Options of the metrics that are compared; raises `ValueError` for those of others."""
    takes = {"dsa": ("delays", "components", "score", "variance"), "svcca": ("variance",)}
    for name in (*takes["dsa"], "key"):
        users = [metric for metric, names in takes.items() if name in names] or ["dsa"]
        if getattr(given, name) is not None and not set(users) & set(metrics):
            raise ValueError(
                f"{name}: expected {' or '.join(users)} among the metrics, got {', '.join(metrics)}"
            )
    words = ["1"] if given.delays is None else _words("delays", given.delays, "number")
    delays = [positive_integer("delays", _number("delays", word, int)) for word in words]
    share = functools.partial(fraction, open_below=True)
    score = None if given.score is None else one_of("score", given.score, SCORES)
    if given.key is not None and score == "wasserstein" and len(delays) == 1:
        raise ValueError("key: expected another score or several delays, got wasserstein and one")
    values = {
        "delays": delays[0] if len(delays) == 1 else delays,
        "components": _optional("components", given.components, int, positive_integer),
        "score": score,
        "variance": _optional("variance", given.variance, float, share),
    }
    options = {
        metric: {name: values[name] for name in takes[metric] if values[name] is not None}
        for metric in metrics
        if metric in takes
    }
    return {metric: chosen for metric, chosen in options.items() if chosen}


def _require_files(files: list[str]) -> None:
    for file in files:
        one_of(f"files, suffix of {Path(file).name}", Path(file).suffix.lower(), SUFFIXES)
        if not Path(file).is_file():
            raise ValueError(f"files: expected an existing file, got {file}")


def _require_nwb(given: argparse.Namespace) -> None:
    """Raises `ValueError` for options of NWB files without such a file."""
    if any(Path(file).suffix.lower() == ".nwb" for file in given.files):
        return
    for name in ("bin_width", "smoothing", "trials"):
        if getattr(given, name) is not None:
            raise ValueError(f"{name}: expected some .nwb file, got {', '.join(given.files)}")


def _described(files: list[str], metrics: list[str], settings: dict[str, Any]) -> dict[str, Any]:
    """What makes a comparison the same: content of the files, and settings."""
    import hashlib

    def content(file: str) -> str:
        with Path(file).open("rb") as opened:  # in pieces: recordings may not fit into memory
            return hashlib.file_digest(opened, "sha256").hexdigest()

    return {"files": {file: content(file) for file in files}, "metrics": metrics, **settings}


def _read(
    files: list[str], width: float, smoothing: float | None, trials: str | None
) -> "dict[str, np.ndarray]":
    """The recordings by name; errors are those of the flags."""
    from rnnjax import recordings

    try:
        return recordings.read(files, binning=recordings.Binning(width, smoothing, trials))
    except ModuleNotFoundError:
        raise
    except ImportError as error:  # of a reader, with what to install
        raise ValueError(str(error)) from error
    except ValueError as error:
        raise ValueError(re.sub("^width:", "bin_width:", str(error))) from error


def _earlier(folder: Path) -> dict[str, Any] | None:
    """What the comparison in `folder` was made from; None for a new or empty folder.

    Nothing is created here. Raises `ValueError` for a folder that cannot be used.
    """
    from rnnjax.store import leftovers, read_checked

    place = next(part for part in (folder, *folder.absolute().parents) if os.path.lexists(part))
    if not place.is_dir():
        raise ValueError(f"output: expected a folder, got the file {place}")
    if not os.access(place, os.W_OK | os.X_OK):
        raise ValueError(f"output: expected a folder that can be written, got {folder}")
    index = folder / _INDEX
    if not index.exists():
        left = set(leftovers(folder))  # of a process killed at its start
        if folder.is_dir() and not left.issuperset(folder.iterdir()):
            raise ValueError(
                f"output: expected a new or empty folder, got {folder}, which has other files"
            )
        return None
    try:
        return read_checked(index)
    except ValueError as reason:
        raise ValueError(f"output: {index} is damaged ({reason}); choose a new folder") from None


def _require_same(folder: Path, earlier: dict[str, Any] | None, described: dict[str, Any]) -> None:
    """Raises `ValueError` if the folder has another comparison."""
    from rnnjax.store import first_difference

    if earlier is not None and earlier != described:
        different, *_ = first_difference(earlier, described) or ("",)
        raise ValueError(
            f"output: expected a new folder, or that of the same comparison, got {folder}, of "
            f"another (other {different})"
        )


def _progress(done: int, total: int) -> None:
    print(f"\r{done} of {total} pairs", end="\n" if done == total else "", file=sys.stderr)


def _write(found: "xr.Dataset", output: Path, described: dict[str, Any]) -> Path:
    """Writes index, distances and page; returns the path of the page."""
    from rnnjax.report import Provenance, comparison_page, write_report
    from rnnjax.store import remove_leftovers, versions, write_atomically, write_checked

    content = bytes(found.to_netcdf(engine="scipy"))
    output.mkdir(parents=True, exist_ok=True)
    for folder in (output, output / "figures"):
        remove_leftovers(folder)
    write_checked(output / _INDEX, described)
    write_atomically(output / _DISTANCES, content)
    page = comparison_page(found, Provenance(_command(), versions=versions()))
    return write_report(page, output)


def _command() -> str:
    """The command line that was given."""
    import shlex

    return shlex.join(["rnnjax", *sys.argv[1:]])
