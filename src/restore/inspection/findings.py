"""The findings about a file."""

from collections.abc import Iterable
from dataclasses import dataclass

from restore.commands import CommandLine
from restore.errors import UserError


@dataclass(frozen=True)
class Findings:
    """What a file is, in one phrase; facts by name; complete command lines for the next step;
    problems, each in a sentence or two; and information, known only to the user, that further
    commands would need.
    """

    what: str
    facts: tuple[tuple[str, str], ...] = ()
    commands: tuple[CommandLine, ...] = ()
    problems: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


def unusable(what: str, error: UserError) -> Findings:
    """A file that cannot be used, and the reason."""
    return Findings(what, problems=(str(error),))


def counted(count: int, noun: str, plural: str = "") -> str:
    """A number with its noun, in singular or plural.

    >>> counted(1, "row"), counted(3, "tilt series", "tilt series")
    ('1 row', '3 tilt series')
    """
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def number(value: float) -> str:
    """A number with four significant digits, large ones whole.

    >>> [number(value) for value in (0.8537812, 300.0, 15325.8)]
    ['0.8538', '300', '15326']
    """
    return f"{value:.0f}" if abs(value) >= 1e4 else f"{value:.4g}"


def span(values: Iterable[float], unit: str) -> str:
    """The range of some numbers, or their common value.

    >>> span([1.0, 1.0], "Å"), span([3.0, 1.5, 2.0], "µm")
    ('1 Å', '1.5 to 3 µm')
    """
    numbers = list(values)
    least, most = number(min(numbers)), number(max(numbers))
    return f"{least} {unit}" if least == most else f"{least} to {most} {unit}"


def first_few(items: Iterable[str], most: int = 5) -> tuple[str, ...]:
    """The first few items, and the number of the others.

    >>> first_few(["a", "b", "c", "d"], most=2)
    ('a', 'b', 'and 2 more')
    """
    every = tuple(items)
    return every if len(every) <= most else (*every[:most], f"and {len(every) - most} more")
