"""``train`` and ``denoise`` as External jobs of RELION: ``--o FOLDER --in_mics STAR --j N``
(docs/relion.md).
"""

import _thread
import argparse
import os
import signal
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from restore.errors import UsageError
from restore.io.relion.job import Ending, abort_is_asked, begin, end, has_output

POLL_S = 1.0
"""The interval of checks for a request to stop the job."""

MODELS, PATCHES = Path("Models"), Path("training_data.hdf")
"""The default folder of a model and its patch file."""

_COMMANDS = ("train", "denoise")
_INTERRUPTED, _SOME_FAILED = 130, 1


def add_job_options(group: "argparse._ArgumentGroup") -> None:  # pyright: ignore[reportPrivateUsage]
    """The options with which RELION starts an External job, beside ``--in_mics``."""
    group.add_argument(
        "--o",
        type=Path,
        dest="job_folder",
        metavar="DIR",
        help="folder of a RELION External job, which takes all output",
    )
    group.add_argument(
        "--j",
        type=_positive,
        dest="threads",
        metavar="N",
        help="number of threads (default: PyTorch's choice)",
    )


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of threads")
    return int(text)


def apply_job_options(namespace: argparse.Namespace) -> None:
    """Put all output into the job's folder, if there is one, and set the given number of threads.

    A training with an existing state is resumed, because RELION continues a job by the same
    command.

    Raises
    ------
    UsageError
        Another folder is given as well.
    """
    if namespace.threads is not None:
        import torch

        torch.set_num_threads(namespace.threads)
    if namespace.job_folder is not None:
        {"train": _apply_to_training, "denoise": _apply_to_denoising}[namespace.command](namespace)


def _apply_to_denoising(namespace: argparse.Namespace) -> None:
    if getattr(namespace, "output_directory", None) is not None:
        raise UsageError(
            "both --o and --output_directory are given", do="leave --output_directory out"
        )
    namespace.output_directory, namespace.within_job = namespace.job_folder, True


def _apply_to_training(namespace: argparse.Namespace) -> None:
    from restore.training.run_files import RunFiles

    if namespace.model_directory != MODELS:
        raise UsageError(
            "both --o and --model_directory are given", do="leave --model_directory out"
        )
    namespace.model_directory = namespace.job_folder
    if namespace.training_filename in (None, PATCHES):
        namespace.training_filename = namespace.job_folder / PATCHES
    state = RunFiles(namespace.model_directory, namespace.model_prefix).state
    namespace.resume = namespace.resume or (state.exists() and not namespace.overwrite)


def job_folder(arguments: Sequence[str]) -> Path | None:
    """The folder of the External job that a command line starts, or None; nothing else is parsed.

    >>> job_folder(["denoise", "--o", "External/job012/", "--in_mics", "micrographs.star"])
    PosixPath('External/job012')
    """
    if not arguments or arguments[0] not in _COMMANDS:
        return None
    for word, following in zip(arguments, [*arguments[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name == "--o" and (value if equals else following):
            return Path(value if equals else following)
    return None


def as_job(folder: Path, run: Callable[[], int]) -> int:
    """Do the work of an External job, and tell RELION how it ended; returns the exit status of
    ``run``.

    A job has finished, in RELION's sense, if everything was done, or if there is an output although
    some micrographs failed (RELION's own jobs also leave these out). The file RELION_JOB_ABORT_NOW
    stops it as SIGTERM does. Of several processes only the main one writes.
    """
    writes = is_main(os.environ)
    if writes:
        begin(folder)
    ending = Ending.FAILURE
    try:
        with _watched(folder):
            status = _INTERRUPTED if abort_is_asked(folder) else run()
        ending = _ending(status, folder)
    except KeyboardInterrupt:
        ending = Ending.ABORTED
        raise
    finally:
        if writes:
            end(folder, ending)
    return status


def _ending(status: int, folder: Path) -> Ending:
    if status == _INTERRUPTED:
        return Ending.ABORTED
    return (
        Ending.SUCCESS
        if status == 0 or (status == _SOME_FAILED and has_output(folder))
        else Ending.FAILURE
    )


def is_main(environment: Mapping[str, str]) -> bool:
    """Whether this is the main process of its run, as :func:`restore.runtime.distributed.launch`
    determines it, without torch.
    """
    if "WORLD_SIZE" in environment:
        return environment.get("RANK", "0") == "0"
    return "SLURM_STEP_NUM_TASKS" not in environment or environment["SLURM_PROCID"] == "0"


@contextmanager
def _watched(folder: Path) -> Generator[None]:
    """A block within which the main thread gets SIGTERM, once, when the job is asked to stop."""
    over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(folder, over), name="abort", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _watch(folder: Path, over: threading.Event) -> None:
    while not over.wait(POLL_S):
        if abort_is_asked(folder) and callable(signal.getsignal(signal.SIGTERM)):
            _thread.interrupt_main(signal.SIGTERM)
            return
