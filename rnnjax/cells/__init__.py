"""Cells: frozen specs of recurrent networks; `make` builds one by its registered name."""

from collections.abc import Callable
from typing import Any

from rnnjax.cells.attention import LinearAttention, linear_attention
from rnnjax.cells.base import AdditiveCell, Cell, ParallelCell, UnrolledCell
from rnnjax.cells.checking import check
from rnnjax.cells.current import Current, Equivalent, as_current, as_rate, current, leaky
from rnnjax.cells.gated import GRU, LSTM, MGU, Gated, gru, lstm, mgu
from rnnjax.cells.latent import Latent, latent
from rnnjax.cells.linear_recurrence import LinearRecurrence, linear_recurrence
from rnnjax.cells.low_rank import DenseLowRank, LowRank, low_rank
from rnnjax.cells.rate import Rate, rate
from rnnjax.cells.structured import Structured, structured
from rnnjax.cells.structures import (
    STRUCTURES,
    Antisymmetric,
    Blocks,
    Dale,
    LowRankPlusRandom,
    Orthogonal,
    Sparse,
    Structure,
)
from rnnjax.contract import require_frozen
from rnnjax.tasks import Task
from rnnjax.validate import instance_of, known_options, one_of

__all__ = [
    "GRU",
    "LSTM",
    "MGU",
    "REGISTRY",
    "STRUCTURES",
    "AdditiveCell",
    "Antisymmetric",
    "Blocks",
    "Cell",
    "Current",
    "Dale",
    "DenseLowRank",
    "Equivalent",
    "Gated",
    "Latent",
    "LinearAttention",
    "LinearRecurrence",
    "LowRank",
    "LowRankPlusRandom",
    "Orthogonal",
    "ParallelCell",
    "Rate",
    "Sparse",
    "Structure",
    "Structured",
    "UnrolledCell",
    "as_current",
    "as_rate",
    "check",
    "current",
    "fitted",
    "gru",
    "latent",
    "leaky",
    "linear_attention",
    "linear_recurrence",
    "low_rank",
    "lstm",
    "make",
    "mgu",
    "rate",
    "structured",
]

REGISTRY: dict[str, Callable[..., Cell]] = {
    "rate": rate,
    "current": current,
    "low_rank": low_rank,
    "low_rank_dense": DenseLowRank,
    "latent": latent,
    "gru": gru,
    "lstm": lstm,
    "mgu": mgu,
    "linear_recurrence": linear_recurrence,
    "linear_attention": linear_attention,
    "structured": structured,
}
"""Every cell, by name."""


def make(name: str, **options: Any) -> Cell:
    """Builds the cell registered as `name`; the error for an unknown name suggests one."""
    kind = REGISTRY[one_of("cell", name, REGISTRY)]
    return kind(**known_options(kind, options))


def fitted(cell: Cell, task: Task) -> Cell:
    """The same cell with as many inputs and outputs as `task` has channels.

    Raises `ValueError` for arguments of other types, and for a cell that is not a frozen dataclass.
    """
    instance_of("task", task, Task)
    require_frozen("cell", instance_of("cell", cell, Cell))
    return cell.replace(inputs=task.inputs, outputs=task.outputs)
