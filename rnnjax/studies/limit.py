"""The time limit of a command."""

import re
from collections.abc import Sequence

__all__ = ["FLAG", "seconds_of", "time_limit_of", "without_limit"]

FLAG = "time_limit"

_TIME = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def seconds_of(text: str) -> float:
    """Seconds of a time such as `90s`, `55m`, `2h` or `1h30m`; raises `ValueError` for others."""
    found = _TIME.fullmatch(text.strip())
    hours, minutes, seconds = (int(part or 0) for part in found.groups()) if found else (0, 0, 0)
    total = 3600 * hours + 60 * minutes + seconds
    if not 0 < total <= 10**8:  # three years
        raise ValueError(f"{FLAG}: expected a time such as 90s, 55m, 2h or 1h30m, got {text!r}")
    return float(total)


def time_limit_of(flags: Sequence[str]) -> float | None:
    """Seconds of the last `--time_limit=TIME` or `--time_limit TIME`; None without one."""
    given = [value for value, _ in _limits(flags)]
    return seconds_of(given[-1]) if given else None


def without_limit(flags: Sequence[str]) -> list[str]:
    """The flags without their time limits, which change no result."""
    limits = {place for _, places in _limits(flags) for place in places}
    return [flag for place, flag in enumerate(flags) if place not in limits]


def _limits(flags: Sequence[str]) -> list[tuple[str, tuple[int, ...]]]:
    """The values of all time limits, and the places of their words among the flags."""
    found = []
    for place, flag in enumerate(flags):
        name, equals, value = flag.partition("=")
        if name not in (f"-{FLAG}", f"--{FLAG}"):
            continue
        if equals:
            found.append((value, (place,)))
        else:
            found.append((next(iter(flags[place + 1 : place + 2]), ""), (place, place + 1)))
    return found
