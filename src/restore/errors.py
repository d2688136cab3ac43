"""The one error that a person reads."""


class UserError(Exception):
    """Something that the user can mend: what was found, where, what was wanted, what to do.

    It prints as plain sentences, in that order::

        >>> print(UserError(
        ...     'rlnDefocusU is "nan"',
        ...     where="beads.star, row 17",
        ...     wanted="Phase flipping needs a number",
        ...     do="estimate the CTF",
        ... ))
        beads.star, row 17: rlnDefocusU is "nan". Phase flipping needs a number: estimate the CTF.
    """

    def __init__(self, found: str, *, where: object = "", wanted: str = "", do: str = "") -> None:
        super().__init__(found)
        self.found, self.where, self.wanted, self.do = found, str(where), wanted, do

    def __str__(self) -> str:
        first = f"{self.where}: {self.found}." if self.where else f"{self.found}."
        rest = ": ".join(part for part in (self.wanted, self.do) if part)
        return f"{first} {rest[0].upper()}{rest[1:]}." if rest else first


class UsageError(UserError):
    """A command line that asks for nothing, or for two things at once: wrong use, exit status 2."""
