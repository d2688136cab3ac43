"""Progress bars on stderr: rate and time left."""

import sys
from types import TracebackType
from typing import Any

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm


class Bar:
    """A progress bar that log lines do not tear; every line of a log file is a line where stderr is
    no terminal.
    """

    def __init__(self, total: float, unit: str, words: str) -> None:
        quiet_s = 0.2 if sys.stderr.isatty() else 30.0
        self._bar: tqdm[Any] = tqdm(
            total=total, unit=f" {unit}", desc=words, mininterval=quiet_s, dynamic_ncols=True
        )
        self._redirect = logging_redirect_tqdm()

    def to(self, count: float, words: str = "") -> None:
        """So many are done."""
        if words:
            self._bar.set_postfix_str(words, refresh=False)
        self._bar.update(count - self._bar.n)

    def __enter__(self) -> "Bar":
        self._redirect.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._bar.close()
        self._redirect.__exit__(kind, error, at)
