"""Standard output and error of commands, which keep working when their reader has ended."""

import codecs
import errno
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any, TextIO


def _as_it_is_or_escaped(error: UnicodeError) -> tuple[str | bytes, int]:
    """The replacement for characters that the encoding lacks: bytes of a file name that is not
    UTF-8 are written unchanged (PEP 383), other characters escaped.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    part = error.object[error.start : error.end]
    written = b"".join(
        bytes([ord(character) - 0xDC00])
        if 0xDC80 <= ord(character) <= 0xDCFF
        else character.encode("ascii", "backslashreplace")
        for character in part
    )
    return written, error.end


_ERRORS = "restore.as_it_is_or_escaped"
codecs.register_error(_ERRORS, _as_it_is_or_escaped)


class Stream:
    """A text stream that never fails: output that cannot be written is lost, and ``lost`` holds the
    reason.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.lost: BaseException | None = None
        if stream is not None and stream.errors != _ERRORS and hasattr(stream, "reconfigure"):
            with suppress(OSError, ValueError):
                stream.reconfigure(errors=_ERRORS)  # pyright: ignore[reportAttributeAccessIssue]

    def write(self, text: str) -> int:
        """Write a text, if possible."""
        self._try("write", text)
        return len(text)

    def flush(self) -> None:
        """Write what is still buffered."""
        self._try("flush")

    def isatty(self) -> bool:
        """Whether this is a terminal."""
        try:
            return self._stream is not None and self._stream.isatty()
        except (OSError, ValueError):
            return False

    def fileno(self) -> int:
        """The file descriptor. Raises OSError if there is none."""
        if self._stream is None:
            raise OSError(errno.EBADF, "the stream is closed")
        return self._stream.fileno()

    @property
    def encoding(self) -> str:
        """The encoding."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _try(self, method: str, *arguments: str) -> None:
        if self._stream is None or self.lost is not None:
            return
        try:
            getattr(self._stream, method)(*arguments)
        except (OSError, ValueError) as error:  # ValueError: closed
            self.lost = error
            self._abandon()

    def _abandon(self) -> None:
        """Discard what is buffered, so that Python does not fail on it when it ends."""
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)


@contextmanager
def safe_streams() -> Generator[tuple[Stream, Stream]]:
    """A block within which ``sys.stdout`` and ``sys.stderr`` never fail."""
    before = sys.stdout, sys.stderr
    output, errors = Stream(sys.stdout), Stream(sys.stderr)
    sys.stdout, sys.stderr = output, errors
    try:
        yield output, errors
    finally:
        output.flush()
        errors.flush()
        sys.stdout, sys.stderr = before


def printable(text: str) -> str:
    r"""A text that is safe for a terminal: control characters, and bytes of a name that are not
    UTF-8, are escaped as in Python.

    >>> print(printable("a" + chr(27) + "[2Jb.mrc"))
    a\x1b[2Jb.mrc
    """
    return "".join(
        character if character.isprintable() or character in "\n\t" else _escaped(character)
        for character in text
    )


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is not UTF-8 (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
