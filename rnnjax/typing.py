"""Aliases for annotations, and the letters of all axes.

| letter | axis                                         |
|--------|----------------------------------------------|
| `S`    | runs (any product of sweep axes, flattened)  |
| `L`    | learning rates                               |
| `B`    | trials of a batch                            |
| `T`    | time steps of a trial                        |
| `N`    | hidden units                                 |
| `K`    | rank                                         |
| `I`    | inputs                                       |
| `O`    | outputs                                      |
| `P`    | parameters                                   |
| `M`    | pairs                                        |
| `R`    | operator order                               |

Batch axes lead; time is axis -2 of a trial (`[B, T, N]`) in every public array.
"""

from typing import Any, TypeAlias

from jaxtyping import Array, Bool, Complex, Float, Int, PRNGKeyArray

__all__ = ["Array", "Bool", "Complex", "Float", "Int", "Key", "KeyLike", "Params", "Scalar"]

Key: TypeAlias = PRNGKeyArray
"""A typed key, as `jax.random.key` returns."""

KeyLike: TypeAlias = PRNGKeyArray | int
"""A typed key, or the integer seed of `jax.random.key`."""

Scalar: TypeAlias = Float[Array, ""]
"""A traced or concrete floating-point number."""

Params: TypeAlias = dict[str, Any]
"""The raw, unscaled weights of one network: leaf name -> array."""
