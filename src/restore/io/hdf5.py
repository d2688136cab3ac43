"""Check that an HDF5 file can be opened safely."""

import json
import signal
import subprocess
import sys
from pathlib import Path

from restore.errors import UserError

_PROBE = Path(__file__).with_name("hdf5_probe.py")
_PATIENCE = 60
_LEAST_SECONDS = 8.0
_BYTES_PER_SECOND = 2e7
_sound: set[tuple[int, int, int, int]] = set()


def require_sound_hdf5(path: Path, do: str = "") -> None:
    """Examine an HDF5 file in a separate process before it is opened in this one.

    A file is examined once per process, unless it changes. This takes 0.4 s or more, and prevents a
    damaged file from hanging or crashing a run that has taken hours.

    Raises
    ------
    UserError
        Reading the file takes more processor time than its size can explain, or it refers to other
        files or places, or has datasets that claim more than is stored. ``do`` is the advice in the
        error.
    """
    status = path.stat()
    key = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
    if key in _sound:
        return
    seconds = _LEAST_SECONDS + status.st_size / _BYTES_PER_SECOND
    command = [sys.executable, "-P", str(_PROBE), str(path.absolute()), f"{seconds:.3f}"]
    # The probe limits its own processor time: on a busy machine or disk, a sound file may take far
    # longer by the clock.
    endless = UserError(
        "not a readable HDF5 file: its structure could not be read to the end", where=path, do=do
    )
    try:
        patience = _PATIENCE * seconds
        probe = subprocess.run(command, capture_output=True, timeout=patience, check=False)
    except subprocess.TimeoutExpired:
        raise endless from None
    if probe.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        raise endless
    try:
        fault = json.loads(probe.stdout)
    except ValueError:
        fault = f"the library that reads it ended with status {probe.returncode}"
    if fault is not None:
        raise UserError(f"not a readable HDF5 file ({fault})", where=path, do=do)
    _sound.add(key)
