"""The tables in a micrograph's own STAR file, which MotionCorr writes: their values, checked."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restore.errors import UserError, missing_words
from restore.io.relion.micrographs import StarRow
from restore.io.star import Block, StarFile

CURE = "run MotionCorr on this movie again"
"""The advice where a value is missing or impossible."""


@dataclass(frozen=True)
class General:
    """The single values at the top of the file."""

    values: StarRow

    def text(self, name: str) -> str:
        """A text. Raises UserError if it is missing or empty."""
        if not self.values.row.get(name):
            where, wanted = self.values.row_place, "Frames cannot be summed without it"
            raise UserError(f"{name} is missing", where=where, wanted=wanted, do=CURE)
        return self.values.row[name]

    def positive(self, name: str, otherwise: float | None = None) -> float:
        """A positive number, or what it is otherwise. Raises UserError if it is missing or
        impossible.
        """
        if otherwise is not None and not self.values.has(name):
            return otherwise
        self.text(name)
        return self.values.number(name, (1e-6, 1e9), "A positive number is needed", CURE)

    def positive_if_any(self, name: str) -> float | None:
        """A positive number; None if it is missing or 0."""
        known = self.values.has(name) and self.values.row[name].strip("0.")
        return self.positive(name) if known else None

    def count(self, name: str) -> int:
        """A positive whole number. Raises UserError if it is missing or impossible."""
        value = self.positive(name)
        if value != int(value):
            problem, wanted = f'{name} is "{self.text(name)}"', "A whole number is needed"
            raise UserError(problem, where=self.values.row_place, wanted=wanted, do=CURE)
        return int(value)

    def count_if_any(self, name: str) -> int | None:
        """A positive whole number; None if it is missing or 0."""
        return self.count(name) if self.positive_if_any(name) else None

    def integer(self, name: str, otherwise: int) -> int:
        """The number of a version, or what it is otherwise."""
        if not self.values.has(name):
            return otherwise
        return int(self.values.number(name, (-100, 100), "A version number is needed", CURE))


def general_of(star: StarFile, path: Path) -> General:
    """The values of data_general. Raises UserError unless there is one row of them."""
    block = block_of(star, "general", path)
    if len(block.rows) != 1:
        where, wanted = f"{path}, data_general", "The motion of a movie has exactly one there"
        raise UserError(f"it has {len(block.rows)} rows", where=where, wanted=wanted, do=CURE)
    return General(
        StarRow(
            dict(zip(block.columns, block.rows[0], strict=True)), f"{path}, data_general", {}, ""
        )
    )


def block_of(star: StarFile, name: str, path: Path) -> Block:
    """The block of this name. Raises UserError if there is none."""
    block = star.block(name)
    if block is None:
        blocks = ", ".join(f"data_{block.name}" for block in star.blocks)
        wanted, do = "The STAR file that MotionCorr writes for each micrograph is needed", CURE
        raise UserError(
            f"data_{name} is missing (the blocks are {blocks})", where=path, wanted=wanted, do=do
        )
    return block


def numbers_of(block: Block, columns: tuple[str, ...], where: str) -> NDArray[np.float64]:
    """The columns of a table as numbers, (rows, columns). Raises UserError if a column is missing,
    or a value is not a finite number.
    """
    missing = [column for column in columns if column not in block.columns]
    if missing:
        problem = missing_words(missing)
        wanted = "Frames cannot be summed without their motion"
        raise UserError(problem, where=where, wanted=wanted, do=CURE)
    table = np.empty((len(block.rows), len(columns)))
    for at, column in enumerate(columns):
        for index, text in enumerate(block.column(column)):
            try:
                table[index, at] = float(text)
            except ValueError:
                table[index, at] = math.nan
            if not math.isfinite(table[index, at]):
                place, wanted = f"{where}, row {index + 1}", "A number is needed"
                raise UserError(f'{column} is "{text}"', where=place, wanted=wanted, do=CURE)
    return table
