"""``python -m restore.cli.reference``: the text of docs/cli.md, from the parsers themselves."""

import os

from restore.cli.main import COMMANDS, command_parser, front_page


def reference() -> str:
    """Every command's help as one Markdown page."""
    os.environ["COLUMNS"] = "100"
    parsers = [front_page(), *(command_parser(name) for name in COMMANDS)]
    pages = "\n".join(
        f"## {parser.prog}\n\n```text\n{parser.format_help()}```\n" for parser in parsers
    )
    return f"# Command line\n\nMade by `python -m restore.cli.reference`.\n\n{pages}"


if __name__ == "__main__":
    print(reference(), end="")
