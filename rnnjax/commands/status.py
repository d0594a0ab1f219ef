"""Says what a folder has: finished and missing networks, blocks under way, their time, damage.

    rnnjax status runs/lr_collapse                the folder of a study, or a store
    rnnjax status runs/lr_collapse --no-verify    does not read every file

Files are compared with the digests that were written with them. Prints what is damaged and what to
do about it; the exit code is then 1. Nothing is changed.
"""

import argparse
import datetime
from pathlib import Path

from rnnjax.store.attempts import failed_attempts, left_attempts
from rnnjax.studies.status import Progress, damages, progress, stores, underway
from rnnjax.studies.workdir import INDEX, read_index

__all__ = ["add_arguments", "execute"]

_LISTED = 12
"""Most conditions that are listed as missing."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the folder and the flag."""
    parser.add_argument("workdir", type=Path, metavar="WORKDIR", help="folder of a study, or store")
    parser.add_argument(
        "--verify", action=argparse.BooleanOptionalAction, default=True,
        help="read every file and compare it with its digest",
    )  # fmt: skip


def execute(given: argparse.Namespace) -> int:
    """Prints the state of the folder; returns the exit code."""
    folder: Path = given.workdir
    found = stores(folder)
    if not found and not (folder / INDEX).exists():
        raise ValueError(f"workdir: expected the folder of a study, or a store, got {folder}")
    damaged = _print_study(folder)
    for store in found:
        try:
            _print_store(store, progress(store))
        except (ValueError, OSError) as error:
            damaged.append(str(error))
    _print_report(folder)
    if given.verify:
        damaged = list(dict.fromkeys([*damaged, *damages(folder)]))
    for problem in damaged:
        print(f"damaged: {problem}")
    if damaged:
        print(f"{len(damaged)} damaged")
        return 1
    print("All files are as they were written." if given.verify else "Files are not verified.")
    return 0


def _print_study(folder: Path) -> list[str]:
    """Prints the study and its command; returns what is damaged."""
    try:
        index = read_index(folder)
    except ValueError as error:
        return [str(error)]
    if index is not None:
        made = f", by: {index['command']}" if index.get("command") else ""
        print(f"{folder}: study {index['study']}{made}")
    return []


def _print_store(store: Path, has: Progress) -> None:
    left = has.runs - has.finished
    state = "complete" if not left else f"{left} not run (the study may not need all of them)"
    blocks = f"{has.blocks} block{'' if has.blocks == 1 else 's'}"
    print(
        f"{store}: {has.finished} of {has.runs} networks, {state}; {blocks}, trained in "
        f"{_duration(has.seconds)}"
    )
    for condition, missing, runs in has.missing[:_LISTED]:
        print(f"  {condition}: {missing} of {runs} not run")
    if len(has.missing) > _LISTED:
        print(f"  and {len(has.missing) - _LISTED} other conditions")
    for block in underway(store):
        print(
            f"  under way: {block.networks} networks of block {block.block}, {block.step} of "
            f"{block.steps} steps at {block.saved:%Y-%m-%d %H:%M:%S}"
        )
    if has.finished == has.runs:
        return
    for block in left_attempts(store):
        print(f"  begun by a worker: block {block}")
    for block, error in failed_attempts(store).items():
        print(f"  failed on a worker: block {block}: {' '.join(error.split())[:200]}")


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _print_report(folder: Path) -> None:
    page = folder / "report.html"
    if page.exists():
        written = datetime.datetime.fromtimestamp(page.stat().st_mtime)
        print(f"{page}: written {written:%Y-%m-%d %H:%M}")
    elif (folder / INDEX).exists():
        print(f"{page}: not written yet")
