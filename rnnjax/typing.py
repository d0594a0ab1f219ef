"""Aliases for annotations, and the main letters of axes.

| letter | axis                                                                      |
|--------|---------------------------------------------------------------------------|
| `S`    | runs (any product of sweep axes, flattened), or networks                  |
| `B`    | trials of a batch                                                         |
| `T`    | time steps of a trial                                                     |
| `N`    | hidden units                                                              |
| `I`    | inputs                                                                    |
| `O`    | outputs                                                                   |
| `D`    | entries of a state or drive, where they need not be one per unit          |
| `K`    | rank, or losses at which weights are kept                                 |
| `P`    | parameters, or points of a network's dynamics                             |
| `M`    | pairs of networks, or states from which searches start                    |
| `R`    | operator order, or rows of a tangent kernel                               |
| `C`    | a batch of pairs or other items, or choices                               |
| `Q`    | starts of the search of one pair                                          |
| `L`    | searches of a batch of pairs                                              |
| `F`    | finalists of the search of one pair, or features                          |
| `E`    | epochs, or further states                                                 |
| `H`    | widths of a sweep, or starts that all pairs share                         |

A letter has one meaning within a function; those of single files are explained there. Batch axes
lead; time is axis -2 of a trial (`[B, T, N]`), but axis 0 in `UnrolledCell.unroll` and
`ParallelCell.read` (`[T, B, ...]`), whose scans run over it.
"""

from typing import Any, TypeAlias

from jaxtyping import Array, Bool, Complex, Float, Inexact, Int, PRNGKeyArray

__all__ = [
    "Array", "Bool", "Complex", "Float", "Inexact", "Int", "Key", "KeyLike", "Params", "Scalar",
]  # fmt: skip

Key: TypeAlias = PRNGKeyArray
"""A typed key, as `jax.random.key` returns."""

KeyLike: TypeAlias = PRNGKeyArray | int
"""A typed key, or the integer seed of `jax.random.key`."""

Scalar: TypeAlias = Float[Array, ""]
"""A traced or concrete floating-point number."""

Params: TypeAlias = dict[str, Any]
"""The raw, unscaled weights of one network: leaf name -> array."""
