"""What may be typed next: command lines that work as they stand, and what is missing for others."""

import shlex
from pathlib import Path

CTF_IS_MISSING = (
    "the image's defocus, where phases are to be flipped: --defocus, --voltage, "
    "--spherical_aberration and --amplitude_contrast say it, or a STAR file does"
)
PIXEL_SIZE_IS_MISSING = "the pixel size, which is not in the file: --pixel_size says it"
FRAMES_MUST_BE_ALIGNED = (
    "frames that are already aligned; if RELION aligned the movie, give restore halves the STAR "
    "file of its motion correction instead"
)
ANOTHER_REFINEMENT = "another refinement of the same particles, for restore angles"
OTHER_HALF = "the other half map, for restore fsc"
HALVES_ARE_MISSING = (
    "halves, for training: none lie beside the images, and no movies are named; the STAR file of "
    "RELION's motion correction goes to restore halves"
)
IMAGES_FOR_MODEL = "images to denoise, whose STAR file goes with -m, and this model with -p"
DOSE_IS_MISSING = "the dose, where frames are to be weighted: --dose_per_frame and --voltage say it"
TRAINED = Path("Models/model.safetensors")
"""Where training leaves its model unless it is told otherwise."""
_FRACTIONS = 40
"""Into how many fractions a movie of hardware frames is proposed to be summed."""


def command(*words: object) -> str:
    """A command line of restore's, quoted for a shell.

    >>> command("denoise", Path("a b.mrc"))
    "restore denoise 'a b.mrc'"
    """
    return shlex.join(["restore", *(str(word) for word in words)])


def inspect_file(path: Path) -> str:
    """The command that says what another file is."""
    return command("inspect", path)


def denoise_image(path: Path) -> str:
    """The command that denoises one image whose CTF is not known."""
    return command("denoise", path, "--dont_phaseflip")


def thin(source: Path, pixel_size_A: float | None = None) -> str:
    """The command that splits counted images in halves; the pixel size where no table gives it."""
    size = () if pixel_size_A is None else ("--pixel_size", f"{pixel_size_A:.5g}")
    return command("halves", "--thin", "-m", source, *size)


def sum_halves(movie: Path, pixel_size_A: float, hardware_frames: int | None) -> str:
    """The command that sums an aligned movie to halves, without weights for dose, which no header
    holds; frames of an EER movie are grouped first, to about forty fractions.
    """
    grouped = (
        ()
        if hardware_frames is None
        else ("--fraction_frames", max(1, hardware_frames // _FRACTIONS))
    )
    return command(
        "halves",
        "-m",
        movie,
        "--pixel_size",
        f"{pixel_size_A:.5g}",
        "--dont_dose_weighting",
        *grouped,
    )


def halves_of_movies(star: Path) -> str:
    """The command that makes halves of the movies that a STAR file of RELION's names."""
    return command("halves", "-m", star)


def train(source: Path, flip: bool) -> str:
    """The command that trains on a list of micrographs with halves."""
    return command("train", "-m", source, *_recipe(flip))


def denoise(source: str | Path, flip: bool, model: Path | None = None) -> str:
    """The command that denoises a list of micrographs, with the general model where none is given,
    whose recipe is typed; a model has its own.
    """
    return command("denoise", "-m", source, *(_recipe(flip) if model is None else ("-p", model)))


def evaluate(source: str | Path, model: Path = TRAINED) -> str:
    """The command that measures a model on a list of micrographs: where none is given that which
    :func:`train` leaves.
    """
    return command("evaluate", "-m", source, "-p", model)


def train_on_patches(patches: Path) -> str:
    """The command that trains on a patch file."""
    return command("train", "-t", patches)


def resume(state: Path) -> str:
    """The command that goes on with the run that left this training state."""
    prefix = state.name.removesuffix(".state.safetensors")
    return command("train", "-d", state.parent, "-x", prefix, "--resume")


def compare_halves(first: Path, second: Path, mask: Path | None = None) -> str:
    """The command that correlates two half maps, under a mask where there is one."""
    return command("fsc", first, second, *(() if mask is None else ("--mask", mask)))


def _recipe(flip: bool) -> tuple[str, ...]:
    return () if flip else ("--dont_phaseflip",)
