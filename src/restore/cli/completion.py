"""``restore completion``: print a script with which a shell completes commands, options
and names.
"""

import argparse
from importlib.util import find_spec

from restore.cli.main import COMMANDS, add_command, front_page
from restore.errors import UsageError

_SHELLS = ("bash", "zsh")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``restore completion``."""
    parser.add_argument("shell", choices=_SHELLS, help=f"the shell: {' or '.join(_SHELLS)}")


def run(namespace: argparse.Namespace) -> int:
    """Print the script; returns the exit status."""
    print(script(namespace.shell))
    return 0


def script(shell: str) -> str:
    """The script with which a shell completes the commands of restore and their options, and
    otherwise file names.

    Raises
    ------
    UsageError
        The package that writes it is not installed.
    """
    if find_spec("shtab") is None:
        raise UsageError(
            "shtab, which writes the script, is not installed", do="install it: pip install shtab"
        )
    import shtab

    parser = front_page()
    commands = next(
        action
        for action in parser._actions  # pyright: ignore[reportPrivateUsage]
        if isinstance(action, argparse._SubParsersAction)  # pyright: ignore[reportPrivateUsage]
    )
    for name in COMMANDS:
        command = commands.choices[name]
        add_command(command, name)
        for action in command._actions:  # pyright: ignore[reportPrivateUsage]
            if action.nargs != 0 and action.choices is None and action.type not in (int, float):
                action.complete = shtab.FILE  # pyright: ignore[reportAttributeAccessIssue]
    return shtab.complete(parser, shell)
