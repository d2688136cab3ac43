"""The command ``restore``: finds the subcommand, runs it, and handles its errors."""

import argparse
import errno
import logging
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module

from restore.cli.job import as_job, job_folder
from restore.cli.options import with_underscores
from restore.cli.parser import Parser, closest
from restore.cli.terminal import Stream, printable, safe_streams
from restore.cli.wording import LineFormatter, Wording
from restore.commands import CommandLine
from restore.errors import UsageError, UserError
from restore.runtime.memory import is_out_of_memory
from restore.runtime.signals import interruptible
from restore.version import __version__

COMMANDS = {
    "train": "train a network on the halves of your micrographs",
    "denoise": "denoise every micrograph with a trained model",
    "watch": "denoise a session while it is collected",
    "evaluate": (
        "measure how much noise was removed, how much signal was kept and how much was hallucinated"
    ),
    "report": "write an evaluation as one self-contained HTML page",
    "halves": "sum movies into two halves, or split counted micrographs without movies",
    "prepare": "write the patch file that training reads, without training",
    "reconstruct": "reconstruct half maps from particle images with known orientations",
    "angles": "compute the angular distances between two refinements of the same particles",
    "fsc": (
        "compute the Fourier shell correlation of half maps, images or stacks, or of a map and a "
        "model"
    ),
    "amplitudes": "compute the Fourier amplitudes of maps by resolution, and their B factors",
    "sharpen": "weight the mean of two half maps by their FSC, and sharpen it by a B factor",
    "reslog": "compute how resolution improves with the number of particles, raw and denoised",
    "view": "show the surfaces of maps side by side, and residues of a model in their density",
    "structure": (
        "compare raw and denoised maps on one page, to see whether denoising helps the structure"
    ),
    "inspect": "describe a file, what restore would do with it, and any problems that it has",
    "simulate": "simulate micrographs whose truth is known",
    "demo": "simulate, train, denoise and compare, from scratch, in minutes",
    "completion": "print a script that completes commands and options in a shell",
}

EPILOG = """\
the main task, in two commands:
  restore train   -m micrographs_ctf.star -x my_model
  restore denoise -m micrographs_ctf.star -p Models/my_model.safetensors

restore COMMAND --help, or restore help COMMAND, lists the options of a command."""

_OUT_OF_MEMORY = (
    "Memory ran out. Finished results are kept. End other programs, or use a machine with more "
    "memory."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``restore`` with these arguments (by default the process's); returns the exit status.

    0 all done; 1 bad input, or some micrographs failed; 2 wrong use; 130 interrupted.
    """
    # Threads that spin while they wait make PyTorch five to ten times slower on a shared machine
    # (decisions/005).
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    typed = with_underscores(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in typed
    folder = job_folder(typed)
    words = [argument for argument in typed if argument != "--debug"]
    run = partial(_handled, partial(_run, words), words, debug)
    with safe_streams() as (output, _):
        status = run() if folder is None else _handled(partial(as_job, folder, run), words, debug)
        return _status_of_output(output, status)


def _run(arguments: Sequence[str]) -> int:
    with interruptible():
        namespace = _parse(arguments)
        return import_module(f"restore.cli.{namespace.command}").run(namespace)


def _handled(run: Callable[[], int], arguments: Sequence[str], debug: bool) -> int:
    """The exit status of ``run``; errors of the user or the system end it with a message."""
    try:
        return run()
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else 2
    except UserError as error:
        status = 2 if isinstance(error, UsageError) else 1
        return _say(_wording(arguments).error(error), status, debug)
    except OSError as error:
        return _say(f"{error.filename or 'the system'}: {error.strerror or error}.", 1, debug)
    except (MemoryError, RuntimeError) as error:
        words = _words_of_system(error)
        if not words:
            raise
        return _say(words, 1, debug)
    except KeyboardInterrupt:
        return _say("Interrupted. Finished results are kept.", 130, debug)


def _words_of_system(error: BaseException) -> str:
    """What an error of the system means that is no OSError; empty if it is an error of the
    program.
    """
    if is_out_of_memory(error):
        return _OUT_OF_MEMORY
    # Path.resolve() raises this before Python 3.13; the system calls it ELOOP.
    start = "Symlink loop from "
    if not str(error).startswith(start):
        return ""
    path = str(error).removeprefix(start).strip("'")
    return f"{path}: its symbolic links lead in a circle. Correct them."


def _wording(arguments: Sequence[str]) -> Wording:
    """The words of the command that is running."""
    is_command = bool(arguments) and arguments[0] in COMMANDS
    return Wording(command_parser(arguments[0]) if is_command else front_page())


def _status_of_output(output: Stream, status: int) -> int:
    """The exit status: 1 if the printed output could not be written, as on a full disk. A pipe
    whose reader has ended (``| head``) is not an error.
    """
    output.flush()
    if output.lost is None or getattr(output.lost, "errno", None) == errno.EPIPE:
        return status
    reason = getattr(output.lost, "strerror", None) or output.lost
    print(f"standard output: {reason}. The work itself is finished.", file=sys.stderr)
    return status or 1


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    command, *rest = arguments or ["--help"]
    if command == "help":
        command, *rest = [*rest[:1], "--help"]
    if command == "version":
        command = "--version"
    if command not in COMMANDS:
        if not command.startswith("-"):
            problem = f'there is no command "{command}"'
            raise UsageError(problem, do=closest(command, COMMANDS) or "see restore --help")
        raise SystemExit(front_page().parse_args([command, *rest]))
    parser = command_parser(command)
    namespace = parser.parse_args(rest, argparse.Namespace(command=command))
    _set_logging_up(Wording(parser), namespace.verbose)
    return namespace


def _set_logging_up(wording: Wording, verbose: bool) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(wording))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("restore").setLevel(logging.DEBUG if verbose else logging.INFO)


def command_parser(command: str) -> argparse.ArgumentParser:
    """The parser of one subcommand."""
    description = f"{COMMANDS[command][0].upper()}{COMMANDS[command][1:]}."
    return add_command(Parser(f"restore {command}", description), command)


def add_command(parser: argparse.ArgumentParser, command: str) -> argparse.ArgumentParser:
    """Add the options of a subcommand to a parser, and return it."""
    parser.add_argument(
        "--verbose", "-v", action="store_true", help=("print more details of the progress")
    )
    parser.add_argument("--debug", action="store_true", help="print the traceback of an error")
    import_module(f"restore.cli.{command}").add_options(parser)
    return parser


def as_typed(line: CommandLine) -> str:
    """A command line suggested by the library, with options in place of its fields.

    >>> from restore.commands import Field
    >>> as_typed(CommandLine("denoise", Field("micrographs"), "a b.star", Field("pixel_size_A"), 2))
    "restore denoise -m 'a b.star' --pixel_size 2"
    """
    return Wording(command_parser(line.command)).command_line(line)


def front_page() -> argparse.ArgumentParser:
    """The parser of ``restore`` itself, for its help."""
    parser = Parser(
        "restore",
        "Denoise cryo-EM micrographs with a network trained on their own halves.",
        epilog=EPILOG,
    )
    parser.add_argument("--version", "-V", action="version", version=f"restore {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, words in COMMANDS.items():
        commands.add_parser(name, help=words, description=words)
    return parser


def _say(message: str, status: int, debug: bool) -> int:
    if debug:
        logging.getLogger("restore").exception("")
    print(printable(message), file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
