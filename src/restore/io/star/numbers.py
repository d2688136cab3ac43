"""Numbers from the texts of a STAR file."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from restore.errors import UserError


def number_of(text: str) -> float:
    """The number that a text represents, NaN if it is not a number.

    >>> number_of("1.5"), number_of("none")
    (1.5, nan)
    """
    try:
        return float(text)
    except ValueError:
        return np.nan


def finite_numbers(
    texts: Sequence[str], column: str, where: str, wanted: str = "A number is needed"
) -> Float[np.ndarray, "n"]:
    """The numbers of a column of particles.

    Raises
    ------
    UserError
        A value is not a number, or not finite; the error names its row, counted from one, after
        ``where``.
    """
    try:
        values = np.array(texts, dtype=np.float64)
    except ValueError:
        values = np.array([number_of(text) for text in texts])
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise UserError(
            f'{column} is "{texts[bad[0]]}"',
            where=f"{where}, row {bad[0] + 1}",
            wanted=wanted,
            do="correct it or leave the particle out",
        )
    return values
