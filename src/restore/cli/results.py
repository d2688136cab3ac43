"""What a command says of the micrographs of a set that failed."""

import sys

from restore.cli.terminal import printable
from restore.runtime.jobs import SetResults


def report_failures(results: SetResults, verb: str) -> int:
    """Print what failed, and why; returns the exit status."""
    failed = results.failed
    if not failed:
        return 0
    total = len(failed) + len(results.done) + len(results.current)
    print(f"{len(failed)} of {total} micrographs were not {verb}:", file=sys.stderr)
    for name, reason in failed.items():
        print(printable(f"  {name}: {reason}"), file=sys.stderr)
    return 1
