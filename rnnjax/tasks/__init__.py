"""Tasks: frozen specs that draw trials; `make` builds one by its registered name."""

from collections.abc import Callable
from typing import Any

from rnnjax.tasks.base import Task, Trial
from rnnjax.tasks.delayed_cue import DelayedCue, delayed_cue
from rnnjax.tasks.delayed_match import DelayedMatch, delayed_match
from rnnjax.tasks.flip_flop import FlipFlop, flip_flop
from rnnjax.validate import one_of

__all__ = [
    "REGISTRY",
    "DelayedCue",
    "DelayedMatch",
    "FlipFlop",
    "Task",
    "Trial",
    "delayed_cue",
    "delayed_match",
    "flip_flop",
    "make",
]

REGISTRY: dict[str, Callable[..., Task]] = {
    "delayed_cue": delayed_cue,
    "delayed_match": delayed_match,
    "flip_flop": flip_flop,
}


def make(name: str, **options: Any) -> Task:
    """Builds the task registered as `name`; an unknown name is answered with the nearest one."""
    return REGISTRY[one_of("task", name, REGISTRY)](**options)
