"""Signals and the time limit that stop a run: the first one in order, a second one at once."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from rnnjax import stopping
from rnnjax.stopping import OutOfTime

__all__ = ["Stopped", "end_on_signals", "stop_on_signals"]

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
"""Ctrl-C; what batch systems and `kill` send; a closed terminal; a batch system's early warning."""

_SAVING = ("SIGTERM", "SIGUSR1", "SIGALRM")
"""Those that let a block in training save its state: not Ctrl-C, nor a closed terminal. SIGALRM is
the time limit."""

_AGAIN = 1.0
"""Seconds after which an exception that did not arrive is raised again."""

_SEGMENT = 5.0
"""Seconds that a block in training has to come to the end of its segment."""


class Stopped(KeyboardInterrupt):
    """A signal has stopped the run."""

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number

    @property
    def name(self) -> str:
        """Name of the signal, such as `SIGTERM`."""
        return signal.Signals(self.number).name


@contextlib.contextmanager
def stop_on_signals(limit: float | None = None) -> Iterator[None]:
    """Raises `Stopped` at the first signal; SIGINT or SIGTERM after it end the process at once.

    After `limit` seconds `OutOfTime` is raised. At SIGTERM, SIGUSR1 and the limit a block in
    training has five seconds to end its segment; once it saves its state, nothing is raised before
    it has.

    SIGHUP and SIGUSR1 after it are ignored: some systems send two signals together. Python reports
    exceptions that are raised in destructors and in some callbacks of C code, and goes on. So
    `Stopped` is raised again every second until it leaves this context. From the first signal on
    such reports are dropped, also those of threads: abandoned writes fail until the process ends.
    So is `Stopped` where C code prints it, which NumPy's does while it is imported. None of this is
    undone after a signal, as the process is about to end.

    Signals that are ignored at the start stay ignored (`nohup`). Outside the main thread nothing is
    changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = _Handlers(limit)
    received = handlers.received
    try:
        yield
    except (Stopped, OutOfTime):
        raise
    except BaseException:
        if received:  # some C code replaces an exception by its own
            raise received[0] from None
        raise
    finally:
        handlers.remove()


class _Handlers:
    """The handlers of all signals, and what came."""

    def __init__(self, limit: float | None):
        self.received: list[KeyboardInterrupt] = []
        self._waits = False
        self._report, self._show = sys.unraisablehook, sys.excepthook
        self._in_threads = threading.excepthook
        sys.unraisablehook, sys.excepthook = self._report_before, self._show_others
        threading.excepthook = self._show_before
        self._earlier: dict[int, Any] = {}
        for name in _SIGNALS:
            number = getattr(signal, name)
            if signal.getsignal(number) not in (signal.SIG_IGN, None):  # None: set by C code
                self._earlier[number] = signal.signal(number, self._stop)
        self._alarm = signal.getsignal(signal.SIGALRM)
        if limit is not None:
            signal.signal(signal.SIGALRM, self._stop)
            signal.setitimer(signal.ITIMER_REAL, limit)

    def remove(self) -> None:
        """Puts the earlier handlers back, unless the process is about to end."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        if self.received:
            signal.signal(signal.SIGALRM, signal.SIG_IGN)
            return
        sys.unraisablehook, sys.excepthook = self._report, self._show
        threading.excepthook = self._in_threads
        for number, handler in {**self._earlier, signal.SIGALRM: self._alarm}.items():
            signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        error = OutOfTime() if number == signal.SIGALRM else Stopped(number)
        self.received.append(error)
        for each in self._earlier:
            at_once = each in (signal.SIGINT, signal.SIGTERM)
            signal.signal(each, signal.SIG_DFL if at_once else signal.SIG_IGN)
        signal.signal(signal.SIGALRM, self._stop_again)
        self._waits = signal.Signals(number).name in _SAVING and stopping.keeps()
        if self._waits:
            stopping.request_stop(error)
            signal.setitimer(signal.ITIMER_REAL, _SEGMENT, _AGAIN)
            return
        signal.setitimer(signal.ITIMER_REAL, _AGAIN, _AGAIN)
        raise error

    def _stop_again(self, number: int, frame: FrameType | None) -> None:
        if self._waits and stopping.keeps():
            self._waits = False  # signals wait for C code: the segment may have ended just now
        elif not stopping.saves() and not _is_stopping():
            raise self.received[0]

    def _report_before(self, dropped: Any) -> None:
        if not self.received:
            self._report(dropped)

    def _show_before(self, ended: Any) -> None:
        if not self.received:
            self._in_threads(ended)

    def _show_others(self, kind: type[BaseException], error: BaseException, trace: Any) -> None:
        if not isinstance(error, Stopped | OutOfTime):
            self._show(kind, error, trace)


def end_on_signals() -> None:
    """Ends the process at once, with exit code 0, at any of these signals: all is written.

    For the time in which the interpreter ends, when the cleanups of packages would print them.
    """

    def end(number: int, frame: FrameType | None) -> None:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # closed already
                stream.flush()
        os._exit(0)

    if threading.current_thread() is threading.main_thread():
        for name in _SIGNALS:
            number = getattr(signal, name)
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, end)


def _is_stopping() -> bool:
    """Whether the exception is on its way: some cleanup runs because of it."""
    error = sys.exc_info()[1]
    while error is not None:
        if isinstance(error, Stopped | OutOfTime):
            return True
        error = error.__context__
    return False
