"""Origin of a page's data, and the closing sections of reports of sweeps."""

import dataclasses
import re
import shlex
from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import xarray as xr

from rnnjax.analysis import finished, iterate_conditions, status_counts
from rnnjax.plots.style import name_condition
from rnnjax.report.page import Section, Table
from rnnjax.report.wording import duration, task_name

__all__ = [
    "Provenance",
    "criterion_text",
    "incomplete",
    "runs_section",
    "settings_section",
    "status_table",
    "steps_taken",
]


@dataclasses.dataclass(frozen=True)
class Provenance:
    """Origin of the data of a page."""

    command: str
    """Command line that repeats the computation."""
    settings: Mapping[str, object] = dataclasses.field(default_factory=dict)
    """All settings; nested mappings are flattened in tables."""
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Devices, and versions of Python and packages."""
    seconds: float | None = None
    """Duration of the computation in seconds."""

    def changed(self) -> str:
        """`config = smoke; seeds = 4`: the settings that the command line changes."""
        found = []
        for part, following in pairwise([*self._parts(), ""]):
            match = re.fullmatch(r"--?(no)?(config(?:\.[\w.]+)?)(?:(=)(.*))?", part, re.DOTALL)
            if match:
                negated, flag, equals, value = match.groups()
                alone = not following or following.startswith("--")
                given = value if equals else "True" if alone else following
                given = "False" if negated else given
                found.append(f"{flag.removeprefix('config.')} = {given.replace(',', ', ')}")
        return "; ".join(found)

    def _parts(self) -> list[str]:
        try:
            return shlex.split(self.command)
        except ValueError:  # not a command line
            return []

    def rows(self, work: str = "training") -> tuple[tuple[str, str], ...]:
        """Command, duration and versions as (name, value) pairs; `work` names the computation."""
        rows = [("command", self.command)]
        if self.seconds is not None:
            rows.append((f"{work} took", duration(self.seconds)))
        return (*rows, *((name, str(version)) for name, version in self.versions.items()))


def criterion_text(dataset: xr.Dataset) -> str:
    """`held-out decision accuracy above 0.75 (delayed matching), 0.9 (the flip-flop task)`."""
    criterion = dataset["criterion"]
    texts = [f"{value:g}" for value in criterion.values.flat]
    if "task" in criterion.dims:
        tasks = criterion["task"].values
        texts = [f"{text} ({task_name(task)})" for text, task in zip(texts, tasks, strict=True)]
    return f"held-out decision accuracy above {', '.join(texts)}"


def steps_taken(dataset: xr.Dataset) -> str:
    """Steps of the longest run; the largest recorded step if no run has ended."""
    taken = dataset["steps_taken"].where(finished(dataset)).max()
    return str(int(dataset["step"].max()) if np.isnan(taken) else int(taken))


def incomplete(dataset: xr.Dataset) -> bool:
    """Whether some size of some condition has no finished run."""
    inner = [name for name in ("learning_rate", "seed") if name in dataset.dims]
    return not bool(finished(dataset).any(inner).all())


def status_table(dataset: xr.Dataset) -> Table:
    """Numbers of runs of every condition by status."""
    parts = [
        (labels, status_counts(part)) for labels, part in iterate_conditions(dataset[["status"]])
    ]
    kinds = list(status_counts(dataset))
    rows = tuple(
        (name_condition(labels) or "all runs", *(str(counts.get(kind, 0)) for kind in kinds))
        for labels, counts in parts
    )
    caption = " ".join(f"{kind.capitalize()}: {_KINDS[kind]}." for kind in kinds if kind in _KINDS)
    return Table(("condition", *(kind.lower() for kind in kinds)), rows, caption)


_KINDS = {
    "PENDING": "not run; some may not be needed (in a bisection, or at rates and sizes at which a "
    "condition is not tried)",
    "CONVERGED": "stopped by the stopping rule",
    "DIVERGED": "stopped, as the loss was no longer finite",
    "EXHAUSTED": "all steps done",
}


def runs_section(dataset: xr.Dataset) -> Section:
    """Section with the table of statuses."""
    return Section("Runs", "", (status_table(dataset),))


def settings_section(settings: Mapping[str, object]) -> Section:
    """Section with all settings, nested ones by dotted names."""
    table = Table(("setting", "value"), tuple(_flat(settings)), align="ll")
    return Section("Settings", "", (table,))


def _flat(settings: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    rows = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{name}.")
        else:
            rows.append((f"{prefix}{name}", _setting(value)))
    return rows


def _setting(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(_setting(entry) for entry in value) or "()"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
