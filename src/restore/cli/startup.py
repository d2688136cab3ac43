"""The entry point of the command ``restore``: signals before everything is imported, and after the
work is done.
"""

import os
import signal
from functools import partial

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def main() -> int:
    """Run ``restore`` with the process's arguments; returns the exit status of `cli.main.main`.

    ^C or SIGTERM while the program is still being imported ends the process at once, with status
    130: nothing has been written yet, and an exception during another package's import might be
    swallowed there. After the work, a signal ends the process with the work's status.
    """
    _leave_at_signals(130, b"Interrupted.\n")
    from restore.cli.main import main as run

    status = run()
    _leave_at_signals(status)
    return status


def _leave_at_signals(status: int, message: bytes = b"") -> None:
    """From here on, ^C and SIGTERM end the process at once, unless they are ignored, as in a
    background job of a shell.
    """
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, partial(_leave, status, message))


def _leave(status: int, message: bytes, number: int, frame: object) -> None:  # noqa: ARG001
    if message:
        os.write(2, message)
    os._exit(status)
