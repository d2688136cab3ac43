"""The contents of a STAR file: blocks of named columns, in which every value remains text."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from restore.io.star.tokens import quoted

VERSION_LINES = "\n# version 30001\n\n"
"""The text that RELION 3.1 and later write before each block."""


@dataclass(frozen=True)
class Block:
    """One ``data_`` block: a table (``loop_``), or single values by name, which are a table of one
    row.

    ``name`` is without ``data_``, columns are without their underscore, values are without quotes
    and remain text. ``before`` is the text before the ``data_`` line (blank and comment lines),
    ``comments`` are the comments inside the block. A block that was read and not changed is written
    back byte for byte.

    >>> block = Block("micrographs", ("rlnMicrographName",), (("a.mrc",), ("b.mrc",)))
    >>> block.keeping([1]).with_column("rlnOpticsGroup", ["1"]).rows
    (('b.mrc', '1'),)
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    is_loop: bool = True
    comments: tuple[str, ...] = ()
    before: str = VERSION_LINES
    verbatim: str | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        ragged = next(
            (index for index, row in enumerate(self.rows) if len(row) != len(self.columns)), None
        )
        if ragged is not None:
            raise ValueError(
                f"row {ragged} has {len(self.rows[ragged])} values for {len(self.columns)} columns"
            )
        if not self.is_loop and len(self.rows) != 1:
            raise ValueError(f"a block of single values has one row, not {len(self.rows)}")

    def column(self, name: str) -> list[str]:
        """The values of one column, top to bottom. Raises KeyError if there is no such column."""
        if name not in self.columns:
            raise KeyError(name)
        index = self.columns.index(name)
        return [row[index] for row in self.rows]

    def with_column(self, name: str, values: Sequence[str]) -> "Block":
        """The block with a column replaced, or added at the end. Raises ValueError unless there is
        one value for each row.
        """
        if len(values) != len(self.rows):
            raise ValueError(f"{len(values)} values for {len(self.rows)} rows")
        if name not in self.columns:
            rows = tuple((*row, value) for row, value in zip(self.rows, values, strict=True))
            return replace(self, columns=(*self.columns, name), rows=rows, verbatim=None)
        at = self.columns.index(name)
        rows = tuple(
            (*row[:at], value, *row[at + 1 :]) for row, value in zip(self.rows, values, strict=True)
        )
        return replace(self, rows=rows, verbatim=None)

    def without(self, names: Collection[str]) -> "Block":
        """The block without these columns; unchanged if it has none of them."""
        kept = [index for index, name in enumerate(self.columns) if name not in names]
        if len(kept) == len(self.columns):
            return self
        columns = tuple(self.columns[index] for index in kept)
        rows = tuple(tuple(row[index] for index in kept) for row in self.rows)
        return replace(self, columns=columns, rows=rows, verbatim=None)

    def keeping(self, rows: Sequence[int]) -> "Block":
        """The block with only these rows (counted from zero), in this order."""
        return replace(self, rows=tuple(self.rows[index] for index in rows), verbatim=None)

    def text(self) -> str:
        """The block's text in RELION's layout, with lines that end in a line feed; the original
        text if the block was read and not changed.
        """
        if self.verbatim is not None:
            return self.verbatim
        comments = "".join(f"{comment}\n" for comment in self.comments)
        body = self._loop_text() if self.is_loop else self._values_text()
        return f"{self.before}data_{self.name}\n\n{comments}{body}"

    def _loop_text(self) -> str:
        header = "".join(f"_{column} #{number} \n" for number, column in enumerate(self.columns, 1))
        lines = [" ".join([quoted(value).rjust(12) for value in row]) + " \n" for row in self.rows]
        return f"loop_ \n{header}{''.join(lines)}" if self.columns else ""

    def _values_text(self) -> str:
        pairs = zip(self.columns, self.rows[0], strict=True)
        return "".join(f"_{name:<40} {quoted(value):>12}\n" for name, value in pairs)


@dataclass(frozen=True)
class StarFile:
    r"""The blocks of a STAR file in order. ``tail`` is the text after the last block, ``newline``
    the line end.

    >>> block = Block("", ("rlnMicrographName",), (("my mic.mrc",),), before="")
    >>> StarFile((block,), tail="").text()
    'data_\n\nloop_ \n_rlnMicrographName #1 \n"my mic.mrc" \n'
    """

    blocks: tuple[Block, ...]
    tail: str = " \n"
    newline: str = "\n"

    def block(self, name: str) -> Block | None:
        """The block of this name (without ``data_``), or None."""
        return next((block for block in self.blocks if block.name == name), None)

    def existing_block(self, name: str) -> Block:
        """The block of this name, for callers that have seen it. Raises ValueError if there is
        none.
        """
        block = self.block(name)
        if block is None:
            raise ValueError(f"the STAR file has no block {name!r}")
        return block

    def with_block(self, block: Block) -> "StarFile":
        """The file with the block of the same name replaced, or with this one added at the end."""
        if self.block(block.name) is None:
            return replace(self, blocks=(*self.blocks, block))
        return replace(
            self, blocks=tuple(block if old.name == block.name else old for old in self.blocks)
        )

    def text(self) -> str:
        """The whole file: unchanged blocks as they were read, changed ones in a new layout."""
        pieces = [self._with_line_ends(block) for block in self.blocks]
        if any(block.verbatim is None for block in self.blocks):
            pieces = [piece if piece.endswith("\n") else piece + self.newline for piece in pieces]
        return "".join(pieces) + self.tail

    def _with_line_ends(self, block: Block) -> str:
        text = block.text()
        if block.verbatim is not None or self.newline == "\n":
            return text
        return text.replace("\r\n", "\n").replace("\n", self.newline)
