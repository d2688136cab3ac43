"""The library's messages in terms of the command line: fields are replaced by options.

The library names its parameters and the fields of its records, in backticks where it advises
(`UserError`). Only the command line knows the corresponding options of the command that is running.
"""

import argparse
import logging
import re

from restore.cli.terminal import printable
from restore.commands import CommandLine, Field
from restore.errors import UserError

_ALIASES = {
    "micrographs": ("input_micrographs", "training_mics", "source"),
    "suffixes": ("even_odd_suffix",),
    "source": ("input_micrographs", "training_mics"),
    "patch_file": ("training_filename",),
    "patches": ("training_data",),
    "directory": ("model_directory", "output_directory"),
    "prefix": ("model_prefix",),
    "settings": (),
}
"""Parameters of the library whose options have other names."""

_UNIT = re.compile(r"_(A|per_A|px|deg|kV|mm|um|e_per_A2)$")
_MENTION = re.compile(r"`(\w+)(?:=(\w+))?`")


class Wording:
    """The options of a command, by the fields that they set; for several commands, those of the
    first that has one.
    """

    def __init__(self, *parsers: argparse.ArgumentParser) -> None:
        self._actions: dict[str, list[argparse.Action]] = {}
        for action in (action for parser in parsers for action in parser._actions):  # pyright: ignore[reportPrivateUsage]
            for name in {action.dest, *(option.lstrip("-") for option in action.option_strings)}:
                self._actions.setdefault(_key(name), []).append(action)

    def option(self, field: str, value: str = "", *, short: bool = False) -> str:
        """The option that sets a field (to this value, for a yes/no option), or its ``short`` name
        if it has one; the field's own name if no option sets it.
        """
        for name in (field, *_ALIASES.get(field, ())):
            actions = self._actions.get(_key(name), [])
            wanted = {"False": False, "True": True}.get(value)
            fitting = [action for action in actions if action.const is wanted] or actions
            if fitting:
                spelling = _spelling(fitting[0], short)
                return f"{spelling} {value}" if value and wanted is None else spelling
        return f"{field}={value}" if value else field

    def text(self, words: str) -> str:
        """A text of the library with options in place of the fields in backticks."""
        return _MENTION.sub(lambda match: self.option(match[1], match[2] or ""), words)

    def command_line(self, line: CommandLine) -> str:
        """A command line as typed by a user, with the short names of options."""
        words = (
            self.option(word.name, word.value, short=True) if isinstance(word, Field) else word
            for word in line.words()
        )
        return " ".join(["restore", *words])

    def error(self, error: UserError) -> str:
        """An error of the library, in terms of the command line."""
        problem, field = error.problem, error.field
        if field and re.match(rf"{field}\b", problem):
            problem = f"`{field}`{problem.removeprefix(field)}"
        return self.text(str(error.instead(problem=problem)))


def _key(name: str) -> str:
    """A key that a field and its option have in common: ``phase_flip`` and ``phaseflip``,
    ``max_resolution_A`` and ``max_resolution``.

    >>> _key("max_resolution_A") == _key("max_resolution"), _key("phase_flip")
    (True, 'phaseflip')
    """
    return _UNIT.sub("", name).replace("_", "")


def _spelling(action: argparse.Action, short: bool) -> str:
    """The longest name of an option, or its short one; for a positional argument, its name in the
    help.
    """
    if short:
        names = [name for name in action.option_strings if not name.startswith("--")]
        return min(names, key=len) if names else _spelling(action, short=False)
    if action.option_strings:
        return max(action.option_strings, key=len)
    return str(action.metavar or action.dest)


class LineFormatter(logging.Formatter):
    """Log lines in terms of a command, and safe for a terminal."""

    def __init__(self, wording: Wording | None = None) -> None:
        super().__init__("%(message)s")
        self._wording = wording

    def format(self, record: logging.LogRecord) -> str:
        """The formatted line."""
        line = super().format(record)
        return printable(self._wording.text(line) if self._wording else line)
