"""Signals that ask a long run to stop."""

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

_IMPORT_WAIT_S = 0.01


def _stopping_signals() -> list[signal.Signals]:
    """The signals that ask a run to stop: SIGTERM, and SIGINT (^C) unless it is ignored, as in a
    background job of a shell.
    """
    is_ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    return [signal.SIGTERM] if is_ignored else [signal.SIGTERM, signal.SIGINT]


@contextmanager
def interruptible() -> Generator[None]:
    """A block within which SIGTERM, which a cluster sends before it kills, raises KeyboardInterrupt
    as ^C does.

    During an import, in which other packages may swallow the exception and stay half-imported, it
    is delayed until the import has ended, or until the end of the block.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    asked: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        if _is_importing(frame):
            signal.setitimer(signal.ITIMER_REAL, _IMPORT_WAIT_S)
            return
        raise KeyboardInterrupt

    numbers = [*_stopping_signals(), signal.SIGALRM]
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
        if asked:  # also if an exception got lost, as in a destructor
            raise KeyboardInterrupt


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


@contextmanager
def stop_signals() -> Generator[Callable[[], bool]]:
    """A block within which the first ^C or SIGTERM only sets a flag, which the yielded function
    returns; a second one raises KeyboardInterrupt. ^C stays ignored where it was.
    """
    asked: list[int] = []

    def note(number: int, frame: object) -> None:  # noqa: ARG001
        asked.append(number)
        if len(asked) > 1:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.signal(number, note) for number in _stopping_signals()}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
