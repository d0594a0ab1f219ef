"""Arrays whose units are shared by several devices, along the mesh axis "units".

Where the ambient mesh (`jax.set_mesh`) has no such axis, arrays are left as they are.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

__all__ = ["AXIS", "are_shared", "sharing", "split", "to_host", "whole"]

AXIS = "units"
"""Mesh axis whose devices share the units."""


def are_shared() -> bool:
    """Whether the ambient mesh has devices that share units.

    Raises `ValueError` where JAX would type arrays by the axis (`AxisType.Explicit`).
    """
    mesh = jax.sharding.get_abstract_mesh()
    if AXIS in mesh.explicit_axes:
        raise ValueError(
            f"mesh: expected an axis {AXIS!r} of the type AxisType.Auto, as "
            f"jax.make_mesh((2,), ({AXIS!r},), axis_types=(AxisType.Auto,)) makes, got Explicit"
        )
    return AXIS in mesh.auto_axes


def sharing() -> int:
    """Number of devices that share the units; 1 where none do."""
    return jax.sharding.get_abstract_mesh().shape[AXIS] if are_shared() else 1


def split(array: jax.Array, axis: int) -> jax.Array:
    """The same array, each device with its own units along `axis`."""
    spec: list[str | None] = [None] * array.ndim
    spec[axis] = AXIS
    return _placed(array, PartitionSpec(*spec))


def whole(array: jax.Array) -> jax.Array:
    """The same array, all of it on every device."""
    return _placed(array, PartitionSpec())


def _placed(array: jax.Array, spec: PartitionSpec) -> jax.Array:
    if not are_shared():
        return array
    return jax.lax.with_sharding_constraint(array, spec)


def to_host(array: Any) -> np.ndarray:
    """The array in the memory of this process, also where its units are in other processes.

    Then all processes must call this, and get the array piece by piece: no device holds all of it.
    """
    if not isinstance(array, jax.Array) or array.is_fully_addressable or array.is_fully_replicated:
        return np.asarray(array)
    sharding: Any = array.sharding
    mesh, spec = sharding.mesh, sharding.spec
    program, axis = _piece_program(mesh, spec), spec.index(AXIS)
    pieces = [np.asarray(program(array, np.int32(i))) for i in range(mesh.shape[AXIS])]
    return np.concatenate(pieces, axis).view(array.dtype)


@functools.lru_cache
def _piece_program(mesh: Mesh, spec: PartitionSpec) -> Callable[..., jax.Array]:
    """The program that gives every process the bits of the piece of one device."""

    def piece(local: jax.Array, index: jax.Array) -> jax.Array:
        # A sum of bits, since a sum of numbers would lose the sign of zeros.
        bits = jax.lax.bitcast_convert_type(local, jnp.uint32)
        mine = jax.lax.axis_index(AXIS) == index
        return jax.lax.psum(jnp.where(mine, bits, jnp.uint32(0)), AXIS)

    return jax.jit(
        jax.shard_map(
            piece, mesh=mesh, in_specs=(spec, PartitionSpec()), out_specs=PartitionSpec(),
            check_vma=False,
        )
    )  # fmt: skip
