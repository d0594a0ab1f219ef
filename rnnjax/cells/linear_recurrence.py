"""A diagonal linear recurrence with a nonlinear layer above it, by a parallel scan over time."""

import dataclasses
import math

import jax
import jax.numpy as jnp

from rnnjax.cells.base import LayeredCell, UnrolledCell
from rnnjax.cells.dense import chosen_rule
from rnnjax.parametrization import Leaf, Parametrization, Standard
from rnnjax.typing import Array, Float, KeyLike, Params
from rnnjax.validate import (
    finite_positive,
    fraction,
    instance_of,
    positive_integer,
    sequence,
    shown,
)

__all__ = ["LinearRecurrence", "linear_recurrence"]

_QUANTILES = (1e-6, 1 - 1e-6)
"""Ends of the uniform draws: no modulus of exactly 0 or 1, no angle of 0."""

_SMALL = 1e-5
"""|lambda|^2 below which 1 - |lambda|^2 loses digits."""


@dataclasses.dataclass(frozen=True)
class LinearRecurrence(LayeredCell, UnrolledCell):
    """x' = lambda x + sqrt(1 - |lambda|^2) B u,  r = tanh(Re C x + b),  y = W_out r + b_out.

    lambda = exp(-exp(nu) + i exp(theta)), one per complex variable. The state [2N] is Re x, Im x.
    See `linear_recurrence`.
    """

    hidden: int = 64
    inputs: int = 1
    outputs: int = 1
    radius: tuple[float, float] = (0.0, 1.0)
    phase: float = 2 * math.pi
    parametrization: Parametrization = Standard("xavier")

    name = "linear_recurrence"
    divides_units = False

    def __post_init__(self):
        super().__post_init__()
        for name in ("hidden", "inputs", "outputs"):
            positive_integer(name, getattr(self, name))
        ends = tuple(fraction("radius", end) for end in sequence("radius", self.radius))
        if len(ends) != 2 or ends[0] >= ends[1]:
            raise ValueError(
                "radius: expected (smallest, largest) with 0 <= smallest < largest <= 1, got "
                f"{shown(self.radius)}"
            )
        object.__setattr__(self, "radius", ends)
        if finite_positive("phase", self.phase) > 2 * math.pi:
            raise ValueError(f"phase: expected at most 2 pi, got {self.phase}")
        instance_of("parametrization", self.parametrization, Parametrization)
        if (rule := self.rule("decay"))[:3] != ("normal", 1.0, 1.0):
            raise ValueError(
                "parametrization: expected N(0, 1) and the multiplier 1 for the role 'unit', got "
                f"{shown(rule)}"
            )

    def leaves(self) -> dict[str, Leaf]:
        """nu and theta [N]; B [N, I] and C [N, N] in real and imaginary parts; b, readout."""
        n, i, o = self.hidden, self.inputs, self.outputs
        return {
            "decay": Leaf("unit", (n,), 1),
            "frequency": Leaf("unit", (n,), 1),
            "input_real": Leaf("input", (n, i), i),
            "input_imaginary": Leaf("input", (n, i), i),
            "mixing_real": Leaf("recurrent", (n, n), n),
            "mixing_imaginary": Leaf("recurrent", (n, n), n),
            "bias": Leaf("bias", (n,), n),
            "readout": Leaf("readout", (o, n), n),
            "readout_bias": Leaf("readout_bias", (o,), n),
        }

    @property
    def products(self) -> int:
        """N (2N + 2I + O), and 4 for the complex product."""
        return self.hidden * (2 * self.hidden + 2 * self.inputs + self.outputs + 4)

    @property
    def kept(self) -> int:
        """Drives, states and rates with their cotangents, as the plain scan keeps them."""
        return 14 * self.hidden

    @property
    def visited(self) -> int:
        """Drives and states, two numbers per unit each, and rates."""
        return 7 * self.hidden

    def init(self, key: KeyLike) -> Params:
        """Draws the raw weights; lambda is uniform on the ring `radius`, up to the angle `phase`.

        |lambda|^2 and the angle are uniform (Orvieto et al. 2023, lemma 3.2).
        """
        params = super().init(key)
        below_largest, angle = (
            jnp.clip(jax.scipy.special.ndtr(params[name]), *_QUANTILES)
            for name in ("decay", "frequency")
        )
        smallest, largest = (radius**2 for radius in self.radius)
        spread = largest - smallest
        missing = (1 - largest) + spread * below_largest  # 1 - |lambda|^2
        # Where |lambda|^2 is so small that the difference from 1 rounds it, itself.
        kept = smallest + spread * jnp.maximum(1 - below_largest, _QUANTILES[0])
        power = jnp.where(
            kept < _SMALL, jnp.log(kept), jnp.log1p(-jnp.minimum(missing, 1 - _SMALL))
        )
        decay = jnp.log(-0.5 * power)
        return {**params, "decay": decay, "frequency": jnp.log(self.phase * angle)}

    def initial_state(self, params: Params) -> Float[Array, " D"]:
        """Rest: x = 0."""
        return jnp.zeros(2 * self.hidden, params["readout"].dtype)

    def eigenvalues(self, params: Params) -> Array:
        """lambda [N], of modulus below 1."""
        decay, frequency = (self.effective(params, name) for name in ("decay", "frequency"))
        return jnp.exp(jax.lax.complex(-jnp.exp(decay), jnp.exp(frequency)))

    def drive(self, params: Params, inputs: Float[Array, "T I"]) -> Float[Array, "T D"]:
        """sqrt(1 - |lambda|^2) B u, real parts first, for all times at once."""
        # 1 - |lambda|^2 without rounding to 0, where the root has no derivative.
        gain = jnp.sqrt(-jnp.expm1(-2 * jnp.exp(self.effective(params, "decay"))))
        parts = (self.effective(params, f"input_{part}") for part in ("real", "imaginary"))
        return jnp.concatenate([gain[None] * (inputs @ part.T) for part in parts], axis=-1)

    def step(self, params: Params, state: Array, drive: Array) -> Array:
        """The next state [2N]."""
        return _split(self.eigenvalues(params) * _joined(state) + _joined(drive))

    def unroll(
        self, params: Params, inputs: Float[Array, "B T I"], initial: Float[Array, "B D"]
    ) -> Float[Array, "T B D"]:
        """States after every step: step by step on a CPU, elsewhere by a parallel scan."""
        eigenvalues = self.eigenvalues(params)
        drive = _joined(jax.vmap(self.drive, (None, 0), 1)(params, inputs))
        drive = drive.at[0].add(eigenvalues[None] * _joined(initial))
        # On a CPU each sweep passes once through memory, as the whole plain scan does.
        states = jax.lax.platform_dependent(
            eigenvalues, drive, cpu=plain_scan, default=parallel_scan
        )
        return _split(states)

    def activity(self, params: Params, states: Float[Array, "... D"]) -> Float[Array, "... N"]:
        """tanh(Re C x + b)."""
        real, imaginary = jnp.split(states, 2, axis=-1)
        current = real @ self.effective(params, "mixing_real").T
        current -= imaginary @ self.effective(params, "mixing_imaginary").T
        bias = self.effective(params, "bias")
        return jnp.tanh(current + jnp.broadcast_to(bias, current.shape))


def plain_scan(eigenvalues: Array, drive: Array) -> Array:
    """x_t = lambda x_(t-1) + drive_t, [T, B, N], from x_0 = 0, one step after another."""

    def advance(state: Array, drive_t: Array) -> tuple[Array, Array]:
        state = eigenvalues[None] * state + drive_t
        return state, state

    return jax.lax.scan(advance, jnp.zeros_like(drive[0]), drive)[1]


def parallel_scan(eigenvalues: Array, drive: Array) -> Array:
    """The same in log2 T sweeps over all times (Hillis and Steele 1986).

    After the k-th sweep a state sums the drives of the last 2^k steps:
    x_t <- x_t + lambda^(2^k) x_(t - 2^k).
    """
    states, power, reach = drive, eigenvalues, 1
    while reach < len(states):
        earlier = jnp.pad(states[:-reach], ((reach, 0), (0, 0), (0, 0)))
        states, power, reach = states + power[None, None] * earlier, power * power, 2 * reach
    return states


def _joined(parts: Float[Array, "... D"]) -> Array:
    """Complex numbers from their real and imaginary parts."""
    return jax.lax.complex(*jnp.split(parts, 2, axis=-1))


def _split(values: Array) -> Float[Array, "... D"]:
    return jnp.concatenate([values.real, values.imag], axis=-1)


def linear_recurrence(
    hidden: int = 64,
    *,
    inputs: int = 1,
    outputs: int = 1,
    radius: tuple[float, float] = (0.0, 1.0),
    phase: float = 2 * math.pi,
    init: str | None = None,
    parametrization: Parametrization | None = None,
) -> LinearRecurrence:
    """A diagonal linear recurrence of the S5 and LRU kind, with one layer of tanh units above it.

    x' = lambda x + sqrt(1 - |lambda|^2) B u in N complex variables, r = tanh(Re C x + b): the
    linear recurrent unit (Orvieto et al. 2023), with its normalization a function of lambda
    (as in De et al. 2024). States are computed by a parallel scan over time, on a CPU
    step by step.

    Args:
        hidden: number of complex variables and of tanh units, N.
        inputs: number of input channels, I.
        outputs: number of output channels, O.
        radius: smallest and largest modulus of lambda at the start, in [0, 1].
        phase: largest angle of lambda at the start, radians, at most 2 pi.
        init: initialization of the standard rule: `xavier` (default), `gaussian` or `uniform`.
        parametrization: another width rule, in place of the standard one.

    Raises:
        ValueError: sizes below 1, a `radius` or `phase` out of range, an unknown `init`, or both
            `init` and `parametrization`.
    """
    rule = chosen_rule(init, parametrization, "xavier")
    return LinearRecurrence(hidden, inputs, outputs, radius, phase, rule)
