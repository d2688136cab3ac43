"""``restore report``: write an evaluation as one self-contained HTML page."""

import argparse
from pathlib import Path

from restore.errors import UsageError
from restore.face.pages import write_report


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``restore report``."""
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="folder that restore evaluate wrote"
    )
    parser.add_argument(
        "--output",
        "-o",
        type=Path,
        metavar="PATH",
        help=("page to write (default: FOLDER/report.html)"),
    )
    parser.add_argument(
        "--previews",
        type=int,
        default=24,
        metavar="N",
        help="largest number of micrographs shown with pictures (default: 24)",
    )


def run(namespace: argparse.Namespace) -> int:
    """Write the page and print its path; returns the exit status."""
    if namespace.previews < 0:
        raise UsageError(
            f"previews is {namespace.previews}", field="previews", wanted="0 or more is needed"
        )
    print(write_report(namespace.folder, namespace.output, previews=namespace.previews))
    return 0
