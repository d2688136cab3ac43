"""A file that HDF5 can close even when the disk is full."""

from io import FileIO
from typing import Any


class SteadyFile(FileIO):
    """A file that accepts every write without an error and keeps the first failure for `check`.

    HDF5 cannot close a file whose writes fail (as on a full disk), and the process then crashes at
    its end.
    """

    failure: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Write all bytes, or as many as the disk can take."""
        rest = memoryview(data).cast("B")
        try:
            while rest and self.failure is None:
                rest = rest[super().write(rest) or 0 :]
        except OSError as error:
            self.failure = error
        return memoryview(data).nbytes

    def truncate(self, size: int | None = None, /) -> int:
        """Report the requested size, whether or not the disk has room for it."""
        try:
            return super().truncate(size)
        except OSError as error:
            self.failure = self.failure or error
            return size or 0

    def check(self) -> None:
        """Raise the first failure, if there was one."""
        if self.failure is not None:
            raise self.failure
