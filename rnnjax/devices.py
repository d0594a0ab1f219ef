"""Devices and memory: layouts, mapping over runs and pairs, padding, memory budgets, CPU cores.

On a CPU the fastest layout is one JAX device per core that maps one run at a time, so that one
network stays in each core's cache. An accelerator maps all of its runs by one `vmap`. One very
large network can use all devices: they share its units.
"""

import contextlib
import dataclasses
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from rnnjax import units
from rnnjax.lanes import Lanes, width_of
from rnnjax.validate import MOST, finite_positive, one_of, positive_integer

__all__ = [
    "HOST_BATCH",
    "Layout",
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
    "single_precision",
]

HOST_BATCH = 256 * 2**20
"""Default memory of a batch on the host, bytes."""

_BATCH_SHARE = 8  # divisor of an accelerator's memory that gives that of a batch


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
        free = self._free_here()
        if self.processes == 1:
            return free
        return int(
            self.processes * float(multihost_utils.process_allgather(np.float32(free)).min())
        )

    def _free_here(self) -> int:
        """The same of the devices of this process."""
        here = self.devices
        if self.processes > 1:
            here = tuple(d for d in here if d.process_index == jax.process_index())
        if not self.on_cpu:
            stats = here[0].memory_stats() or {}
            if "bytes_limit" in stats:
                return (stats["bytes_limit"] - stats.get("bytes_in_use", 0)) * len(here)
        return free_memory()

    def rows(self, size: int, runs: int) -> np.ndarray:
        """The rows of `runs` runs among the `size` rows of a block; the others are padding.

        Where each device maps one run at a time, one with padding only would be idle: all devices
        take equal shares of the runs, which stay contiguous (`sweep.blocks.plan`).
        """
        if self.map_width != 1:
            return np.arange(runs)
        shares = np.array_split(np.arange(runs), self.lanes)
        first = size // self.lanes * np.arange(self.lanes)
        return np.concatenate(
            [row + np.arange(len(share)) for row, share in zip(first, shares, strict=True)]
        )

    @property
    def is_host(self) -> bool:
        """Whether the devices are those of this process's host, which NumPy reads at once."""
        return self.on_cpu and self.processes == 1

    @property
    def processes(self) -> int:
        """Number of processes that hold the devices."""
        return len({device.process_index for device in self.devices})

    def sharding(self) -> NamedSharding:
        """The sharding of an array whose leading axis is the run axis."""
        spec = PartitionSpec("runs") if self.share == "runs" else PartitionSpec()
        return NamedSharding(self._mesh(), spec)

    def shardings(self, runs: Any, unit_axes: Mapping[str, int]) -> Any:
        """The sharding of every array in a tree of runs.

        With shared units those with a name in `unit_axes`, in any dictionary of the tree, are split
        along that axis, which is counted without the run axis.
        """
        mesh, plain = self._mesh(), self.sharding()

        def of(path: tuple[Any, ...], leaf: Any) -> NamedSharding:
            name: Any = getattr(path[-1], "key", None) if path else None
            if self.share == "runs" or name not in unit_axes:
                return plain
            before = (None,) * (1 + unit_axes[name])
            return NamedSharding(mesh, PartitionSpec(*before, units.AXIS))

        return jax.tree_util.tree_map_with_path(of, runs)

    def put(self, runs: Any, unit_axes: Mapping[str, int] | None = None) -> Any:
        """Puts a tree of arrays [S, ...] on the devices, which share them as in `shardings`."""
        shardings = self.shardings(runs, unit_axes or {})
        if self.processes == 1:
            return jax.device_put(runs, shardings)
        return jax.tree.map(_put_part, runs, shardings)

    @contextlib.contextmanager
    def context(self) -> Iterator[None]:
        """The context of every program: single precision, and draws that no setting changes.

        With shared units, also their mesh.
        """
        mesh = contextlib.nullcontext() if self.share == "runs" else jax.set_mesh(self._mesh())
        with single_precision(), fixed_draws(), mesh:
            yield

    def map(
        self,
        function: Callable[[Any], Any],
        runs: Any,
        unit_axes: Mapping[str, int] | None = None,
    ) -> Any:
        """Maps `function` over runs, a tree of arrays [S, ...] sharded over the devices.

        The result is sharded as in `shardings`.
        """
        if self.share == "units":
            # The results of one program are arguments of the next, which expects this sharding.
            mapped = self._map_locally(function, runs)
            shardings = self.shardings(mapped, unit_axes or {})
            return jax.lax.with_sharding_constraint(mapped, shardings)
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


def _put_part(leaf: Any, sharding: NamedSharding) -> jax.Array:
    """Puts on each device of this process its part of an array that all processes have."""
    if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
        return jax.device_put(leaf, sharding)
    values = np.asarray(leaf)
    return jax.make_array_from_callback(values.shape, sharding, lambda part: values[part])


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

    Devices that share units are those of all processes of `jax.distributed`.

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
    cpu = local[0].platform == "cpu"
    if count > len(local):
        hint = (
            f'; for more call jax.config.update("jax_num_cpu_devices", {count}) before JAX starts'
        )
        raise ValueError(
            f"devices: expected at most {len(local)}, the JAX devices of this process, got {count}"
            f"{hint if cpu else ''}"
        )
    if cpu and devices is None and len(local) == 1 and (cores := available_cores()) > 1:
        warnings.warn(
            f"JAX has 1 CPU device on {cores} cores, so runs train one after another. For one "
            f'per core, call jax.config.update("jax_num_cpu_devices", {cores}) before anything '
            "else uses JAX.",
            stacklevel=3,
        )
    used = local[:count]
    if share == "units" and jax.process_count() > 1:
        used = [device for all_of in _by_process() for device in all_of[:count]]
    return Layout(tuple(used), width_of(map_width, cpu), share)


def _by_process() -> list[list[jax.Device]]:  # pyright: ignore[reportInvalidTypeForm]
    """The devices of each process."""
    return [jax.local_devices(process) for process in range(jax.process_count())]


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


def pad_to(size: int, runs: Any, rows: np.ndarray | None = None) -> Any:
    """Repeats the last run until the leading axis has `size` entries.

    Run i becomes entry `rows[i]`, by default entry i.
    """
    index = padded_index(0, size, _length(runs))
    if rows is not None:
        index = np.full(size, len(rows) - 1)
        index[rows] = np.arange(len(rows))
    return jax.tree.map(lambda leaf: leaf[index], runs)


def available_cores() -> int:
    """Number of CPU cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        return os.cpu_count() or 1


def free_memory() -> int:
    """Free host memory, bytes, within the limits of the process's control groups.

    Where the system does not report it, half of the memory that the machine has; 4 GiB where that
    is unknown too.
    """
    try:
        text = Path("/proc/meminfo").read_text()
        free = 1024 * int(text.partition("MemAvailable:")[2].split()[0])
    except (OSError, IndexError):
        return _installed_memory() // 2
    return min([free, *_group_memory(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))])


def _installed_memory() -> int:
    """The memory of the machine, bytes; 8 GiB where the system does not report it."""
    with contextlib.suppress(AttributeError, ValueError, OSError):  # not on this system
        found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if found > 0:  # -1 where it is not known
            return found
    return 8 * 2**30


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
    """Memory that a block may take, bytes: a share of the devices' or the host's free memory.

    Of a layout over several processes all must call this; the one with the least memory counts.
    """
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
