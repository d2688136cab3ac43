"""The object of an evaluation: a model, or another program's denoised halves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path

import torch

from restore.errors import UsageError
from restore.evaluation.aggregate import EvaluationSettings
from restore.evaluation.half_checks import require_own_halves
from restore.evaluation.measure import (
    fitted,
    views_of_images,
    views_of_model,
)
from restore.evaluation.phase_checks import require_same_phases
from restore.evaluation.place_checks import warn_of_shift
from restore.evaluation.records import ModelSummary
from restore.evaluation.views import BinnedHalves, Halves, Views
from restore.io.denoised_halves import DenoisedFiles, denoised_halves
from restore.micrograph import Micrograph
from restore.model.calibration import CALIBRATION_VERSION
from restore.model.checkpoint import Model, load_model
from restore.model.general import GENERAL_MODEL_PATH, load_general_model
from restore.model.inference.selection import engine_for
from restore.preprocessing import PREPARATION_VERSION, Recipe
from restore.records import plain

_CHECKED = "phases, shifts"  # what measurements of older versions were not checked for


@dataclass(frozen=True)
class DenoisedHalves:
    """Halves that another program has denoised, to be evaluated in place of a model.

    Attributes
    ----------
    folders
        One folder with all denoised halves, or one for the even and one for the odd ones.
    suffix
        What is appended to the raw halves' names in the names of the denoised ones.
    recipe
        The resolution in Å up to which they are compared, and whether the phases of the raw halves
        must be flipped because those of the denoised halves are.
    fit_scale
        Fit the grey scale of the denoised halves to that of the raw ones, for programs that change
        it.
    """

    folders: Sequence[str | PathLike[str]] = ()
    suffix: str = ""
    recipe: Recipe = Recipe(phase_flip=False)
    fit_scale: bool = False


@dataclass(frozen=True)
class Source:
    """The source of the denoised halves: a ``model``, with its ``model_file`` if known, or
    ``others``.
    """

    model: Model | None
    model_file: Path | None = None
    others: DenoisedHalves = DenoisedHalves()

    @property
    def recipe(self) -> Recipe:
        """The recipe by which images are compared."""
        return self.model.recipe if self.model else self.others.recipe

    def inputs(self) -> dict[str, object]:
        """The files and settings of the source, for the record of an evaluation."""
        return {
            "model": self.model_file,
            "denoised": list(self.others.folders) or None,
            "denoised_suffix": self.others.suffix,
            "fit_scale": self.others.fit_scale,
        }

    def made_with(self) -> list[object]:
        """Everything about the source, besides the images, that determines a micrograph's
        numbers.
        """
        arithmetic = [CALIBRATION_VERSION, self.model.digest()] if self.model else _CHECKED
        return [PREPARATION_VERSION, arithmetic, self.recipe, self.others.fit_scale]

    def files(self, micrographs: Sequence[Micrograph]) -> list[DenoisedFiles] | None:
        """The files of each micrograph's denoised halves; None if a model makes them."""
        if self.model is not None:
            return None
        folders = [Path(folder) for folder in self.others.folders]
        return denoised_halves(micrographs, folders, self.others.suffix)

    def comparison(
        self, settings: EvaluationSettings, device: torch.device
    ) -> Callable[[Halves, BinnedHalves | None, Micrograph], Views]:
        """A function that makes comparable views of one micrograph's halves."""
        if self.model is None:
            return partial(_views_of_others, others=self.others)
        engine = engine_for(self.model.network, device, settings.precision)
        calibration, kind = self.model.calibration, settings.calibration
        return lambda halves, _, micrograph: views_of_model(
            halves,
            micrograph,
            self.recipe,
            engine,
            settings.tile_px,
            calibration=calibration,
            kind=kind,
            self_ensemble=settings.self_ensemble,
        )

    def summary(self) -> ModelSummary | None:
        """The summary of the model for an evaluation; None if there is no model."""
        if self.model is None:
            return None
        parameters = sum(parameter.numel() for parameter in self.model.network.parameters())
        name = self.model_file.name if self.model_file is not None else "model"
        training, provenance = plain(self.model.training), plain(self.model.provenance)
        return ModelSummary(name, parameters, training, provenance)


def source_of(
    model: Model | str | PathLike[str] | DenoisedHalves | None,
    name: str | PathLike[str] | None = None,
) -> Source:
    """The source of denoised halves for ``model`` (the general model with its own recipe if None).
    ``name`` is the name of a model that has no file.

    Raises
    ------
    UserError
        There are more than two folders of denoised halves, or the file is not a model.
    """
    named = None if name is None else Path(name)
    if isinstance(model, Model):
        return Source(model, named)
    if model is None:
        return Source(load_general_model(), named or Path(GENERAL_MODEL_PATH.name))
    if not isinstance(model, DenoisedHalves):
        return Source(load_model(Path(model)), named or Path(model))
    if len(model.folders) > 2:
        problem = f"{len(model.folders)} folders of denoised halves"
        raise UsageError(
            problem, field="denoised_halves", do="give one folder for both halves, or one for each"
        )
    return Source(None, None, model)


def _views_of_others(
    halves: Halves, denoised: BinnedHalves | None, micrograph: Micrograph, others: DenoisedHalves
) -> Views:
    assert denoised is not None
    views = views_of_images(halves, denoised, micrograph, others.recipe)
    require_same_phases(views, micrograph, others.recipe.phase_flip)
    remarks = [*warn_of_shift(views, micrograph), *require_own_halves(views, micrograph.name)]
    return (fitted(views) if others.fit_scale else views).remarked(remarks)
