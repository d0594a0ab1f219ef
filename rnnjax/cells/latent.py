"""The low-rank network in its K latent variables, exact at every Euler step.

With kappa = (1/N) n^T r and r' = (1 - a) r + a tanh(m kappa + W_in u + b),

    kappa' = (1 - a) kappa + (a/N) n^T tanh(m kappa + W_in u + b)

is closed in K variables for any a, if kappa_0 = (1/N) n^T r_0. The output z = W_out r obeys the
same recursion, with W_out as O more rows below n^T / N.
"""

import dataclasses
from typing import Literal, get_args

import einops
import jax
import jax.numpy as jnp

from rnnjax.cells import latent_kernel
from rnnjax.cells.base import UnrolledCell
from rnnjax.cells.low_rank import LowRankWeights
from rnnjax.parametrization import InverseWidth, Leaf, Parametrization
from rnnjax.typing import Array, Float, Params, Scalar
from rnnjax.validate import one_of

__all__ = ["Latent", "Readout", "latent"]

Readout = Literal["rates", "latent", "activation"]


@dataclasses.dataclass(frozen=True)
class Latent(LowRankWeights, UnrolledCell):
    """kappa' = (1 - alpha) kappa + (alpha/N) n^T tanh(m kappa + W_in u + b); see `latent`.

    The state [D] is kappa [K], followed by the outputs z [O] where they are read from the units.
    """

    readout_from: Readout = "rates"

    name = "latent"

    def __post_init__(self):
        one_of("readout_from", self.readout_from, get_args(Readout))
        super().__post_init__()

    @property
    def _readout_leaf(self) -> Leaf:
        if self.readout_from == "latent":
            return Leaf("latent_readout", (self.outputs, self.rank), self.rank)
        return super()._readout_leaf

    @property
    def _keep(self) -> tuple[float, ...]:
        """Factor (1 - alpha, or 0) on each state variable in a step."""
        keep = 1 - self.alpha
        rows = {"rates": self.outputs * (keep,), "latent": (), "activation": self.outputs * (0.0,)}
        return (*self.rank * (keep,), *rows[self.readout_from])

    @property
    def products(self) -> int:
        """N (2K + I), and N O for outputs read from the units; one tanh counts as 16."""
        return self.hidden * (self.rank + self.inputs + len(self._keep) + 16)

    @property
    def kept(self) -> int:
        """The state, its cotangent and their products; nothing of size N."""
        return 4 * (len(self._keep) + self.inputs + self.outputs)

    @property
    def visited(self) -> int:
        """The state and its products."""
        return 2 * self.kept // 3

    def in_use(self, trials: int) -> int:
        """Three tiles of units (currents, rates, cotangents), and the kernel's weights twice."""
        tiles = 3 * min(self.hidden * trials, latent_kernel.tile_elements())
        rows = self.rank + self.inputs + self.bias + len(self._keep)
        return tiles + 2 * self.hidden * rows

    def _entering(self, params: Params) -> Float[Array, "F N"]:
        """m^T, W_in^T, and b as a last row."""
        rows = [self.effective(params, name).T for name in ("embedding", "input")]
        if self.bias:
            rows.append(self.effective(params, "bias")[None, :])
        return jnp.concatenate(rows)

    def _leaving(self, params: Params) -> Float[Array, "D N"]:
        """n^T / N, and W_out where the outputs are read from the units."""
        encoding = self.effective(params, "encoding")
        if self.readout_from == "latent":
            return encoding
        return jnp.concatenate([encoding, self.effective(params, "readout")])

    def initial_state(self, params: Params) -> Float[Array, " D"]:
        """The projection of r(0) = 0."""
        return jnp.zeros(len(self._keep), params["encoding"].dtype)

    def drive(self, params: Params, inputs: Float[Array, "T I"]) -> Float[Array, "T I"]:
        """The inputs themselves, since W_in u is as large as the rates."""
        return inputs

    def step(self, params: Params, state: Array, drive: Array) -> Array:
        """The next state [D]."""
        current = self.effective(params, "embedding") @ self.kappa(state)
        phi = jnp.tanh(current + super().drive(params, drive[None, :])[0])
        keep = jnp.asarray(self._keep, state.dtype)
        return keep * state + (1 - keep) * (self._leaving(params) @ phi)

    def unroll(
        self, params: Params, inputs: Float[Array, "B T I"], initial: Float[Array, "B D"]
    ) -> Float[Array, "T B D"]:
        """States after every step, computed in tiles of units."""
        drive = einops.rearrange(inputs, "trial time input -> time input trial")
        drive = drive.astype(initial.dtype)  # the gradient has the type of the weights
        if self.bias:
            drive = jnp.concatenate([drive, jnp.ones_like(drive[:, :1])], axis=1)
        states = latent_kernel.run(
            self._entering(params), self._leaving(params), drive, initial.T, self._keep
        )
        return einops.rearrange(states, "time state trial -> time trial state")

    def readout(
        self, params: Params, state: Array, scale: float | Scalar = 1.0
    ) -> Float[Array, " O"]:
        """C kappa, or z (times `scale`), + b_out."""
        if self.readout_from == "latent":
            return super().readout(params, state, scale)
        output = scale * state[self.rank :]
        return output + self.effective(params, "readout_bias") if self.bias else output

    def kappa(self, states: Float[Array, "... D"]) -> Float[Array, "... K"]:
        """The latent variables of states."""
        return states[..., : self.rank]

    def project(self, params: Params, rates: Float[Array, "... N"]) -> Float[Array, "... D"]:
        """The state of a network with these firing rates: n^T r / N and W_out r.

        With `activation` outputs do not depend on earlier rates, and W_out r has no effect.
        """
        return rates @ self._leaving(params).T

    def rates(
        self,
        params: Params,
        states: Float[Array, "T D"],
        inputs: Float[Array, "T I"],
        initial: Float[Array, " D"],
        *,
        rates_before: Float[Array, " N"] | None = None,
    ) -> Float[Array, "T N"]:
        """Firing rates along a trajectory, integrated from r(0).

        r(0) is `rates_before`; by default the smallest one whose projection is `initial`, which is
        0 where that is 0.
        """
        if rates_before is None:
            rows = self.rank if self.readout_from == "activation" else len(self._keep)
            rates_before = _smallest_rates(initial[:rows], self._leaving(params)[:rows])
        kappa = self.kappa(jnp.concatenate([initial[None], states[:-1]]))
        current = kappa @ self.effective(params, "embedding").T + super().drive(params, inputs)

        def leak(rates, current_t):
            rates = (1 - self.alpha) * rates + self.alpha * jnp.tanh(current_t)
            return rates, rates

        return jax.lax.scan(leak, rates_before, current)[1]


def _solved(projection: Float[Array, " D"], rows: Float[Array, "D N"]) -> Float[Array, " N"]:
    # By the number of rows: the default grows with N, and would leave out large singular values.
    cut = float(jnp.finfo(rows.dtype).eps) * len(rows)
    return jnp.linalg.lstsq(rows, projection, rcond=cut)[0]


@jax.custom_jvp
def _smallest_rates(
    projection: Float[Array, " D"], rows: Float[Array, "D N"]
) -> Float[Array, " N"]:
    """The smallest rates with this projection.

    Zero needs no factorization, which `Layout.map` must not run on several devices.
    """
    rest = jnp.zeros(rows.shape[1], jnp.result_type(projection, rows))
    return jax.lax.cond(jnp.any(projection != 0), _solved, lambda *_: rest, projection, rows)


@_smallest_rates.defjvp
def _smallest_rates_jvp(primals, tangents):
    return jax.jvp(_solved, primals, tangents)


def latent(
    hidden: int = 64,
    *,
    rank: int = 1,
    inputs: int = 1,
    outputs: int = 1,
    alpha: float = 0.5,
    bias: bool = False,
    readout: Readout = "rates",
    parametrization: Parametrization | None = None,
) -> Latent:
    """The network of `low_rank` reduced to its K latent variables.

    A step costs order N, and nothing of size N is stored over time. Under a mesh with an axis
    "units" (`jax.set_mesh`) the devices of that axis share the units. Sweeps set `hidden`,
    `inputs` and `outputs` to fit their axes and tasks.

    Args:
        hidden: number of units, N.
        rank: number of latent variables, K.
        inputs: number of input channels, I.
        outputs: number of output channels, O.
        alpha: dt / tau, in (0, 1]; 1 is the vanilla tanh network.
        bias: whether the units and the readout have biases.
        readout: `rates` for W_out r, exactly the output of `low_rank`; `latent` for C kappa, of
            dimension K at most; `activation` for W_out tanh(m kappa + W_in u + b), which is
            W_out r only for alpha = 1 or at a fixed point.
        parametrization: the width rule; `InverseWidth()` by default, which is the factor 1/N.

    Raises:
        ValueError: sizes below 1, a rank above `hidden`, `alpha` outside (0, 1], an unknown
            `readout`.
    """
    one_of("readout", readout, get_args(Readout))
    rule = InverseWidth() if parametrization is None else parametrization
    return Latent(hidden, inputs, outputs, rank, alpha, bias, rule, readout)
