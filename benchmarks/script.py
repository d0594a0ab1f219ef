"""Shared parts of the scripts: command line, records, and exit on interrupt."""

import argparse
import contextlib
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from rnnjax.store.manifest import write_atomically

RESULTS = Path(__file__).parent / "results"


class Parser(argparse.ArgumentParser):
    """Prints errors in one line."""

    def error(self, message: str) -> NoReturn:
        """Ends the program with status 2."""
        print(f"error: {message}", file=sys.stderr)
        sys.exit(2)


def sizes(name: str, text: str) -> tuple[int, ...]:
    """Positive integers between commas, in order; raises `ValueError` for anything else."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ValueError(f"{name}: expected positive integers with commas between, got {text!r}")
    return tuple(sorted({int(part) for part in parts}))


def has_torch() -> bool:
    """Whether PyTorch is installed."""
    return importlib.util.find_spec("torch") is not None


def require_matplotlib() -> None:
    """Raises `ValueError` if matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise ValueError("matplotlib is not installed: pip install matplotlib")


def writable_folder(path: Path) -> None:
    """Creates the folder `path`; raises `ValueError` if it cannot be written to."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"out: expected a folder, got {path} ({error.strerror})") from None
    if not os.access(path, os.W_OK):
        raise ValueError(f"out: expected a folder that can be written to, got {path}")


@contextlib.contextmanager
def refused_in_one_line(parser: Parser) -> Iterator[None]:
    """Ends the program with one line where the body raises `ValueError` or `OSError`."""
    try:
        yield
    except (ValueError, OSError) as error:
        parser.error(str(error))


def spread(values: np.ndarray | list[float]) -> dict[str, float]:
    """Median and range."""
    values = np.asarray(values, float)
    low, middle, high = float(values.min()), float(np.median(values)), float(values.max())
    return {"median": middle, "min": low, "max": high}


def save_record(record: dict[str, Any], folder: Path) -> Path:
    """Writes NAME-cpu.json, or NAME-gpu; returns its path."""
    kind = "cpu" if record["machine"]["platform"] == "cpu" else "gpu"
    path = folder / f"{record['benchmark']}-{kind}.json"
    write_atomically(path, json.dumps(record, indent=1) + "\n")
    return path


def save(record: dict[str, Any], folder: Path, figure: Callable[[dict[str, Any]], Any]) -> Path:
    """Writes the record and its figure; returns the path of the record."""
    path = save_record(record, folder)
    figure(record).savefig(path.with_suffix(".png"), dpi=160)
    return path


def run_main(main: Callable[[], None]) -> None:
    """Runs `main`; an interrupt ends it with one line and status 130."""
    try:
        main()
    except KeyboardInterrupt:
        print("\ninterrupted; nothing was written", file=sys.stderr)
        sys.exit(130)
