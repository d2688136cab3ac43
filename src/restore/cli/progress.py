"""Progress bars on stderr, with rate and remaining time."""

import sys
from types import TracebackType
from typing import Any

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

_BY_TIME = "{desc}: {percentage:3.0f}%|{bar}| {n:.1f}/{total:.1f} minutes{postfix}"
"""The format of a bar of minutes, without a rate, which would be one minute per minute."""


class Bar:
    """A progress bar that log lines do not disrupt; if stderr is not a terminal, each update is a
    separate line.
    """

    def __init__(self, total: float | None, unit: str, words: str) -> None:
        quiet_s = 0.2 if sys.stderr.isatty() else 30.0
        self._bar: tqdm[Any] = tqdm(
            total=total,
            unit=f" {unit}",
            desc=words,
            mininterval=quiet_s,
            dynamic_ncols=True,
            bar_format=_BY_TIME if unit == "minutes" else None,
        )
        self._redirect = logging_redirect_tqdm()

    def to(self, count: float, words: str = "") -> None:
        """``count`` units are done."""
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


class LateBar:
    """A bar that is drawn when the first progress is reported, so that a check that fails before
    leaves no bar.
    """

    def __init__(self, unit: str, words: str) -> None:
        self._unit, self._words = unit, words
        self._bar: Bar | None = None

    def to(self, done: float, total: float | None, unit: str = "", words: str = "") -> None:
        """``done`` of ``total`` units are done; ``words`` are shown at the end of the bar."""
        if self._bar is None:
            self._bar = Bar(total, unit or self._unit, self._words).__enter__()
        self._bar.to(done, words)

    def __enter__(self) -> "LateBar":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.__exit__(kind, error, at)
