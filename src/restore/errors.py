"""The errors that are reported to the user."""

import re
from collections.abc import Sequence
from typing import Self


class UserError(Exception):
    """An error that the user can fix: what was found, where, what is needed, and what to do.

    ``field`` is the parameter, or the field of a settings record, that is wrong; texts name other
    fields in backticks, with a value if it matters (`` `phase_flip=False` ``). The command line,
    which alone knows its options, replaces fields by options.

    It prints as plain sentences, in that order::

        >>> print(UserError(
        ...     'rlnDefocusU is "nan"',
        ...     where="beads.star, row 17",
        ...     wanted="Phase flipping needs a number",
        ...     do="estimate the CTF",
        ... ))
        beads.star, row 17: rlnDefocusU is "nan". Phase flipping needs a number: estimate the CTF.

        >>> print(UserError("minutes is 0", field="minutes", wanted="it must be above 0"))
        minutes is 0. It must be above 0.
        >>> print(UserError("1.5 is no share", field="held_out"))
        `held_out`: 1.5 is no share.
    """

    def __init__(
        self, problem: str, *, field: str = "", where: object = "", wanted: str = "", do: str = ""
    ) -> None:
        super().__init__(problem)
        self.problem, self.field, self.where = problem, field, str(where)
        self.wanted, self.do = wanted, do

    def __str__(self) -> str:
        rest = ": ".join(part for part in (self.wanted, self.do) if part)
        problem = self.problem
        if self.field and not re.search(rf"\b{self.field}\b", f"{self.problem} {rest}"):
            problem = f"`{self.field}`: {problem}"
        first = f"{self.where}: {_stopped(problem)}" if self.where else _stopped(problem)
        return f"{first} {_stopped(_capitalised(rest))}" if rest else first

    def instead(
        self,
        *,
        problem: str | None = None,
        where: object = None,
        wanted: str | None = None,
        do: str | None = None,
    ) -> Self:
        """The same error with the given texts replaced, by a caller that knows more, such as the
        file or what to do.
        """
        return type(self)(
            self.problem if problem is None else problem,
            field=self.field,
            where=self.where if where is None else where,
            wanted=self.wanted if wanted is None else wanted,
            do=self.do if do is None else do,
        )


class UsageError(UserError):
    """Wrong use, such as a request for nothing or for two things at once: exit status 2."""


def missing_words(names: Sequence[str]) -> str:
    """The problem that these columns are missing.

    >>> missing_words(["rlnVoltage"]), missing_words(["rlnDefocusU", "rlnDefocusV"])
    ('rlnVoltage is missing', 'rlnDefocusU, rlnDefocusV are missing')
    """
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} missing"


def _stopped(sentence: str) -> str:
    """The sentence with a full stop, unless it ends with a punctuation mark."""
    return sentence if sentence.endswith((".", "!", "?", "…")) else f"{sentence}."


def _capitalised(sentence: str) -> str:
    """The sentence with a capital letter, unless its first word is a name: of a file, a column, a
    field or an option.
    """
    first = sentence.split(maxsplit=1)[0].rstrip(",;:")
    if not first.isalpha() or not (first.islower() or len(first) == 1):
        return sentence
    return f"{sentence[0].upper()}{sentence[1:]}"
