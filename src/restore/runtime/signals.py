"""Signals that ask a long run to stop."""

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager


@contextmanager
def stop_signals() -> Generator[Callable[[], bool]]:
    """Inside it, the first ^C or SIGTERM only sets a flag, which the yielded function tells; a
    second one strikes.
    """
    asked: list[int] = []

    def note(number: int, frame: object) -> None:  # noqa: ARG001
        asked.append(number)
        if len(asked) > 1:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
