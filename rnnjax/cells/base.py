"""The cell contract: a frozen spec of one network, its methods pure functions of its weights."""

import abc
import dataclasses
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp

from rnnjax.parametrization import Leaf, LeafRule, Parametrization, initialize
from rnnjax.typing import Array, Float, KeyLike, Params, Scalar
from rnnjax.validate import PlainFields, one_of

__all__ = ["AdditiveCell", "Cell", "LayeredCell", "ParallelCell", "UnrolledCell"]

_UNIT_AXES = {"recurrent": 0, "input": 0, "bias": 0, "unit": 0, "readout": 1, "fixed": 0}
"""Axis of the receiving units of each role, or of the units that are read out."""


class Cell(PlainFields, abc.ABC):
    """One recurrent network, for one trial; subclasses are frozen dataclasses.

    A subclass gives the class attribute `name`, the fields `hidden`, `inputs`, `outputs`,
    `parametrization` and the methods `leaves`, `step` and `readout`. `rollout` batches over trials,
    sweeps batch over runs.
    """

    name: ClassVar[str]
    hidden: int
    inputs: int
    outputs: int
    parametrization: Parametrization

    def replace(self, **fields: Any) -> Self:
        """The same cell with other `fields`, such as `cell.replace(hidden=128)`."""
        spec: Any = self
        return dataclasses.replace(spec, **fields)

    @abc.abstractmethod
    def leaves(self) -> dict[str, Leaf]:
        """The weights by name: role, shape and fan-in."""

    @abc.abstractmethod
    def step(self, params: Params, state: Array, drive: Array) -> Array:
        """The next state [D], from this state and this step's drive; D = N in most cells."""

    @abc.abstractmethod
    def readout(
        self, params: Params, state: Array, scale: float | Scalar = 1.0
    ) -> Float[Array, " O"]:
        """The output of a state; `scale` multiplies it before the bias is added."""

    @property
    def products(self) -> int:
        """Multiply-adds of one step of one trial, for estimates of time."""
        return self.hidden * (self.hidden + self.inputs + self.outputs)

    @property
    def products_per_batch(self) -> int:
        """Multiply-adds that a batch of trials takes once, before the first step."""
        return 0

    @property
    def kept(self) -> int:
        """Numbers stored per trial and time step for the gradient, for estimates of memory."""
        return 5 * self.hidden

    @property
    def visited(self) -> int:
        """The same without a gradient: drive, state and current."""
        return 3 * self.hidden

    @property
    def unit_axes(self) -> dict[str, int]:
        """The axis of each weight along which devices can share it.

        Weights that are not listed have no such axis.
        Recurrent weights are shared by rows: each device has all weights into its own units.
        """
        axes = {name: _UNIT_AXES.get(leaf.role) for name, leaf in self.leaves().items()}
        shapes = {name: leaf.shape for name, leaf in self.leaves().items()}
        return {
            name: axis
            for name, axis in axes.items()
            if axis is not None and shapes[name][axis : axis + 1] == (self.hidden,)
        }

    def in_use(self, trials: int) -> int:
        """Numbers stored temporarily by a batch of `trials`, for estimates of memory."""
        return 0

    def rule(self, name: str, optimizer: str | None = None) -> LeafRule:
        """The width rule of the leaf `name`; under the first supported optimizer by default.

        Raises `ValueError` for an optimizer that the parametrization does not support.
        """
        known = self.parametrization.optimizers
        chosen = known[0] if optimizer is None else one_of("optimizer", optimizer, known)
        return self.parametrization.rule(self.leaves()[name], hidden=self.hidden, optimizer=chosen)

    def effective(self, params: Params, name: str) -> Array:
        """The effective weight `name`: its multiplier times the raw leaf.

        A leaf that is never trained has no gradient.
        """
        rule = self.rule(name)
        raw = params[name] if rule.trained else jax.lax.stop_gradient(params[name])
        return raw if rule.multiplier == 1.0 else rule.multiplier * raw

    def init(self, key: KeyLike) -> Params:
        """Draws the raw weights."""
        return initialize(key, self.leaves(), self.parametrization, self.hidden)

    def initial_state(self, params: Params) -> Array:
        """The state before the first step: rest, r(0) = 0."""
        return jnp.zeros(self.hidden, next(iter(params.values())).dtype)

    def emit(self, state: Array) -> Array:
        """Signal of the units to other units and the readout; here their state."""
        return state

    def drive(self, params: Params, inputs: Float[Array, "T I"]) -> Array:
        """Terms that do not depend on the state, for all times at once; here the inputs."""
        return inputs

    def rates(
        self, params: Params, states: Float[Array, "T N"], inputs: Array, initial: Array
    ) -> Float[Array, "T N"]:
        """Firing rates along a trajectory; here the states themselves."""
        return states

    def connectivity(self, params: Params) -> Float[Array, "N N"]:
        """The effective recurrent weights, [to, from]."""
        raise ValueError(f"cell {self.name!r}: it has no connectivity matrix")


class AdditiveCell(Cell):
    """A cell of the form  state' = update(state, W emit(state) + drive),  W its connectivity.

    `update` and `emit` use no weights, and act along the last axis alone, the units, element by
    element or with sums over it. Therefore `rollout` can form the gradient of W as one matrix
    product over trials and time.
    """

    @abc.abstractmethod
    def update(self, state: Array, current: Array) -> Array:
        """The next state from this one and the current each unit receives."""

    @abc.abstractmethod
    def connectivity(self, params: Params) -> Float[Array, "N N"]:
        """The effective recurrent weights, [to, from]."""

    def step(self, params: Params, state: Array, drive: Array) -> Array:
        """The next state [N]."""
        return self.update(state, self.connectivity(params) @ self.emit(state) + drive)


class UnrolledCell(Cell):
    """A cell with its own kernel for whole trials; `step` remains its definition.

    Under a mesh with an axis "units" the kernel should divide the units among its devices, each of
    which holds all weights.
    """

    divides_units: ClassVar[bool] = True
    """Whether the kernel does so; if not, a sweep with `share="units"` raises a `ValueError`."""

    @property
    def unit_axes(self) -> dict[str, int]:
        """None: every device holds all weights."""
        return {}

    @abc.abstractmethod
    def unroll(self, params: Params, inputs: Float[Array, "B T I"], initial: Array) -> Array:
        """States after every step, time first: [T, B, ...]; `initial` is [B, ...]."""


class ParallelCell(Cell):
    """A cell whose outputs follow for all times at once, without most of the state between them.

    `step` remains its definition. `rollout` computes outputs so, and states step by step where they
    are asked for; where devices share the units of a network, both step by step.
    """

    @abc.abstractmethod
    def read(self, drive: Float[Array, "T B D"], initial: Array) -> Array:
        """The first entries of the states after every step, those that `readout` reads.

        Time first: [T, B, ...]; `initial` is [B, ...].
        """


class LayeredCell(Cell):
    """A cell with a layer of units above its state; outputs are read from these units."""

    @abc.abstractmethod
    def activity(self, params: Params, states: Array) -> Float[Array, "... N"]:
        """The firing rates r of the layer, from states."""

    def readout(
        self, params: Params, state: Array, scale: float | Scalar = 1.0
    ) -> Float[Array, " O"]:
        """W_out r (times `scale`) + b_out."""
        output = scale * (self.effective(params, "readout") @ self.activity(params, state))
        return output + self.effective(params, "readout_bias")

    def rates(
        self, params: Params, states: Array, inputs: Array, initial: Array
    ) -> Float[Array, "T N"]:
        """r."""
        return self.activity(params, states)
