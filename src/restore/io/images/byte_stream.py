"""The bytes of a file, decompressed while reading if they are compressed by gzip or bzip2."""

import bz2
import gzip
import os
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from restore.errors import UserError
from restore.io.reading import reading

_GZIP, _BZIP2 = b"\x1f\x8b", b"BZh"
_CHUNK_BYTES = 1 << 16
_MOST_DRAINED_BYTES = 1 << 22
_ALWAYS_PLAUSIBLE_PX = 1 << 28
_MOST_INFLATION = 200


@dataclass(frozen=True)
class ByteStream:
    """An open file and its size in bytes, None if it is compressed: only decompressing all of it
    would tell.
    """

    path: Path
    stream: IO[bytes]
    size_bytes: int | None

    def array(self, dtype: np.dtype[np.generic], count: int) -> NDArray[np.generic]:
        """The next ``count`` numbers of this type. Raises UserError if the file ends too early."""
        numbers = np.empty(count, dtype)
        got_bytes = self.stream.readinto(numbers.view(np.uint8).data)  # pyright: ignore[reportAttributeAccessIssue]
        if got_bytes < numbers.nbytes:
            problem = f"only {got_bytes // dtype.itemsize} of {count} pixels could be read"
            raise UserError(
                problem, where=self.path, wanted="The file is cut short", do="copy it again"
            )
        return numbers

    def skip(self, count: int) -> None:
        """Skip ``count`` bytes."""
        self.stream.seek(count, os.SEEK_CUR)

    def drain(self) -> int:
        """The number of bytes that are left; the checksum of a compressed file is verified on the
        way.

        Of a compressed file at most 4 MiB are counted: even a short one can expand for hours.
        """
        if self.size_bytes is not None:
            return self.size_bytes - self.stream.tell()
        left = 0
        while left < _MOST_DRAINED_BYTES and (chunk := self.stream.read(_CHUNK_BYTES)):
            left += len(chunk)
        return left


@contextmanager
def open_bytes(path: Path, wanted: str = "An MRC file is needed") -> Generator[ByteStream]:
    """A file open for reading, decompressed on the way if it begins as gzip or bzip2 files do,
    whatever its name is.

    Raises
    ------
    UserError
        The file is missing (``wanted`` says what was expected) or unreadable, or its compressed
        content is cut short or damaged, which may be noticed only when those bytes are read.
    """
    with reading(path, wanted), _inflating(path), path.open("rb") as stream:
        packed = _inflater(stream)
        if packed is None:
            yield ByteStream(path, stream, os.fstat(stream.fileno()).st_size)
        else:
            with packed:
                yield ByteStream(path, packed, None)


def require_plausible(path: Path, content_bytes: int, pixels: int, packed_bytes: int) -> None:
    """Raise UserError if a header claims a large image that so few compressed bytes can hold only
    if it is empty: a few bytes of gzip or bzip2 can stand for gigabytes of zeros.

    Images of up to 2²⁸ pixels (1 GiB as float32) are always plausible.
    """
    if pixels > _ALWAYS_PLAUSIBLE_PX and content_bytes > _MOST_INFLATION * packed_bytes:
        problem = (
            f"its header claims {pixels} pixels, {content_bytes / 1e9:.3g} GB, and they are packed "
            f"into {packed_bytes} bytes"
        )
        wanted = f"Images are not packed to less than 1/{_MOST_INFLATION} of their size"
        raise UserError(problem, where=path, wanted=wanted, do="copy it again, or unpack it")


@contextmanager
def _inflating(path: Path) -> Generator[None]:
    try:
        yield
    except EOFError as error:
        problem = "the file is cut short: it ends before what is packed in it"
        raise UserError(problem, where=path, do="copy it again") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise _damaged(path, error) from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise _damaged(path, error) from error  # bzip2's way to say it


def _inflater(stream: IO[bytes]) -> IO[bytes] | None:
    start = stream.read(len(_BZIP2))
    stream.seek(0)
    if start.startswith(_GZIP):
        return gzip.GzipFile(fileobj=stream, mode="rb")  # pyright: ignore[reportReturnType]
    return bz2.BZ2File(stream, "rb") if start == _BZIP2 else None  # pyright: ignore[reportReturnType]


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(
        f"what is packed in the file is damaged ({error})", where=path, do="copy it again"
    )
