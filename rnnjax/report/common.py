"""What the reports of all studies share: lists, provenance, and the sections at their end."""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from rnnjax.analysis import finished
from rnnjax.report.findings import task_name
from rnnjax.report.page import Section
from rnnjax.report.tables import settings_table, status_table

__all__ = [
    "bullets",
    "criterion_text",
    "duration",
    "incomplete",
    "provenance",
    "runs_section",
    "settings_section",
    "steps_taken",
]


def bullets(lines: Sequence[str]) -> str:
    """A section's list, one line each."""
    return "\n".join(f"- {line}" for line in lines)


def criterion_text(dataset: xr.Dataset) -> str:
    """`held-out decision accuracy above 0.75 (delayed matching), 0.9 (the flip-flop task)`."""
    criterion = dataset["criterion"]
    if "task" not in criterion.dims:
        return (
            f"held-out decision accuracy above {', '.join(f'{v:g}' for v in criterion.values.flat)}"
        )
    pairs = zip(criterion["task"].values, criterion.values, strict=True)
    texts = [f"{value:g} ({task_name(task)})" for task, value in pairs]
    return "held-out decision accuracy above " + ", ".join(texts)


def steps_taken(dataset: xr.Dataset) -> str:
    """The steps of the longest run; before any has ended, those recorded."""
    taken = dataset["steps_taken"].where(finished(dataset)).max()
    return str(int(dataset["step"].max()) if np.isnan(taken) else int(taken))


def incomplete(dataset: xr.Dataset) -> bool:
    """Whether some size of some condition has no finished run at all."""
    inner = [name for name in ("learning_rate", "seed") if name in dataset.dims]
    return not bool(finished(dataset).any(inner).all())


def duration(seconds: float) -> str:
    """`12.3 s`, `6 min 5 s` or `2 h 40 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    hours, rest = divmod(whole, 3600)
    minutes, rest = divmod(rest, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def provenance(
    command: str,
    versions: Mapping[str, str],
    elapsed_seconds: float | None,
    *,
    work: str = "training",
) -> tuple[tuple[str, str], ...]:
    """How a page's data came about, as (name, value); `work` took the seconds."""
    rows = [("command", command)]
    if elapsed_seconds is not None:
        rows.append((f"{work} took", duration(elapsed_seconds)))
    return (*rows, *((name, str(version)) for name, version in versions.items()))


def runs_section(dataset: xr.Dataset) -> Section:
    """How the runs ended."""
    return Section("Runs", "", (status_table(dataset),))


def settings_section(settings: Mapping[str, object]) -> Section:
    """Every setting of the sweep."""
    return Section("Settings", "", (settings_table(settings),))
