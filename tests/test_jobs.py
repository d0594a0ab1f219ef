"""Jobs on executors: every one ends once, what fails is tried again, and errors name the job."""

import concurrent.futures
import multiprocessing
import threading
import time

import pytest

from rnnjax.jobs import Job, JobError, Workers, as_workers, run_jobs
from rnnjax.stopping import OutOfTime, time_limit

CALLS = []


class Here(concurrent.futures.Executor):
    """Calls at once, in this thread."""

    def submit(self, fn, /, *args, **kwargs):
        future = concurrent.futures.Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class Polled:
    """Futures that do not report their end, as those of some batch systems."""

    class Future:
        def __init__(self, value):
            self._value, self._looks = value, 0

        def done(self):
            self._looks += 1
            return self._looks > 1

        def result(self):
            return self._value

    def submit(self, function, *arguments):
        return self.Future(function(*arguments))


def answer(name, attempt, succeeds_at, error):
    CALLS.append(name)
    if attempt < succeeds_at:
        raise error
    return name.upper()


@pytest.fixture(autouse=True)
def no_calls():
    CALLS.clear()


FULL = OSError("disk full")


def job(name, succeeds_at=0, error=FULL):
    return Job(name, "", lambda attempt: (answer, (name, attempt, succeeds_at, error)))


def results(executor, jobs, **how):
    return {one.name: result for one, result in run_jobs(Workers(executor, **how), jobs)}


@pytest.mark.parametrize("executor", [Here(), Polled()], ids=["reports", "polled"])
def test_every_job_ends_once(executor, monkeypatch):
    monkeypatch.setattr("rnnjax.jobs._IN_FLIGHT", 3)
    names = [f"job{i}" for i in range(10)]
    assert results(executor, map(job, names)) == {name: name.upper() for name in names}
    assert sorted(CALLS) == sorted(names)
    assert results(executor, []) == {}


@pytest.mark.parametrize(
    ("error", "retries", "calls"),
    [(OSError("full"), 2, 3), (OSError("full"), 0, 1), (ValueError("wrong"), 2, 1)],
    ids=["again", "once", "never again"],
)
def test_a_job_that_fails_stops_no_other(error, retries, calls):
    found = []
    jobs = [job("a"), job("bad", 9, error), job("b"), job("slow", 1)]
    ended = ((one.name, result) for one, result in run_jobs(Workers(Here(), retries=retries), jobs))
    with pytest.raises(JobError, match=r"jobs failed: 'bad'.*(full|wrong)") as raised:
        found.extend(ended)
    expected = {"a": "A", "b": "B"} | ({"slow": "SLOW"} if retries else {})
    assert dict(found) == expected
    assert CALLS.count("bad") == calls
    assert set(raised.value.errors) == {"bad"} | ({"slow"} if not retries else set())


def test_a_pool_that_is_shut_down_takes_no_more():
    pool = concurrent.futures.ThreadPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(JobError, match="1 of 3 .* 2 were not.* it takes no more jobs") as raised:
        results(pool, map(job, "abc"))  # the others are not even packed
    assert raised.value.untried == 2


def test_futures_that_are_polled_end_together(monkeypatch):
    monkeypatch.setattr("rnnjax.jobs._POLL", 0.1)
    begun = time.monotonic()
    assert len(results(Polled(), [job(f"job{i}") for i in range(40)])) == 40
    assert time.monotonic() - begun < 2


def test_closing_cancels_what_has_not_begun():
    futures = []

    class Waits:
        def submit(self, function, *arguments):
            futures.append(concurrent.futures.Future())
            return futures[-1]

    running = run_jobs(Workers(Waits()), [job("first"), job("second"), job("third")])
    thread = threading.Timer(0.05, lambda: futures[0].set_result("FIRST"))
    thread.start()
    assert next(running)[1] == "FIRST"
    running.close()
    assert [future.cancelled() for future in futures] == [False, True, True]


def test_a_time_limit_ends_the_wait():
    class Never:
        def submit(self, function, *arguments):
            return concurrent.futures.Future()

    with time_limit(0.01), pytest.raises(OutOfTime):
        results(Never(), [job("long")])


def test_what_cannot_travel_is_named():
    local = Job("mine", "", lambda attempt: (print, (threading.Lock(),)))
    with pytest.raises(ValueError, match="^mine: expected specs that can be pickled"):
        results(Here(), [local])


def test_what_a_worker_cannot_import_is_named(monkeypatch):
    monkeypatch.setattr("rnnjax.jobs._packed", lambda *_: b"cnowhere\nfunction\n.")
    with pytest.raises(JobError, match=r"cannot import what the job needs.*nowhere"):
        results(Here(), [job("a")])


@pytest.mark.parametrize("executor", [3, "local:2", object()], ids=["int", "text", "object"])
def test_other_objects_are_refused(executor):
    with pytest.raises(ValueError, match="^executor: expected an executor"):
        as_workers(executor)
    fork = multiprocessing.get_context("fork")
    with (
        concurrent.futures.ProcessPoolExecutor(1, fork) as pool,
        pytest.raises(ValueError, match=r'^executor: .*mp_context=.*get_context\("spawn"\)'),
    ):
        as_workers(pool)
    with pytest.raises(ValueError, match="^retries: "):
        Workers(Here(), retries=-1)
