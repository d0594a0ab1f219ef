"""Texts of reports: lists, durations, numbers with intervals, names of tasks."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from rnnjax.plots.style import plain_numbers

__all__ = [
    "bullets",
    "duration",
    "exponent_text",
    "listed_rates",
    "listed_sizes",
    "listed_tasks",
    "number",
    "size_text",
    "task_name",
    "with_interval",
]

_TASKS = {
    "delayed_cue": "delayed cue discrimination",
    "delayed_match": "delayed matching",
    "flip_flop": "the flip-flop task",
    "sine_wave": "sine-wave generation",
}


def bullets(lines: Sequence[str]) -> str:
    """A list in the notation of `Section.text`."""
    return "\n".join(f"- {line}" for line in lines)


def duration(seconds: float) -> str:
    """`12.3 s`, `6 min 5 s` or `2 h 40 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    hours, rest = divmod(whole, 3600)
    minutes, rest = divmod(rest, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def task_name(task: object) -> str:
    """Name of a task within a sentence."""
    return _TASKS.get(str(task), str(task).replace("_", " "))


def number(value: float) -> str:
    """A number with two decimals; zero has no sign."""
    return f"{round(value, 2) + 0.0:.2f}"


def with_interval(middle: float, low: float, high: float) -> str:
    """`-0.97 (-1.35 to -0.57)`, or `-0.97 (no interval)`."""
    if np.isnan([low, high]).any():
        return f"{number(middle)} (no interval)"
    return f"{number(middle)} ({number(low)} to {number(high)})"


def exponent_text(fit: xr.Dataset) -> str:
    """`-0.97 (-1.35 to -0.57)`, or `no fit`."""
    if np.isnan(float(fit["exponent"])):
        return "no fit"
    return with_interval(
        *(float(fit[name]) for name in ("exponent", "exponent_low", "exponent_high"))
    )


def size_text(size: object) -> str:
    """`N = 10` with no-break spaces."""
    return f"N\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{size}"


def listed_rates(rates: Sequence[float] | np.ndarray) -> str:
    """Learning rates, separated by commas: `0.01, 0.1, 1`."""
    return ", ".join(plain_numbers([float(rate) for rate in rates]))


def listed_sizes(sizes: np.ndarray) -> str:
    """Network sizes, separated by commas: `500, 1000`."""
    return ", ".join(str(size) for size in sizes)


def listed_tasks(dataset: xr.Dataset) -> str:
    """Names of the tasks of a sweep, or a reference to the settings for a sweep of one task."""
    tasks = dataset["task"].values.flat if "task" in dataset.coords else []
    return ", ".join(task_name(task) for task in tasks) or "see Settings"
