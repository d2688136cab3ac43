"""What a command says of the micrographs of a set that failed."""

import sys
from collections.abc import Collection

from restore.cli.main import command_parser
from restore.cli.terminal import printable
from restore.cli.wording import Wording

_COMMANDS = {"denoised": "denoise", "evaluated": "evaluate", "halved": "halves"}
"""The command that does what a verb says, whose options its failures name."""


def report_failures(
    failed: Collection[tuple[str, str]], total: int, verb: str, unit: str = "micrographs"
) -> int:
    """Print the micrographs, or what else a unit is, that failed, and why; returns the exit
    status.
    """
    if not failed:
        return 0
    print(f"{len(failed)} of {total} {unit} were not {verb}:", file=sys.stderr)
    wording = Wording(command_parser(_COMMANDS[verb]))
    for name, reason in failed:
        print(printable(wording.text(f"  {name}: {reason}")), file=sys.stderr)
    return 1
