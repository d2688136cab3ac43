"""What a command says of the micrographs of a set that failed."""

import sys
from collections.abc import Collection

from restore.cli.terminal import printable


def report_failures(
    failed: Collection[tuple[str, str]], total: int, verb: str, unit: str = "micrographs"
) -> int:
    """Print the micrographs, or what else a unit is, that failed, and why; returns the exit
    status.
    """
    if not failed:
        return 0
    print(f"{len(failed)} of {total} {unit} were not {verb}:", file=sys.stderr)
    for name, reason in failed:
        print(printable(f"  {name}: {reason}"), file=sys.stderr)
    return 1
