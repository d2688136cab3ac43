"""Programs and packages that tests compare with: their absence skips a test, or fails it."""

import re

NEEDS_ORACLES = "RESTORE_NEEDS_ORACLES"
"""The environment variable that is set where all of them must be installed, as by `.ci/run`."""

_ABSENT = re.compile(r"is not installed|could not import")


def failed_if_absent(report, needed):
    """A report of pytest's; a skip because a program or a package is not installed becomes a
    failure if they are ``needed``.
    """
    reason = report.longrepr[2] if report.skipped and isinstance(report.longrepr, tuple) else ""
    if needed and _ABSENT.search(reason):
        report.outcome = "failed"
        report.longrepr = f"{reason} ({NEEDS_ORACLES} is set)"
    return report
