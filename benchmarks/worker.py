"""Processes that are timed: how they are started and spoken to, and what each tells of itself.

A worker prints one line about itself and then answers requests, one line of JSON each. It sleeps
between requests and ends when its input is closed. This file imports neither JAX nor PyTorch.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_PATIENCE = 10.0  # seconds that a worker is given to end by itself

Answer = dict[str, Any]


class Worker:
    """The parent's end of one process that runs `script` of this folder."""

    def __init__(self, script: str, settings: Answer, environment: dict[str, str] | None = None):
        self._script = script
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name(script)), json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )

    def tell(self, **message: Any) -> None:
        """Sends a request; where the process has ended, `hear` says so."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()

    def hear(self) -> Answer:
        """The next line; raises `EOFError` where the process has ended."""
        assert self._process.stdout is not None
        if not (line := self._process.stdout.readline()):
            code = self._process.wait()
            raise EOFError(f"a process of {self._script} ended early, with status {code}")
        return json.loads(line)

    def ask(self, **message: Any) -> Answer:
        """`tell`, then `hear`."""
        self.tell(**message)
        return self.hear()

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:  # in the middle of something long
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def say(message: Answer) -> None:
    """One line to the parent."""
    print(json.dumps(message), flush=True)


def serve(about: Answer, handlers: dict[str, Callable[..., Answer]]) -> None:
    """Says `about`, then answers each request by the handler it names, until the input ends.

    To every answer it adds how many cores this process kept busy since the last one, while it
    had nothing to do.
    """
    say(about)
    when, busy = time.perf_counter(), time.process_time()
    for line in sys.stdin:
        idle = (time.process_time() - busy) / (time.perf_counter() - when)
        request = json.loads(line)
        say({**handlers[request.pop("do")](**request), "idle_cores": idle})
        when, busy = time.perf_counter(), time.process_time()


def run_for(step: Callable[[], float], seconds: float, least: int) -> dict[str, float]:
    """Takes whole steps until the time is up; how many, in how long, and how long of that this
    process had a core."""
    begin, busy = time.perf_counter(), time.process_time()
    taken, now, loss = 0, begin, 0.0
    while taken < least or now - begin < seconds:
        loss = step()
        taken, now = taken + 1, time.perf_counter()
    busy = time.process_time() - busy
    return {"steps": taken, "seconds": now - begin, "busy": busy, "loss": loss}


def resident_peak() -> int:
    """Largest memory that this process has had, in bytes."""
    # The kernel's figure for this program alone; getrusage would count its parent's too.
    status = Path("/proc/self/status")
    if status.exists():
        return 1024 * int(status.read_text().partition("VmHWM:")[2].split()[0])
    import resource  # not on every system

    # In kilobytes, but for macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def free_memory() -> int:
    """Bytes of host memory that may be taken; 4 GiB where the system does not say."""
    try:
        text = Path("/proc/meminfo").read_text()
        return 1024 * int(text.partition("MemAvailable:")[2].split()[0])
    except (OSError, IndexError):
        return 4 * 2**30
