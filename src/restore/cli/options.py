"""Command-line options derived from settings records, so that a default is written once, beside the
code that reads it.
"""

import argparse
import types
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from restore.errors import UsageError
from restore.settings import Option

Record = TypeVar("Record")


def add_pixel_size_option(group: "argparse._ArgumentGroup") -> None:  # pyright: ignore[reportPrivateUsage]
    """Add ``--pixel_size`` of images that no table lists."""
    group.add_argument(
        "--pixel_size", type=float, metavar="X", help="pixel size in Å, if there is no STAR file"
    )


def add_suffix_option(
    group: "argparse._ArgumentGroup",  # pyright: ignore[reportPrivateUsage]
    words: str,
    *flags: str,
) -> None:
    """Add ``--even_odd_suffix``, with its default."""
    group.add_argument(
        "--even_odd_suffix",
        *flags,
        metavar="FULL,EVEN,ODD",
        help=f"{words} (default: DW,EVN,ODD)",
    )


def add_device_option(group: "argparse._ArgumentGroup") -> None:  # pyright: ignore[reportPrivateUsage]
    """Add ``--device``."""
    group.add_argument(
        "--device",
        default="auto",
        metavar="NAME",
        help=("device: cpu, cuda, cuda:1 … (default: a GPU if there is one)"),
    )


def add_model_option(
    group: "argparse._ArgumentGroup",  # pyright: ignore[reportPrivateUsage]
    more: str = "",
) -> None:
    """Add ``--model``; ``more`` is put after the default in the help."""
    group.add_argument(
        "--model",
        "-p",
        type=Path,
        metavar="MODEL",
        help="model file written by restore train (default: the general model that comes with "
        f"restore{more})",
    )


def add_output_directory_option(
    group: "argparse._ArgumentGroup",  # pyright: ignore[reportPrivateUsage]
    words: str,
    default: Path | None = None,
) -> None:
    """Add ``--output_directory``, which must be given if it has no default."""
    group.add_argument(
        "--output_directory",
        "-o",
        type=Path,
        default=default,
        required=default is None,
        metavar="FOLDER",
        help=words,
    )


def add_settings(
    parser: argparse.ArgumentParser, title: str, record: type[Any], leave_out: Sequence[str] = ()
) -> None:
    """Add an option for each field of a settings record, in the field's own group or in one with
    this title.

    Only options that are typed are set in the namespace, so that a preset or a model can supply the
    other values.
    """
    groups: dict[str, argparse._ArgumentGroup] = {}  # pyright: ignore[reportPrivateUsage]
    hints = get_type_hints(record)
    for field_ in fields(record):
        if field_.name in leave_out:
            continue
        option: Option = field_.metadata["option"]
        heading = option.group or title
        group = groups.get(heading) or groups.setdefault(
            heading, parser.add_argument_group(heading)
        )
        kind = _plain_type(hints[field_.name])
        names = (f"--{field_.name}", *option.flags)
        count, kind = _count_and_item(kind)
        if kind is bool:
            group.add_argument(
                *names, action="store_true", default=argparse.SUPPRESS, help=option.words
            )
            if option.off:
                group.add_argument(
                    option.off,
                    dest=field_.name,
                    action="store_false",
                    default=argparse.SUPPRESS,
                    help=f"the opposite of {names[0]}{' (default)' if not field_.default else ''}",
                )
            continue
        group.add_argument(
            *names,
            type=kind,
            nargs=count,
            default=argparse.SUPPRESS,
            choices=option.choices or None,
            metavar=option.metavar or (None if option.choices else _metavar(kind)),
            help=option.words + _default_words(field_.default),
        )


def given(namespace: argparse.Namespace, record: type[Any]) -> dict[str, Any]:
    """The fields of a settings record that were typed."""
    names = {field_.name for field_ in fields(record)}
    return {name: value for name, value in vars(namespace).items() if name in names}


def settings_from(namespace: argparse.Namespace, record: type[Record]) -> Record:
    """The settings record that was typed, defaults elsewhere."""
    typed = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in given(namespace, record).items()
    }
    return record(**typed)


def refuse_inapplicable(typed: Iterable[str], to: str, because: str) -> None:
    """Raise UsageError if options were typed that do not apply to what the command works on.

    Parameters
    ----------
    typed
        Names of the options that were typed, without the hyphens.
    to
        What they do not apply to.
    because
        The reason, as a clause.
    """
    options = [f"--{name}" for name in typed]
    if options:
        one = len(options) == 1
        raise UsageError(
            f"{', '.join(options)} {'does' if one else 'do'} not apply to {to}",
            wanted=because,
            do=f"leave the option{'' if one else 's'} out",
        )


def _plain_type(hint: Any) -> Any:
    """``int`` of ``int | None``, ``str`` of a Literal of texts."""
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = (alternative for alternative in get_args(hint) if alternative is not type(None))
    return str if get_origin(hint) is Literal else hint


def _count_and_item(kind: Any) -> tuple[int | str | None, Any]:
    """The number of values of an option, in argparse's notation, and their type: (2, float) for
    tuple[float, float].
    """
    if get_origin(kind) is not tuple:
        return None, kind
    items = get_args(kind)
    return ("+" if Ellipsis in items else len(items)), items[0]


def _metavar(kind: Any) -> str:
    return {int: "N", float: "X", Path: "PATH"}.get(kind, "NAME")


def _default_words(default: Any) -> str:
    if default is None:
        return ""
    words = " ".join(str(item) for item in default) if isinstance(default, tuple) else str(default)
    return f" (default: {words})"


def with_underscores(arguments: Sequence[str]) -> list[str]:
    """The arguments with the hyphens of long options replaced by underscores, so that both
    spellings work.

    >>> with_underscores(["--merge-noisy", "--pixel-size=1.0", "a-b.mrc", "-s", "x"])
    ['--merge_noisy', '--pixel_size=1.0', 'a-b.mrc', '-s', 'x']
    """
    spelled: list[str] = []
    for index, argument in enumerate(arguments):
        if argument == "--":
            return spelled + list(arguments[index:])
        if argument.startswith("--"):
            name, equals, value = argument.partition("=")
            argument = f"--{name[2:].replace('-', '_')}{equals}{value}"  # noqa: PLW2901
        spelled.append(argument)
    return spelled
