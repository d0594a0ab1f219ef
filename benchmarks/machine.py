"""Description of the machine, and the speeds that bound programs on it."""

import importlib.metadata
import math
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

import rnnjax
from rnnjax.devices import available_cores
from rnnjax.store.manifest import versions
from rnnjax.sweep import Layout


def cpu_model() -> str:
    """Name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def describe(layout: Layout) -> dict[str, Any]:
    """Device, processor, cores, system and load, for the record."""
    device = layout.devices[0]
    return {
        "platform": device.platform,
        "device": cpu_model() if device.platform == "cpu" else device.device_kind,
        "devices": len(layout.devices),
        "cpu": cpu_model(),
        "cores": available_cores(),
        "system": platform.platform(),
        "load_average": os.getloadavg() if hasattr(os, "getloadavg") else None,
    }


def package_versions(torch: str | None) -> dict[str, str]:
    """Versions of the timed packages; `torch` is the version that its process reports."""
    found = {**versions(), "rnnjax": rnnjax.__version__}
    found["matplotlib"] = importlib.metadata.version("matplotlib")
    return {**found, "torch": torch or "not timed"}


def best_seconds(function: Callable[[Any], Any], argument: Any, tries: int) -> float:
    """Shortest time of `tries` calls after compilation."""
    jax.block_until_ready(function(argument))
    best = math.inf
    for _ in range(tries):
        begin = time.perf_counter()
        jax.block_until_ready(function(argument))
        best = min(best, time.perf_counter() - begin)
    return best


class ProductPeak:
    """Float32 operations per second of a large matrix product: the best of all measurements.

    On the route `all_devices` every device computes a product of its own at the same time; on
    `one_device` the first computes one, with all threads of JAX.
    """

    def __init__(self, layout: Layout, size: int = 4096):
        count = len(layout.devices)
        every = jax.jit(lambda x: layout.map(lambda one: one @ one, x))
        single = jax.jit(lambda x: x @ x)
        ones = jax.device_put(jnp.ones((count, size, size)), layout.sharding())
        self._routes = {
            "all_devices": (every, ones, count * 2 * size**3),
            "one_device": (single, jnp.ones((size, size)), 2 * size**3),
        }
        self.routes = dict.fromkeys(self._routes, 0.0)

    def measure(self, tries: int) -> None:
        """Times every route `tries` times.

        Called repeatedly during a benchmark, so that a slow period is not taken for the peak.
        """
        with jax.default_matmul_precision("float32"):
            for name, (product, ones, flops) in self._routes.items():
                rate = flops / best_seconds(product, ones, tries)
                self.routes[name] = max(self.routes[name], rate)


class TanhRate:
    """Evaluations of float32 tanh per second, on all devices: the best of all measurements.

    On a CPU the array of each device fits into its core's cache; on an accelerator it is large,
    and memory may limit the rate.
    """

    _TIMES = 500

    def __init__(self, layout: Layout):
        elements = 2**14 if layout.on_cpu else 2**26
        shape = len(layout.devices), elements
        self._points = jax.device_put(jnp.ones(shape), layout.sharding())
        self._function = jax.jit(lambda x: layout.map(self._repeat, x))
        self.rate = 0.0

    def _repeat(self, x: Any) -> Any:
        return jax.lax.fori_loop(0, self._TIMES, lambda _, x: jnp.tanh(x), x)

    def measure(self, tries: int) -> None:
        """Times it `tries` times; called repeatedly, as `ProductPeak.measure`."""
        seconds = best_seconds(self._function, self._points, tries)
        self.rate = max(self.rate, self._TIMES * self._points.size / seconds)


def memory_bandwidth(words: int = 2**28, tries: int = 5) -> float:
    """Bytes per second when the first device reads and writes a large array."""
    return 8 * words / best_seconds(jax.jit(lambda x: x + 1), jnp.ones(words), tries)
