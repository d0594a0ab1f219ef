"""Timed processes: how they start, exchange messages, and measure themselves.

A worker prints one line about itself and then answers requests, one line of JSON each. It sleeps
between requests and ends when its input is closed. This file imports neither JAX nor PyTorch,
which would add to the memory of a worker that does not use them.
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

_TIMEOUT = 10.0  # seconds before a worker that does not end is killed

Answer = dict[str, Any]


class Worker:
    """A process that runs `script` of this folder, seen from the parent."""

    def __init__(self, script: str, settings: Answer, environment: dict[str, str] | None = None):
        self._script = script
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name(script)), json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )

    def send(self, **message: Any) -> None:
        """Sends a request; if the process has ended, `receive` raises."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()

    def receive(self) -> Answer:
        """Returns the next line; raises `EOFError` if the process has ended."""
        assert self._process.stdout is not None
        if not (line := self._process.stdout.readline()):
            code = self._process.wait()
            raise EOFError(f"a process of {self._script} ended early, with status {code}")
        return json.loads(line)

    def request(self, **message: Any) -> Answer:
        """Sends a request and returns the answer."""
        self.send(**message)
        return self.receive()

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(_TIMEOUT)
        except subprocess.TimeoutExpired:  # still in a long computation
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def reply(message: Answer) -> None:
    """Prints one line for the parent."""
    print(json.dumps(message), flush=True)


def serve(about: Answer, handlers: dict[str, Callable[..., Answer]]) -> None:
    """Prints `about`, then answers each request by the handler it names, until the input ends.

    Every answer includes `idle_cores`, the average number of cores that this process kept busy
    since the answer before.
    """
    reply(about)
    when, busy = time.perf_counter(), time.process_time()
    for line in sys.stdin:
        idle = (time.process_time() - busy) / (time.perf_counter() - when)
        request = json.loads(line)
        reply({**handlers[request.pop("do")](**request), "idle_cores": idle})
        when, busy = time.perf_counter(), time.process_time()


def run_for(step: Callable[[], float], seconds: float, least: int) -> dict[str, float]:
    """Takes at least `least` whole steps for at least `seconds`.

    Returns the number of steps, their wall time and process time in seconds, and the last loss.
    """
    begin, busy = time.perf_counter(), time.process_time()
    taken, now, loss = 0, begin, 0.0
    while taken < least or now - begin < seconds:
        loss = step()
        taken, now = taken + 1, time.perf_counter()
    busy = time.process_time() - busy
    return {"steps": taken, "seconds": now - begin, "busy": busy, "loss": loss}


def resident_peak() -> int:
    """Peak memory of this process, bytes."""
    # The figure for this program alone; getrusage includes the parent.
    status = Path("/proc/self/status")
    if status.exists():
        return 1024 * int(status.read_text().partition("VmHWM:")[2].split()[0])
    import resource  # not on every system

    # Kilobytes, but bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def free_memory() -> int:
    """Free host memory, bytes; 4 GiB where the system does not report it.

    A copy of `rnnjax.devices.free_memory`, which would import JAX into PyTorch's processes.
    """
    try:
        text = Path("/proc/meminfo").read_text()
        return 1024 * int(text.partition("MemAvailable:")[2].split()[0])
    except (OSError, IndexError):
        return 4 * 2**30
