"""Suggestions for the next step: complete command lines, and what is missing for others."""

from dataclasses import replace
from pathlib import Path

from restore.commands import CommandLine, Field
from restore.errors import UserError
from restore.io.half_names import Suffixes
from restore.model.general import load_general_model
from restore.preprocessing import Recipe

CTF_IS_MISSING = (
    "the image's CTF, if phases are to be flipped: give `defocus_A`, `voltage_kV`, "
    "`spherical_aberration_mm` and `amplitude_contrast`, or a STAR file"
)
PIXEL_SIZE_IS_MISSING = "the pixel size, which the file does not hold: give `pixel_size_A`"
PIXEL_SIZE_IS_DOUBTFUL = (
    "the pixel size: the header says exactly 1 Å, which may mean that nobody set it; give "
    "`pixel_size_A`"
)
FRAMES_MUST_BE_ALIGNED = (
    "frames that are already aligned; if RELION aligned the movie, give restore halves the STAR "
    "file of its motion correction instead"
)
ANOTHER_REFINEMENT = "another refinement of the same particles, for restore angles"
OTHER_HALF = "the other half map, for restore fsc"
IMAGES_FOR_MODEL = (
    "images to denoise: give their STAR file as `micrographs`, and this model as `model`"
)
DOSE_IS_MISSING = (
    "the dose, if frames are to be weighted by it: give `dose_per_frame` and `voltage_kV`"
)
MODEL_IS_MISSING = (
    "a model of this `max_resolution_A`, as `model`: the general model was not trained at it"
)
TRAINED = Path("Models/model.safetensors")
"""The default path of a trained model."""
_DEFAULT_RECIPE, _DEFAULT_SUFFIXES = Recipe(), Suffixes()


def halves_are_missing(suffixes: Suffixes | None) -> str:
    """What training needs where no halves were found under these suffixes, or, with None, under
    the names in the table.
    """
    names = (
        "of those that the table names, none can be used"
        if suffixes is None
        else f"none lie beside the images under {suffixes.text} (if theirs are others, give "
        "`suffixes`)"
    )
    return (
        f"halves, for training: {names}, and no movies are named; the STAR file of RELION's motion "
        "correction goes to restore halves"
    )


def suits_general_model(recipe: Recipe) -> bool:
    """Whether the general model can be used with this recipe."""
    if recipe.max_resolution_A == _DEFAULT_RECIPE.max_resolution_A:
        return True  # without reading the model
    try:
        load_general_model(recipe)
    except UserError:
        return False
    return True


def inspect_file(path: Path) -> CommandLine:
    """The command that identifies another file."""
    return CommandLine("inspect", path)


def with_choices(line: CommandLine, recipe: Recipe, suffixes: Suffixes) -> CommandLine:
    """A command line of :func:`inspect_file` with this recipe and these suffixes; any other as it
    is.
    """
    if line.command != "inspect":
        return line
    return CommandLine(line.command, *line.arguments, *_suffixes(suffixes), *_recipe(recipe))


def denoise_image(path: Path, recipe: Recipe) -> CommandLine:
    """The command that denoises one image whose CTF is not known with the general model."""
    return CommandLine("denoise", path, *_recipe(replace(recipe, phase_flip=False)))


def thin(source: Path, pixel_size_A: float | None = None) -> CommandLine:
    """The command that splits counted images into halves, with the pixel size if no table
    gives it.
    """
    size = () if pixel_size_A is None else (Field("pixel_size_A"), f"{pixel_size_A:.5g}")
    return CommandLine("halves", Field("thin", "True"), Field("micrographs"), source, *size)


def sum_halves(movie: Path, pixel_size_A: float) -> CommandLine:
    """The command that sums an aligned movie to halves, without dose weighting, because headers do
    not hold the dose.
    """
    return CommandLine(
        "halves",
        Field("micrographs"),
        movie,
        Field("pixel_size_A"),
        f"{pixel_size_A:.5g}",
        Field("dose_weighting", "False"),
    )


def halves_of_movies(star: Path) -> CommandLine:
    """The command that makes halves of the movies named by a STAR file of RELION."""
    return CommandLine("halves", Field("micrographs"), star)


def train(source: Path, recipe: Recipe, suffixes: Suffixes) -> CommandLine:
    """The command that trains on a list of micrographs with halves."""
    return CommandLine(
        "train", Field("micrographs"), source, *_suffixes(suffixes), *_recipe(recipe)
    )


def denoise(
    source: str | Path,
    recipe: Recipe,
    suffixes: Suffixes = _DEFAULT_SUFFIXES,
    model: Path | None = None,
) -> CommandLine:
    """The command that denoises a list of micrographs with a model, which has its own recipe, or
    with the general model and the recipe in the command.
    """
    choice = _recipe(recipe) if model is None else (Field("model"), model)
    return CommandLine("denoise", Field("micrographs"), source, *_suffixes(suffixes), *choice)


def evaluate(
    source: str | Path, suffixes: Suffixes = _DEFAULT_SUFFIXES, model: Path = TRAINED
) -> CommandLine:
    """The command that evaluates a model, by default the one written by :func:`train`, on a list of
    micrographs.
    """
    return CommandLine(
        "evaluate", Field("micrographs"), source, *_suffixes(suffixes), Field("model"), model
    )


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


def _recipe(recipe: Recipe) -> tuple[Field | str, ...]:
    """The options of a recipe that differ from the default."""
    resolution_A = recipe.max_resolution_A
    is_default = resolution_A == _DEFAULT_RECIPE.max_resolution_A
    resolution = () if is_default else (Field("max_resolution_A"), f"{resolution_A:.10g}")
    return (*resolution, *(() if recipe.phase_flip else (Field("phase_flip", "False"),)))


def _suffixes(suffixes: Suffixes) -> tuple[Field | str, ...]:
    """The option of suffixes that differ from the default."""
    return () if suffixes == _DEFAULT_SUFFIXES else (Field("suffixes"), suffixes.text)
