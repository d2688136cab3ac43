"""restore as its own commands run it: with the general model, or trained on the exam's halves."""

import math
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from quality_data import Exam, Shot, star_of_tests
from quality_methods import Key, Method, Work, call, fourier_cropped, grid_of, seen
from quality_metrics import Image
from restore.evaluation.measure import views_of_model
from restore.image_tensors import read_tensor
from restore.io.micrographs import Needs, read_micrographs
from restore.model.calibration import CalibrationKind
from restore.model.checkpoint import Model, load_model
from restore.model.general import load_general_model
from restore.model.inference.engine import Engine
from restore.model.inference.selection import engine_for
from restore.preprocessing import Recipe

PROGRAM = [sys.executable, "-m", "restore"]


@dataclass(frozen=True)
class Variant:
    """How restore is used: minutes of training (0: none), from the general model or from scratch,
    the calibration, the orientations that are averaged, and the seed; ``options`` go to
    ``restore train``.
    """

    minutes: float
    from_scratch: bool = False
    calibration: CalibrationKind = "rings"
    self_ensemble: int = 1
    seed: int = 0
    options: Sequence[str] = ()

    @property
    def name(self) -> str:
        """As it stands in a table, whatever the seed."""
        words = f"restore, {self.minutes:g} min" if self.minutes else "restore, general model"
        words += " from scratch" if self.from_scratch else ""
        words += f", {self.self_ensemble} orientations" if self.self_ensemble > 1 else ""
        words += f" ({' '.join(self.options)})" if self.minutes and self.options else ""
        return words if self.calibration == "rings" else f"{words}, calibration {self.calibration}"

    @property
    def training(self) -> str:
        """A name for what is trained, which several calibrations share."""
        return f"model_{self.minutes:g}_{self.from_scratch}_{self.seed}"


def restore_for(variant: Variant) -> Method:
    """Restore in one variant; one training serves all calibrations of an exam."""

    def denoise(exam: Exam, folder: Path) -> Work:
        star, out = folder / "tests.star", folder / "out"
        star_of_tests(exam, star)
        model_options, training_s, peak_GB = _model(variant, exam, folder)
        command = [*PROGRAM, "denoise", "-m", str(star), "-o", str(out), *model_options]
        command.append(f"--calibration={variant.calibration}")
        cost = call([*command, f"--self_ensemble={variant.self_ensemble}"])
        denoised = read_micrographs(str(out / "tests.star"), needs=Needs()).micrographs
        model = _loaded(model_options, exam.recipe)
        engine = engine_for(model.network, torch.device("cpu"), "auto")
        images: dict[Key, Image] = {}
        for shot, micrograph in zip(exam.shots, denoised, strict=True):
            # Band-passed and flipped already: the judge must not do either twice.
            images[shot.key, "full"] = fourier_cropped(
                read_tensor(micrograph.image), grid_of(shot, exam.recipe)
            )
            for part, half in _halves(shot, exam.recipe, model, engine, variant).items():
                images[shot.key, part] = half
        peak_GB = max(peak_GB, cost.peak_GB)
        return Work(images, cost.wall_s / len(exam.shots), training_s, peak_GB)

    return denoise


def _model(variant: Variant, exam: Exam, folder: Path) -> tuple[list[str], float, float]:
    """The options that name the model, seconds of training, and the peak memory in GB."""
    if not variant.minutes:
        return ["-r", str(exam.recipe.max_resolution_A)], math.nan, 0.0
    models = folder.parent / f"models of {exam.name}"
    path = models / f"{variant.training}.safetensors"
    named = ["-p", str(path)]
    if path.is_file():
        return named, math.nan, 0.0
    options = [f"--minutes={variant.minutes}", f"--seed={variant.seed}", *variant.options]
    options += ["--from_scratch"] if variant.from_scratch else []
    options += ["-r", str(exam.recipe.max_resolution_A), "-f", str(folder / "patches.hdf")]
    places = ["-d", str(models), "-x", variant.training]
    cost = call([*PROGRAM, "train", "-m", str(exam.training), *options, *places])
    (folder / "patches.hdf").unlink()
    return named, cost.wall_s, cost.peak_GB


def forget_models(exam: Exam, folder: Path) -> None:
    """Remove what was trained for an exam."""
    shutil.rmtree(folder / f"models of {exam.name}", ignore_errors=True)


def _loaded(options: Sequence[str], recipe: Recipe) -> Model:
    return load_model(Path(options[1])) if options[0] == "-p" else load_general_model(recipe)


def _halves(
    shot: Shot, recipe: Recipe, model: Model, engine: Engine, variant: Variant
) -> dict[str, Image]:
    """The denoised halves as `restore evaluate` judges them, in the raw halves' grey values."""
    files = {"even": shot.micrograph.even, "odd": shot.micrograph.odd}
    paths = {part: path for part, path in files.items() if path is not None}
    first, second = (read_tensor(path) for path in paths.values())
    views = views_of_model(
        (first, second),
        shot.micrograph,
        recipe,
        engine,
        calibration=model.calibration,
        kind=variant.calibration,
        self_ensemble=variant.self_ensemble,
    )
    halves: dict[str, Image] = {}
    for index, (part, path) in enumerate(paths.items()):
        raw, prepared = seen(path, shot.micrograph, recipe), views.raw[index]
        scale = (raw * prepared).mean() / prepared.square().mean()
        halves[part] = views.denoised[index] * scale
    return halves
