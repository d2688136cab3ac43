"""STAR files and cryoSPARC's tables."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from restore.commands import CommandLine
from restore.errors import UserError
from restore.inspection import commands
from restore.inspection.cryosparc_files import inspect_cryosparc_file
from restore.inspection.findings import Findings, counted, first_few, number, span, unusable
from restore.inspection.images import crop_words
from restore.inspection.relion_files import block_facts, inspect_relion_file
from restore.io.cryosparc.datasets import read_dataset
from restore.io.denoised_mark import is_denoised_image
from restore.io.file_checks import HALVES, ReadHeader, check_files, reading_once
from restore.io.images.image import read_image
from restore.io.micrographs import Needs, Suffixes, read_micrographs
from restore.io.particles import read_particles
from restore.io.paths import Places
from restore.io.relion.micrographs import EVEN, ODD
from restore.io.star import StarFile, read_star
from restore.micrograph import Micrograph
from restore.movies.thinning import counts_of
from restore.preprocessing import Recipe

_PARTICLES = ("rlnImageName", "rlnCoordinateX")
_POSE, _TOMOGRAM, _METADATA = "rlnAngleRot", "rlnTomoName", "rlnMicrographMetadata"
_SERIES = "rlnTomoTiltSeriesStarFile"
_MICROGRAPHS = ("rlnMicrographName", _SERIES)
_COORDINATE_FOLDER = "coords_suffix_"
"""The start of the names of text files in which RELION 3's picking names the micrographs."""


def inspect_star(path: Path, recipe: Recipe, suffixes: Suffixes) -> Findings:
    """A STAR file: micrographs, tilt series, particles, or other data of RELION. Raises
    UserError.
    """
    if path.name.startswith(_COORDINATE_FOLDER):
        return Findings("the mark of a folder with coordinates, from RELION 3's picking")
    star = read_star(path)
    findings = inspect_relion_file(path, star)
    if findings is not None:
        return findings
    columns = {column for block in star.blocks for column in block.columns}
    if columns & set(_PARTICLES):
        return _inspect_star_particles(path, star, columns)
    if columns & set(_MICROGRAPHS):
        return _inspect_micrographs(path, recipe, suffixes, star)
    return Findings("a STAR file of another type", block_facts(star))


def inspect_cryosparc(path: Path, recipe: Recipe, suffixes: Suffixes) -> Findings:
    """A table of cryoSPARC: exposures, particles, volumes … Raises UserError."""
    findings = inspect_cryosparc_file(read_dataset(path))
    if findings is not None:
        return findings
    try:
        return _inspect_refined(path, ())
    except UserError as no_particles:
        findings = _inspect_micrographs(path, recipe, suffixes)
        if not findings.facts:
            problem = f"As particles: {no_particles}"
            return Findings(
                "a cryoSPARC table that cannot be used", problems=(*findings.problems, problem)
            )
        return findings


def _inspect_star_particles(path: Path, star: StarFile, columns: set[str]) -> Findings:
    """Particles: refined ones, those without orientations, those in tomograms, or coordinates."""
    block = next(block for block in star.blocks if set(block.columns) & set(_PARTICLES))
    facts = (("particles", str(len(block.rows))), *block_facts(star))
    if _TOMOGRAM in columns:
        tomograms = len(set(block.column(_TOMOGRAM))) if _TOMOGRAM in block.columns else 0
        return Findings("particles in tomograms", (*facts, ("tomograms", str(tomograms))))
    if _POSE in columns:
        optics = tuple(fact for fact in block_facts(star) if fact[0] == "optics groups")
        return _inspect_refined(path, optics, "rlnImageName" in columns)
    note = (
        "restore denoise takes them, to look at and to sort; restore angles needs a refinement's "
        "particles"
        if "rlnImageName" in columns
        else "their images have not been extracted"
    )
    return Findings("a list of particles without orientations", (*facts, ("note", note)))


def _inspect_refined(
    path: Path, optics: tuple[tuple[str, str], ...], have_images: bool = True
) -> Findings:
    """Particles with orientations. Raises UserError."""
    particles = read_particles(path)
    facts = [("particles", str(len(particles))), *optics]
    if particles.micrograph_names is not None:
        facts.append(("micrographs", str(len(set(particles.micrograph_names)))))
    if particles.image_pixel_size_A is not None:
        facts.append(("pixel size", span(particles.image_pixel_size_A.tolist(), "Å")))
    if particles.half_sets is not None:
        sizes = Counter(particles.half_sets.tolist())
        facts.append(
            ("half sets", " and ".join(str(sizes[half_set]) for half_set in sorted(sizes)))
        )
    next_steps = (CommandLine("reconstruct", path),) if _images_are_there(path) else ()
    return Findings(
        "particles with orientations",
        tuple(facts),
        next_steps if have_images else (),
        needs=(commands.ANOTHER_REFINEMENT,),
    )


def _images_are_there(path: Path) -> bool:
    """Whether the first particle's image exists, as probably do the others."""
    if path.suffix.lower() != ".star":
        return False
    places = Places.of_star(path)
    for block in read_star(path).blocks:
        if "rlnImageName" in block.columns and block.rows:
            return places.find(block.column("rlnImageName")[0].partition("@")[2]) is not None
    return False


def _inspect_micrographs(
    path: Path, recipe: Recipe, suffixes: Suffixes, star: StarFile | None = None
) -> Findings:
    """A list of micrographs, or of tilt series with their images."""
    blocks = block_facts(star) if star else ()
    series = [block for block in star.blocks if _SERIES in block.columns] if star else []
    what = "a list of tilt series" if series else "a list of micrographs"
    try:
        micrographs = read_micrographs(path, suffixes, needs=Needs(ctf=False)).micrographs
    except UserError as error:
        return replace(unusable(what, error), facts=blocks)
    read = reading_once()
    good, problems = check_files(micrographs, read=read)
    paired, half_problems = check_files(good, ("image", *HALVES), read, warns=False)
    facts = [
        *blocks,
        ("images", f"{len(good)} of {len(micrographs)} are there and readable"),
        ("halves", f"{len(paired)} of {len(micrographs)} have both"),
        ("pixel size", span((micrograph.pixel_size_A for micrograph in micrographs), "Å")),
        ("CTF", _ctf_words(micrographs)),
    ]
    if series:
        tables = counted(sum(len(block.rows) for block in series), "tilt series", "tilt series")
        facts.insert(0, ("tilt series", f"{tables}, {counted(len(micrographs), 'image')}"))
    wrong = [problem.message for problem in problems]
    if paired and half_problems:
        wrong += [problem.message for problem in half_problems]
    size_facts, size_problems = _sizes(good, recipe, read)
    wrong += [*size_problems, *_ctf_problems(path, micrographs, recipe)]
    flip = recipe.phase_flip and any(micrograph.ctf for micrograph in micrographs)
    listed = _Listed(path, star, good, replace(recipe, phase_flip=flip), suffixes)
    fitting = len(size_facts) - len(size_problems)
    steps = _next_steps(listed, bool(paired), fitting > 0, not size_problems)
    if good and is_denoised_image(good[0].image):
        what += ", which restore has denoised"
    return Findings(
        what, tuple(facts + size_facts), steps.commands, first_few(wrong), needs=steps.needs
    )


def _ctf_words(micrographs: Sequence[Micrograph]) -> str:
    ctfs = [micrograph.ctf for micrograph in micrographs if micrograph.ctf is not None]
    if not ctfs:
        return "none"
    defocus = span(((ctf.defocus_u_A + ctf.defocus_v_A) / 2e4 for ctf in ctfs), "µm")
    voltage = span((ctf.voltage_kV for ctf in ctfs), "kV")
    return (
        f"of {len(ctfs)}: defocus {defocus}, {voltage}, Cs "
        f"{span((c.spherical_aberration_mm for c in ctfs), 'mm')}"
    )


def _ctf_problems(path: Path, micrographs: Sequence[Micrograph], recipe: Recipe) -> list[str]:
    """The reasons why phases cannot be flipped, if they are to be: the error about a
    missing CTF.
    """
    if not recipe.phase_flip or all(micrograph.ctf for micrograph in micrographs):
        return []
    try:
        read_micrographs(path, needs=Needs(ctf=True))
    except UserError as error:
        return [str(error)]
    return []


def _sizes(
    micrographs: Sequence[Micrograph], recipe: Recipe, read: ReadHeader
) -> tuple[list[tuple[str, str]], list[str]]:
    """Shapes and pixel sizes with the number of images of each, and their size after cropping for
    the network.
    """
    kinds = Counter(
        (read(micrograph.image).shape, micrograph.pixel_size_A) for micrograph in micrographs
    )
    facts: list[tuple[str, str]] = []
    problems: list[str] = []
    for ((rows, columns), pixel_A), count in kinds.most_common():
        words, problem = crop_words((rows, columns), pixel_A, recipe)
        facts.append(
            (
                "size",
                f"{count} of {columns} × {rows} pixels of {number(pixel_A)} "
                f"Å{', cropped to ' * bool(words)}{words}",
            )
        )
        problems += [problem] if problem else []
    return facts, problems


@dataclass(frozen=True)
class _Listed:
    """The micrographs of a table whose images can be read, the recipe with which they would be
    prepared, and the suffixes of their halves.
    """

    path: Path
    star: StarFile | None
    micrographs: Sequence[Micrograph]
    recipe: Recipe
    suffixes: Suffixes

    def has_column(self, *names: str) -> bool:
        """Whether the STAR file has one of these columns."""
        blocks = self.star.blocks if self.star else ()
        return any(name in block.columns for block in blocks for name in names)


def _next_steps(listed: _Listed, paired: bool, some_fit: bool, all_fit: bool) -> Findings:
    """The commands for these micrographs, and what others would need.

    There are halves if ``paired``; ``some_fit`` and ``all_fit`` say whether images can be cropped
    to the recipe's resolution. Training stops if one cannot; denoising leaves it out.
    """
    if not listed.micrographs:
        return Findings("", needs=("the images themselves, where the table says they are",))
    if is_denoised_image(listed.micrographs[0].image):
        return Findings("")
    trains = paired and all_fit
    denoise, needs = _denoising(listed, trains) if some_fit else ((), ())
    if trains:
        train = commands.train(listed.path, listed.recipe, listed.suffixes)
        evaluate = commands.evaluate(listed.path, listed.suffixes)
        return Findings("", commands=(train, *denoise, evaluate))
    if paired:
        return Findings("", commands=denoise, needs=needs)
    halves = _halves(listed)
    if halves is not None:
        return Findings("", commands=(*denoise, halves), needs=needs)
    suffixes = None if listed.has_column(EVEN, ODD) else listed.suffixes
    return Findings("", commands=denoise, needs=(*needs, commands.halves_are_missing(suffixes)))


def _halves(listed: _Listed) -> CommandLine | None:
    """The command that makes halves, from movies or from counted images; None if there are
    neither.
    """
    if listed.has_column(_METADATA):
        return commands.halves_of_movies(listed.path)
    return commands.thin(listed.path) if _is_counted(listed.micrographs[0]) else None


def _denoising(listed: _Listed, trains: bool) -> tuple[tuple[CommandLine, ...], tuple[str, ...]]:
    """The command that denoises, with the general model if it suits the recipe, else with the model
    that will have been trained; and what it needs if there is neither.
    """
    path, recipe, suffixes = listed.path, listed.recipe, listed.suffixes
    if commands.suits_general_model(recipe):
        return (commands.denoise(path, recipe, suffixes),), ()
    if trains:
        return (commands.denoise(path, recipe, suffixes, commands.TRAINED),), ()
    return (), (commands.MODEL_IS_MISSING,)


def _is_counted(micrograph: Micrograph) -> bool:
    """Whether the image holds counts of electrons, which can be divided between two halves."""
    try:
        counts_of(read_image(micrograph.image).data)
    except UserError:
        return False
    return True
