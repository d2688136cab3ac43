"""Comma-separated text for spreadsheets."""

import csv
import io
from collections.abc import Iterable, Sequence

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    r"""Rows as CSV, one per line. A text that a spreadsheet would take for a formula, such as a
    micrograph's name that begins with "=", is preceded by an apostrophe; numbers stay numbers.

    >>> csv_text([("name", "defocus"), ("=1+1.mrc", -1.5), ("-1.5", "")])
    "name,defocus\n'=1+1.mrc,-1.5\n-1.5,\n"
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([_cell(cell) for cell in row] for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    if not isinstance(value, str) or not value.startswith(_FORMULA_STARTS):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value
