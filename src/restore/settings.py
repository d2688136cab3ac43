"""Fields of a settings record, with a default, a help text, and their names on the command line."""

from dataclasses import MISSING, dataclass, field
from typing import Any

from restore.errors import UserError


@dataclass(frozen=True)
class Option:
    """The properties of a setting for the command line, besides its name, type and default.

    ``words`` is the help text, with the unit. ``flags`` are the option's names if they differ from
    the field's: a short one (``-b``), or an older long one. ``off`` is the flag that switches a
    yes/no setting off.
    """

    words: str
    flags: tuple[str, ...] = ()
    off: str = ""
    choices: tuple[str, ...] | tuple[int, ...] = ()
    group: str = ""
    metavar: str = ""


def setting(
    default: Any,
    words: str,
    *flags: str,
    off: str = "",
    choices: tuple[str, ...] | tuple[int, ...] = (),
    group: str = "",
    metavar: str = "",
) -> Any:
    """A dataclass field with its help text and options; ``default=MISSING`` makes it required."""
    option = Option(words, flags, off, choices, group, metavar)
    if default is MISSING:
        return field(metadata={"option": option})
    return field(default=default, metadata={"option": option})


def require(record: object, name: str, holds: bool, wanted: str) -> None:
    """Reject a record one of whose fields has a value that it cannot have.

    Parameters
    ----------
    record, name
        The record, and the name of its field.
    holds
        Whether the value is possible.
    wanted
        What the value must be, as the end of a sentence that begins with "it must be".

    Raises
    ------
    UserError
        The value is not possible: the error names the field and gives its value.
    """
    if not holds:
        value = getattr(record, name)
        shown = f"{value:g}" if isinstance(value, float) else value
        raise UserError(f"{name} is {shown}", field=name, wanted=f"it must be {wanted}")
