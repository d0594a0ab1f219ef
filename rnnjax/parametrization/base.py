"""Width rules: for every leaf its initial scale, its multiplier, and its learning rate.

These are the a, b and c of abc-parametrizations (Yang and Hu 2021): `a` is the multiplier, `b` the
scale of the initial weights, `c` the factor of the learning rate. Adam adds a fourth number, its
epsilon: its steps do not depend on the scale of gradients only where these are far above epsilon.
gamma is the strength of feature learning: it divides the output, and learning rates compensate.
"""

import abc
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp

from rnnjax.arrays import random_key
from rnnjax.devices import fixed_draws
from rnnjax.numerics.threefry import fast, fold_in
from rnnjax.typing import Array, Key, KeyLike, Params
from rnnjax.validate import PlainFields, one_of

__all__ = ["FIXED", "Leaf", "LeafRule", "Parametrization", "Role", "initialize"]

Role = Literal[
    "recurrent", "input", "bias", "unit", "readout", "latent_readout", "readout_bias", "fixed"
]
"""Kind of connection: `recurrent` N -> N, `input` and `bias` into N, `readout` out of N,
`latent_readout` from K latent variables, `readout_bias` into the outputs.

`unit` is a number of each unit, of order one, such as its time constant: every rule draws it from
N(0, 1) and trains it as it trains input weights. `fixed` is drawn from N(0, 1) and never trained.
"""


Distribution = Literal["normal", "uniform", "zeros"]


class Leaf(NamedTuple):
    """Declaration of one weight by a cell."""

    role: Role
    """Kind of connection; rules are written per role."""
    shape: tuple[int, ...]
    """The shape of the weight, [fan_out, fan_in] for a matrix."""
    fan_in: int
    """Number of terms in the sum that the weight enters; for a bias, that of its weight matrix."""


class LeafRule(NamedTuple):
    """Width rule of one weight."""

    distribution: Distribution
    scale: float
    """Standard deviation of a normal, half-width of a uniform distribution."""
    multiplier: float = 1.0
    """Effective weight = multiplier x raw weight."""
    learning_rate: float = 1.0
    """The leaf's rate = this factor x gamma^learning_rate_gamma x the run's learning rate."""
    learning_rate_gamma: int = 0
    """Power of gamma in the leaf's rate."""
    eps: float = 1.0
    """Adam's epsilon for the leaf = this factor x gamma^eps_gamma x the recipe's `eps`."""
    eps_gamma: int = 0
    """Power of gamma in the leaf's epsilon."""

    @property
    def trained(self) -> bool:
        """Whether the leaf has a learning rate."""
        return self.learning_rate != 0

    def sample(self, key: Key, shape: tuple[int, ...]) -> Array:
        """Draws the raw weight.

        Raises `ValueError` for an unknown distribution.
        """
        one_of("distribution", self.distribution, get_args(Distribution))
        if self.distribution == "zeros":
            return jnp.zeros(shape)
        if self.distribution == "normal":
            return self.scale * jax.random.normal(fast(key), shape)
        return jax.random.uniform(fast(key), shape, minval=-self.scale, maxval=self.scale)


FIXED = LeafRule("normal", 1.0, learning_rate=0.0)
"""The rule of every leaf of the role `fixed`: standard normal at every width, without training."""


class Parametrization(PlainFields, abc.ABC):
    """A width rule for every leaf of a network; subclasses are frozen dataclasses."""

    name: str
    """The name under which the rule is registered and labelled."""
    optimizers: tuple[str, ...] = ("adam", "sgd")
    """The optimizers that the rule supports."""
    output_gamma: int = 0
    """Power of gamma on the readout, before its bias; 0 for rules without gamma."""

    @abc.abstractmethod
    def rule(self, leaf: Leaf, *, hidden: int, optimizer: str) -> LeafRule:
        """The rule for one leaf of a network of `hidden` units trained with `optimizer`.

        Only learning rates and epsilons may depend on the optimizer, not the initial weights. The
        rule of the role `fixed` is `FIXED`.
        """


@fixed_draws()
def initialize(
    key: KeyLike, leaves: dict[str, Leaf], parametrization: Parametrization, hidden: int
) -> Params:
    """Draws every leaf with its own key, folded in by its position.

    With 64-bit types enabled, other numbers are drawn than in single precision.
    """
    key = random_key("key", key)
    optimizer = parametrization.optimizers[0]
    # At once, since XLA compiles each hash separately.
    keys = jax.vmap(fold_in, (None, 0))(key, jnp.arange(len(leaves)))
    return {
        name: parametrization.rule(leaf, hidden=hidden, optimizer=optimizer).sample(
            keys[index], leaf.shape
        )
        for index, (name, leaf) in enumerate(leaves.items())
    }
