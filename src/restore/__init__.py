"""Denoise cryo-EM micrographs with a network trained on their own halves, and measure what it did
to them.

This is the face of the library, for a notebook. Paths are text or `Path`, images are NumPy arrays
or tensors, and everything has a default. Names load when they are first used, so that importing the
package costs nothing.

Examples
--------
>>> import restore
>>> model = restore.load_model("Models/model.safetensors")
>>> micrograph = restore.read_micrographs("session/micrographs_ctf.star").micrographs[0]
>>> image = restore.read_image(micrograph.image)
>>> denoised = restore.denoise(image, model, ctf=micrograph.ctf)
>>> restore.write_image("denoised.mrc", denoised)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from restore.version import __version__

if TYPE_CHECKING:
    from restore.denoising.batch import denoise_set
    from restore.denoising.settings import DenoisingSettings
    from restore.denoising.targets import OutputSettings
    from restore.errors import UserError
    from restore.evaluation.aggregate import EvaluationSettings
    from restore.evaluation.records import Evaluation
    from restore.evaluation.source import DenoisedHalves
    from restore.face.evaluation import EvaluatedSet, evaluate
    from restore.face.images import read_image, read_micrographs, write_image
    from restore.face.models import denoise, load_model, prepare, save_model
    from restore.face.pages import write_report
    from restore.face.patches import make_patches
    from restore.face.simulation import simulate
    from restore.face.training import train
    from restore.io.images.image import Image
    from restore.io.micrographs import MicrographSet
    from restore.live.following import WatchedSession
    from restore.live.session import watch
    from restore.live.settings import WatchSettings
    from restore.micrograph import CTFParameters, Micrograph
    from restore.model.checkpoint import Model
    from restore.movies.halving import HalvesOutput
    from restore.movies.making_halves import Thinning, make_halves
    from restore.preprocessing import Prepared, Recipe
    from restore.runtime.jobs import SetResults
    from restore.simulation.settings import SimulationSettings
    from restore.training.settings import TrainingSettings
    from restore.training.watchers import TrainingProgress

_ROOMS = {
    "CTFParameters": "micrograph",
    "DenoisingSettings": "denoising.settings",
    "EvaluationSettings": "evaluation.aggregate",
    "HalvesOutput": "movies.halving",
    "DenoisedHalves": "evaluation.source",
    "EvaluatedSet": "face.evaluation",
    "Evaluation": "evaluation.records",
    "Image": "io.images.image",
    "Micrograph": "micrograph",
    "MicrographSet": "io.micrographs",
    "Model": "model.checkpoint",
    "OutputSettings": "denoising.targets",
    "Prepared": "preprocessing",
    "Recipe": "preprocessing",
    "SimulationSettings": "simulation.settings",
    "SetResults": "runtime.jobs",
    "Thinning": "movies.making_halves",
    "TrainingProgress": "training.watchers",
    "TrainingSettings": "training.settings",
    "UserError": "errors",
    "WatchSettings": "live.settings",
    "WatchedSession": "live.following",
    "denoise": "face.models",
    "denoise_set": "denoising.batch",
    "evaluate": "face.evaluation",
    "load_model": "face.models",
    "make_halves": "movies.making_halves",
    "make_patches": "face.patches",
    "prepare": "face.models",
    "read_image": "face.images",
    "read_micrographs": "face.images",
    "save_model": "face.models",
    "simulate": "face.simulation",
    "train": "face.training",
    "watch": "live.session",
    "write_image": "face.images",
    "write_report": "face.pages",
}

__all__ = [
    "CTFParameters",
    "DenoisedHalves",
    "DenoisingSettings",
    "EvaluatedSet",
    "Evaluation",
    "EvaluationSettings",
    "HalvesOutput",
    "Image",
    "Micrograph",
    "MicrographSet",
    "Model",
    "OutputSettings",
    "Prepared",
    "Recipe",
    "SetResults",
    "SimulationSettings",
    "Thinning",
    "TrainingProgress",
    "TrainingSettings",
    "UserError",
    "WatchSettings",
    "WatchedSession",
    "__version__",
    "denoise",
    "denoise_set",
    "evaluate",
    "load_model",
    "make_halves",
    "make_patches",
    "prepare",
    "read_image",
    "read_micrographs",
    "save_model",
    "simulate",
    "train",
    "watch",
    "write_image",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module 'restore' has no attribute {name!r}")
    return getattr(import_module(f"restore.{_ROOMS[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
