"""Description of a sweep for its store."""

from typing import Any

from rnnjax.store import describe
from rnnjax.sweep.axes import Sweep
from rnnjax.sweep.results import LossRecord

__all__ = ["describe_sweep"]


def describe_sweep(sweep: Sweep, recorded: LossRecord) -> dict[str, Any]:
    """The whole spec of a sweep, and which losses are kept."""
    return {
        **describe(sweep),
        "dimensions": [axis.name for axis in sweep.dimensions],
        "labels": {axis.name: describe(axis.labels) for axis in sweep.static_axes},
        "axes": {axis.name: describe(axis.values) for axis in sweep.dimensions},
        **recorded._asdict(),
    }
