"""Command lines that the library suggests, with fields in place of options, which only the command
line knows.
"""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Field:
    """A field of the library in a command line, which is shown to the user as the option that sets
    it. ``value`` is given for a yes/no option.
    """

    name: str
    value: str = ""

    def __str__(self) -> str:
        return f"`{self.name}={self.value}`" if self.value else f"`{self.name}`"


@dataclass(frozen=True, init=False)
class CommandLine:
    """A command of restore with its arguments: texts as a shell would pass them, and fields.

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
        """The words after the program's name, with texts quoted for a shell."""
        yield self.command
        for argument in self.arguments:
            yield argument if isinstance(argument, Field) else shlex.quote(argument)

    def __str__(self) -> str:
        return " ".join(["restore", *(str(word) for word in self.words())])
