"""``make_halves``: from a table or a pattern to the halves of every micrograph, and the table that
names them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from restore.errors import UserError
from restore.io.atomic import require_writable
from restore.io.endings import MOVIE_ENDINGS, ending_of
from restore.io.images.image import read_image_header
from restore.io.images.movies import EERSettings
from restore.io.listings import ImageListing, star_bytes
from restore.io.lock import locked
from restore.io.micrographs import MicrographSet, Needs, Suffixes, read_micrographs
from restore.io.outputs import refuse_foreign, write_table
from restore.io.paths import Places, image_names, resolved
from restore.io.relion.halves_star import HalfNames, halves_star, star_listing
from restore.io.relion.motion import motion_files
from restore.io.replaced_tables import origin, refuse_other_source
from restore.micrograph import Micrograph
from restore.movies.exposures import MovieSettings, aligned, corrected, files_behind
from restore.movies.halving import (
    HalfFiles,
    HalfImages,
    HalvesOutput,
    from_counts,
    from_movie,
    halve_jobs,
    plan,
)
from restore.provenance import provenance
from restore.runtime.distributed import pick_device
from restore.runtime.jobs import Job, SetResults
from restore.runtime.progress import Bars, no_bars

_ELSEWHERE = "give another `output_directory`"


@dataclass(frozen=True)
class Thinning:
    """Halves made by thinning: each electron of a counted micrograph goes to one of the two.

    Attributes
    ----------
    seed
        Seed of the random choice.
    """

    seed: int = 0


@dataclass(frozen=True)
class _Work:
    """A set, the function that halves a micrograph, and what the result depends on."""

    chosen: MicrographSet
    halve: Callable[[Micrograph], HalfImages]
    settings: MovieSettings | None
    sources: Callable[[Micrograph], tuple[Path, ...]]
    depends_on: Mapping[str, object]

    @property
    def full_sums(self) -> bool:
        """Whether full sums are written: if requested, if their grid is new, or if there are no
        others.
        """
        if self.settings is None:
            return False
        return not self.chosen.is_listed or self.settings.full_sum or self.settings.changes_grid

    @property
    def new_pixel_sizes(self) -> bool:
        """Whether the STAR file's pixel sizes change."""
        return self.settings is not None and self.settings.changes_grid


def make_halves(
    micrographs: str | Path,
    method: MovieSettings | Thinning | None = None,
    *,
    output: HalvesOutput | None = None,
    eer: EERSettings | None = None,
    pixel_size_A: float | None = None,
    device: str = "auto",
    bars: Bars = no_bars,
) -> SetResults:
    """Make two independent halves of every micrograph, and a STAR file that names them.

    Halves of an earlier run that are still valid are not made again.

    Parameters
    ----------
    micrographs
        A RELION STAR file written by MotionCorr or CtfFind, or a pattern of movies whose frames are
        aligned. For thinning, a STAR file or a pattern of counted micrographs.
    method
        How the frames are summed (the default), or `Thinning`.
    output
        Where the halves are written, and the type of their numbers.
    eer
        How EER movies are read, unless the STAR file says so.
    pixel_size_A
        Pixel size in Å, for movies and images that no table lists.
    device
        ``"cpu"``, ``"cuda"``, ``"cuda:1"`` …; ``"auto"`` is a GPU if there is one.
    bars
        Makes the progress bar.

    Returns
    -------
    SetResults
        The result of each micrograph, and the STAR file.

    Raises
    ------
    UserError
        An input is missing or wrong, an output would replace a file of another program, another
        process is writing the same table, or the disk is full.

    Examples
    --------
    >>> results = restore.make_halves("session/micrographs_ctf.star", restore.Thinning(seed=1))
    >>> len(results.done), results.table
    (2, PosixPath('Halves/micrographs_ctf.star'))
    """
    output, method, source = output or HalvesOutput(), method or MovieSettings(), str(micrographs)
    if isinstance(method, Thinning):
        work = _thinning(source, method.seed, pixel_size_A)
    else:
        work = _movies(source, method, eer or EERSettings(), pixel_size_A, device)
    star_listing(work.chosen)
    made_with = [output.output_dtype, work.depends_on]
    jobs = plan(
        work.chosen.micrographs, output.output_directory, work.full_sums, made_with, work.sources
    )
    table = _table_path(work.chosen, output)
    if not output.overwrite:
        planned = {table: _star(work, jobs, table, with_new_sizes=False)}
        refuse_other_source(table, planned, work.chosen.source, _ELSEWHERE)
    for folder in {table.parent, *(job.outputs[0].parent for job in jobs)}:
        require_writable(folder)
    with locked(table):
        results = halve_jobs(jobs, work.halve, output.output_dtype, output.overwrite, bars=bars)
        if results.good:
            inputs = {
                "micrographs": work.chosen.source,
                "origin": origin(work.chosen.source, table),
                "output": output,
            }
            content = _star(work, results.good, table, with_new_sizes=work.new_pixel_sizes)
            write_table(table, {table: content}, provenance(work.depends_on, inputs))
    return SetResults.of(results, {}, table if results.good else None)


def _star(
    work: _Work, jobs: Sequence[Job[HalfFiles]], table: Path, *, with_new_sizes: bool
) -> bytes:
    """The STAR file of the halves of these jobs; new pixel sizes are read from the full sums."""
    places = Places.of_star(table)
    names = {
        job.subject.micrograph.row: _names(job.subject, places, with_new_sizes) for job in jobs
    }
    voltage_kV = work.settings.voltage if work.settings else None
    return star_bytes(halves_star(work.chosen, names, voltage_kV))


def _thinning(source: str, seed: int, pixel_size_A: float | None) -> _Work:
    suffixes = None if source.lower().endswith(".star") else Suffixes()
    chosen = read_micrographs(source, suffixes, pixel_size_A, Needs(ctf=False))
    depends_on = {"thin": True, "seed": seed, "pixel_size": pixel_size_A}
    return _Work(chosen, partial(from_counts, seed=seed), None, lambda _: (), depends_on)


def _movies(
    source: str,
    settings: MovieSettings,
    eer: EERSettings,
    pixel_size_A: float | None,
    device_name: str,
) -> _Work:
    if (settings.gain_rotation or settings.gain_flip) and settings.gain is None:
        raise UserError(
            "`gain_rotation` or `gain_flip` is given without `gain`",
            field="gain",
            wanted="RELION has already rotated the STAR file's gain reference",
        )
    device, own = pick_device(device_name), () if settings.gain is None else (settings.gain,)
    depends_on = {
        "movies": replace(settings, full_sum=False),
        "eer": eer,
        "pixel_size": pixel_size_A,
    }
    if not source.lower().endswith(".star"):
        chosen = _aligned_movies(source, pixel_size_A, settings)

        def sum_aligned(movie: Micrograph) -> HalfImages:
            return from_movie(aligned(movie.image, movie.pixel_size_A, settings, eer), device)

        return _Work(chosen, sum_aligned, settings, lambda _: own, depends_on)
    chosen = read_micrographs(source, None, pixel_size_A, Needs(ctf=False))
    motions = motion_files(chosen)

    def sum_corrected(micrograph: Micrograph) -> HalfImages:
        motion = motions[micrograph.row]
        return from_movie(corrected(micrograph.image, motion, settings, eer), device)

    def sources(micrograph: Micrograph) -> tuple[Path, ...]:
        motion = motions[micrograph.row]
        return (motion, *files_behind(motion), *own)

    return _Work(chosen, sum_corrected, settings, sources, depends_on)


def _aligned_movies(
    source: str, pixel_size_A: float | None, settings: MovieSettings
) -> MicrographSet:
    endings = tuple({Path(f"a{ending}").suffix for ending in MOVIE_ENDINGS})
    names = [name for name in image_names(source, endings) if ending_of(name) in MOVIE_ENDINGS]
    if not names:
        wanted = f"A RELION STAR file or movies ({', '.join(MOVIE_ENDINGS)}) are needed"
        raise UserError("it is not a movie", where=source, wanted=wanted)
    if not pixel_size_A or pixel_size_A < 0:
        wanted, do = (
            "Movies without a STAR file need a pixel size",
            "give `pixel_size_A` in Å, or RELION's STAR file",
        )
        raise UserError("there is no pixel size", where=source, wanted=wanted, do=do)
    lacking = [
        f"`{name}`" for name in ("dose_per_frame", "voltage") if getattr(settings, name) is None
    ]
    if settings.dose_weighting and lacking:
        wanted = "Dose weighting needs both the dose of a frame and the voltage"
        do = f"give {' and '.join(lacking)}, or `dose_weighting=False`"
        raise UserError(f"{' and '.join(lacking)} not given", where=source, wanted=wanted, do=do)
    movies = tuple(
        Micrograph(name, Path(name), pixel_size_A, row) for row, name in enumerate(names)
    )
    return MicrographSet(source, movies, ImageListing(movies))


def _names(job: HalfFiles, places: Places, new_pixel_sizes: bool) -> HalfNames:
    """The names for the STAR file; the micrograph keeps its own if it can be found from there."""
    size_A = read_image_header(job.full).pixel_size_A if job.full and new_pixel_sizes else None
    own = job.micrograph.name if places.find(job.micrograph.name) else str(job.micrograph.image)
    return HalfNames(str(job.full or own), str(job.even), str(job.odd), size_A)


def _table_path(chosen: MicrographSet, output: HalvesOutput) -> Path:
    """The path of the output STAR: at the top of the output folder, never replacing the input."""
    source = Path(chosen.source)
    path = output.output_directory / f"{source.stem if chosen.is_listed else 'micrographs'}.star"
    if chosen.is_listed and resolved(path) == resolved(source):
        raise UserError("the output STAR would replace the input's", where=path, do=_ELSEWHERE)
    refuse_foreign([path], path, output.overwrite, _ELSEWHERE)
    return path
