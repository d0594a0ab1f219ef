"""Jobs in other processes: any executor with futures, such as a process pool or a Dask client.

An executor has `submit(function, *arguments)`, which returns a future with `done()` and `result()`.
Those of `concurrent.futures`, and others with `add_done_callback`, report their end themselves;
other futures are polled.
"""

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import itertools
import pickle
import queue
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, NamedTuple

from rnnjax.stopping import stop_if_due
from rnnjax.validate import whole

__all__ = ["Job", "JobError", "Workers", "as_workers", "run_jobs"]

_IN_FLIGHT = 1000
"""Most jobs that an executor has at the same time."""

_POLL = 0.2
"""Seconds without a report after which futures are asked whether they have ended."""

_LOST = ("BrokenProcessPool", "BrokenExecutor", "KilledWorker", "TerminatedWorkerError")
"""Errors of executors whose worker was ended."""


@dataclasses.dataclass(frozen=True)
class Workers:
    """An executor, and how it is used.

    Raises `ValueError` for an object without `submit`, and for a pool whose processes are forked.
    """

    executor: Any
    """An executor of `concurrent.futures`, a `distributed.Client`, or any object like these.

    JAX hangs in a forked process, and a `ProcessPoolExecutor` forks by default on Linux before
    Python 3.14: give it `mp_context=multiprocessing.get_context("spawn")`."""
    resources: Any = None
    """The `rnnjax.sweep.Resources` of a worker; by default a worker reports them."""
    retries: int = 2
    """How often a job that failed is submitted again. A job is not repeated after a `ValueError` or
    `TypeError`, which it would raise again."""

    def __post_init__(self):
        if not callable(getattr(self.executor, "submit", None)):
            raise ValueError(
                "executor: expected an executor, such as concurrent.futures.ProcessPoolExecutor or "
                f"distributed.Client, got {type(self.executor).__name__}"
            )
        if _forks(self.executor):
            raise ValueError(
                "executor: expected a pool that starts new processes, such as ProcessPoolExecutor("
                '..., mp_context=multiprocessing.get_context("spawn")), got one that forks this '
                "process, in which JAX then hangs"
            )
        whole("retries", self.retries)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """The result of `function(*arguments)` on a worker."""
        job = Job("start of a worker", "", lambda attempt: (function, arguments))
        return next(run_jobs(self, [job]))[1]


def _forks(executor: Any) -> bool:
    """Whether an executor is a pool of processes that are copies of this one."""
    context = getattr(executor, "_mp_context", None)
    return context is not None and context.get_start_method() == "fork"


def as_workers(executor: Any) -> Workers | None:
    """`Workers` as they are; those of an executor; None for None."""
    return executor if executor is None or isinstance(executor, Workers) else Workers(executor)


class Job(NamedTuple):
    """A function call that any worker may make, and repeat."""

    name: str
    """Name in messages."""
    key: str
    """Identifies what is computed: a Dask scheduler that has the job already does not start it
    again. Empty where every call is another job."""
    call: Callable[[int], tuple[Callable[..., Any], tuple[Any, ...]]]
    """Number of the attempt, from 0 -> function and arguments; both travel by pickle."""


class JobError(RuntimeError):
    """Jobs that failed in every attempt; all others have finished, or were not tried.

    The latter are those that were left when the executor refused one.
    """

    def __init__(
        self, errors: Mapping[str, BaseException], count: int, note: str = "", untried: int = 0
    ):
        self.errors = dict(errors)
        """Name of the job -> the error of its last attempt."""
        self.untried = untried
        """How many of the `count` jobs were not tried."""
        name, error = next(iter(self.errors.items()))
        listed = ", ".join(map(repr, list(self.errors)[:10]))
        skipped = f" and {untried} were not tried" if untried else ""
        super().__init__(
            f"{len(self.errors)} of {count} jobs failed{skipped}: {listed}; {name!r}: "
            f"{describe(error)}{note}"
        )


def describe(error: BaseException) -> str:
    """One line about the error of a job."""
    if type(error).__name__ in _LOST:
        return (
            "its worker was ended while it ran (out of memory, killed, a crash of the process, or "
            'a script without if __name__ == "__main__")'
        )
    text = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def run_jobs(
    workers: Workers, jobs: Iterator[Job] | list[Job], note: str = ""
) -> Generator[tuple[Job, Any], None, None]:
    """Runs all jobs; yields each with its result, in the order in which they end.

    A job that fails is submitted again, up to `workers.retries` times, while the others continue.
    When the iterator is closed, jobs that have not begun are cancelled.

    Raises:
        JobError: at the end, if jobs failed in every attempt; its message ends with `note`. Those
            that are left when the executor refuses one are not tried.
        ValueError: what a job needs cannot be pickled.
    """
    flight = _Flight(workers.executor)
    waiting = iter(jobs)
    failed: dict[str, BaseException] = {}
    count = 0
    try:
        while True:
            for job in waiting if flight.has_room() else ():
                count += 1
                flight.submit(job, 0)
                if not flight.has_room():
                    break
            if not flight.size:
                break
            job, attempt, future = flight.next()
            try:
                result = future.result()
            except Exception as error:
                if attempt < workers.retries and _may_pass(error):
                    flight.submit(job, attempt + 1)
                else:
                    failed[job.name] = error
                continue
            yield job, result
    finally:
        flight.cancel()
    if failed:
        untried = sum(1 for _ in waiting)
        raise JobError(failed, count + untried, note, untried) from next(iter(failed.values()))


def _may_pass(error: Exception) -> bool:
    """Whether another attempt can succeed. Dask gives KilledWorker after attempts of its own."""
    return not isinstance(error, ValueError | TypeError) and type(error).__name__ != "KilledWorker"


class _Flight:
    """The jobs that an executor has."""

    def __init__(self, executor: Any):
        self._executor = executor
        self._ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._jobs: dict[int, tuple[Job, int, Any]] = {}
        self._numbers = itertools.count()
        self._refuses = False

    @property
    def size(self) -> int:
        """Number of jobs that have not ended."""
        return len(self._jobs)

    def has_room(self) -> bool:
        """Whether the executor takes further jobs."""
        return self.size < _IN_FLIGHT and not self._refuses

    def submit(self, job: Job, attempt: int) -> None:
        """Gives the executor an attempt at a job; one that it refuses counts as failed."""
        function, arguments = job.call(attempt)
        payload = _packed(job.name, function, arguments)
        try:
            future = self._submit(job, attempt, payload)
        except Exception as error:  # a pool that is broken or shut down, a scheduler that is gone
            future = _failed(f"executor: it takes no more jobs ({error})")
            self._refuses = True
        key = next(self._numbers)
        self._jobs[key] = job, attempt, future
        if hasattr(future, "add_done_callback"):
            future.add_done_callback(lambda ended: self._ended.put(key))

    def _submit(self, job: Job, attempt: int, payload: bytes) -> Any:
        if not _is_dask(self._executor):
            return self._executor.submit(_call, payload)
        if not job.key:  # one for each attempt, before jobs that nobody waits for
            return self._executor.submit(_call, payload, pure=False, priority=1)
        import distributed  # the executor is its client

        name = hashlib.sha256(f"{job.key} {attempt}".encode()).hexdigest()[:24]
        future = self._executor.submit(_call, payload, key=f"rnnjax-{name}", pure=False)
        distributed.fire_and_forget(future)  # it continues if this process dies
        return future

    def next(self) -> tuple[Job, int, Any]:
        """The next attempt that ends; waits for it.

        A Dask client that has lost its scheduler cancels its futures, which do not report that, and
        leaves those pending that it took while it tried to connect again.
        """
        while True:
            stop_if_due()
            with contextlib.suppress(queue.Empty):
                key = self._ended.get(timeout=_POLL)
                if key in self._jobs:
                    return self._jobs.pop(key)
                continue
            is_lost = getattr(self._executor, "status", None) == "closed"
            for key, (job, attempt, future) in self._jobs.items():
                if not future.done() and is_lost:
                    future = _failed("executor: its Dask client has lost the scheduler")
                    self._jobs[key] = job, attempt, future
                if future.done():
                    self._ended.put(key)

    def cancel(self) -> None:
        """Cancels what has not begun."""
        futures = [future for _, _, future in self._jobs.values()]
        with contextlib.suppress(Exception):  # the scheduler is gone, perhaps
            if futures and _is_dask(self._executor):
                begun = {key for keys in self._executor.processing().values() for key in keys}
                waiting = [future for future in futures if future.key not in begun]
                # by force: also what would continue without this process
                self._executor.cancel(waiting, force=True)
                futures = []
        for future in futures:
            with contextlib.suppress(Exception):
                future.cancel()
        self._jobs.clear()


def _is_dask(executor: Any) -> bool:
    """Whether an executor is a client of Dask, which need not be installed."""
    return hasattr(executor, "scheduler_info")


def _failed(message: str) -> concurrent.futures.Future[Any]:
    """The future of a job that no further attempt can save."""
    future: concurrent.futures.Future[Any] = concurrent.futures.Future()
    future.set_exception(ValueError(message))
    return future


def _packed(name: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> bytes:
    """A call in a form that says clearly what is missing where it is unpacked.

    Cloudpickle, which comes with Dask, also carries classes of scripts and notebooks.
    """
    try:
        if "cloudpickle" in sys.modules:
            return sys.modules["cloudpickle"].dumps((function, arguments))
        return pickle.dumps((function, arguments))
    except Exception as error:
        raise ValueError(
            f"{name}: expected specs that can be pickled for another process, got {error}"
        ) from None


def _call(payload: bytes) -> Any:
    """Makes a packed call, on a worker."""
    try:
        function, arguments = pickle.loads(payload)
    except (ImportError, AttributeError) as error:
        import platform

        raise ValueError(
            f"the worker on {platform.node()} cannot import what the job needs ({error}); install "
            "it there, or put your own classes into a module that workers can import"
        ) from None
    return function(*arguments)
