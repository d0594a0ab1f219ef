"""Measures of the conditions of a degeneracy study: trained, compared, and kept in the workdir."""

import platform
import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, NamedTuple

import jax
import xarray as xr
from ml_collections import ConfigDict

import rnnjax
from rnnjax.analysis import DegeneracyOptions, degeneracy
from rnnjax.devices import available_cores
from rnnjax.jobs import Job, as_workers, run_jobs
from rnnjax.metrics.pairwise import BatchCallback
from rnnjax.numerics.blas import one_blas_thread
from rnnjax.stopping import stop_if_due
from rnnjax.store import DamageError, StoreInUse, digest
from rnnjax.studies.degeneracy.conditions import Condition, file_of, train
from rnnjax.studies.degeneracy.tasks import TASKS
from rnnjax.studies.launch import Config
from rnnjax.studies.measures_file import read_measures, write_measures
from rnnjax.sweep import Progress
from rnnjax.validate import positive_integer, seed

__all__ = [
    "Measured",
    "by_folder",
    "checked_options",
    "is_measured",
    "measure_at_losses",
    "measure_on_workers",
    "measures_file",
]

_IN_USE = 60.0
"""Seconds that a worker waits for a condition that another process trains."""


class Measured(NamedTuple):
    """A condition with its measures."""

    population: rnnjax.Population
    file: Path
    data: xr.Dataset


def checked_options(config: Config) -> DegeneracyOptions:
    """The options of `rnnjax.analysis.degeneracy` that a config holds; raises `ValueError`."""
    seed("seed", config.seed)
    positive_integer("measured_trials", config.measured_trials)
    dsa = config.dsa
    try:
        return DegeneracyOptions(
            stretch=config.stretch,
            trials=config.measured_trials,
            probe_trials=config.probe_trials,
            probe_times=config.probe_times,
            samples=config.samples,
            dsa_trials=dsa.trials,
            variance=dsa.variance,
            longest_delay=dsa.longest_delay,
            order=dsa.order,
            components=tuple(dsa.components),
            delays=tuple(dsa.delays),
            lag=dsa.lag,
            activity=dsa.activity,
        )
    except ValueError as error:
        name, colon, reason = str(error).partition(":")
        name = name.removeprefix("dsa_")
        raise ValueError(f"{'dsa.' if name in dsa else ''}{name}{colon}{reason}") from None


_SOLVER = 2
"""Rises when distances of the same networks become others: finished studies measure them again."""


def measures_file(config: Config, workdir: Path, condition: Condition) -> Path:
    """The file of a condition's measures; its store must exist."""
    inputs = {**vars(checked_options(config)), "seed": config.seed, "solver": _SOLVER}
    if condition.loss is not None:
        inputs["loss"] = condition.loss
    return file_of(config, workdir, condition, inputs)


def is_measured(config: Config, workdir: Path, condition: Condition) -> bool:
    """Whether the workdir has the measures of a condition."""
    try:
        return measures_file(config, workdir, condition).exists()
    except DamageError:  # no store yet, or one that opening restores
        return False


class _Stopped(Exception):  # noqa: N818
    """Raised in threads that compare networks once their result is no longer wanted."""


class _SharedTime:
    """Time of comparisons that run side by side: every second is shared by those under way."""

    def __init__(self) -> None:
        self._lock, self._last = threading.Lock(), time.monotonic()
        self._shares: dict[str, float] = {}

    def _share(self) -> None:
        now = time.monotonic()
        for name in self._shares:
            self._shares[name] += (now - self._last) / len(self._shares)
        self._last = now

    def begin(self, name: str) -> None:
        """Notes the start of a comparison."""
        with self._lock:
            self._share()
            self._shares[name] = 0.0

    def end(self, name: str) -> float:
        """Notes its end; returns its seconds, which add up to the time of all."""
        with self._lock:
            self._share()
            return self._shares.pop(name)


def _measure(
    config: Config, workdir: Path, condition: Condition, progress: Progress | None
) -> Measured:
    """Trains and measures a condition, or reads what the workdir holds of it."""
    population = train(config, workdir, condition, progress)
    return _compare(config, workdir, condition, population, _SharedTime())


def _compare(
    config: Config,
    workdir: Path,
    condition: Condition,
    population: rnnjax.Population,
    clock: _SharedTime,
    check: BatchCallback | None = None,
) -> Measured:
    """Measures a trained condition, or reads what the workdir holds of it."""
    file = measures_file(config, workdir, condition)
    if not file.exists():
        key = jax.random.fold_in(jax.random.key(config.seed), TASKS[condition.task.name].stream)
        print(f"Measuring {condition.name}", flush=True)
        clock.begin(condition.name)
        options = checked_options(config)
        found = degeneracy(population, key, options, allow_few=True, progress=check)
        found.attrs["seconds"] = clock.end(condition.name)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_measures(found, file)
    return Measured(population, file, read_measures(file))


def measure_at_losses(
    config: Config, workdir: Path, conditions: Sequence[Condition], progress: Progress
) -> list[Measured]:
    """Trains the networks of one folder, and measures them at each loss of `conditions`.

    The first loss alone, which compiles what all share, then the others side by side in threads:
    most of their time is that of the compiler and of the host.
    """
    first, *others = conditions
    found = [_measure(config, workdir, first, progress)]
    if not others:
        return found
    stop_if_due()
    populations = [train(config, workdir, other, progress) for other in others]
    stop, clock = threading.Event(), _SharedTime()

    def check(done: int, total: int) -> None:
        stop_if_due()
        if stop.is_set():
            raise _Stopped

    pool = ThreadPoolExecutor(min(available_cores(), len(others)))
    with one_blas_thread():  # threads that end would set it back for those that go on
        try:
            begun = [
                pool.submit(_compare, config, workdir, *pair, clock, check)
                for pair in zip(others, populations, strict=True)
            ]
            ended, _ = wait(begun, return_when=FIRST_EXCEPTION)
            for one in ended:
                one.result()  # raises the error of any, before the others have ended
            return found + [one.result() for one in begun]
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


def by_folder(conditions: Sequence[Condition]) -> dict[str, list[Condition]]:
    """Conditions by the folder that holds their networks; one folder may serve several losses."""
    folders: dict[str, list[Condition]] = {}
    for condition in conditions:
        folders.setdefault(condition.folder, []).append(condition)
    return folders


def measure_job(settings: dict[str, Any], workdir: Path, conditions: Sequence[Condition]) -> None:
    """Trains and measures conditions of one folder on a worker, which leaves all in the workdir.

    Raises `FileNotFoundError` for a workdir that the worker cannot reach.
    """
    if not (workdir / "store").is_dir():
        raise FileNotFoundError(
            f"workdir: expected a folder that all workers can reach, got {workdir}, which does not "
            f"exist on {platform.node()}"
        )
    end = time.monotonic() + _IN_USE
    while True:
        try:
            for condition in conditions:
                _measure(ConfigDict(settings), workdir, condition, None)
            return
        except StoreInUse:  # by a worker that the scheduler takes for lost
            if time.monotonic() > end:
                raise
            time.sleep(1)


def measure_on_workers(
    study: str, config: Config, workdir: Path, conditions: Sequence[Condition], executor: Any
) -> None:
    """Trains and measures conditions, those of each folder on one worker."""
    settings, place = config.to_dict(), workdir.absolute()
    folders = by_folder(conditions)

    def job(folder: str) -> Job:
        key = digest([study, str(place), folder, settings])
        return Job(folder, key, lambda _: (measure_job, (settings, place, folders[folder])))

    workers = as_workers(executor)
    assert workers is not None
    note = "; finished conditions are kept: the same command tries the others again"
    for number, (done, _) in enumerate(run_jobs(workers, map(job, folders), note), start=1):
        print(f"{study}: {number} of {len(folders)} trainings done, {done.name}", flush=True)
