"""Rows of a table that cannot be used, by row number counted from zero."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from restore.errors import UserError
from restore.io.relion.micrographs import StarRow


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used: the micrograph's name, and the reason."""

    name: str
    reason: str


def bad_rows(
    errors: Mapping[int, UserError], names: Sequence[str], skip: bool
) -> dict[int, BadRow]:
    """The rows that are skipped. Raises UserError if none may be skipped or nothing would
    be left.
    """
    if errors and (not skip or len(errors) == len(names)):
        raise _together(list(errors.values()), len(names))
    return {row: BadRow(names[row], str(error)) for row, error in errors.items()}


def errors_of(rows: Sequence[StarRow], needed: Callable[[StarRow], object]) -> dict[int, UserError]:
    """The errors in the needed values of rows, by row number counted from zero."""
    errors: dict[int, UserError] = {}
    for index, row in enumerate(rows):
        try:
            needed(row)
        except UserError as error:
            errors[index] = error
    return errors


def _together(errors: Sequence[UserError], total: int) -> UserError:
    """One error that names all rows concerned. The first error alone is returned if it is the only
    one, if every row has one, or if all are about one missing column, as in a tilt series without
    CTF.
    """
    first = errors[0]
    same_column = (
        all(error.problem == first.problem for error in errors) and "missing" in first.problem
    )
    if len(errors) in (1, total) or same_column:
        return first
    further = [f"{error.where}: {error.problem}" for error in errors[1:5]]
    more = f"; and {len(errors) - 5} more" if len(errors) > 5 else ""
    return first.instead(problem="; ".join([first.problem, *further]) + more)
