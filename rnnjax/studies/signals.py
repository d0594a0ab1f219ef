"""Signals that stop a run: the first one in order, a second one at once."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

__all__ = ["Stopped", "stop_on_signals"]

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
"""Ctrl-C; what batch systems and `kill` send; a closed terminal; a batch system's early warning."""

_AGAIN = 1.0
"""Seconds after which an exception that did not arrive is raised again."""


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
def stop_on_signals() -> Iterator[None]:
    """Raises `Stopped` at the first signal; SIGINT or SIGTERM after it end the process at once.

    SIGHUP and SIGUSR1 after it are ignored: some systems send two signals together. Python reports
    exceptions that are raised in destructors and in some callbacks of C code, and goes on. So
    `Stopped` is raised again every second until it leaves this context. From the first signal on
    such reports are dropped (abandoned writes fail until the process ends), as is `Stopped` where C
    code prints it, which NumPy's does while it is imported. None of this is undone after a signal,
    as the process is about to end.

    Signals that are ignored at the start stay ignored (`nohup`). Outside the main thread nothing is
    changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    earlier: dict[int, Any] = {}
    received: list[int] = []
    report, show = sys.unraisablehook, sys.excepthook

    def stop(number: int, frame: FrameType | None) -> None:
        received.append(number)
        for each in earlier:
            at_once = each in (signal.SIGINT, signal.SIGTERM)
            signal.signal(each, signal.SIG_DFL if at_once else signal.SIG_IGN)
        signal.signal(signal.SIGALRM, stop_again)
        signal.setitimer(signal.ITIMER_REAL, _AGAIN, _AGAIN)
        raise Stopped(number)

    def stop_again(number: int, frame: FrameType | None) -> None:
        if not _is_stopping():
            raise Stopped(received[0])

    sys.unraisablehook, sys.excepthook = _quiet_hooks(received)
    for name in _SIGNALS:
        number = getattr(signal, name)
        if signal.getsignal(number) not in (signal.SIG_IGN, None):  # None: set by C code
            earlier[number] = signal.signal(number, stop)
    try:
        yield
    except Stopped:
        raise
    except BaseException:
        if received:  # some C code replaces an exception by its own
            raise Stopped(received[0]) from None
        raise
    finally:
        if received:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_IGN)
        else:
            sys.unraisablehook, sys.excepthook = report, show
            for number, handler in earlier.items():
                signal.signal(number, handler)


def _quiet_hooks(received: list[int]) -> tuple[Any, Any]:
    """Hooks for dropped and for uncaught exceptions that leave out what a signal causes."""
    report, show = sys.unraisablehook, sys.excepthook

    def report_before(dropped: Any) -> None:
        if not received:
            report(dropped)

    def show_others(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        if not isinstance(error, Stopped):
            show(kind, error, trace)

    return report_before, show_others


def _is_stopping() -> bool:
    """Whether the exception is on its way: some cleanup runs because of it."""
    error = sys.exc_info()[1]
    while error is not None:
        if isinstance(error, Stopped):
            return True
        error = error.__context__
    return False
