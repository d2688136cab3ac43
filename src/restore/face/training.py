"""Training of a network on the halves of micrographs."""

from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from restore.errors import UserError
from restore.face.patches import make_patches
from restore.io.micrographs import MicrographSet
from restore.model.checkpoint import Model
from restore.preprocessing import Recipe
from restore.training import run
from restore.training.patches import PatchFile
from restore.training.run_files import RunFiles
from restore.training.settings import TrainingSettings
from restore.training.watchers import TrainingProgress

_PATCH_FILE = "training_data.hdf"


def train(
    micrographs: str | PathLike[str] | MicrographSet | None = None,
    settings: TrainingSettings | Mapping[str, Any] | None = None,
    *,
    recipe: Recipe | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    preset: str | None = None,
    suffixes: str | None = None,
    pixel_size_A: float | None = None,
    patch_file: str | PathLike[str] | None = None,
    model_directory: str | PathLike[str] = "Models",
    model_prefix: str = "model",
    initial_model: str | PathLike[str] | None = None,
    from_scratch: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    progress: Callable[[TrainingProgress], None] | None = None,
) -> Model:
    """Train a network on the halves of micrographs.

    The model is written to ``MODEL_DIRECTORY/MODEL_PREFIX.safetensors``, and its losses beside it.

    Parameters
    ----------
    micrographs
        A RELION STAR file, a cryoSPARC ``.cs`` or ``.csg`` file, or a pattern of images; or a
        `MicrographSet` from `read_micrographs`. Every micrograph needs its two halves. None if
        ``patch_file`` holds them already, or if a run is resumed; then neither ``suffixes`` nor
        ``pixel_size_A`` can be given.
    settings
        The settings, or a mapping of those that differ from the preset's, such as
        ``{"batch_size": 8}``.
    recipe
        How images are prepared: the finest resolution in Å, and whether phases are flipped. Without
        ``micrographs`` it must be that of the patch file.
    minutes, steps
        Length of the run, in minutes or in steps of the optimiser.
    preset
        Origin of the other settings: ``"cpu"``, ``"gpu"`` or ``"paper"``. None leaves the choice to
        the device.
    suffixes
        What distinguishes the names of the full sum, the even and the odd half, as
        ``"DW,EVN,ODD"``.
    pixel_size_A
        Pixel size in Å, for images that no table lists.
    patch_file
        File in which the prepared halves are stored. None stands for ``training_data.hdf``, or for
        the file of the run that is resumed, which may also be given where it is now.
    model_directory, model_prefix
        Folder of the run's files, and the beginning of their names.
    initial_model
        A trained model to start from. None stands for the general model that comes with the
        package, if its network is of the same kind and it knows this recipe.
    from_scratch
        Start from random weights instead.
    resume
        Continue the run of this name where it stopped. A run that has not saved its state yet
        starts from the beginning.
    overwrite
        Replace a run of this name, and the patch file.
    device
        ``"cpu"``, ``"cuda"``, ``"cuda:1"`` …; ``"auto"`` is a GPU if there is one.
    progress
        Called after every step with a `TrainingProgress`.

    Returns
    -------
    Model
        The model of the best epoch.

    Raises
    ------
    UserError
        The micrographs, the patch file or the initial model do not fit the settings; a run of this
        name already exists; or the run that is to be resumed has left a model but no state.

    Examples
    --------
    >>> model = restore.train(
    ...     "session/micrographs_ctf.star",
    ...     {"steps": 1, "batch_size": 2, "patch_px": 32},
    ...     recipe=restore.Recipe(max_resolution_A=9),
    ...     model_prefix="another",
    ...     patch_file="another.hdf",
    ... )
    >>> model.training["steps"]
    1
    """
    beside = {"minutes": minutes, "steps": steps, "from_scratch": from_scratch or None}
    given = _settings(settings, beside)
    if micrographs is None:
        _refuse_unused({"suffixes": suffixes, "pixel_size_A": pixel_size_A})

    def make(patch_px: int) -> Path:
        assert micrographs is not None
        return make_patches(
            micrographs,
            patch_file if patch_file is not None else _PATCH_FILE,
            recipe,
            suffixes=suffixes,
            pixel_size_A=pixel_size_A,
            patch_px=patch_px,
            overwrite=overwrite,
        )

    def check_recipe(data: PatchFile) -> None:
        if recipe is not None and micrographs is None and data.recipe != recipe:
            raise UserError(
                f"the patches were made with {data.recipe}",
                where=data.path,
                field="recipe",
                wanted=f"{recipe} is asked for",
                do="leave the recipe out, or give the micrographs",
            )

    resumed = resume and RunFiles(Path(model_directory), model_prefix).state.exists()
    usual = None if resumed else Path(_PATCH_FILE)
    stored = Path(patch_file) if patch_file is not None else usual
    return run.train(
        make if micrographs is not None else stored,
        given,
        preset=preset,
        model_directory=Path(model_directory),
        model_prefix=model_prefix,
        initial_model=Path(initial_model) if initial_model is not None else None,
        resume=resume,
        overwrite=overwrite,
        device=device,
        check_recipe=check_recipe,
        progress=progress,
    )


def _refuse_unused(of_micrographs: Mapping[str, object]) -> None:
    """Reject what describes micrographs where none are given."""
    for name, value in of_micrographs.items():
        if value is not None:
            raise UserError(
                f"{name} is {value}, but no micrographs are given",
                field=name,
                wanted="the patch file holds its own",
                do="leave it out, or give the micrographs",
            )


def _settings(
    settings: TrainingSettings | Mapping[str, Any] | None, beside: Mapping[str, float | None]
) -> TrainingSettings | Mapping[str, Any] | None:
    """The settings, with those that are given as separate arguments."""
    given = {name: value for name, value in beside.items() if value is not None}
    if not given:
        return settings
    if isinstance(settings, TrainingSettings):
        raise UserError(
            f"both a complete record of settings and {' and '.join(given)} are given",
            field="settings",
            do="give them in the record",
        )
    return {**(settings or {}), **given}
