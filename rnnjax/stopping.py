"""Requests to stop, which training checks for between two segments."""

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

from rnnjax.validate import finite_positive

__all__ = [
    "OutOfTime",
    "Pace",
    "has_limit",
    "is_due",
    "keeps",
    "left",
    "request_stop",
    "saves",
    "saving",
    "stop_if_due",
    "stoppable",
    "time_limit",
    "until_due",
    "withdraw",
]

T = TypeVar("T")


class OutOfTime(KeyboardInterrupt):
    """The time limit is reached.

    In a folder, finished blocks and the state of the block being trained are kept; of a block on a
    worker, its last checkpoint.
    """


class _Request:
    """What this process is to stop for."""

    error: BaseException | None = None
    deadline: float = math.inf
    """On the monotonic clock, seconds."""
    keeping: int = 0
    """Blocks being trained that save their state when they stop."""
    saving: int = 0
    """Those that are saving it, or their results."""


_request = _Request()
_left: dict[str, int] = {}


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Stops training in this context after `seconds`, between two segments, with `OutOfTime`.

    A folder also keeps the state of the block being trained (`Engine.checkpoint_minutes`), so that
    the same call resumes from there; of a block on a worker, the last checkpoint. A segment is not
    started if, judging by the previous one, it would run past the limit. A program that is being
    compiled delays the stop. Sweeps that several processes train together (`jax.distributed`)
    refuse it.

    Raises `ValueError` for a time that is not positive.
    """
    before = _request.deadline
    end = time.monotonic() + finite_positive("seconds", seconds)
    _request.deadline = min(before, end)
    try:
        yield
    finally:
        _request.deadline = before


def request_stop(error: BaseException) -> None:
    """Lets the block being trained save its state after the present segment and raise `error`."""
    _request.error = error


def withdraw() -> None:
    """Takes back a request, and what was left to do."""
    _request.error = None
    _left.clear()


def has_limit() -> bool:
    """Whether training has a time limit."""
    return _request.deadline < math.inf


def is_due(seconds: float = 0.0) -> bool:
    """Whether training is to stop now, or would be within `seconds`."""
    return _request.error is not None or time.monotonic() + seconds >= _request.deadline


def stop_if_due(seconds: float = 0.0) -> None:
    """Raises the error of a request, or `OutOfTime`, where `is_due`."""
    if is_due(seconds):
        raise _request.error or OutOfTime("the time limit is reached")


class Pace:
    """Times segments of training, to foresee which one would exceed a time limit."""

    def __init__(self):
        self._begun: float | None = None
        self.seconds = 0.0
        """Time of the last segment; 0 before the second one, as the first is compiled."""

    def end(self) -> None:
        """Notes the end of a segment."""
        if self._begun is not None:
            self.seconds = time.monotonic() - self._begun

    def begin(self) -> None:
        """Notes that the next segment begins."""
        self._begun = time.monotonic()


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """The context of a block being trained that saves its state when it is to stop."""
    _request.keeping += 1
    try:
        yield
    finally:
        _request.keeping -= 1


@contextlib.contextmanager
def saving() -> Iterator[None]:
    """The context in which a state or a finished block is saved, before any stop."""
    _request.saving += 1
    try:
        with stoppable():
            yield
    finally:
        _request.saving -= 1


def keeps() -> bool:
    """Whether a block is being trained that saves its state when it is to stop."""
    return _request.keeping > 0


def saves() -> bool:
    """Whether a state or a finished block is being saved."""
    return _request.saving > 0


def until_due(things: str, items: Sequence[T]) -> Iterator[T]:
    """The items in order, until training is to stop; notes how many of these `things` are left."""
    for number, item in enumerate(items):
        _left[things] = len(items) - number
        stop_if_due()
        yield item
    _left[things] = 0


def left() -> dict[str, int]:
    """The number of items left of each kind, such as blocks, in the order noted."""
    return dict(_left)
