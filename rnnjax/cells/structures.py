"""Structures of recurrent matrices: maps from raw weights to matrices with an exact property.

The map is part of the forward pass. Therefore the property holds at every training step, whatever
the optimizer does to the raw weights; nothing is projected.
"""

import abc
import dataclasses
import math
import statistics
from typing import ClassVar

import jax.numpy as jnp
import numpy as np

from rnnjax.parametrization import Leaf
from rnnjax.typing import Array, Float
from rnnjax.validate import PlainFields, finite_positive, fraction, nonnegative, positive_integer

__all__ = [
    "STRUCTURES",
    "Antisymmetric",
    "Blocks",
    "Dale",
    "LowRankPlusRandom",
    "Orthogonal",
    "Sparse",
    "Structure",
]


class Structure(PlainFields, abc.ABC):
    """A structure of the recurrent matrix W; subclasses are frozen dataclasses.

    Raw weights J with independent entries of mean square s^2 give entries of W of mean square s^2,
    but for diagonals, unless the class says otherwise.
    """

    name: ClassVar[str]
    by_rows: ClassVar[bool] = True
    """Whether a row of W needs the same row of J only, so that devices can share the units."""

    def leaves(self, hidden: int) -> dict[str, Leaf]:
        """The leaves in place of `recurrent`, by name; here J [N, N], `recurrent` itself.

        The first one is drawn with the key of `recurrent`. The others are drawn after the cell's
        own leaves, so that input weights and readout are those of the unconstrained network.
        """
        return {"recurrent": Leaf("recurrent", (hidden, hidden), hidden)}

    @abc.abstractmethod
    def matrix(self, weights: dict[str, Array], hidden: int) -> Float[Array, "N N"]:
        """W, [to, from], from the effective weights of `leaves`."""

    def check(self, hidden: int) -> None:
        """Raises `ValueError` for a number of units that the structure cannot have."""
        return

    def products(self, hidden: int) -> int:
        """Multiply-adds of `matrix`, for estimates of time."""
        return hidden**2

    def in_use(self, hidden: int) -> int:
        """Numbers stored by `matrix` and its gradient, for estimates of memory."""
        return hidden**2


@dataclasses.dataclass(frozen=True)
class Dale(Structure):
    """Excitatory and inhibitory units: W = |J| D, D diagonal, its sign that of the sending unit.

    The first round(f N) units are excitatory, f the share `excitatory` (Song et al. 2016). With f
    the realized share, D is sqrt((1 - f) / f) for these and -sqrt(f / (1 - f)) for the others: the
    mean row sum is 0 (Rajan and Abbott 2006) and the mean square that of J. As |J| has a mean, the
    bulk of the eigenvalues has the radius sqrt(1 - (E|J|)^2 / E J^2) of that of J, 0.60 of it for
    normal and 0.5 for uniform weights; single eigenvalues lie beyond it. Raises `ValueError` for a
    share outside (0, 1), or too few units for both kinds.
    """

    excitatory: float = 0.8

    name = "dale"

    def __post_init__(self):
        super().__post_init__()
        if fraction("excitatory", self.excitatory, open_below=True) == 1:
            raise ValueError("excitatory: expected a number in (0, 1), got 1")

    def count(self, hidden: int) -> int:
        """Number of excitatory units."""
        return round(self.excitatory * hidden)

    def check(self, hidden: int) -> None:
        """At least one unit of each kind."""
        if not 0 < self.count(hidden) < hidden:
            raise ValueError(
                f"hidden: expected units of both kinds, got {hidden} with {self.count(hidden)} "
                "excitatory"
            )

    def matrix(self, weights: dict[str, Array], hidden: int) -> Float[Array, "N N"]:
        """|J| D."""
        count = self.count(hidden)
        share = count / hidden
        factors = np.full((1, hidden), math.sqrt((1 - share) / share))
        factors[:, count:] = -math.sqrt(share / (1 - share))
        size = jnp.abs(weights["recurrent"])
        return size * jnp.asarray(factors, size.dtype)


@dataclasses.dataclass(frozen=True)
class Sparse(Structure):
    """Sparse connections: entry by entry W = J / sqrt(p) with probability p, or exactly 0.

    p is `density`; which connections exist is drawn once per network and never changes. The leaf
    `mask` [N, N] is standard normal, and those below the quantile of p exist. Raises `ValueError`
    for a density outside (0, 1].
    """

    density: float = 0.1

    name = "sparse"

    def __post_init__(self):
        super().__post_init__()
        fraction("density", self.density, open_below=True)

    def leaves(self, hidden: int) -> dict[str, Leaf]:
        """J [N, N] and the mask [N, N]."""
        return super().leaves(hidden) | {"mask": Leaf("fixed", (hidden, hidden), hidden)}

    def matrix(self, weights: dict[str, Array], hidden: int) -> Float[Array, "N N"]:
        """J / sqrt(p) where a connection exists."""
        quantile = statistics.NormalDist().inv_cdf(self.density) if self.density < 1 else math.inf
        scaled = weights["recurrent"] / math.sqrt(self.density)
        return jnp.where(weights["mask"] < np.float32(quantile), scaled, 0.0)


@dataclasses.dataclass(frozen=True)
class Blocks(Structure):
    """Groups of units without connections to each other: W is block-diagonal, sqrt(count) J.

    The `count` blocks are of N / count units each. Raises `ValueError` for a count below 1, or a
    number of units that is no multiple of it.
    """

    count: int = 4

    name = "blocks"

    def __post_init__(self):
        super().__post_init__()
        positive_integer("count", self.count)

    def check(self, hidden: int) -> None:
        """Blocks of one size."""
        if hidden % self.count:
            raise ValueError(
                f"hidden: expected a multiple of the {self.count} blocks, got {hidden}"
            )

    def matrix(self, weights: dict[str, Array], hidden: int) -> Float[Array, "N N"]:
        """sqrt(count) J within blocks, 0 elsewhere."""
        block = np.arange(hidden) // (hidden // self.count)
        scaled = math.sqrt(self.count) * weights["recurrent"]
        return jnp.where(block[:, None] == block[None, :], scaled, 0.0)


@dataclasses.dataclass(frozen=True)
class Orthogonal(Structure):
    """W = gain Q, Q orthogonal: the Cayley transform Q = (I + A)^-1 (I - A) of A = J - J^T.

    This is the transform of Helfrich et al. (2018) without their fixed signs: Q is a rotation
    without the eigenvalue -1. W^T W = gain^2 I up to rounding; the mean square of an entry is
    gain^2 / N whatever the width rule. Where J is small, as under `InverseWidth`, Q begins near the
    identity. `rollout` solves the linear system once per batch, single calls of `step` each time.
    Raises `ValueError` for a gain that is not above 0.
    """

    gain: float = 1.0

    name = "orthogonal"
    by_rows = False

    def __post_init__(self):
        super().__post_init__()
        finite_positive("gain", self.gain)

    def matrix(self, weights: dict[str, Array], hidden: int) -> Float[Array, "N N"]:
        """gain (I + A)^-1 (I - A)."""
        raw = weights["recurrent"]
        skew = raw - raw.T
        # XLA folds jnp.eye in front of a factorization for minutes, and crashes for N = 1024.
        diagonal = np.eye(hidden, dtype=bool)
        left, right = (jnp.where(diagonal, 1.0, part) for part in (skew, -skew))
        return self.gain * jnp.linalg.solve(left, right)

    def products(self, hidden: int) -> int:
        """N^3 / 3 of the factors and N^3 of the solution."""
        return 4 * hidden**3 // 3

    def in_use(self, hidden: int) -> int:
        """The factors, a side, the solution and its cotangent."""
        return 4 * hidden**2


@dataclasses.dataclass(frozen=True)
class Antisymmetric(Structure):
    """W = (J - J^T) / sqrt(2) - damping I (Chang et al. 2019).

    There the units have no other leak; in `rate` and `current` they have one. The eigenvalues have
    the real part -damping. Their imaginary parts reach to twice the spectral radius of J, although
    the mean square of the entries is the same. Raises `ValueError` for a damping below 0.
    """

    damping: float = 0.01

    name = "antisymmetric"
    by_rows = False

    def __post_init__(self):
        super().__post_init__()
        nonnegative("damping", self.damping)

    def matrix(self, weights: dict[str, Array], hidden: int) -> Float[Array, "N N"]:
        """(J - J^T) / sqrt(2) - damping I."""
        raw = weights["recurrent"]
        return (raw - raw.T) / math.sqrt(2) - self.damping * jnp.eye(hidden, dtype=raw.dtype)


@dataclasses.dataclass(frozen=True)
class LowRankPlusRandom(Structure):
    """W = gain X / sqrt(N) + m n^T (Mastrogiuseppe and Ostojic 2018; Schuessler et al. 2020).

    The leaf `random` is X [N, N], standard normal under every width rule, drawn once per network
    and never trained. `embedding` m [N, K], scaled as input weights, and `encoding` n^T [K, N],
    scaled as a readout, are trained. Where entries of W have the variance 1/N, as under
    `Standard("gaussian")`, the gain 1 is the unconstrained network's; under `InverseWidth` the
    random part is larger than that, of order 1/sqrt(N). Entries of m n^T are of order 1/N at the
    start, but under `InverseWidth("uniform")`: the standard rule draws m and n with variance of
    order 1/N, where the others divide by N. Raises `ValueError` for a rank below 1 or above N, or a
    gain below 0.
    """

    rank: int = 1
    gain: float = 1.0

    name = "low_rank_plus_random"

    def __post_init__(self):
        super().__post_init__()
        positive_integer("rank", self.rank)
        nonnegative("gain", self.gain)

    def check(self, hidden: int) -> None:
        """A rank of at most N."""
        if self.rank > hidden:
            raise ValueError(f"rank: expected at most hidden = {hidden}, got {self.rank}")

    def leaves(self, hidden: int) -> dict[str, Leaf]:
        """X [N, N], m [N, K], n^T [K, N]."""
        return {
            "random": Leaf("fixed", (hidden, hidden), hidden),
            "embedding": Leaf("input", (hidden, self.rank), self.rank),
            "encoding": Leaf("readout", (self.rank, hidden), hidden),
        }

    def matrix(self, weights: dict[str, Array], hidden: int) -> Float[Array, "N N"]:
        """gain X / sqrt(N) + m n^T."""
        random = self.gain / math.sqrt(hidden) * weights["random"]
        return random + weights["embedding"] @ weights["encoding"]

    def products(self, hidden: int) -> int:
        """(K + 1) N^2."""
        return (self.rank + 1) * hidden**2


STRUCTURES: dict[str, type[Structure]] = {
    "dale": Dale,
    "sparse": Sparse,
    "blocks": Blocks,
    "orthogonal": Orthogonal,
    "antisymmetric": Antisymmetric,
    "low_rank_plus_random": LowRankPlusRandom,
}
"""Every structure, by name."""
