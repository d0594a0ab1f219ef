"""Signals stop a run in order, wherever they find it; a second one ends it at once."""

import concurrent.futures
import signal
import subprocess
import sys
import threading
import time

import pytest

from rnnjax.studies.signals import stop_on_signals

SCRIPT = """
import gc, signal, sys, threading, time
from rnnjax.studies.signals import Stopped, stop_on_signals

class Swallows:
    def __del__(self):  # Python reports exceptions in here and goes on
        print("ready", flush=True)
        time.sleep(30)

def work(where):
    if where == "destructor":
        one = Swallows()
        del one
        time.sleep(30)
    if where == "replaced":  # as the initialization of an extension module does
        try:
            print("ready", flush=True)
            time.sleep(30)
        except KeyboardInterrupt as error:
            sys.excepthook(type(error), error, error.__traceback__)  # PyErr_Print of C code
            raise ImportError("Encountered an error") from None
    if where == "thread":  # that fails because of the stop, as the end of an abandoned write
        def fail():
            time.sleep(1)
            raise RuntimeError("cannot schedule new futures after shutdown")
        threading.Thread(target=fail).start()
        print("ready", flush=True)
        time.sleep(30)
    if where == "quick":
        print("ready", flush=True)
        time.sleep(30)
    if where == "cleanup":  # takes longer than the second after which the signal is raised again
        try:
            print("ready", flush=True)
            time.sleep(30)
        finally:
            time.sleep(1.5)
            print("cleaned", flush=True)
    if where == "hanging cleanup":
        try:
            print("ready", flush=True)
            time.sleep(30)
        finally:
            print("cleaning", flush=True)
            time.sleep(30)

try:
    with stop_on_signals():
        work(sys.argv[1])
except Stopped as stop:
    time.sleep(1.5 if sys.argv[1] == "destructor" else 0)  # nothing is raised any more
    print(stop.name, flush=True)
"""


pytestmark = pytest.mark.usefixtures("default_handlers")


def start(where, **options):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, where], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, **options,
    )  # fmt: skip


CASES = [
    ("destructor", "SIGINT", ["SIGINT"]),
    ("cleanup", "SIGTERM", ["cleaned", "SIGTERM"]),
    ("quick", "SIGHUP", ["SIGHUP"]),
    ("replaced", "SIGTERM", ["SIGTERM"]),
    ("quick", "SIGUSR1", ["SIGUSR1"]),
    ("thread", "SIGTERM", ["SIGTERM"]),
]


def outcome(where, name):
    """Exit code, words printed and errors of a process to which a signal is sent at its work."""
    with start(where) as process:
        first = process.stdout.readline()
        process.send_signal(getattr(signal, name))
        output, errors = process.communicate(timeout=20)
    return process.returncode, [*first.split(), *output.split()], errors


@pytest.fixture(scope="module")
def outcomes(default_handlers):
    """Those of all cases at the same time: the processes mostly sleep."""
    with concurrent.futures.ThreadPoolExecutor(len(CASES)) as threads:
        yield {(where, name): threads.submit(outcome, where, name) for where, name, _ in CASES}


@pytest.mark.slow
@pytest.mark.parametrize(("where", "name", "printed"), CASES)
def test_a_signal_arrives_once_and_lets_cleanups_finish(where, name, printed, outcomes):
    assert outcomes[where, name].result() == (0, ["ready", *printed], "")


@pytest.mark.slow
def test_a_signal_while_the_interpreter_ends_is_not_printed():
    """As where a package's cleanup runs long."""
    script = """
import atexit, contextlib, time
def clean_up():
    print("ready", flush=True)
    time.sleep(30)
atexit.register(clean_up)  # as JAX does, before
from rnnjax.studies.console import orderly_end
with orderly_end("study", []):
    print("written")
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "written\n"
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=20)
    assert (process.returncode, output, errors) == (0, "", "")


def test_a_second_signal_ends_the_process_at_once():
    with start("hanging cleanup") as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "cleaning\n"
        begun = time.monotonic()
        process.send_signal(signal.SIGHUP)  # sent together with SIGTERM by some systems
        time.sleep(0.2)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)
        assert time.monotonic() - begun < 5
    assert process.returncode == -signal.SIGTERM


def test_other_threads_change_nothing():
    before = signal.getsignal(signal.SIGTERM), sys.unraisablehook

    def enter():
        with stop_on_signals():
            found.append((signal.getsignal(signal.SIGTERM), sys.unraisablehook))

    found = []
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert found == [before]


def test_ignored_signals_stay_ignored_and_handlers_come_back():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    inside, hook = signal.getsignal(signal.SIGINT), sys.unraisablehook
    try:
        with stop_on_signals():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            assert signal.getsignal(signal.SIGINT) not in (inside, signal.SIG_IGN)
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGINT) == inside
        assert sys.unraisablehook == hook
    finally:
        signal.signal(signal.SIGHUP, before)
