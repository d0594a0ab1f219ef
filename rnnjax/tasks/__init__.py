"""Tasks: frozen specs that draw trials; `make` builds one by its registered name."""

from collections.abc import Callable
from typing import Any

from rnnjax.tasks.base import Task, Trial, VariantError, lengthened, stretched_steps
from rnnjax.tasks.checking import check
from rnnjax.tasks.delayed_cue import DelayedCue, delayed_cue
from rnnjax.tasks.delayed_discrimination import DelayedDiscrimination, delayed_discrimination
from rnnjax.tasks.delayed_match import DelayedMatch, delayed_match
from rnnjax.tasks.flip_flop import FlipFlop, flip_flop
from rnnjax.tasks.path_integration import PathIntegration, path_integration
from rnnjax.tasks.sine_wave import SineWave, sine_wave
from rnnjax.validate import known_options, one_of

__all__ = [
    "REGISTRY",
    "DelayedCue",
    "DelayedDiscrimination",
    "DelayedMatch",
    "FlipFlop",
    "PathIntegration",
    "SineWave",
    "Task",
    "Trial",
    "VariantError",
    "check",
    "delayed_cue",
    "delayed_discrimination",
    "delayed_match",
    "flip_flop",
    "lengthened",
    "make",
    "path_integration",
    "sine_wave",
    "stretched_steps",
]

REGISTRY: dict[str, Callable[..., Task]] = {
    "delayed_cue": delayed_cue,
    "delayed_discrimination": delayed_discrimination,
    "delayed_match": delayed_match,
    "flip_flop": flip_flop,
    "path_integration": path_integration,
    "sine_wave": sine_wave,
}
"""Every task, by name."""


def make(name: str, **options: Any) -> Task:
    """Builds the task registered as `name`; the error for an unknown name suggests one."""
    kind = REGISTRY[one_of("task", name, REGISTRY)]
    return kind(**known_options(kind, options))
