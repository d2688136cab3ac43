"""Command lines that the library proposes: fields stand in them for options, which only the command
line knows.
"""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Field:
    """A field of the library's in a command line: the option that sets it stands there when a
    person reads it. ``value`` is given where the option says yes or no.
    """

    name: str
    value: str = ""

    def __str__(self) -> str:
        return f"`{self.name}={self.value}`" if self.value else f"`{self.name}`"


@dataclass(frozen=True, init=False)
class CommandLine:
    """A command of restore's with its arguments: texts as a shell would pass them, and fields.

    >>> str(CommandLine("denoise", "a b.mrc", Field("phase_flip", "False")))
    "restore denoise 'a b.mrc' `phase_flip=False`"
    """

    command: str
    arguments: tuple[str | Field, ...]

    def __init__(self, command: str, *arguments: object) -> None:
        given = (item if isinstance(item, Field) else str(item) for item in arguments)
        object.__setattr__(self, "command", command)
        object.__setattr__(self, "arguments", tuple(given))

    def words(self) -> Iterator[str | Field]:
        """The words that follow the program's name, the texts among them quoted for a shell."""
        yield self.command
        for argument in self.arguments:
            yield argument if isinstance(argument, Field) else shlex.quote(argument)

    def __str__(self) -> str:
        return " ".join(["restore", *(str(word) for word in self.words())])
