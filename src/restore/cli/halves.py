"""``restore halves``: make two independent halves of every micrograph, from movies or
from counts.
"""

import argparse
import sys
from collections.abc import Sequence

from restore.cli.options import (
    add_device_option,
    add_pixel_size_option,
    add_settings,
    given,
    settings_from,
)
from restore.cli.progress import Bar
from restore.cli.results import report_failures
from restore.errors import UsageError
from restore.io.images.movies import EERSettings
from restore.movies.exposures import MovieSettings
from restore.movies.halving import LOCAL_MOTION_LOST, HalvesOutput
from restore.movies.making_halves import Thinning, make_halves
from restore.runtime.memory import tune_malloc


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``restore halves``."""
    group = parser.add_argument_group("input")
    group.add_argument(
        "--input_micrographs",
        "-m",
        required=True,
        metavar="STAR",
        help=(
            "RELION STAR file of micrographs from MotionCorr or CtfFind, or a quoted pattern of "
            "aligned movies"
        ),
    )
    add_pixel_size_option(group)
    add_device_option(group)
    thinning = parser.add_argument_group("without movies")
    thinning.add_argument(
        "--thin",
        action="store_true",
        help="split the counted micrographs that -m names at random, electron by electron",
    )
    thinning.add_argument(
        "--seed",
        type=int,
        metavar="N",
        default=argparse.SUPPRESS,
        help=("seed of --thin (default: 0)"),
    )
    add_settings(parser, "output", HalvesOutput)
    add_settings(parser, "movies", MovieSettings)
    add_settings(parser, "EER movies (default: the STAR file's)", EERSettings)


def run(namespace: argparse.Namespace) -> int:
    """Make the halves that are missing or outdated, write the STAR file; returns the exit
    status.
    """
    tune_malloc()
    _refuse_mixtures(namespace)
    movies = settings_from(namespace, MovieSettings)
    results = make_halves(
        namespace.input_micrographs,
        Thinning(getattr(namespace, "seed", 0)) if namespace.thin else movies,
        output=settings_from(namespace, HalvesOutput),
        eer=settings_from(namespace, EERSettings),
        pixel_size_A=namespace.pixel_size,
        device=namespace.device,
        bars=Bar,
    )
    if results.table is not None:
        print(results.table)
    _print_remarks(results.remarks)
    return report_failures(results.failed.items(), results.total, "halved")


def _refuse_mixtures(namespace: argparse.Namespace) -> None:
    """Raise UsageError if options of summing and of thinning are mixed, or a rotation or flip is
    given without a gain.
    """
    typed = [*given(namespace, MovieSettings), *given(namespace, EERSettings)]
    if namespace.thin and typed:
        problem = f"--thin and {', '.join(f'--{name}' for name in typed)} are given"
        raise UsageError(problem, wanted="Thinning reads no movies", do="leave one of them out")
    if hasattr(namespace, "seed") and not namespace.thin:
        wanted = "Summing frames involves no random numbers"
        raise UsageError("--seed is given without --thin", wanted=wanted)
    settings = settings_from(namespace, MovieSettings)
    if (settings.gain_rotation or settings.gain_flip) and settings.gain is None:
        wanted = "RELION has already rotated the STAR file's gain reference"
        raise UsageError("--gain_rotation or --gain_flip is given without --gain", wanted=wanted)


def _print_remarks(remarks: Sequence[str]) -> None:
    lost = [remark for remark in remarks if LOCAL_MOTION_LOST in remark]
    others = [remark for remark in remarks if LOCAL_MOTION_LOST not in remark]
    differ = "full sums differ" if len(others) > 1 else "full sum differs"
    asked = f"{differ} slightly from the micrograph. Were the dose weighting and the gain the same?"
    _print_group(others, asked)
    lack = "full sums lack" if len(lost) > 1 else "full sum lacks"
    _print_group(lost, f"{lack} a correction that the micrograph may have.")


def _print_group(remarks: Sequence[str], words: str) -> None:
    """Print how many remarks there are, and the first of them."""
    if remarks:
        more = f", and {len(remarks) - 1} more" if len(remarks) > 1 else ""
        print(f"{len(remarks)} {words}\n  {remarks[0]}{more}", file=sys.stderr)
