"""Work that several processes share and whose result one of them writes."""

from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from restore.io.lock import locked
from restore.runtime.distributed import Place, join_processes


@contextmanager
def joined_to_write(result: Path, device: str) -> Generator[Place]:
    """A block within which the processes started by torchrun or srun form one group, whose main
    process holds the lock of ``result``. Yields this process's place in the group.

    Raises
    ------
    UserError
        Another run is writing ``result``; there is no such device.
    OSError
        The lock file cannot be written beside ``result``.
    """
    with join_processes(device) as place, locked(result) if place.is_main else nullcontext():
        yield place
