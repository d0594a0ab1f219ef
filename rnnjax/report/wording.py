"""Texts of reports: lists, durations, numbers with intervals, names of tasks."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from rnnjax.plots.style import plain_number, plain_numbers

__all__ = [
    "TIMES",
    "bullets",
    "duration",
    "exponent_text",
    "listed_rates",
    "listed_sizes",
    "listed_tasks",
    "number",
    "size_text",
    "task_name",
    "with_error",
    "with_interval",
]

TIMES = "\N{MULTIPLICATION SIGN}"

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


def with_error(value: float, error: float) -> str:
    """`7.00 ± 0.06`, with the digits that the error has; small numbers as `(9.04 ± 0.01)×10⁻⁴`.

    The value alone, with three digits, where the error is 0 or NaN.
    """
    if not error > 0 or not np.isfinite([value, error]).all():
        return f"{value:.3g}" if not np.isfinite(value) else plain_number(value, 3)
    last = int(f"{error:.0e}".partition("e")[2])  # the place of the error's one digit
    first = int(f"{max(abs(value), error):e}".partition("e")[2])
    power = first if first < -3 or (last > 2 and first > 4) else 0
    digits = max(power - last, 0)
    # No-break spaces keep value and error in one line of a narrow column.
    text = "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}".join(
        f"{round(x, -last) / 10.0**power + 0.0:.{digits}f}" for x in (value, error)
    )
    return f"({text}){TIMES}{plain_number(10.0**power)}" if power else text


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
