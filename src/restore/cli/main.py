"""The command ``restore``: finds the subcommand, runs it, and is the one door through which errors
leave.
"""

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module

from restore.cli.job import as_job, job_folder
from restore.cli.options import HelpFormatter, with_underscores
from restore.errors import UsageError, UserError
from restore.version import __version__

COMMANDS = {
    "train": "train a network on the halves of your micrographs",
    "denoise": "denoise every micrograph with a trained model",
    "evaluate": "say how much noise went, how much signal stayed, how much false signal came",
    "report": "show an evaluation as one HTML page that can be mailed whole",
    "halves": "sum movies to two halves, or split counted micrographs where there are none",
    "prepare": "make the patch file that training reads, and nothing else",
    "reconstruct": "make half maps from particle images whose orientations are known",
    "angles": "say how far apart two refinements put the same particles",
    "fsc": "say how far two half maps, images or stacks agree, or a map and a model, by resolution",
    "amplitudes": "say how the Fourier amplitudes of maps fall with resolution, and their B factors",
    "sharpen": "weigh the mean of two half maps by their FSC, and sharpen it by a B factor",
    "reslog": "say how resolution grows with the number of particles, raw and denoised",
    "view": "draw the surfaces of maps beside each other, and residues of a model in their density",
    "structure": "say whether denoising helps the structure: raw and denoised maps compared on one page",
    "inspect": "say what a file is, what would be done with it, and what is wrong with it",
    "simulate": "make micrographs with known truth",
    "demo": "simulate, train, denoise and compare, from nothing, in minutes",
}

EPILOG = """\
the main job, in two commands:
  restore train   -m micrographs_ctf.star -x my_model
  restore denoise -m micrographs_ctf.star -p Models/my_model.safetensors

restore COMMAND --help tells the options of a command."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``restore`` with these arguments (those of the process by default); the exit status comes
    back.

    0 all done; 1 bad input, or some micrographs failed; 2 wrong use; 130 interrupted.
    """
    # Threads that spin while they wait make PyTorch five to ten times slower on a shared machine
    # (decisions/005).
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    given = with_underscores(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    folder = job_folder(given)
    run = partial(
        _through_the_door,
        partial(_run, [argument for argument in given if argument != "--debug"]),
        debug,
    )
    return run() if folder is None else _through_the_door(partial(as_job, folder, run), debug)


def _run(arguments: Sequence[str]) -> int:
    with _terminated_as_interrupted():
        namespace = _parse(arguments)
        return import_module(f"restore.cli.{namespace.command}").run(namespace)


def _through_the_door(run: Callable[[], int], debug: bool) -> int:
    """The exit status of ``run``, which an error of the user's or the system's ends with a message."""
    try:
        return run()
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else 2
    except UserError as error:
        return _say(str(error), 2 if isinstance(error, UsageError) else 1, debug)
    except OSError as error:
        return _say(f"{error.filename or 'the system'}: {error.strerror or error}.", 1, debug)
    except KeyboardInterrupt:
        return _say("Interrupted. What was finished is kept.", 130, debug)


@contextmanager
def _terminated_as_interrupted() -> Generator[None]:
    """Inside it SIGTERM, which a cluster sends before it kills, ends a command as ^C does: cleaned
    up.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: object) -> None:  # noqa: ARG001
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    if not arguments or arguments[0] not in COMMANDS:
        namespace = front_page().parse_args(arguments or ["--help"])
        raise SystemExit(namespace)
    command = arguments[0]
    namespace = command_parser(command).parse_args(
        arguments[1:], argparse.Namespace(command=command)
    )
    level = logging.DEBUG if namespace.verbose else logging.INFO
    logging.basicConfig(format="%(message)s", stream=sys.stderr, level=logging.WARNING, force=True)
    logging.getLogger("restore").setLevel(level)
    return namespace


def command_parser(command: str) -> argparse.ArgumentParser:
    """The parser of one subcommand."""
    parser = argparse.ArgumentParser(
        f"restore {command}",
        formatter_class=HelpFormatter,
        allow_abbrev=False,
        description=f"{COMMANDS[command][0].upper()}{COMMANDS[command][1:]}.",
    )
    parser.add_argument("--verbose", "-v", action="store_true", help="say more of what is going on")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    import_module(f"restore.cli.{command}").add_options(parser)
    return parser


def front_page() -> argparse.ArgumentParser:
    """The parser of ``restore`` itself, for its help."""
    parser = argparse.ArgumentParser(
        "restore",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Denoise cryo-EM micrographs with a network trained on their own halves.",
        epilog=EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"restore {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, words in COMMANDS.items():
        commands.add_parser(name, help=words, add_help=False)
    return parser


def _say(message: str, status: int, debug: bool) -> int:
    if debug:
        logging.getLogger("restore").exception("")
    print(message, file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
