"""Rewrites the report of a finished study from its measures, without its networks.

    python -m rnnjax.studies.degeneracy.remake runs/task_complexity

The numbers of the tests follow the installed version of rnnjax; nothing is trained or measured.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from rnnjax.report import Provenance, write_report
from rnnjax.store import read_file
from rnnjax.studies.degeneracy.fixed_points import FixedPointRow, FixedPointSummary, picture
from rnnjax.studies.degeneracy.page import degeneracy_page
from rnnjax.studies.degeneracy.study import read_study
from rnnjax.studies.papers import DEGENERACY_ARROWS
from rnnjax.studies.workdir import read_index

__all__ = ["main", "remake"]


def remake(workdir: str | Path) -> Path:
    """Rewrites the report of a finished study; returns its HTML file.

    Fixed points keep the numbers and the figure that the study found. Raises `ValueError` for a
    folder that is not the workdir of a finished study.
    """
    workdir = Path(workdir)
    index = read_index(workdir)
    if index is None or index["study"] not in DEGENERACY_ARROWS:
        raise ValueError(
            f"workdir: expected that of a finished study, {', '.join(DEGENERACY_ARROWS)}, "
            f"got {workdir}"
        )
    command, comparisons = read_study(index["study"], workdir)
    versions = {**index.get("versions", {}), "report": "remade from the measures"}
    about = Provenance(command, index.get("settings", {}), versions, index.get("seconds"))
    page = degeneracy_page(
        index["study"], comparisons, about, fixed_points=_read_fixed_points(workdir, index)
    )
    return write_report(page, workdir)


def _read_fixed_points(workdir: Path, index: dict) -> FixedPointSummary | None:
    """The fixed points that the study found."""
    try:
        rows = [FixedPointRow(**row) for row in index.get("fixed_points", [])]
    except TypeError as error:
        raise ValueError(f"workdir: {workdir} is damaged: fixed points: {error}") from None
    file = workdir / "figures" / "fixed_points.png"
    return FixedPointSummary(rows, picture(read_file(file))) if rows and file.exists() else None


def main(arguments: Sequence[str]) -> int:
    """Rewrites the reports of the given workdirs; returns the exit code."""
    if not arguments or {"-h", "--help"} & set(arguments):
        print(__doc__)
        return 0 if arguments else 2
    for workdir in arguments:
        try:
            print(f"Report: {remake(workdir)}")
        except (ValueError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
