"""``restore inspect``: what a file is, what restore would do with it, and its problems."""

import argparse
from pathlib import Path

from restore.cli.main import as_typed, command_parser
from restore.cli.options import add_suffix_option
from restore.cli.recipe import SUFFIXES_OF_TRAINING, add_recipe_options, typed_recipe
from restore.cli.wording import Wording
from restore.inspection.dispatch import inspect
from restore.inspection.findings import Findings
from restore.io.half_names import Suffixes, parse_suffixes

_INDENT = 18


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``restore inspect``."""
    parser.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help=(
            "STAR, .cs or .csg files, images, movies, patch files, models or evaluations; nothing "
            "is written"
        ),
    )
    add_suffix_option(parser.add_argument_group("halves"), SUFFIXES_OF_TRAINING, "-s")
    add_recipe_options(parser)


def run(namespace: argparse.Namespace) -> int:
    """Print what each file is; returns 1 if any has a problem."""
    recipe, wrong = typed_recipe(namespace), 0
    typed = namespace.even_odd_suffix
    suffixes = Suffixes() if typed is None else parse_suffixes(typed)
    for path in namespace.files:
        findings = inspect(path, recipe, suffixes)
        print(as_text(path, findings))
        wrong |= bool(findings.problems)
    return int(wrong)


def as_text(path: Path, findings: Findings) -> str:
    """Findings as lines for a terminal, with fields replaced by the options of ``restore denoise``
    and ``restore halves``, the commands for most files.
    """
    wording = Wording(command_parser("denoise"), command_parser("halves"))
    rows = [
        *findings.facts,
        *(("needs", wording.text(wish)) for wish in findings.needs),
        *(("next", as_typed(command)) for command in findings.commands),
        *(("wrong", wording.text(problem)) for problem in findings.problems),
    ]
    names = [
        name if index == 0 or rows[index - 1][0] != name else ""
        for index, (name, _) in enumerate(rows)
    ]
    lines = [f"  {name:<{_INDENT - 1}} {text}" for name, (_, text) in zip(names, rows, strict=True)]
    return "\n".join([f"{path}: {findings.what}", *lines])
