"""The words of a line in a STAR file, and the quoting of values."""

import re

BLANKS = " \t\r\n\f\v\x1c\x1d\x1e\x1f"
"""The characters that separate values: ASCII only, so that a name may contain any other kind of
space.
"""

_SPACE = r"[ \t\r\f\v\x1c-\x1f]"
_WORD = re.compile(r"[^ \t\r\n\f\v\x1c-\x1f]+")
_CLOSING = {mark: re.compile(rf"{mark}(?={_SPACE}|$)") for mark in "'\""}
_PLAIN = re.compile(r"[^\s'\"#;_$\[\]][^\s]*")
_RESERVED = re.compile(r"(data_|save_|loop_|stop_|global_)", re.IGNORECASE)


def split_line(line: str) -> tuple[list[str], str]:
    r"""The unquoted values of one line, and the comment at its end (empty if there is none).

    A ``#`` begins a comment only where a value would begin. A quote that is never closed is an
    ordinary character.

    >>> split_line("'my mic.mrc' a#b 1.840663e+05  # remark\r")
    (['my mic.mrc', 'a#b', '1.840663e+05'], '# remark')
    """
    if line.isascii() and "'" not in line and '"' not in line and "#" not in line:
        return line.split(), ""
    values: list[str] = []
    closings = {mark: _Closings(line, mark) for mark in _CLOSING}
    at = 0
    while match := _WORD.search(line, at):
        start, at = match.span()
        if line[start] == "#":
            return values, line[start:].rstrip()
        mark = line[start]
        end = closings[mark].after(start) if mark in closings else None
        values.append(match.group() if end is None else line[start + 1 : end])
        at = at if end is None else end + 1
    return values, ""


class _Closings:
    """The places where quotes of one kind can close in a line. They are searched once, from left to
    right, so that a line with many quotes takes no longer than any other.
    """

    def __init__(self, line: str, mark: str) -> None:
        self._places = (match.start() for match in _CLOSING[mark].finditer(line))
        self._next = next(self._places, None)

    def after(self, start: int) -> int | None:
        """The first place after ``start``, or None. ``start`` must not decrease between calls."""
        while self._next is not None and self._next <= start:
            self._next = next(self._places, None)
        return self._next


def quoted(value: str) -> str:
    r"""``value`` as it must be written in a STAR file: in quotes if necessary.

    >>> [quoted(value) for value in ("12.5", "my mic.mrc", "", "data_1", 'say "a b"')]
    ['12.5', '"my mic.mrc"', '""', '"data_1"', '\'say "a b"\'']

    Raises
    ------
    ValueError
        The value contains a line break, or both kinds of quote each followed by a space, which STAR
        cannot represent.
    """
    if "\n" in value or "\r" in value:
        raise ValueError(f"a line break cannot stand in a STAR value: {value!r}")
    if _PLAIN.fullmatch(value) and not _RESERVED.match(value):
        return value
    for mark in '"', "'":
        if mark not in value:
            return f"{mark}{value}{mark}"
    for mark in '"', "'":
        if not re.search(rf"{mark}{_SPACE}", value):
            return f"{mark}{value}{mark}"
    raise ValueError(f"no quotes can hold this STAR value: {value!r}")
