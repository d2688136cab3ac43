"""Files that appear completely or not at all."""

import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import socket
import stat
import time
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from restore.errors import UserError

_MENDABLE = {
    errno.ENOSPC: ("the disk is full", "free some space or write elsewhere"),
    errno.EDQUOT: ("the disk quota is used up", "free some space or write elsewhere"),
    errno.EACCES: (
        "the folder or the file may not be written",
        "change its permissions or write elsewhere",
    ),
    errno.EPERM: (
        "the folder or the file may not be written",
        "change its permissions or write elsewhere",
    ),
    errno.EROFS: ("the folder is read-only", "write elsewhere"),
    errno.ENOTDIR: ("a file stands where a folder is wanted", "remove it or write elsewhere"),
    errno.EEXIST: ("a file stands where a folder is wanted", "remove it or write elsewhere"),
    errno.EISDIR: ("a folder stands where the file is to go", "remove it or choose another name"),
    errno.ENAMETOOLONG: ("the name is too long for this file system", "choose a shorter one"),
    errno.EFBIG: ("the file is larger than this file system or account allows", "write elsewhere"),
}


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """A temporary path beside ``path``, renamed to ``path`` when the block ends without an error.

    Missing parent folders are made. The temporary file has a hidden name that cannot be predicted,
    ``.NAME.MACHINE.RANDOM.partial``; it is always a new file, and an existing link is never
    followed. Its contents are flushed to the disk before it is renamed. If the block fails or is
    interrupted, the temporary file is removed and an earlier file at ``path`` stays unchanged. The
    first write of a process to a folder removes the temporary files that killed processes have left
    there.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(Path(folder) / "new" / "hello.txt") as partial:
    ...         _ = partial.write_text("hello")
    ...     (Path(folder) / "new" / "hello.txt").read_text()
    'hello'

    Raises
    ------
    UserError
        The disk is full, the folder is read-only, or the like; the error names ``path``. Any other
        exception of the block passes through, including an OSError about another file.
    """
    name = f".{path.name[:50]}.{_machine_mark()}.{secrets.token_hex(8)}.partial"
    partial = path.with_name(name)
    descriptor: int | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path.parent)
        descriptor = _create(partial)
        yield partial
        _flush_to_disk(partial)
        partial.replace(path)
    except OSError as error:
        if error.errno not in _MENDABLE or not _is_about(error, path, partial):
            raise
        problem, do = _MENDABLE[error.errno]
        raise UserError(problem, where=path, wanted="The file was not written", do=do) from error
    finally:
        if descriptor is not None:
            _remove(partial)
            os.close(descriptor)


def require_writable(folder: Path, size_bytes: int = 0) -> None:
    """Raise UserError if no file, or no file of this size, can be written into ``folder``, which
    need not exist yet.
    """
    nowhere = next((path for path in (folder, *folder.parents) if leads_nowhere(path)), None)
    if nowhere is not None:
        raise UserError(
            "it is a symbolic link that leads to nothing, or in a circle",
            where=nowhere,
            wanted="Nothing was done",
            do="correct the link, or choose another folder",
        )
    there = next(parent for parent in (folder, *folder.parents, Path()) if parent.exists())
    if not there.is_dir():
        problem, do = _MENDABLE[errno.ENOTDIR]
    elif not os.access(there, os.W_OK | os.X_OK):
        problem, do = _MENDABLE[errno.EACCES]
    elif (free_bytes := shutil.disk_usage(there).free) < size_bytes:
        problem, do = (
            f"{free_bytes / 1e9:.3g} GB are free, {size_bytes / 1e9:.3g} are needed",
            _MENDABLE[errno.ENOSPC][1],
        )
    else:
        return
    raise UserError(problem, where=there, wanted="Nothing has been written", do=do)


def leads_nowhere(path: Path) -> bool:
    """Whether a path is a broken symbolic link, or one of several links that form a circle."""
    return path.is_symlink() and not path.exists()


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` as UTF-8, with its line ends unchanged, completely or not at all.

    Bytes that were read with the ``surrogateescape`` handler are written unchanged.

    Raises
    ------
    UserError
        As :func:`replacing`.
    """
    write_bytes(path, text.encode("utf-8", "surrogateescape"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file completely or not at all. Raises as :func:`replacing`."""
    with replacing(path) as partial:
        partial.write_bytes(content)


_LEFTOVER = re.compile(r"\..+?(\.(?P<machine>[0-9a-f]{8}))?\.[0-9a-f]{16}\.partial")
_ABANDONED_S = 7 * 24 * 3600.0
"""The time without a change after which another machine's temporary file counts as left behind."""

_swept: set[tuple[int, int]] = set()
"""Device and inode of the folders that this process has cleaned."""


def _create(partial: Path) -> int:
    """Create an empty file that is locked while its descriptor is open. A file of this machine
    without a lock was left by a process that has ended.
    """
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    while True:
        descriptor = os.open(partial, flags, 0o666)
        _is_locked_now(descriptor)
        if partial.exists():
            return descriptor
        os.close(descriptor)  # another process took it for a leftover before it was locked


def _remove_leftovers(folder: Path) -> None:
    """Remove from a folder the temporary files of processes that have ended, once per process.

    On many network file systems a lock is seen only on the machine that holds it. Another machine's
    files are therefore removed only if nothing was written to them for a week.
    """
    status = folder.stat()
    if (status.st_dev, status.st_ino) in _swept:
        return
    _swept.add((status.st_dev, status.st_ino))
    with os.scandir(folder) as entries:
        matches = [(entry.path, _LEFTOVER.fullmatch(entry.name)) for entry in entries]
    own = _machine_mark()
    for path, match in matches:
        if match is None:
            continue
        leftover = Path(path)
        try:
            descriptor = os.open(leftover, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            continue  # a link, or somebody else's: not ours to remove
        state = os.fstat(descriptor)
        may_be_left = match["machine"] == own or time.time() - state.st_mtime > _ABANDONED_S
        if stat.S_ISREG(state.st_mode) and may_be_left and _is_locked_now(descriptor):
            _remove(leftover)
        os.close(descriptor)


def boot_id() -> str:
    """The identifier that this machine has until it is started again; its name if it has none. All
    processes with the same one see each other's locks.
    """
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return socket.gethostname()


@cache
def _machine_mark() -> str:
    """Eight hexadecimal digits that stand for this machine in the names of temporary files, also
    after it was started again.
    """
    try:
        number = Path("/etc/machine-id").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        number = ""
    text = f"{socket.gethostname()} {number.strip()}"
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]


def _is_locked_now(descriptor: int) -> bool:
    """Whether this process could lock the file; False if the file system does not support locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_about(error: OSError, path: Path, partial: Path) -> bool:
    """Whether the failure concerns writing ``path``, not reading some input inside the block."""
    return error.filename is None or Path(os.fsdecode(error.filename)) in {
        partial,
        path,
        *path.parents,
    }


def _remove(partial: Path) -> None:
    """Remove what is left of the temporary file. If even that fails, the first failure is
    reported.
    """
    try:
        partial.unlink(missing_ok=True)
    except OSError:
        return
