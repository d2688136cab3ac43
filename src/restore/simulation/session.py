"""A session: micrographs, their halves and truth, movies, and the STAR files that name them."""

import logging
import math
from collections.abc import Callable
from pathlib import Path

from restore.errors import UserError
from restore.io.atomic import write_text
from restore.io.images.image import write_image
from restore.io.images.maps import write_map
from restore.io.star import write_star
from restore.records import as_json
from restore.simulation.microscope import Exposure, expose
from restore.simulation.movie_files import tiff_program
from restore.simulation.recording import (
    GAIN_NAME,
    MOVIE_ENDINGS,
    MOVIE_FOLDER,
    record_movie,
    write_gain,
)
from restore.simulation.settings import SimulationSettings, check_settings
from restore.simulation.specimen import Specimen, load_specimen, transform
from restore.simulation.tables import (
    Row,
    ctf_columns,
    micrograph_table,
    movie_table,
    particle_rows,
    particle_table,
)

log = logging.getLogger(__name__)

IMAGE_FOLDER = "Micrographs"
SUFFIXES = ("DW", "EVN", "ODD", "TRUTH")
SETTINGS_NAME, CTF_STAR_NAME, PARTICLE_STAR_NAME = (
    "simulation.json",
    "micrographs_ctf.star",
    "particles.star",
)
MOVIE_STAR_NAME = "movies.star"
_LABEL = "restore simulate: made by a program, not by a microscope"


def simulate(
    settings: SimulationSettings,
    folder: Path,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a session of simulated micrographs into ``folder``; returns the path of its
    ``micrographs_ctf.star``.

    For each micrograph n: ``Micrographs/mic_000n_DW.mrc`` (counts of all frames), ``_EVN``,
    ``_ODD`` (counts of the halves; they sum to DW exactly) and ``_TRUTH`` (the expected counts, CTF
    applied). Beside them ``micrographs_ctf.star`` and ``particles.star`` (RELION 3.1; paths
    relative to ``folder``; particles whose centre is in the image), ``specimen.mrc`` (volts above
    ice) and ``simulation.json``. The STAR files are written last. If movies are requested, the
    images above do not change: they correspond to a perfect motion correction of other electrons.
    ``Movies/mic_000n.mrcs`` or ``.tiff`` is then an independent draw, frame by frame, of the same
    specimen as it moves; ``_motion.star`` beside it holds the motion in RELION's form
    (``rlnMicrographMetadata`` of the micrographs names it); ``movies.star`` is like the output of
    RELION's Import, and ``Movies/gain.mrc`` is the gain reference, if any. ``progress`` is called
    with (done, all) after each micrograph.

    Raises
    ------
    UserError
        A setting is out of range, the specimen cannot be read, TIFF is requested but cannot be
        written, or the folder holds a session and ``overwrite`` is false. In these cases nothing
        has been written.
    """
    check_settings(settings)
    if settings.movies == "tiff":
        tiff_program()
    specimen = load_specimen(settings.specimen, settings.pixel_size_A)
    _clear(folder, overwrite)
    write_text(folder / SETTINGS_NAME, as_json(settings) + "\n")
    write_specimen(folder / "specimen.mrc", specimen)
    if settings.movies != "none":
        write_gain(settings, folder, _LABEL)
    ready = transform(specimen)
    micrographs: list[Row] = []
    particles: list[Row] = []
    movies: list[str] = []
    for index in range(settings.micrographs):
        exposure = expose(settings, ready, index)
        name = write_exposure(exposure, folder, index, settings.pixel_size_A)
        row = {"rlnMicrographName": name, "rlnOpticsGroup": "1"} | ctf_columns(exposure.ctf)
        if settings.movies != "none":
            movie, row["rlnMicrographMetadata"] = record_movie(
                exposure, settings, folder, index, _LABEL
            )
            movies.append(movie)
        micrographs.append(row)
        particles += particle_rows(name, exposure.particles)
        log.info(
            "%s: %d particles, defocus %.0f Å",
            name,
            len(exposure.particles.euler_deg),
            exposure.ctf.defocus_u_A,
        )
        if progress is not None:
            progress(index + 1, settings.micrographs)
    if movies:
        write_star(folder / MOVIE_STAR_NAME, movie_table(settings, movies))
    write_star(folder / PARTICLE_STAR_NAME, particle_table(settings, particles))
    write_star(folder / CTF_STAR_NAME, micrograph_table(settings, micrographs))
    return folder / CTF_STAR_NAME


def write_specimen(path: Path, specimen: Specimen) -> None:
    """Write a specimen as an MRC volume (z, y, x) in volts above ice, without its empty margin,
    completely or not at all.
    """
    middle, half = (
        len(specimen.density) // 2,
        math.ceil(specimen.diameter_A / specimen.pixel_size_A / 2 + 2),
    )
    inner = slice(max(middle - half, 0), middle + half)
    write_map(path, specimen.density[inner, inner, inner], specimen.pixel_size_A, labels=[_LABEL])


def write_exposure(exposure: Exposure, folder: Path, index: int, pixel_size_A: float) -> str:
    """Write the four images of micrograph ``index`` (from zero); returns the name of its full sum,
    relative to ``folder``.
    """
    stem = f"{IMAGE_FOLDER}/mic_{index + 1:04d}"
    images = (exposure.full, exposure.even, exposure.odd, exposure.truth)
    for suffix, image in zip(SUFFIXES, images, strict=True):
        write_image(folder / f"{stem}_{suffix}.mrc", image, pixel_size_A, (_LABEL,))
    return f"{stem}_DW.mrc"


def _clear(folder: Path, overwrite: bool) -> None:
    """Remove the files of an old session if ``overwrite`` is true, otherwise raise UserError if
    there is one.
    """
    images = [
        path
        for suffix in SUFFIXES
        for path in (folder / IMAGE_FOLDER).glob(f"mic_[0-9]*_{suffix}.mrc")
    ]
    for ending in (*MOVIE_ENDINGS.values(), "_motion.star"):
        images += (folder / MOVIE_FOLDER).glob(f"mic_[0-9]*{ending}")
    names = (CTF_STAR_NAME, PARTICLE_STAR_NAME, SETTINGS_NAME, MOVIE_STAR_NAME, GAIN_NAME)
    old = [folder / name for name in names if (folder / name).exists()] + sorted(images)
    if folder.exists() and not folder.is_dir():
        raise UserError(
            "a file stands where a folder is wanted", where=folder, do="choose another name"
        )
    if old and not overwrite:
        raise UserError(
            f"there is a session in it already ({old[0].name})",
            where=folder,
            do="choose another folder, or give `overwrite=True`",
        )
    for path in old:
        path.unlink()
