"""The report of a degeneracy study from its measures, without its networks."""

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

from rnnjax.analysis import Comparison
from rnnjax.report import Provenance, write_report
from rnnjax.store import read_file
from rnnjax.studies.degeneracy.conditions import Condition, Factor
from rnnjax.studies.degeneracy.fixed_points import FixedPointRow, FixedPointSummary, picture
from rnnjax.studies.degeneracy.measuring import measures_file
from rnnjax.studies.degeneracy.stages_page import study_page
from rnnjax.studies.degeneracy.study import read_study
from rnnjax.studies.launch import Config
from rnnjax.studies.measures_file import read_measures
from rnnjax.studies.settings import Settings
from rnnjax.studies.workdir import read_index

__all__ = ["report_study"]


def report_study(
    study: str,
    settings: Settings,
    factors: Callable[[Config], Sequence[Factor]],
    workdir: Path,
    about: Provenance,
) -> Path:
    """Writes the report of the conditions that are measured; returns the HTML file.

    The numbers of the tests follow the installed version of rnnjax; nothing is trained or measured.
    Fixed points keep the numbers and the figure that the finished study found. Raises `ValueError`
    if no condition is measured.
    """
    index = read_index(workdir) or {}
    finished = "factors" in index
    if finished:
        _, comparisons = read_study(study, workdir)
    else:
        config = settings.restored(about.settings)
        comparisons = _measured_comparisons(factors(config), config, workdir)
        if not comparisons:
            raise ValueError(f"workdir: no condition is measured yet in {workdir}")
    page = study_page(
        study, comparisons, about,
        fixed_points=_read_fixed_points(workdir, index), partial=not finished,
    )  # fmt: skip
    return write_report(page, workdir)


def _measured_comparisons(
    factors: Sequence[Factor], config: Config, workdir: Path
) -> list[Comparison]:
    """The factors with their levels that are measured: the longest run without a gap.

    A slope per level needs levels that follow each other.
    """
    found = []
    for factor in factors:
        files = [
            (level, _measured(config, workdir, one))
            for level, one in zip(factor.levels, factor.conditions, strict=True)
        ]
        runs = [
            [(level, file) for level, file in run if file is not None]
            for _, run in itertools.groupby(files, lambda entry: entry[1] is not None)
        ]
        levels = max(runs, key=len, default=[])
        if levels:
            data = tuple(read_measures(file) for _, file in levels)
            labels = tuple(level for level, _ in levels)
            about = factor.name, factor.title, factor.setting
            found.append(Comparison(*about, labels, data, factor.stage))
    return found


def _measured(config: Config, workdir: Path, condition: Condition) -> Path | None:
    """The file of a condition's measures; None if it is not measured yet."""
    if not (workdir / "store" / condition.folder / "manifest.json").exists():
        return None
    file = measures_file(config, workdir, condition)
    return file if file.exists() else None


def _read_fixed_points(workdir: Path, index: dict) -> FixedPointSummary | None:
    """The fixed points that the study found."""
    try:
        rows = [FixedPointRow(**row) for row in index.get("fixed_points", [])]
    except TypeError as error:
        raise ValueError(f"workdir: {workdir} is damaged: fixed points: {error}") from None
    file = workdir / "figures" / "fixed_points.png"
    return FixedPointSummary(rows, picture(read_file(file))) if rows and file.exists() else None
