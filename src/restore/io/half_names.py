"""Names of the two half-sums of a micrograph, from the name of its full sum."""

import re
from dataclasses import dataclass

from restore.errors import UserError
from restore.io.endings import split_ending


@dataclass(frozen=True)
class Suffixes:
    """The suffixes in the names of the full sum and of its halves, as MotionCor2 and RELION write
    them.
    """

    full: str = "DW"
    even: str = "EVN"
    odd: str = "ODD"

    @property
    def text(self) -> str:
        """The suffixes as `parse_suffixes` reads them."""
        return f"{self.full},{self.even},{self.odd}"


def parse_suffixes(text: str) -> Suffixes:
    """The three suffixes, typed with commas between them; the first may be empty if full sums have
    none.

    >>> parse_suffixes("DW,EVN,ODD")
    Suffixes(full='DW', even='EVN', odd='ODD')

    Raises
    ------
    UserError
        There are not three suffixes, one is a path, or both halves would have the same name.
    """
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 3 or not parts[1] or not parts[2] or len(set(parts)) != 3 or "/" in text:
        wanted = "Three different suffixes are needed: of the full sum, the even and the odd half"
        raise UserError(f'the suffixes are "{text}"', wanted=wanted, do="give them like DW,EVN,ODD")
    return Suffixes(*parts)


def half_names(name: str, suffixes: Suffixes) -> list[tuple[str, str]]:
    """The possible names of the even and the odd half, the likelier pair first.

    The last occurrence of the full sum's suffix as a separate word in the file name is replaced,
    else one at the end of the name; the folder and the ending (``.mrc``, ``.mrc.gz``) are
    unchanged. The other possibility is RELION's: the half's suffix after the whole name.

    >>> half_names("DW/DWARF_01_DW.mrc", Suffixes())[0]
    ('DW/DWARF_01_EVN.mrc', 'DW/DWARF_01_ODD.mrc')
    >>> half_names("job002/mic.mrc", Suffixes())
    [('job002/mic_EVN.mrc', 'job002/mic_ODD.mrc')]
    >>> half_names("a b_DW.mrc.gz", Suffixes())[0]
    ('a b_EVN.mrc.gz', 'a b_ODD.mrc.gz')
    """
    folder, slash, file_name = name.rpartition("/")
    stem, tail = split_ending(file_name)
    even, odd = suffixes.even, suffixes.odd
    pairs = [(stem + _joined(even), stem + _joined(odd))]
    at = _last_place(stem, suffixes.full)
    if at is not None:
        start, end = stem[:at], stem[at + len(suffixes.full) :]
        pairs.insert(0, (start + even + end, start + odd + end))
    return [
        (folder + slash + first + tail, folder + slash + second + tail) for first, second in pairs
    ]


def is_half(name: str, suffixes: Suffixes) -> bool:
    """Whether a file's name is that of a half.

    >>> [is_half(name, Suffixes()) for name in ("a_EVN.mrc", "EVN/ODDITY_1.mrc")]
    [True, False]
    """
    stem = split_ending(name.rpartition("/")[2])[0]
    return any(_word(suffix).search(stem) for suffix in (suffixes.even, suffixes.odd))


def _word(suffix: str) -> re.Pattern[str]:
    """A pattern of the suffix as a separate word: no further letter or digit is next to a letter or
    digit at either end.
    """
    before = r"(?<![^\W_])" if suffix[:1].isalnum() else ""
    after = r"(?![^\W_])" if suffix[-1:].isalnum() else ""
    return re.compile(before + re.escape(suffix) + after)


def _last_place(stem: str, suffix: str) -> int | None:
    if not suffix:
        return None
    places = [match.start() for match in _word(suffix).finditer(stem)]
    if places:
        return places[-1]
    return len(stem) - len(suffix) if stem.endswith(suffix) and stem != suffix else None


def _joined(suffix: str) -> str:
    return f"_{suffix}" if suffix[0].isalnum() else suffix
