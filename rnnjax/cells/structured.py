"""Additive cells whose recurrent matrix has a structure that training cannot break."""

import dataclasses

from rnnjax.cells.base import AdditiveCell, Cell
from rnnjax.cells.checking import require_fixed
from rnnjax.cells.current import Current
from rnnjax.cells.dense import chosen_rule
from rnnjax.cells.rate import Rate
from rnnjax.cells.structures import STRUCTURES, Dale, Structure
from rnnjax.parametrization import Leaf, Parametrization, Standard
from rnnjax.typing import Array, Float, KeyLike, Params, Scalar
from rnnjax.validate import instance_of, one_of

__all__ = ["Structured", "structured"]

_WRAPPED: dict[str, type[AdditiveCell]] = {"rate": Rate, "current": Current}
"""Cells that `structured` wraps by name."""


def _named(structure: str | Structure) -> Structure:
    if isinstance(structure, str):
        return STRUCTURES[one_of("structure", structure, STRUCTURES)]()
    return instance_of("structure", structure, Structure)


@dataclasses.dataclass(frozen=True)
class Structured(AdditiveCell):
    """The cell `cell` with W = structure(J) in place of its recurrent matrix; see `structured`.

    `hidden`, `inputs`, `outputs` and `parametrization` replace those of `cell`; the name of a
    structure stands for the structure with its defaults.
    """

    hidden: int = 64
    inputs: int = 1
    outputs: int = 1
    parametrization: Parametrization = Standard()
    cell: AdditiveCell = dataclasses.field(default_factory=Rate)
    structure: Structure = dataclasses.field(default_factory=Dale)

    name = "structured"

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "structure", _named(self.structure))
        instance_of("cell", self.cell, AdditiveCell)
        recurrent = self.cell.leaves().get("recurrent")
        square = (self.cell.hidden, self.cell.hidden)
        plain = recurrent is not None and recurrent[:2] == ("recurrent", square)
        if isinstance(self.cell, Structured) or not plain:
            raise ValueError(
                "cell: expected an additive cell with a leaf 'recurrent' [N, N] and no structure, "
                f"got {self.cell.name!r}"
            )
        cell = self.cell.replace(
            hidden=self.hidden, inputs=self.inputs, outputs=self.outputs,
            parametrization=self.parametrization,
        )  # fmt: skip
        object.__setattr__(self, "cell", cell)
        self.structure.check(self.hidden)
        require_fixed(self)
        if taken := (cell.leaves().keys() - {"recurrent"}) & self._own.keys():
            raise ValueError(
                f"structure: expected leaves that the cell {cell.name!r} does not have, got "
                f"{min(taken)!r}"
            )

    @property
    def _own(self) -> dict[str, Leaf]:
        return self.structure.leaves(self.hidden)

    def leaves(self) -> dict[str, Leaf]:
        """The cell's leaves, with those of the structure in place of `recurrent`."""
        (first, leaf), *others = self._own.items()
        leaves = {}
        for name, wrapped in self.cell.leaves().items():
            leaves |= {first: leaf} if name == "recurrent" else {name: wrapped}
        return leaves | dict(others)

    def init(self, key: KeyLike) -> Params:
        """Draws the raw weights; those that the cell has too are the cell's own."""
        params = super().init(key)
        if type(self.cell).init is Cell.init:
            return params
        ours, wrapped = self.leaves(), self.cell.leaves()
        drawn = self.cell.init(key)
        return params | {name: drawn[name] for name in wrapped if wrapped[name] == ours.get(name)}

    def connectivity(self, params: Params) -> Float[Array, "N N"]:
        """W, [to, from], with the structure."""
        weights = {name: self.effective(params, name) for name in self._own}
        return self.structure.matrix(weights, self.hidden)

    @property
    def products(self) -> int:
        """Those of the cell."""
        return self.cell.products

    @property
    def products_per_batch(self) -> int:
        """Those of the structure's matrix."""
        return self.cell.products_per_batch + self.structure.products(self.hidden)

    @property
    def kept(self) -> int:
        """Those of the cell."""
        return self.cell.kept

    @property
    def visited(self) -> int:
        """Those of the cell."""
        return self.cell.visited

    def in_use(self, trials: int) -> int:
        """Those of the cell, and of the structure's matrix."""
        return self.cell.in_use(trials) + self.structure.in_use(self.hidden)

    @property
    def unit_axes(self) -> dict[str, int]:
        """As in other cells; none where a row of W needs several rows of J."""
        return super().unit_axes if self.structure.by_rows else {}

    def initial_state(self, params: Params) -> Array:
        """That of the cell."""
        return self.cell.initial_state(params)

    def update(self, state: Array, current: Array) -> Array:
        """That of the cell."""
        return self.cell.update(state, current)

    def emit(self, state: Array) -> Array:
        """That of the cell."""
        return self.cell.emit(state)

    def drive(self, params: Params, inputs: Float[Array, "T I"]) -> Array:
        """That of the cell."""
        return self.cell.drive(params, inputs)

    def rates(
        self, params: Params, states: Float[Array, "T N"], inputs: Array, initial: Array
    ) -> Float[Array, "T N"]:
        """Those of the cell."""
        return self.cell.rates(params, states, inputs, initial)

    def readout(
        self, params: Params, state: Array, scale: float | Scalar = 1.0
    ) -> Float[Array, " O"]:
        """That of the cell."""
        return self.cell.readout(params, state, scale=scale)


def structured(
    hidden: int | None = None,
    *,
    structure: str | Structure = "dale",
    cell: str | AdditiveCell = "rate",
    inputs: int | None = None,
    outputs: int | None = None,
    init: str | None = None,
    parametrization: Parametrization | None = None,
) -> Structured:
    """A network whose recurrent matrix has a structure, exactly, at every step of training.

    W is computed from raw weights in the forward pass. Initial input weights and readout are those
    of the unconstrained network of the same seed, and so is J where the structure has it.

    Args:
        hidden: number of units, N; that of `cell` by default, which is 64 for a name.
        structure: a structure, such as `Sparse(0.2)`, or its name in `STRUCTURES`.
        cell: the network that gets it: `rate` or `current`, or any additive cell with a leaf
            `recurrent`, such as `rate(alpha=0.2, bias=True)`.
        inputs: number of input channels, I; that of `cell` by default.
        outputs: number of output channels, O; that of `cell` by default.
        init: initialization of the standard rule: `gaussian`, `xavier` or `uniform`.
        parametrization: another width rule; without `init` and this, the rule of `cell`.

    Raises:
        ValueError: sizes below 1 or that the structure cannot have, an unknown `structure`, `cell`
            or `init`, a cell without a leaf `recurrent`, or both `init` and `parametrization`.
    """
    wrapped = _WRAPPED[one_of("cell", cell, _WRAPPED)]() if isinstance(cell, str) else cell
    instance_of("cell", wrapped, AdditiveCell)
    rule = wrapped.parametrization
    if init is not None or parametrization is not None:
        rule = chosen_rule(init, parametrization)
    return Structured(
        wrapped.hidden if hidden is None else hidden,
        wrapped.inputs if inputs is None else inputs,
        wrapped.outputs if outputs is None else outputs,
        rule, wrapped, _named(structure),
    )  # fmt: skip
