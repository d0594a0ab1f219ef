"""Worker processes on this machine, each with its share of the cores.

Every worker is a pool of one process from `concurrent.futures`, so that the loss of a process fails
the job that it ran and no other; a new process takes its place.
"""

import concurrent.futures as futures
import contextlib
import itertools
import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Mapping
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from typing import Any

import jax

from rnnjax.devices import available_cores
from rnnjax.validate import positive_integer

__all__ = ["LocalExecutor", "devices_here", "workers_here"]

_KEPT = (
    "jax_compilation_cache_dir", "jax_compilation_cache_max_size", "jax_enable_compilation_cache",
    "jax_persistent_cache_min_compile_time_secs", "jax_disable_most_optimizations",
    "jax_platforms",
)  # fmt: skip
"""Settings of JAX that workers share with this process."""

_STOPPING = ("SIGINT", "SIGHUP", "SIGUSR1")
"""Signals that a terminal or a batch system sends to all; the main process ends the workers."""

_siblings = 1
_devices: int | None = None


def workers_here() -> int:
    """Number of workers of this process's executor on this machine; 1 in any other process."""
    return _siblings


def devices_here() -> int:
    """Number of CPU devices for this process: a worker's share of the cores, else one per core."""
    return available_cores() if _devices is None else _devices


class LocalExecutor(futures.Executor):
    """Runs jobs in `workers` processes of this machine; a context manager.

    On a CPU each process has its share of the cores, and one device of JAX per core of the smallest
    share; it trains with the compilation cache of this process. Raises `ValueError` for more
    workers than cores.
    """

    def __init__(self, workers: int):
        cores = available_cores()
        positive_integer("workers", workers)
        if workers > cores:
            raise ValueError(f"workers: expected at most {cores}, one per core, got {workers}")
        self.workers = workers
        settings = {name: jax.config.values[name] for name in _KEPT}
        devices = cores // workers  # of every worker: blocks are sized for any of them
        shares = _shares(workers)
        self._slots = [_Slot(share, devices, workers, settings) for share in shares]
        self._free: queue.SimpleQueue[_Slot] = queue.SimpleQueue()
        for slot in self._slots:
            self._free.put(slot)
        self._threads = futures.ThreadPoolExecutor(workers)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> futures.Future[Any]:
        """The future of `fn(*args, **kwargs)` in one of the processes."""
        return self._threads.submit(self._call, fn, args, kwargs)

    def _call(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        slot = self._free.get()
        try:
            return slot.call(function, args, kwargs)
        finally:
            self._free.put(slot)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Ends the processes: at once with `cancel_futures`, else after all jobs."""
        self._threads.shutdown(wait=False, cancel_futures=cancel_futures)
        if wait or cancel_futures:
            self._end(cancel_futures)
        else:
            threading.Thread(target=self._end, args=(False,)).start()

    def _end(self, at_once: bool) -> None:
        if not at_once:
            self._threads.shutdown(wait=True)
        for slot in self._slots:
            slot.end(at_once)

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        self.shutdown(cancel_futures=kind is not None)


def _shares(workers: int) -> list[list[int]]:
    """The cores of every worker: none on systems that do not tell."""
    try:
        cores = sorted(os.sched_getaffinity(0))
    except AttributeError:
        return [[] for _ in range(workers)]
    ends = [len(cores) * i // workers for i in range(workers + 1)]
    return [cores[begin:end] for begin, end in itertools.pairwise(ends)]


class _Slot:
    """One process, and its successors."""

    def __init__(self, cores: list[int], devices: int, workers: int, settings: Mapping[str, Any]):
        self._arguments = cores, devices, workers, settings
        self._pool: futures.ProcessPoolExecutor | None = None
        self._process = 0
        self._ended = False
        self._lock = threading.Lock()

    def call(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Calls a function in the process."""
        try:
            return self._running().submit(function, *args, **kwargs).result()
        except BrokenProcessPool:
            with self._lock:
                self._pool, self._process = None, 0  # another process may get its number
            raise

    def _running(self) -> futures.ProcessPoolExecutor:
        with self._lock:  # else `end` finds no pool just before there is one
            if self._ended:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if self._pool is None:
                self._pool = futures.ProcessPoolExecutor(
                    1, multiprocessing.get_context("spawn"), _begin, self._arguments
                )
                self._process = self._pool.submit(os.getpid).result()
            return self._pool

    def end(self, at_once: bool) -> None:
        """Ends the process."""
        with self._lock:
            self._ended, pool, process = True, self._pool, self._process
        if pool is None:
            return
        if at_once and process:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        pool.shutdown(wait=True, cancel_futures=True)


def _begin(cores: list[int], devices: int, workers: int, settings: Mapping[str, Any]) -> None:
    """Prepares a worker process, before JAX looks for its devices."""
    global _siblings, _devices
    _siblings, _devices = workers, devices
    for name in _STOPPING:
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    if cores:
        os.sched_setaffinity(0, cores)
    for name, value in settings.items():
        jax.config.update(name, value)
    jax.config.update("jax_num_cpu_devices", devices)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Ends this process when the one that started it has ended, however that happened."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
