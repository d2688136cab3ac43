"""``restore halves``: two independent halves of every micrograph, from movies or from counts."""

import argparse
import hashlib
import json
import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from restore.cli.options import (
    add_device_option,
    add_pixel_size_option,
    add_settings,
    given,
    settings_from,
)
from restore.cli.progress import Bar
from restore.cli.results import refuse_foreign, report_failures, write_table
from restore.errors import UsageError, UserError
from restore.io.atomic import require_writable
from restore.io.endings import MOVIE_ENDINGS, ending_of
from restore.io.images.image import read_image_header
from restore.io.images.movies import EERSettings
from restore.io.listings import ImageListing, star_bytes
from restore.io.micrographs import MicrographSet, Needs, Suffixes, read_micrographs
from restore.io.paths import Places, image_names
from restore.io.relion.halves_star import HalfNames, halves_star, star_listing
from restore.io.relion.motion import motion_files
from restore.micrograph import Micrograph
from restore.movies.exposures import MovieSettings, aligned, corrected
from restore.movies.halving import (
    HalfImages,
    HalvesOutput,
    Job,
    from_counts,
    from_movie,
    is_current,
    plan,
    produce,
)
from restore.provenance import plain, provenance
from restore.runtime.distributed import pick_device
from restore.runtime.jobs import Outcome
from restore.runtime.memory import keep_heap

log = logging.getLogger(__name__)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``restore halves``."""
    group = parser.add_argument_group("input")
    group.add_argument(
        "--input_micrographs",
        "-m",
        required=True,
        metavar="STAR",
        help=(
            "RELION STAR file of micrographs after MotionCorr or CtfFind, or a quoted pattern of "
            "movies that are aligned"
        ),
    )
    add_pixel_size_option(group)
    add_device_option(group)
    thinning = parser.add_argument_group("without movies")
    thinning.add_argument(
        "--thin",
        action="store_true",
        help="split counted micrographs (-m names them) electron by electron, at random",
    )
    thinning.add_argument(
        "--seed", type=int, metavar="N", default=argparse.SUPPRESS, help="of --thin (default: 0)"
    )
    add_settings(parser, "output", HalvesOutput)
    add_settings(parser, "movies", MovieSettings)
    add_settings(parser, "EER movies (default: the STAR file's)", EERSettings)


@dataclass(frozen=True)
class _Work:
    """A set, how each of its micrographs is halved, and what that depends on."""

    chosen: MicrographSet
    halve: Callable[[Micrograph], HalfImages]
    settings: MovieSettings | None
    sources: Callable[[Micrograph], tuple[Path, ...]]
    depends_on: Mapping[str, object]

    @property
    def full_sums(self) -> bool:
        """Whether full sums are written: asked for, on a grid of their own, or the only ones that
        there are.
        """
        if self.settings is None:
            return False
        return not self.chosen.is_listed or self.settings.full_sum or self.settings.changes_grid

    @property
    def new_pixel_sizes(self) -> bool:
        """Whether the STAR file's pixel sizes change."""
        return self.settings is not None and self.settings.changes_grid


def run(namespace: argparse.Namespace) -> int:
    """Make the halves that are missing or stale, write the STAR file; the exit status comes back."""
    output = settings_from(namespace, HalvesOutput)
    keep_heap()
    work = _thinning(namespace) if namespace.thin else _movies(namespace)
    fingerprint = hashlib.sha256(
        json.dumps(plain([output.output_dtype, work.depends_on])).encode()
    ).hexdigest()[:24]
    star_listing(work.chosen)
    jobs = plan(
        work.chosen.micrographs, output.output_directory, work.full_sums, fingerprint, work.sources
    )
    star_path = _star_path(work.chosen, output)
    for folder in {star_path.parent, *(job.even.parent for job in jobs)}:
        require_writable(folder)
    outcome = _produce(jobs, work, output)
    if outcome.good:
        places = Places.of_star(star_path)
        names = {
            job.micrograph.row: _names(job, places, work.new_pixel_sizes) for job in outcome.good
        }
        voltage_kV = work.settings.voltage if work.settings else None
        made = provenance(work.depends_on, {"micrographs": work.chosen.source, "output": output})
        write_table(
            star_path, {star_path: star_bytes(halves_star(work.chosen, names, voltage_kV))}, made
        )
        print(star_path)
    _say_doubts(outcome.remarks)
    return report_failures(outcome, "halved")


def _thinning(namespace: argparse.Namespace) -> _Work:
    typed = [*given(namespace, MovieSettings), *given(namespace, EERSettings)]
    if typed:
        found = f"--thin and {', '.join(f'--{name}' for name in typed)} are given"
        raise UsageError(found, wanted="Thinning reads no movies", do="leave one of them out")
    source, seed = namespace.input_micrographs, getattr(namespace, "seed", 0)
    suffixes = None if source.lower().endswith(".star") else Suffixes()
    chosen = read_micrographs(source, suffixes, namespace.pixel_size, Needs(ctf=False))
    return _Work(
        chosen,
        partial(from_counts, seed=seed),
        None,
        lambda _: (),
        {"thin": True, "seed": seed, "pixel_size": namespace.pixel_size},
    )


def _movies(namespace: argparse.Namespace) -> _Work:
    if hasattr(namespace, "seed"):
        raise UsageError(
            "--seed is given without --thin", wanted="Nothing is random where frames are summed"
        )
    settings, eer = settings_from(namespace, MovieSettings), settings_from(namespace, EERSettings)
    if (settings.gain_rotation or settings.gain_flip) and settings.gain is None:
        wanted = "The STAR file's gain reference has been turned by RELION already"
        raise UsageError("--gain_rotation or --gain_flip is given without --gain", wanted=wanted)
    device, own = pick_device(namespace.device), () if settings.gain is None else (settings.gain,)
    depends_on = {
        "movies": replace(settings, full_sum=False),
        "eer": eer,
        "pixel_size": namespace.pixel_size,
    }
    source = namespace.input_micrographs
    if not source.lower().endswith(".star"):
        chosen = _aligned_movies(source, namespace.pixel_size, settings)

        def sum_aligned(movie: Micrograph) -> HalfImages:
            return from_movie(aligned(movie.image, movie.pixel_size_A, settings, eer), device)

        return _Work(chosen, sum_aligned, settings, lambda _: own, depends_on)
    chosen = read_micrographs(source, None, namespace.pixel_size, Needs(ctf=False))
    motions = motion_files(chosen)

    def sum_corrected(micrograph: Micrograph) -> HalfImages:
        return from_movie(
            corrected(micrograph.image, motions[micrograph.row], settings, eer), device
        )

    return _Work(
        chosen, sum_corrected, settings, lambda each: (motions[each.row], *own), depends_on
    )


def _aligned_movies(
    source: str, pixel_size_A: float | None, settings: MovieSettings
) -> MicrographSet:
    endings = tuple({Path(f"a{ending}").suffix for ending in MOVIE_ENDINGS})
    names = [name for name in image_names(source, endings) if ending_of(name) in MOVIE_ENDINGS]
    if not names:
        wanted = f"A STAR file of RELION's, or movies ({', '.join(MOVIE_ENDINGS)}) are needed"
        raise UserError("it is no movie", where=source, wanted=wanted)
    if not pixel_size_A or pixel_size_A < 0:
        wanted, do = (
            "Movies without a STAR file need a pixel size",
            "give --pixel_size in Å, or RELION's STAR file",
        )
        raise UserError("there is no pixel size", where=source, wanted=wanted, do=do)
    lacking = [
        f"--{name}" for name in ("dose_per_frame", "voltage") if getattr(settings, name) is None
    ]
    if settings.dose_weighting and lacking:
        wanted = "Dose weighting needs both the dose of a frame and the voltage"
        do = f"give {' and '.join(lacking)}, or --dont_dose_weighting"
        raise UserError(f"{' and '.join(lacking)} not given", where=source, wanted=wanted, do=do)
    movies = tuple(
        Micrograph(name, Path(name), pixel_size_A, row) for row, name in enumerate(names)
    )
    return MicrographSet(source, movies, ImageListing(movies))


def _names(job: Job, places: Places, new_pixel_sizes: bool) -> HalfNames:
    """The names for the STAR file; the micrograph's own remains where it can be found from there."""
    size_A = read_image_header(job.full).pixel_size_A if job.full and new_pixel_sizes else None
    own = job.micrograph.name if places.find(job.micrograph.name) else str(job.micrograph.image)
    return HalfNames(str(job.full or own), str(job.even), str(job.odd), size_A)


def _star_path(chosen: MicrographSet, output: HalvesOutput) -> Path:
    """Where the output STAR goes: at the top of the output folder. Never over the input."""
    source = Path(chosen.source)
    path = output.output_directory / f"{source.stem if chosen.is_listed else 'micrographs'}.star"
    do = "give another --output_directory"
    if chosen.is_listed and path.resolve() == source.resolve():
        raise UserError("the output STAR would replace the input's", where=path, do=do)
    refuse_foreign([path], path, output.overwrite, do)
    return path


def _produce(jobs: list[Job], work: _Work, output: HalvesOutput) -> Outcome[Job]:
    """What became of every job: those that are current are left, the rest done."""
    to_do = [job for job in jobs if output.overwrite or not is_current(job)]
    waiting = {job.micrograph.row for job in to_do}
    current = [job for job in jobs if job.micrograph.row not in waiting]
    if current:
        log.info("%d of %d micrographs have their halves already", len(current), len(jobs))
    if not to_do:
        return Outcome[Job](up_to_date=current)
    with Bar(len(to_do), "micrographs", "halving") as bar:
        outcome = produce(
            to_do,
            work.halve,
            output.output_dtype,
            lambda told: bar.to(len(told.done) + len(told.failed)),
        )
    outcome.up_to_date = current
    return outcome


def _say_doubts(doubts: list[str]) -> None:
    if doubts:
        count = len(doubts)
        print(
            f"{count} full sums are not quite like the micrographs, so was their weighting or "
            "gain the same?",
            file=sys.stderr,
        )
        print(f"  {doubts[0]}{f', and {count - 1} more' if count > 1 else ''}", file=sys.stderr)
