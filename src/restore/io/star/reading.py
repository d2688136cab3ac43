"""Reading a STAR file; content that could not be preserved is rejected, with its place."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from restore.errors import UserError
from restore.io.reading import reading
from restore.io.star.records import Block, StarFile
from restore.io.star.tokens import BLANKS, split_line

_WHOLE_ROWS = "Every row must have one value for each column"


@dataclass(frozen=True)
class _Section:
    """The lines of one block after its ``data_`` line, and their place; ``first`` is the number of
    the first line.
    """

    path: object
    name: str
    first: int
    lines: Sequence[str]

    def refusal(
        self, problem: str, line: int, wanted: str = "", do: str = "correct that line of the file"
    ) -> UserError:
        where = f"{self.path}, data_{self.name}, line {line}"
        return UserError(problem, where=where, wanted=wanted, do=do if wanted else "")

    def words(self, comments: list[str]) -> Iterator[tuple[int, list[str], str]]:
        """Line number, values and stripped text of each line that has values; comments are
        collected on the way.
        """
        for number, line in enumerate(self.lines, self.first):
            values, comment = split_line(line)
            if comment and not (
                line.lstrip(BLANKS)[0] == "_" and comment[1:].isdigit()
            ):  # a column's number
                comments.append(comment)
            if values:
                yield number, values, line.strip(BLANKS)


def read_star(path: Path) -> StarFile:
    """The STAR file at ``path``, with any line ends, UTF-8 or not, and with everything needed to
    write it back unchanged.

    Raises
    ------
    UserError
        The file is missing, is not a STAR file, has a row with too few or too many values, two
        blocks or columns of the same name, or a construct that RELION's STAR files do not have (two
        loops in a block, multi-line text).
    """
    with reading(path, "A STAR file is needed"):
        content = path.read_bytes()
    return parse_star(content.decode("utf-8", "surrogateescape").removeprefix("\ufeff"), path)


def parse_star(text: str, where: object = "STAR text") -> StarFile:
    r"""The STAR file with this text; ``where`` is its name in errors.

    >>> parse_star("data_\n\nloop_\n_rlnMicrographName #1\na.mrc\n").blocks[0].rows
    (('a.mrc',),)

    Raises
    ------
    UserError
        As :func:`read_star`.
    """
    lines = text.split("\n")
    starts = [index for index, line in enumerate(lines) if "data_" in line and _begins_block(line)]
    if not starts:
        raise UserError(
            "there is no data_ block in it",
            where=where,
            wanted="A STAR file is needed",
            do="check the name",
        )
    blocks: list[Block] = []
    begin = 0
    for start, limit in zip(starts, [*starts[1:], len(lines)], strict=True):
        end = _end_of_content(lines, start, limit)
        blocks.append(_block(lines, (begin, start, end), where))
        begin = end
    _refuse_repeats([block.name for block in blocks], where)
    return StarFile(
        tuple(blocks), tail="\n".join(lines[begin:]), newline="\r\n" if "\r\n" in text else "\n"
    )


def _begins_block(line: str) -> bool:
    stripped = line.lstrip(BLANKS)
    return stripped.startswith("data_") and len(split_line(stripped)[0]) == 1


def _end_of_content(lines: Sequence[str], start: int, limit: int) -> int:
    """The index after the last line, from ``start`` on, that is neither blank nor a comment."""
    while limit > start + 1 and (
        not (line := lines[limit - 1].strip(BLANKS)) or line.startswith("#")
    ):
        limit -= 1
    return limit


def _block(lines: Sequence[str], span: tuple[int, int, int], where: object) -> Block:
    begin, start, end = span
    (title,), remark = split_line(lines[start])
    section = _Section(where, title.removeprefix("data_"), start + 2, lines[start + 1 : end])
    before = "\n".join([*lines[begin:start], ""]) if start > begin else ""
    if any(split_line(line)[0] for line in lines[begin:start]):
        raise UserError(
            "there is text before the first data_ block",
            where=where,
            wanted="A STAR file is needed",
        )
    verbatim = "\n".join(lines[begin:end]) + ("\n" if end < len(lines) else "")
    comments = [remark] if remark else []
    columns, rows, is_loop = _table(section, comments)
    return Block(section.name, columns, rows, is_loop, tuple(comments), before, verbatim)


def _table(
    section: _Section, comments: list[str]
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...], bool]:
    words = section.words(comments)
    first = next(words, None)
    if first is None:
        return (), (), True
    number, values, line = first
    if line.startswith("loop_") and len(values) == 1:
        columns, rows = _loop(section, words, number)
        return columns, rows, True
    if not line.startswith("_"):
        raise section.refusal(
            f'"{values[0]}" stands where a table begins', number, "loop_ or a name is needed"
        )
    columns, row = _single_values(section, [first, *words])
    return columns, (row,), False


def _loop(
    section: _Section, words: Iterator[tuple[int, list[str], str]], loop_line: int
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    columns: dict[str, None] = {}
    rows: list[tuple[str, ...]] = []
    for number, values, line in words:
        if line[0] == "_" and not rows:
            columns[_new_name(section, columns, values[0], number)] = None
            continue
        if line[0] in "_;l":
            _refuse_if_no_row(section, values, line, number)
        if len(values) != len(columns):
            problem = (
                f"row {len(rows) + 1} has {len(values)} values, and there are {len(columns)} "
                "columns"
            )
            raise section.refusal(problem, number, _WHOLE_ROWS)
        rows.append(tuple(values))
    if not columns:
        raise section.refusal(
            "loop_ is followed by no column names", loop_line, "A table needs its columns"
        )
    return tuple(columns), tuple(rows)


def _refuse_if_no_row(section: _Section, values: list[str], line: str, number: int) -> None:
    if line[0] == ";":
        raise section.refusal(
            "a value of several lines (;) begins", number, "Only values of one line are read"
        )
    if line[0] == "_":
        raise section.refusal(
            f'"{values[0]}" comes after the rows', number, "A value that begins so needs quotes"
        )
    if line.startswith("loop_") and len(values) == 1:
        raise section.refusal(
            "a second loop_ begins", number, "A block can hold one table", "give it a data_ line"
        )


def _single_values(
    section: _Section, words: Sequence[tuple[int, list[str], str]]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    columns: dict[str, None] = {}
    row: list[str] = []
    for number, values, line in words:
        if not line.startswith("_") or len(values) != 2:
            wanted = "A name with its underscore and one value are needed"
            raise section.refusal(f'the line is "{line}"', number, wanted)
        columns[_new_name(section, columns, values[0], number)] = None
        row.append(values[1])
    return tuple(columns), tuple(row)


def _new_name(section: _Section, columns: Collection[str], name: str, number: int) -> str:
    if name[1:] in columns:
        raise section.refusal(
            f"{name} is listed twice", number, "Every column must have a name of its own"
        )
    return name[1:]


def _refuse_repeats(names: Sequence[str], where: object) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            wanted, do = "Every block must have a name of its own", "rename or remove one"
            raise UserError(
                f"there are two blocks called data_{name}", where=where, wanted=wanted, do=do
            )
        seen.add(name)
