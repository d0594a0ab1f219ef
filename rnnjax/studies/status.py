"""What a folder holds, and whether all of it is as it was written.

    rnnjax status WORKDIR             runs finished, per store
    rnnjax status WORKDIR --verify    also reads every file and compares it with its digest

The folder is the workdir of a study or a store. Prints what is damaged and what to do about it; the
exit code is then 1.
"""

import argparse
import hashlib
import math
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rnnjax.store import load_results, read_file, read_manifest
from rnnjax.store.checkpoints import restore_weights
from rnnjax.store.markers import read_markers
from rnnjax.studies.measures_file import read_measures
from rnnjax.studies.workdir import CACHES, INDEX, MEASURED_AGAIN, read_index, read_values

__all__ = ["damages", "main", "stores"]

_DIGESTS = "report.sha256"
"""As `rnnjax.report.write.DIGESTS`, which takes long to import."""

_PARTS = ("manifest.json", "blocks", "results.zarr", "metadata.sha256")
"""Any of these shows that a folder is a store, also one that has lost the others."""

_PAGE = re.compile(r"report\.(md|html)|figures/[\w.-]+")
"""Files of a report."""


def stores(folder: Path) -> list[Path]:
    """The stores in a folder: itself, or those below its `store`."""
    candidates = (folder, folder / "store", *sorted(folder.glob("store/*")))
    return [path for path in candidates if any((path / part).exists() for part in _PARTS)]


def _progress(store: Path) -> str:
    """Finished runs of a store, and all that its axes have."""
    finished = sum(len(marker["cells"]) for marker in read_markers(store).values())
    try:
        axes = read_manifest(store)["config"]["axes"]
        count = math.prod(map(len, axes.values()))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"store: {store} has a manifest without axes ({error})") from None
    return f"{finished} of the {count} runs on its axes are finished"


def damages(folder: str | Path) -> Iterator[str]:
    """Reads all files of a workdir or store; yields a sentence for each damage found."""
    folder = Path(folder)
    for store in stores(folder):
        yield from _try(load_results, store)
        for block, marker in _markers(store).items():
            if marker.get("weights"):
                yield from _try(restore_weights, store, block, marker["weights"])
    if (folder / INDEX).exists():
        yield from _try(read_index, folder)
    for name in CACHES:
        if (folder / name).exists():
            yield from _try(read_values, folder / name, MEASURED_AGAIN)
    for file in sorted(folder.glob("measures/*.nc")):
        yield from _try(read_measures, file)
    yield from _damaged_pages(folder)


def _markers(store: Path) -> dict[str, dict]:
    try:
        return read_markers(store)
    except ValueError:  # reported by the results already
        return {}


def _try(read: Callable[..., object], *arguments: object) -> Iterator[str]:
    try:
        read(*arguments)
    except (ValueError, OSError) as error:
        yield str(error)


def _damaged_pages(folder: Path) -> Iterator[str]:
    """Files of the report that are not those that were written."""
    listed = folder / _DIGESTS
    if not listed.exists():
        return
    lines = read_file(listed).decode(errors="replace").splitlines()
    written = {name: value for value, _, name in (line.partition("  ") for line in lines)}
    for name in {"report.md", "report.html", *written}:
        file = folder / name
        known = _PAGE.fullmatch(name) and file.is_file()
        content = read_file(file) if known else b""
        if hashlib.sha256(content).hexdigest() != written.get(name):
            yield f"report: {file} is missing or damaged; the command of the study writes it again"


def main(arguments: Sequence[str] | None = None) -> None:
    """The command `rnnjax`; exits with 1 if something is damaged, with 2 for wrong arguments."""
    parser = argparse.ArgumentParser("rnnjax", description="Inspects results of rnnjax.")
    command = parser.add_subparsers(dest="command", required=True).add_parser(
        "status", help="runs finished, and damaged files", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    command.add_argument("workdir", type=Path, help="workdir of a study, or a store")
    command.add_argument("--verify", action="store_true", help="read and check every file")
    given = parser.parse_args(arguments)
    found = stores(given.workdir)
    if not found and not (given.workdir / INDEX).exists():
        sys.exit(_fail(f"workdir: expected that of a study, or a store, got {given.workdir}"))
    damaged = 0
    for store in found:
        try:
            print(f"{store}: {_progress(store)}")
        except (ValueError, OSError) as error:
            if not given.verify:
                damaged += 1
                print(f"damaged: {error}")
    if given.verify:
        for problem in damages(given.workdir):
            damaged += 1
            print(f"damaged: {problem}")
        print(f"{damaged} damaged" if damaged else "All files are as they were written.")
    sys.exit(1 if damaged else 0)


def _fail(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
