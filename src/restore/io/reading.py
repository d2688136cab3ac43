"""What the operating system and the parsers under us raise about a bad file, as one error."""

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
"""What numpy, tifffile, imagecodecs, h5py, gemmi and json raise, version by version, where a file
is damaged. `RecursionError` is a `RuntimeError`, `UnicodeDecodeError` a `ValueError`.
"""


@contextmanager
def reading(
    path: Path,
    wanted: str = "",
    damage: str = "the file is damaged or cut short",
    do: str = "copy it again",
) -> Generator[None]:
    """A block that reads the file at ``path``: what is raised about the file comes out as an error
    that names it. ``wanted`` is what the file should have been, "A STAR file is needed", ``damage``
    what is said of one whose content cannot be read, and ``do`` its cure.

    Only parsing belongs inside the block, for a mistake of ours in it would be called a damaged
    file.

    Raises
    ------
    UserError
        The file is missing, unreadable, damaged or cut short.
    """
    try:
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
