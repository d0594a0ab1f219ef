"""The current-based network, and its equivalence to the firing-rate network."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnnjax.cells.base import Cell
from rnnjax.cells.checking import require_array, require_inputs, require_weights
from rnnjax.cells.dense import DenseCell, chosen_rule
from rnnjax.cells.rate import Rate
from rnnjax.parametrization import Parametrization, Standard
from rnnjax.typing import Array, Float, Params
from rnnjax.validate import one_of, shown

__all__ = ["Current", "Equivalent", "as_current", "as_rate", "current", "leaky"]


@dataclasses.dataclass(frozen=True)
class Current(DenseCell):
    """h' = h + tau (-h + W tanh(h) + W_in u + b),  y = W_out tanh(h) + b_out; see `current`."""

    hidden: int = 64
    inputs: int = 1
    outputs: int = 1
    tau: float = 1.0
    bias: bool = False
    parametrization: Parametrization = Standard()

    name = "current"

    def __post_init__(self):
        self._check("tau", self.tau)

    def update(self, state: Array, current: Array) -> Array:
        """One Euler step, of size tau in units of the time constant."""
        return (1 - self.tau) * state + self.tau * current

    def emit(self, state: Array) -> Array:
        """Firing rates, tanh of the currents."""
        return jnp.tanh(state)

    def rates(
        self, params: Params, states: Float[Array, "T N"], inputs: Array, initial: Array
    ) -> Float[Array, "T N"]:
        """tanh of the currents."""
        return self.emit(states)


def current(
    hidden: int = 64,
    *,
    inputs: int = 1,
    outputs: int = 1,
    tau: float = 1.0,
    bias: bool = False,
    init: str | None = None,
    parametrization: Parametrization | None = None,
) -> Current:
    """The current-based network, h' = h + tau (-h + W tanh(h) + W_in u + b).

    Args:
        hidden: number of units, N.
        inputs: number of input channels, I.
        outputs: number of output channels, O.
        tau: step size over time constant, in (0, 1].
        bias: whether the units and the readout have biases.
        init: initialization of the standard rule: `gaussian` (default), `xavier` or `uniform`.
        parametrization: another width rule, in place of the standard one.

    Raises:
        ValueError: sizes below 1, `tau` outside (0, 1], an unknown `init`, or
            both `init` and `parametrization`.
    """
    return Current(hidden, inputs, outputs, tau, bias, chosen_rule(init, parametrization))


class Equivalent(NamedTuple):
    """A cell of the other type with the same weights, its inputs and its initial state."""

    cell: Cell
    inputs: Float[Array, "B T I"]
    initial: Float[Array, "B N"]


def as_current(
    cell: Rate, params: Params, inputs: Float[Array, "B T I"], initial: Float[Array, "B N"]
) -> Equivalent:
    """The current-based network, v = W r + I, equivalent to a rate network.

    With I_t = W_in u_t + b the currents obey, exactly at every Euler step (Miller and Fumarola
    2012),

        v_{t+1} = (1 - alpha) v_t + alpha W tanh(v_t) + I_{t+1} - (1 - alpha) I_t,

    the current-based network with the same weights, tau = alpha, inputs
    (u_{t+1} - (1 - alpha) u_t) / alpha and initial state v_0 = W r_0 + I_0. Its T - 1 states are
    v_1 .. v_{T-1}. The firing rates r_1 .. r_T are `leaky(alpha, tanh(v_0 .. v_{T-1}), r_0)`, and
    the rate network's output is the same leaky filter of W_out tanh(v).

    Raises `ValueError` for another cell or activation, weights or arrays of another shape, or
    trials of fewer than two steps.
    """
    _require_own("cell", cell, Rate)
    one_of("cell, activation", cell.activation, ("tanh",))
    _require_trials(cell, params, inputs, initial, steps=2)
    sharpened = (inputs[:, 1:] - (1 - cell.alpha) * inputs[:, :-1]) / cell.alpha
    first = jax.vmap(cell.drive, in_axes=(None, 0))(params, inputs[:, :1])[:, 0]
    begin = initial @ cell.connectivity(params).T + first
    equivalent = Current(
        cell.hidden, cell.inputs, cell.outputs, cell.alpha, cell.bias, cell.parametrization
    )
    return Equivalent(equivalent, sharpened, begin)


def as_rate(
    cell: Current,
    params: Params,
    inputs: Float[Array, "B T I"],
    initial: Float[Array, "B N"],
    first: Float[Array, "B I"],
) -> Equivalent:
    """The rate network equivalent to a current-based network; the inverse of `as_current`.

    The inputs w_t are filtered, u_{t+1} = (1 - tau) u_t + tau w_t, from any u_0 = `first`: T inputs
    become T + 1. The rates before the first step solve W r_0 = h_0 - W_in u_0 - b, in the
    least-squares sense where W is singular; the equivalence is exact where a solution exists.

    Raises `ValueError` for another cell, or weights or arrays of another shape.
    """
    _require_own("cell", cell, Current)
    _require_trials(cell, params, inputs, initial, steps=1)
    require_array("first", first)
    if first.shape != (len(inputs), cell.inputs):
        raise ValueError(f"first: expected shape {(len(inputs), cell.inputs)}, got {first.shape}")
    filtered = jax.vmap(leaky, in_axes=(None, 0, 0))(cell.tau, inputs, first)
    smooth = jnp.concatenate([first[:, None], filtered], axis=1)
    drive = jax.vmap(cell.drive, in_axes=(None, 0))(params, first[:, None])[:, 0]
    begin = jnp.linalg.lstsq(cell.connectivity(params), (initial - drive).T)[0].T
    equivalent = Rate(
        cell.hidden, cell.inputs, cell.outputs, cell.tau, cell.bias, cell.parametrization
    )
    return Equivalent(equivalent, smooth, begin)


def _require_own(name: str, cell: Any, kind: type[DenseCell]) -> None:
    """Raises `ValueError` for another cell than `kind` itself: subclasses have other dynamics."""
    if type(cell) is not kind:
        raise ValueError(f"{name}: expected {kind.__name__} itself, got {shown(cell)}")


def _require_trials(
    cell: DenseCell, params: Params, inputs: Array, initial: Array, steps: int
) -> None:
    require_weights(cell, params)
    require_inputs(cell, inputs, steps)
    require_array("initial", initial)
    if initial.shape != (len(inputs), cell.hidden):
        expected = (len(inputs), cell.hidden)
        raise ValueError(f"initial: expected shape {expected}, got {initial.shape}")


def leaky(alpha: float, values: Float[Array, "T N"], initial: Float[Array, " N"]) -> Array:
    """x_{t+1} = (1 - alpha) x_t + alpha values_t from x_0 = `initial`: x_1 .. x_T, [T, N]."""

    def step(x, value):
        x = (1 - alpha) * x + alpha * value
        return x, x

    return jax.lax.scan(step, initial, values)[1]
