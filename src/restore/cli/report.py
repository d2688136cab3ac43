"""``restore report``: an evaluation as one HTML page, to be opened without a network and mailed
whole.
"""

import argparse
from pathlib import Path

from restore.errors import UsageError
from restore.io.atomic import require_writable, write_text
from restore.report.evaluation_file import read_evaluation
from restore.report.page import page


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``restore report``."""
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="folder that restore evaluate wrote"
    )
    parser.add_argument(
        "--output", "-o", type=Path, metavar="PATH", help="the page (default: FOLDER/report.html)"
    )
    parser.add_argument(
        "--previews",
        type=int,
        default=24,
        metavar="N",
        help="at most so many micrographs with pictures (default: 24)",
    )


def run(namespace: argparse.Namespace) -> int:
    """Write the page and print its path; the exit status comes back."""
    folder: Path = namespace.folder
    path: Path = namespace.output or folder / "report.html"
    if namespace.previews < 0:
        raise UsageError(
            f"--previews {namespace.previews}", wanted="a number of micrographs, 0 or more"
        )
    evaluation = read_evaluation(folder)
    require_writable(path.parent)
    write_text(path, page(evaluation, folder, namespace.previews))
    print(path)
    return 0
