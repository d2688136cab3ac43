"""One kind of error for everything that the operating system and parsers raise about a bad file."""

import stat
import struct
import tokenize
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from restore.errors import UserError

DAMAGES = (
    ValueError,
    RuntimeError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    SyntaxError,
    EOFError,
    MemoryError,
    struct.error,
    tokenize.TokenError,
    zlib.error,
)
"""What the various versions of numpy, tifffile, imagecodecs, h5py, gemmi and json raise if a file
is damaged. `RecursionError` is a `RuntimeError`, `UnicodeDecodeError` a `ValueError`.
"""


@contextmanager
def reading(
    path: Path,
    wanted: str = "",
    damage: str = "the file is damaged or cut short",
    do: str = "copy it again",
) -> Generator[None]:
    """A block that reads the file at ``path``: exceptions about the file become a UserError that
    names it. ``wanted`` says what is needed, such as "A STAR file is needed", ``damage`` describes
    a file whose content cannot be read, and ``do`` is the advice.

    Only parsing belongs inside the block, because a programming error in it would be reported as a
    damaged file.

    Raises
    ------
    UserError
        The file is missing, unreadable, damaged or cut short, or a pipe or a device.
    """
    try:
        refuse_streams(path)
        yield
    except UserError as error:
        if error.where:
            raise
        raise error.instead(where=path) from error
    except FileNotFoundError as error:
        problem = "there is no such file"
        raise UserError(problem, where=path, wanted=wanted, do="check the name") from error
    except OSError as error:
        problem = f"the file cannot be read ({error.strerror or error})"
        raise UserError(problem, where=path) from error
    except MemoryError as error:
        problem = f"it needs more memory than there is ({error})"
        raise UserError(problem, where=path, wanted=wanted, do=do) from error
    except DAMAGES as error:
        reason = str(error).strip().partition("\n")[0].removeprefix(f"{path}:")[:200]
        problem = f"{damage} ({reason or type(error).__name__})"
        raise UserError(problem, where=path, wanted=wanted, do=do) from error


def refuse_streams(path: Path) -> None:
    """Raise UserError for a pipe, a socket or a device: reading it may wait for ever, or never end.
    What is not there is left to the reader.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise UserError(
            "it is a pipe, a socket or a device",
            where=path,
            wanted="a regular file is needed",
            do="copy the content into a file",
        )
