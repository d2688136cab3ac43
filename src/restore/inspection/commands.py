"""Suggestions for the next step: complete command lines, and what is missing for others."""

from pathlib import Path

from restore.commands import CommandLine, Field

CTF_IS_MISSING = (
    "the image's CTF, if phases are to be flipped: give `defocus_A`, `voltage_kV`, "
    "`spherical_aberration_mm` and `amplitude_contrast`, or a STAR file"
)
PIXEL_SIZE_IS_MISSING = "the pixel size, which the file does not hold: give `pixel_size_A`"
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
IMAGES_FOR_MODEL = (
    "images to denoise: give their STAR file as `micrographs`, and this model as `model`"
)
DOSE_IS_MISSING = (
    "the dose, if frames are to be weighted by it: give `dose_per_frame` and `voltage_kV`"
)
TRAINED = Path("Models/model.safetensors")
"""The default path of a trained model."""
_FRACTIONS = 40
"""The number of fractions into which a movie of hardware frames is suggested to be summed."""


def inspect_file(path: Path) -> CommandLine:
    """The command that identifies another file."""
    return CommandLine("inspect", path)


def denoise_image(path: Path) -> CommandLine:
    """The command that denoises one image whose CTF is not known."""
    return CommandLine("denoise", path, Field("phase_flip", "False"))


def thin(source: Path, pixel_size_A: float | None = None) -> CommandLine:
    """The command that splits counted images into halves, with the pixel size if no table
    gives it.
    """
    size = () if pixel_size_A is None else (Field("pixel_size_A"), f"{pixel_size_A:.5g}")
    return CommandLine("halves", Field("thin", "True"), Field("micrographs"), source, *size)


def sum_halves(movie: Path, pixel_size_A: float, hardware_frames: int | None) -> CommandLine:
    """The command that sums an aligned movie to halves, without dose weighting, because headers do
    not hold the dose; frames of an EER movie are first grouped to about forty fractions.
    """
    grouped = (
        ()
        if hardware_frames is None
        else (Field("fraction_frames"), max(1, hardware_frames // _FRACTIONS))
    )
    return CommandLine(
        "halves",
        Field("micrographs"),
        movie,
        Field("pixel_size_A"),
        f"{pixel_size_A:.5g}",
        Field("dose_weighting", "False"),
        *grouped,
    )


def halves_of_movies(star: Path) -> CommandLine:
    """The command that makes halves of the movies named by a STAR file of RELION."""
    return CommandLine("halves", Field("micrographs"), star)


def train(source: Path, flip: bool) -> CommandLine:
    """The command that trains on a list of micrographs with halves."""
    return CommandLine("train", Field("micrographs"), source, *_recipe(flip))


def denoise(source: str | Path, flip: bool, model: Path | None = None) -> CommandLine:
    """The command that denoises a list of micrographs with a model, which has its own recipe, or
    with the general model and the recipe in the command.
    """
    choice = _recipe(flip) if model is None else (Field("model"), model)
    return CommandLine("denoise", Field("micrographs"), source, *choice)


def evaluate(source: str | Path, model: Path = TRAINED) -> CommandLine:
    """The command that evaluates a model, by default the one written by :func:`train`, on a list of
    micrographs.
    """
    return CommandLine("evaluate", Field("micrographs"), source, Field("model"), model)


def train_on_patches(patches: Path) -> CommandLine:
    """The command that trains on a patch file."""
    return CommandLine("train", Field("patches"), patches)


def resume(state: Path) -> CommandLine:
    """The command that resumes the run of this training state."""
    prefix = state.name.removesuffix(".state.safetensors")
    return CommandLine(
        "train", Field("directory"), state.parent, Field("prefix"), prefix, Field("resume", "True")
    )


def compare_halves(first: Path, second: Path, mask: Path | None = None) -> CommandLine:
    """The command that correlates two half maps, under a mask if there is one."""
    return CommandLine("fsc", first, second, *(() if mask is None else (Field("mask"), mask)))


def _recipe(flip: bool) -> tuple[Field, ...]:
    return () if flip else (Field("phase_flip", "False"),)
