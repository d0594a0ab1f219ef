"""Devices and memory: layouts, mapping over runs and pairs, padding, memory budgets, CPU cores.

On a CPU the fastest layout is one JAX device per core that maps one run at a time, so that one
network stays in each core's cache. An accelerator maps all of its runs by one `vmap`. One very
large network can use all devices: they share its units.
"""

import contextlib
import dataclasses
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from rnnjax.validate import MOST, finite_positive, one_of, positive_integer

__all__ = [
    "HOST_BATCH",
    "Lanes",
    "Layout",
    "RemoteLanes",
    "Resources",
    "all_devices",
    "available_cores",
    "batch_memory",
    "batch_size",
    "default_layout",
    "fixed_draws",
    "free_memory",
    "free_programs",
    "map_items",
    "memory_budget",
    "on_cpu",
    "pad_to",
    "padded_index",
    "remote_lanes",
    "single_precision",
]

HOST_BATCH = 256 * 2**20
"""Default memory of a batch on the host, bytes."""

_BATCH_SHARE = 8  # divisor of an accelerator's memory that gives that of a batch
_GROUP = 8  # networks per accelerator in one call of a program


class Lanes:
    """How runs spread over devices; what is planned with it needs no device.

    `map_width = None` maps all runs of a device at once; 1 makes the result of every run
    independent, to the last bit, of the other runs of its block.
    """

    map_width: int | None
    share: Literal["runs", "units"]
    """Whether each device takes some of the runs, or some of the units of every run."""

    @property
    def count(self) -> int:
        """Number of devices."""
        raise NotImplementedError

    @property
    def on_cpu(self) -> bool:
        """Whether the devices are CPU devices."""
        raise NotImplementedError

    @property
    def free_bytes(self) -> int:
        """Free memory of all devices together, or of the host of CPU devices."""
        raise NotImplementedError

    @property
    def lanes(self) -> int:
        """Number of devices that work on runs of their own."""
        return self.count if self.share == "runs" else 1

    @property
    def side_by_side(self) -> int | None:
        """Number of runs mapped at the same time, over all devices; None for the whole block."""
        return None if self.map_width is None else self.map_width * self.lanes

    @property
    def group_size(self) -> int:
        """Number of trained networks that one call of a program takes."""
        return self.padded(1) if self.map_width == 1 else _GROUP * self.lanes

    def padded(self, runs: int) -> int:
        """The smallest block of at least `runs` runs that the devices share evenly.

        With `map_width = 1` each device has at least two: XLA unrolls a loop of one, which then
        rounds differently, so that a result would depend on the size of the block.
        """
        least = 2 if self.share == "runs" and self.map_width == 1 else 1
        return max(-(-runs // self.lanes), least) * self.lanes


@dataclasses.dataclass(frozen=True)
class Resources:
    """What a worker has: devices of one kind and their memory, without the devices themselves."""

    kind: str
    """Platform of JAX: `cpu`, `gpu` or `tpu`."""
    devices: int
    """Number of devices that share the runs of a block."""
    memory: int
    """Free memory of all devices together, or of the host of CPU devices, bytes."""

    def __post_init__(self):
        one_of("kind", self.kind, ("cpu", "gpu", "tpu"))
        positive_integer("devices", self.devices)
        finite_positive("memory", self.memory)


@dataclasses.dataclass(frozen=True)
class RemoteLanes(Lanes):
    """The lanes of a worker with these resources."""

    resources: Resources
    map_width: int | None
    share: Literal["runs", "units"] = "runs"

    @property
    def count(self) -> int:
        """Number of devices."""
        return self.resources.devices

    @property
    def on_cpu(self) -> bool:
        """Whether the devices are CPU devices."""
        return self.resources.kind == "cpu"

    @property
    def free_bytes(self) -> int:
        """Free memory of all devices together, or of the host of CPU devices."""
        return self.resources.memory


@dataclasses.dataclass(frozen=True)
class Layout(Lanes):
    """The devices that share the run axis, and the number of runs that each maps side by side."""

    devices: tuple[jax.Device, ...]  # pyright: ignore[reportInvalidTypeForm] - jax has no stubs
    map_width: int | None
    share: Literal["runs", "units"] = "runs"

    @property
    def count(self) -> int:
        """Number of devices."""
        return len(self.devices)

    @property
    def on_cpu(self) -> bool:
        """Whether the devices are CPU devices."""
        return self.devices[0].platform == "cpu"

    @property
    def free_bytes(self) -> int:
        """Free memory of all devices together, or of the host of CPU devices."""
        if not self.on_cpu:
            stats = self.devices[0].memory_stats() or {}
            if "bytes_limit" in stats:
                return (stats["bytes_limit"] - stats.get("bytes_in_use", 0)) * len(self.devices)
        return free_memory()

    def sharding(self) -> NamedSharding:
        """The sharding of an array whose leading axis is the run axis."""
        spec = PartitionSpec("runs") if self.share == "runs" else PartitionSpec()
        return NamedSharding(self._mesh(), spec)

    @contextlib.contextmanager
    def context(self) -> Iterator[None]:
        """The context of every program: single precision, and draws that no setting changes.

        With shared units, also their mesh.
        """
        mesh = contextlib.nullcontext() if self.share == "runs" else jax.set_mesh(self._mesh())
        with single_precision(), fixed_draws(), mesh:
            yield

    def map(self, function: Callable[[Any], Any], runs: Any) -> Any:
        """Maps `function` over runs, a tree of arrays [S, ...] sharded over the devices."""
        if self.share == "units":
            # The results of one program are arguments of the next, which expects this sharding.
            mapped = self._map_locally(function, runs)
            return jax.lax.with_sharding_constraint(mapped, self.sharding())
        if self.lanes == 1:
            return self._map_locally(function, runs)
        spec = PartitionSpec("runs")
        return jax.shard_map(
            lambda local: self._map_locally(function, local),
            mesh=self._mesh(),
            in_specs=spec,
            out_specs=spec,
            check_vma=False,
        )(runs)

    def _map_locally(self, function: Callable[[Any], Any], runs: Any) -> Any:
        """Maps `function` over the runs of one device."""
        count = _length(runs)
        if self.map_width == 1 and (count > 1 or self.share == "runs"):
            return jax.lax.map(function, runs)
        if self.map_width is None or self.map_width >= count:
            return jax.vmap(function)(runs)
        return jax.lax.map(function, runs, batch_size=self.map_width)

    def _mesh(self) -> Mesh:
        return Mesh(np.array(self.devices), (self.share,), axis_types=(AxisType.Auto,))


def single_precision() -> contextlib.AbstractContextManager:
    """The context in which networks train and are evaluated.

    Their numbers do not depend on whether JAX has 64 bits enabled.
    """
    return jax.enable_x64(False)


@contextlib.contextmanager
def fixed_draws() -> Iterator[None]:
    """The context, or decorator, of everything that draws random numbers.

    The numbers do not depend on `jax_threefry_partitionable`, which changes what a key gives.
    """
    with jax.threefry_partitionable(True):
        yield


def on_cpu() -> bool:
    """Whether the default devices are CPU devices, each of which maps one item at a time."""
    return jax.default_backend() == "cpu"


def default_layout(
    devices: int | None = None,
    map_width: int | Literal["all"] | None = None,
    share: Literal["runs", "units"] = "runs",
) -> Layout:
    """The fastest layout measured, on the local devices of this process.

    Args:
        devices: number of local devices to use; all by default.
        map_width: runs side by side on each, or "all"; by default 1 on CPU, all on accelerators.
        share: whether the devices share the runs, or the units of every run.

    Raises:
        ValueError: more devices than there are, a number below 1, or an unknown `share`.
    """
    one_of("share", share, ("runs", "units"))
    local = jax.local_devices()
    count = len(local) if devices is None else positive_integer("devices", devices)
    if count > len(local):
        raise ValueError(f"devices: expected at most {len(local)} on this machine, got {count}")
    cpu = local[0].platform == "cpu"
    if cpu and devices is None and len(local) == 1 and (cores := available_cores()) > 1:
        warnings.warn(
            f"JAX has 1 CPU device on {cores} cores, so runs train one after another. For one "
            f'per core, call jax.config.update("jax_num_cpu_devices", {cores}) before anything '
            "else uses JAX.",
            stacklevel=3,
        )
    return Layout(tuple(local[:count]), _width(map_width, cpu), share)


def remote_lanes(
    resources: Resources,
    devices: int | None = None,
    map_width: int | Literal["all"] | None = None,
    share: Literal["runs", "units"] = "runs",
) -> RemoteLanes:
    """The fastest layout measured, on a worker; arguments and errors as of `default_layout`."""
    if devices is not None and devices > resources.devices:
        raise ValueError(
            f"devices: expected at most {resources.devices} on a worker, got {devices}"
        )
    used = dataclasses.replace(resources, devices=devices or resources.devices)
    return RemoteLanes(used, _width(map_width, resources.kind == "cpu"), share)


def _width(map_width: int | Literal["all"] | None, cpu: bool) -> int | None:
    if map_width is None:
        return 1 if cpu else None
    return None if map_width == "all" else positive_integer("map_width", map_width)


def all_devices() -> Layout:
    """The default layout on all local devices, without the warning about a single CPU device."""
    return default_layout(len(jax.local_devices()))


def map_items(function: Callable[[Any], Any], items: Any) -> Any:
    """Maps `function` over items, a tree of arrays [C, ...], shared by the local devices.

    To be called inside `jax.jit`. A CPU device maps one item at a time, so that its data stay in
    the core's cache; an accelerator maps all at once. `function` must not use factorizations
    (`jnp.linalg`): on several CPU devices at the same time they can deadlock.
    """
    count, devices = _length(items), jax.local_devices()
    layout = Layout(tuple(devices[: min(len(devices), count)]), 1 if on_cpu() else None)
    size = -(-count // layout.lanes) * layout.lanes
    if size == count:
        return layout.map(function, items)
    mapped = layout.map(function, pad_to(size, items))
    return jax.tree.map(lambda leaf: leaf[:count], mapped)


def _length(tree: Any) -> int:
    """Length of the leading axis that all leaves share."""
    return jax.tree.leaves(tree)[0].shape[0]


def padded_index(start: int, size: int, count: int) -> np.ndarray:
    """Indices `start` .. `start + size - 1` of `count` entries, [size]; the last is repeated."""
    return np.minimum(np.arange(start, start + size), count - 1)


def pad_to(size: int, runs: Any) -> Any:
    """Repeats the last run until the leading axis has `size` entries."""
    index = padded_index(0, size, _length(runs))
    return jax.tree.map(lambda leaf: leaf[index], runs)


def available_cores() -> int:
    """Number of CPU cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        return os.cpu_count() or 1


def free_memory() -> int:
    """Free host memory, bytes, within the limits of the process's control groups.

    4 GiB where the system does not report it.
    """
    try:
        text = Path("/proc/meminfo").read_text()
        free = 1024 * int(text.partition("MemAvailable:")[2].split()[0])
    except (OSError, IndexError):
        return 4 * 2**30
    return min([free, *_group_memory(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))])


def _group_memory(groups: Path, mounted: Path) -> list[int]:
    """What each limited control group (version 1 or 2) of the process leaves free, bytes.

    Batch systems and containers set such limits. Cached files do not count: they are dropped when
    memory is short.
    """
    free = []
    with contextlib.suppress(OSError):
        for line in groups.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers not in ("", "memory"):
                continue
            root = mounted / controllers
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            if not controllers:
                names = ("memory.max", "memory.current", "inactive_file")
            inside = root / path.lstrip("/")
            for group in (inside, *inside.parents):
                if group.is_relative_to(root):
                    with contextlib.suppress(OSError, ValueError):  # "max", or no such file
                        free.append(_left_in_group(group, *names))
    return free


def _left_in_group(group: Path, limit: str, usage: str, cached: str) -> int:
    most, used = (int((group / name).read_text()) for name in (limit, usage))
    stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    return max(most - used + int(stat.get(cached, 0)), 0)


def memory_budget(layout: Lanes, share: float = 0.75) -> int:
    """Memory that a block may take, bytes: a share of the devices' or the host's free memory."""
    return int(share * layout.free_bytes)


def free_programs(share: float = 0.5) -> bool:
    """Drops all programs that JAX has compiled at `share` of the limit of memory mappings.

    Returns whether it did. On CPU every program takes hundreds of mappings, and a process that
    reaches the limit of Linux, `vm.max_map_count`, is aborted. Programs that are needed again are
    compiled again, or read from the compilation cache.
    """
    try:
        most = int(Path("/proc/sys/vm/max_map_count").read_text())
        with open("/proc/self/maps", "rb") as maps:
            used = sum(1 for _ in maps)
    except (OSError, ValueError):  # not on this system
        return False
    if used < share * most:
        return False
    jax.clear_caches()
    return True


def batch_memory() -> int:
    """Default memory of a batch of pairs, bytes: 256 MiB on CPU.

    On an accelerator an eighth of its memory: it works on the whole batch at once, and a small
    batch would leave it idle.
    """
    device = jax.local_devices()[0]
    if device.platform == "cpu":
        return HOST_BATCH
    limit = (device.memory_stats() or {}).get("bytes_limit", 0)
    return max(limit // _BATCH_SHARE, HOST_BATCH)


def batch_size(bytes_each: float, *, memory: float | None = None) -> int:
    """Number of items of `bytes_each` that fit into `memory` (`batch_memory()`); at least one."""
    memory = batch_memory() if memory is None else finite_positive("memory", memory)
    fit = memory // finite_positive("bytes_each", bytes_each)
    return max(int(min(fit, MOST)), 1)
