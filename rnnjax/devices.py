"""Where runs go: the local devices, and how many runs each device maps at a time.

On a CPU the fastest plan is one JAX device per core and one run at a time on each, which keeps
one network in each core's cache. On an accelerator all runs of a device are one `vmap`. One very
large network can have all devices to itself: they share its units.
"""

import contextlib
import dataclasses
import os
import warnings
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from rnnjax.validate import one_of, positive_integer

__all__ = ["Layout", "default_layout", "pad_to"]


@dataclasses.dataclass(frozen=True)
class Layout:
    """The devices that share the run axis, and the runs that each maps side by side.

    `map_width = None` maps all of a device's runs at once; 1 makes every run's result
    independent, to the last bit, of the runs beside it.
    """

    devices: tuple[jax.Device, ...]  # type: ignore[reportInvalidTypeForm]
    map_width: int | None
    share: Literal["runs", "units"] = "runs"
    """Whether each device takes some of the runs, or of every run some of its units."""

    @property
    def lanes(self) -> int:
        """How many devices work on runs of their own."""
        return len(self.devices) if self.share == "runs" else 1

    @property
    def side_by_side(self) -> int | None:
        """Runs in flight at a time, over all devices; None for all of a block's."""
        return None if self.map_width is None else self.map_width * self.lanes

    def padded(self, runs: int) -> int:
        """The smallest block of at least `runs` runs that suits the layout.

        Devices share it evenly. Mapped one by one, each has at least two: XLA unrolls a loop of
        one and then rounds differently, so that a run alone would not equal itself in company.
        """
        alone = self.share == "runs" and self.map_width == 1
        share = max(-(-runs // self.lanes), 2 if alone else 1)
        return share * self.lanes

    def sharding(self) -> NamedSharding:
        """The sharding of an array whose leading axis is the run axis."""
        spec = PartitionSpec("runs") if self.share == "runs" else PartitionSpec()
        return NamedSharding(self._mesh(), spec)

    def context(self) -> contextlib.AbstractContextManager:
        """What programs run in: under shared units, the mesh that cells find them by."""
        return contextlib.nullcontext() if self.share == "runs" else jax.set_mesh(self._mesh())

    def map(self, function: Callable[[Any], Any], runs: Any) -> Any:
        """`function` of every run: mapped inside each device, sharded over devices."""
        if self.share == "units":
            # Every program leaves its results where the next one expects them.
            mapped = self._map_on_one(function, runs)
            return jax.lax.with_sharding_constraint(mapped, self.sharding())
        if self.lanes == 1:
            return self._map_on_one(function, runs)
        spec = PartitionSpec("runs")
        return jax.shard_map(
            lambda local: self._map_on_one(function, local),
            mesh=self._mesh(),
            in_specs=spec,
            out_specs=spec,
            check_vma=False,
        )(runs)

    def _map_on_one(self, function: Callable[[Any], Any], runs: Any) -> Any:
        count = jax.tree.leaves(runs)[0].shape[0]
        if self.map_width is None or self.map_width >= count:
            return jax.vmap(function)(runs)
        batch = None if self.map_width == 1 else self.map_width
        return jax.lax.map(function, runs, batch_size=batch)

    def _mesh(self) -> Mesh:
        return Mesh(np.array(self.devices), (self.share,), axis_types=(AxisType.Auto,))


def default_layout(
    devices: int | None = None,
    map_width: int | Literal["all"] | None = None,
    share: Literal["runs", "units"] = "runs",
) -> Layout:
    """The measured best layout on this process's devices.

    Args:
        devices: how many local devices to use; all by default.
        map_width: runs side by side on each, or "all"; by default 1 on CPU, all on accelerators.
        share: what the devices share, the runs or the units of every run.

    Raises:
        ValueError: more devices than there are, a number below 1, or an unknown `share`.
    """
    one_of("share", share, ("runs", "units"))
    local = jax.local_devices()
    count = len(local) if devices is None else positive_integer("devices", devices)
    if count > len(local):
        raise ValueError(f"devices: expected at most {len(local)} on this machine, got {count}")
    on_cpu = local[0].platform == "cpu"
    if on_cpu and devices is None and len(local) == 1 and (cores := os.cpu_count() or 1) > 1:
        warnings.warn(
            f"JAX sees 1 CPU device on {cores} cores, so runs train one after another. For one "
            f'per core, call jax.config.update("jax_num_cpu_devices", {cores}) before anything '
            "else uses JAX.",
            stacklevel=3,
        )
    if map_width is None:
        width = 1 if on_cpu else None
    else:
        width = None if map_width == "all" else positive_integer("map_width", map_width)
    return Layout(tuple(local[:count]), width, share)  # type: ignore[reportArgumentType]


def pad_to(size: int, runs: Any) -> Any:
    """Repeats the last run until the leading axis has `size` entries."""
    count = jax.tree.leaves(runs)[0].shape[0]
    index = jnp.minimum(jnp.arange(size), count - 1)
    return jax.tree.map(lambda leaf: leaf[index], runs)
