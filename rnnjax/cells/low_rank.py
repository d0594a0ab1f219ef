"""The rate network with connectivity of rank K, by thin products or with a full matrix."""

import dataclasses

import jax.numpy as jnp

from rnnjax.cells.base import AdditiveCell
from rnnjax.cells.dense import UnitCell
from rnnjax.parametrization import InverseWidth, Leaf, Parametrization
from rnnjax.typing import Array, Float, Params
from rnnjax.validate import positive_integer

__all__ = ["LARGEST", "DenseLowRank", "LowRank", "LowRankWeights", "low_rank"]

LARGEST = 20_000
"""Largest number of units with a full connectivity matrix, 1.6 GB in single precision."""


@dataclasses.dataclass(frozen=True)
class LowRankWeights(UnitCell):
    """The weights of a network of rank K."""

    hidden: int = 64
    inputs: int = 1
    outputs: int = 1
    rank: int = 1
    alpha: float = 0.5
    bias: bool = False
    parametrization: Parametrization = InverseWidth()

    def __post_init__(self):
        self._check("alpha", self.alpha)
        if positive_integer("rank", self.rank) > self.hidden:
            raise ValueError(f"rank: expected at most hidden = {self.hidden}, got {self.rank}")

    @property
    def _readout_leaf(self) -> Leaf:
        return Leaf("readout", (self.outputs, self.hidden), self.hidden)

    def leaves(self) -> dict[str, Leaf]:
        """m [N, K], n^T [K, N], W_in [N, I], W_out [O, N], and with biases b [N], b_out [O]."""
        n, i, k = self.hidden, self.inputs, self.rank
        leaves = {
            "embedding": Leaf("input", (n, k), k),
            "encoding": Leaf("readout", (k, n), n),
            "input": Leaf("input", (n, i), i),
            "readout": self._readout_leaf,
        }
        if self.bias:
            leaves["bias"] = Leaf("bias", (n,), i)
            leaves["readout_bias"] = Leaf(
                "readout_bias", (self.outputs,), self._readout_leaf.fan_in
            )
        return leaves

    def connectivity(self, params: Params) -> Float[Array, "N N"]:
        """W = (1/N) m n^T, [to, from]; the factor 1/N is that of the default width rule.

        Raises `ValueError` for more than 20,000 units.
        """
        if self.hidden > LARGEST:
            raise ValueError(
                f"hidden: expected at most {LARGEST} where the connectivity matrix is formed, "
                f"got {self.hidden}, which would take {4e-9 * self.hidden**2:.1f} GB"
            )
        return self.effective(params, "embedding") @ self.effective(params, "encoding")


@dataclasses.dataclass(frozen=True)
class LowRank(LowRankWeights):
    """r' = (1 - alpha) r + alpha tanh(m kappa + W_in u + b),  kappa = n^T r / N; see `low_rank`."""

    name = "low_rank"

    @property
    def kept(self) -> int:
        """As in a dense network, with the two arguments of the update by JAX's own gradient."""
        return 7 * self.hidden

    @property
    def products(self) -> int:
        """N (2K + I + O)."""
        return self.hidden * (2 * self.rank + self.inputs + self.outputs)

    def step(self, params: Params, state: Array, drive: Array) -> Array:
        """One Euler step by two thin products."""
        kappa = self.effective(params, "encoding") @ state
        current = self.effective(params, "embedding") @ kappa + drive
        return (1 - self.alpha) * state + self.alpha * jnp.tanh(current)


@dataclasses.dataclass(frozen=True)
class DenseLowRank(LowRankWeights, AdditiveCell):
    """The same network with a full matrix W: work of order N^2, for comparison."""

    name = "low_rank_dense"

    def update(self, state: Array, current: Array) -> Array:
        """One Euler step of tau dr/dt = -r + tanh(current), with alpha = dt / tau."""
        return (1 - self.alpha) * state + self.alpha * jnp.tanh(current)


def low_rank(
    hidden: int = 64,
    *,
    rank: int = 1,
    inputs: int = 1,
    outputs: int = 1,
    alpha: float = 0.5,
    bias: bool = False,
    parametrization: Parametrization | None = None,
) -> LowRank:
    """The rate network with W = (1/N) m n^T, computed by two thin products.

    Sweeps set `hidden`, `inputs` and `outputs` to fit their axes and tasks. `latent` is the same
    network in K + O variables, and much faster.

    Args:
        hidden: number of units, N.
        rank: rank of the connectivity, K.
        inputs: number of input channels, I.
        outputs: number of output channels, O.
        alpha: dt / tau, in (0, 1]; 1 is the vanilla tanh network.
        bias: whether the units and the readout have biases.
        parametrization: the width rule; `InverseWidth()` by default, which is the factor 1/N.

    Raises:
        ValueError: sizes below 1, a rank above `hidden`, `alpha` outside (0, 1].
    """
    rule = InverseWidth() if parametrization is None else parametrization
    return LowRank(hidden, inputs, outputs, rank, alpha, bias, rule)
