"""Denoise cryo-EM micrographs with a network trained on their own halves, and say what it did to
them.

The face of the library: read a set, prepare an image, load a model, denoise. Names load when they
are first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from restore.version import __version__

if TYPE_CHECKING:
    from restore.denoising.denoise import DenoisingSettings, Exposure, denoise
    from restore.errors import UserError
    from restore.io.images.image import read_image, write_image
    from restore.io.micrographs import read_micrographs
    from restore.micrograph import CTFParameters, Micrograph
    from restore.model.checkpoint import Model, load_model, save_model
    from restore.preprocessing import Recipe, prepare

_HOMES = {
    "CTFParameters": "micrograph",
    "DenoisingSettings": "denoising.denoise",
    "Exposure": "denoising.denoise",
    "Micrograph": "micrograph",
    "Model": "model.checkpoint",
    "Recipe": "preprocessing",
    "UserError": "errors",
    "denoise": "denoising.denoise",
    "load_model": "model.checkpoint",
    "prepare": "preprocessing",
    "read_image": "io.images.image",
    "read_micrographs": "io.micrographs",
    "save_model": "model.checkpoint",
    "write_image": "io.images.image",
}

__all__ = [
    "CTFParameters",
    "DenoisingSettings",
    "Exposure",
    "Micrograph",
    "Model",
    "Recipe",
    "UserError",
    "__version__",
    "denoise",
    "load_model",
    "prepare",
    "read_image",
    "read_micrographs",
    "save_model",
    "write_image",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'restore' has no attribute {name!r}")
    return getattr(import_module(f"restore.{_HOMES[name]}"), name)
