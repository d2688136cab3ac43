"""A command's report of the micrographs of a set that failed."""

import logging
from collections.abc import Collection

log = logging.getLogger(__name__)


def report_failures(
    failed: Collection[tuple[str, str]], total: int, verb: str, unit: str = "micrographs"
) -> int:
    """Print the micrographs, or other units, that failed, with the reasons; returns the exit
    status.
    """
    if not failed:
        return 0
    # Logged, because the log's formatter replaces a `field` by the command's option.
    log.error("%d of %d %s were not %s:", len(failed), total, unit, verb)
    for name, reason in failed:
        # A reason about the micrograph's own file begins with its name.
        log.error("  %s", reason if reason.startswith(f"{name}: ") else f"{name}: {reason}")
    return 1
