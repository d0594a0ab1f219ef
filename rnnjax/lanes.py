"""How runs spread over devices, here or on a worker, without the devices themselves."""

import abc
import dataclasses
from typing import Literal

from rnnjax.validate import finite_positive, instance_of, one_of, positive_integer

__all__ = ["Lanes", "RemoteLanes", "Resources", "remote_lanes", "width_of"]

_GROUP = 8  # networks per accelerator in one call of a program


class Lanes(abc.ABC):
    """How runs spread over devices; what is planned with it needs no device.

    `map_width = None` maps all runs of a device at once; 1 makes the result of every run
    independent, to the last bit, of the other runs of its block.
    """

    map_width: int | None
    share: Literal["runs", "units"]
    """Whether each device takes some of the runs, or some of the units of every run."""

    @property
    @abc.abstractmethod
    def count(self) -> int:
        """Number of devices."""

    @property
    @abc.abstractmethod
    def on_cpu(self) -> bool:
        """Whether the devices are CPU devices."""

    @property
    def processes(self) -> int:
        """Number of processes that hold the devices."""
        return 1

    @property
    @abc.abstractmethod
    def free_bytes(self) -> int:
        """Free memory of all devices together, or of the host of CPU devices."""

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


def remote_lanes(
    resources: Resources,
    devices: int | None = None,
    map_width: int | Literal["all"] | None = None,
    share: Literal["runs", "units"] = "runs",
) -> RemoteLanes:
    """The fastest layout measured, on a worker; arguments and errors as of `default_layout`."""
    instance_of("resources", resources, Resources)
    one_of("share", share, ("runs", "units"))
    count = resources.devices if devices is None else positive_integer("devices", devices)
    if count > resources.devices:
        raise ValueError(f"devices: expected at most {resources.devices} on a worker, got {count}")
    memory = resources.memory
    if resources.kind != "cpu":  # each accelerator has its own
        memory = memory * count // resources.devices
    used = dataclasses.replace(resources, devices=count, memory=memory)
    return RemoteLanes(used, width_of(map_width, resources.kind == "cpu"), share)


def width_of(map_width: int | Literal["all"] | None, cpu: bool) -> int | None:
    """The number of runs side by side; None for all."""
    if map_width is None:
        return 1 if cpu else None
    return None if map_width == "all" else positive_integer("map_width", map_width)
