"""Reporting of the progress of long steps to the caller."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """The receiver of the progress of a step."""

    def to(self, count: float, words: str = "") -> None:
        """``count`` units are done."""
        ...


Bars = Callable[[float, str, str], AbstractContextManager[Progress]]
"""Makes the receiver of a step's progress from the amount of work, its unit, and a description of
the step.
"""


class _Silent:
    def to(self, count: float, words: str = "") -> None:
        """Show nothing."""


def no_bars(total: float, unit: str, words: str) -> AbstractContextManager[Progress]:  # noqa: ARG001
    """A receiver that shows nothing."""
    return nullcontext(_Silent())
