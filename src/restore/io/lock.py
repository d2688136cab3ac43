"""A lock file that allows one run at a time and names the process that holds it."""

import errno
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from restore.errors import UserError
from restore.io.atomic import boot_id
from restore.records import decoded, parse_json

BEAT_S = 5.0
"""The interval at which the holder renews the time stamp of its lock file."""

_PATIENCE_S = 4 * BEAT_S
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS)


@dataclass(frozen=True)
class Holder:
    """A process: its host, its process id there, its start time (in clock ticks after that of the
    host), and the machine and container in which the id is valid.
    """

    host: str
    pid: int
    started: str
    machine: str

    @classmethod
    def of(cls, pid: int) -> "Holder":
        """The process with this id on this host; ``started`` is empty if there is none."""
        return cls(socket.gethostname(), pid, _start_of(pid), _machine())


@contextmanager
def locked(result: Path, do: str = "wait until it ends, or choose another name") -> Generator[None]:
    """Within the block no other process writes ``result`` and its associated files; the lock file
    ``.NAME.lock`` is beside it.

    The lock of a process that has ended is taken over: at once on the same machine, and after
    twenty seconds without a sign of life if it was another one.

    Raises
    ------
    UserError
        A process that is alive holds it.
    OSError
        The lock file cannot be written.
    """
    path, mine = result.with_name(f".{result.name[:80]}.lock"), Holder.of(os.getpid())
    text = json.dumps(asdict(mine) | {"token": secrets.token_hex(8)})
    missing = [folder for folder in (path.parent, *path.parent.parents) if not folder.exists()]
    try:
        _take(path, text, result, do)
    except BaseException:
        _remove_empty(missing)
        raise
    over = threading.Event()
    beat = threading.Thread(target=_beat, args=(path, over), name="lock", daemon=True)
    beat.start()
    try:
        yield
    finally:
        over.set()
        beat.join()
        if _read(path) == text:
            path.unlink(missing_ok=True)
        _remove_empty(missing)


def _remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders that were made for a lock, unless they contain something else by now."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return


def _take(path: Path, text: str, result: Path, do: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    while not _create(path, text):
        holder_found = _read(path)
        if holder_found is None:
            continue  # it was released in between
        holder = _holder(holder_found)
        if _lives(path, holder_found, holder):
            by = f"process {holder.pid} on {holder.host}" if holder else "another process"
            raise UserError(f"{by} is writing it", where=result, do=do)
        _discard(path, holder_found)


def _create(path: Path, text: str) -> bool:
    """Whether the lock file could be created. It appears complete, so that nobody reads
    half of it.
    """
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        with draft.open("x", encoding="utf-8") as file:
            file.write(text)
        return _linked(draft, path, text)
    finally:
        draft.unlink(missing_ok=True)


def _linked(file: Path, path: Path, text: str) -> bool:
    """Whether ``path`` did not exist, and is now a link to ``file``; or a copy of its ``text`` on
    a file system without hard links.
    """
    try:
        try:
            os.link(file, path)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666)
            try:
                os.write(descriptor, text.encode("utf-8"))
            finally:
                os.close(descriptor)
    except FileExistsError:
        return False
    return True


def _discard(path: Path, stale: str) -> None:
    """Remove a stale lock file; if another process has replaced it by a new one in the meantime,
    that is put back.
    """
    aside = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return
    text = _read(aside)
    if text is not None and text != stale:
        _linked(aside, path, text)
    aside.unlink(missing_ok=True)


def _lives(path: Path, text: str, holder: Holder | None) -> bool:
    """Whether the holder is alive, judged by its process id on this machine, and by the time stamp
    of its lock file on another one.
    """
    if holder is not None and holder.machine == _machine():
        return holder.started != "" and holder.started == _start_of(holder.pid)
    first, end = _renewed(path), time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        if _read(path) != text:
            return False  # released, or another's by now: look again
        if _renewed(path) != first:
            return True
        time.sleep(BEAT_S / 10)
    return False


def _beat(path: Path, over: threading.Event) -> None:
    while not over.wait(BEAT_S):
        try:
            os.utime(path)
        except OSError:
            continue


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _renewed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _holder(text: str) -> Holder | None:
    try:
        return decoded(Holder, parse_json(text, "lock"), "lock")
    except UserError:
        return None


def _start_of(pid: int) -> str:
    """The start time of a process, in the kernel's clock ticks; empty if there is no such
    process.
    """
    try:
        words = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return words.rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "" if Path("/proc/self/stat").exists() or not _answers(pid) else "running"


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def _machine() -> str:
    """An identifier of this machine and container."""
    try:
        return f"{boot_id()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()
