"""A parser of command lines with suggestions for mistyped words."""

import argparse
import shlex
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from itertools import zip_longest
from pathlib import Path
from typing import Any, NoReturn

from restore.cli.wording import Wording
from restore.errors import UsageError

_HABITS = {
    "--i": ("--in_mics", "--input_micrographs", "--training_mics", "--i1"),
    "--o": ("--output", "--output_directory", "--model_directory"),
    "--odir": ("--output_directory", "--output", "--model_directory"),
    "--in_mics": ("--input_micrographs", "--training_mics"),
    "--input_micrographs": ("--in_mics",),
    "--training_mics": ("--input_micrographs",),
    "--angpix": ("--pixel_size",),
    "--gpu": ("--device",),
    "--in_movies": ("--input_micrographs", "--in_mics"),
    "--in_parts": ("--in_mics",),
    "--max_res": ("--max_resolution",),
    "--lr": ("--learning_rate",),
    "--epochs": ("--number_of_epochs",),
    "--help_all": ("--help",),
}
"""Names in RELION and other programs of options that are called differently here."""

_INPUTS = (
    "--i",
    "--in_mics",
    "--in_parts",
    "--in_movies",
    "--input_micrographs",
    "--training_mics",
)
"""Options of other commands whose value a command takes as a positional argument."""


class HelpFormatter(argparse.HelpFormatter):
    """Help that fits a screen or two, with each metavar once and defaults at the end."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=100)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        metavar = self._format_args(action, self._get_default_metavar_for_optional(action))
        return f"{', '.join(action.option_strings)} {metavar}"


class Parser(argparse.ArgumentParser):
    """argparse's parser, whose errors are UsageErrors with a suggestion.

    ``epilog`` is printed as it is.
    """

    color = False  # Python 3.14's colours are no part of a help that is compared and mailed

    def __init__(
        self, prog: str, description: str = "", epilog: str = "", **of_argparse: Any
    ) -> None:
        super().__init__(
            prog,
            description=description,
            epilog=epilog or None,
            formatter_class=argparse.RawDescriptionHelpFormatter if epilog else HelpFormatter,
            allow_abbrev=False,
            **of_argparse,
        )

    def parse_args(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> argparse.Namespace:
        """As in argparse, with a suggestion for an unknown option."""
        words = list(args or ())
        for word, following in zip_longest(words, words[1:], fillvalue=""):
            if "\0" in word:
                raise UsageError(f'"{word}" holds a NUL character', do="correct the name")
            name, equals, value = word.partition("=")
            if name == "--":
                break
            if name.startswith("--") and name not in self._option_string_actions:
                self._refuse("option", name, value if equals else following)
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self._refuse("option" if unknown[0].startswith("-") else "argument", unknown[0])
        return parsed

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        """As in argparse, but an empty file name, which would be the working folder, is
        an error.
        """
        if arg_string == "" and action.type is Path:
            raise argparse.ArgumentError(action, "the name is empty")
        return super()._get_value(action, arg_string)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType, reportAttributeAccessIssue]

    def _refuse(self, kind: str, name: str, value: str = "") -> NoReturn:
        raise UsageError(f"{self.prog} has no {kind} {name}", do=self._advice(name, value))

    def format_help(self) -> str:
        """The help, with options in place of the library's fields."""
        wording = Wording(self)
        for action in self._actions:
            if action.help not in (None, argparse.SUPPRESS):
                action.help = wording.text(action.help)
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        """Raise UsageError with what argparse found."""
        raise UsageError(message.removeprefix("argument "), where=self.prog, do=self._see_help)

    def _advice(self, name: str, value: str) -> str:
        """What to type instead of an unknown option, which is followed by this value."""
        options = self._option_string_actions
        habit = next((option for option in _HABITS.get(name, ()) if option in options), "")
        if habit:
            return f"it is called {habit} here"
        takes_input = any(
            not action.option_strings and action.choices is None for action in self._actions
        )
        if name in _INPUTS and takes_input and value and not value.startswith("-"):
            return f"the input stands by itself: {self.prog} {shlex.quote(value)}"
        return closest(name, options) or self._see_help

    @property
    def _see_help(self) -> str:
        return f"see {self.prog} --help"


def closest(word: str, names: Iterable[str]) -> str:
    """A question with the names most similar to this word; empty if none is similar.

    >>> closest("denoize", ["train", "denoise"])
    'did you mean denoise?'
    >>> closest("--x", ["train", "denoise"])
    ''
    """
    near = get_close_matches(word, list(names), n=2, cutoff=0.7)
    return f"did you mean {' or '.join(near)}?" if near else ""
