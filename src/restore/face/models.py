"""Models, and their application to one image."""

from os import PathLike
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restore import preprocessing
from restore.denoising import denoise as denoising
from restore.denoising.denoise import Exposure
from restore.denoising.settings import DenoisingSettings
from restore.errors import UserError
from restore.face.images import pixel_size_of, pixels_of
from restore.io.images.image import Image
from restore.micrograph import CTFParameters, Micrograph
from restore.model import checkpoint
from restore.model.checkpoint import Model
from restore.model.general import load_general_model
from restore.preprocessing import Prepared, Recipe
from restore.runtime.distributed import pick_device

AnyImage = TypeVar("AnyImage", NDArray[Any], Tensor, Image)


def load_model(path: str | PathLike[str] | None = None, recipe: Recipe | None = None) -> Model:
    """Read a model file, or the general model that comes with the package.

    Parameters
    ----------
    path
        A ``.safetensors`` file written by `train` or `save_model`. None stands for the general
        model.
    recipe
        How images are to be prepared. The general model can be used with a range of recipes (None
        stands for its own). A trained model has exactly one, and is rejected if that differs from
        this one.

    Returns
    -------
    Model
        The network, the recipe by which images are prepared for it, and the record of its training.

    Raises
    ------
    UserError
        The file is missing, is not a model file, or was written by a newer version; or the model
        was not trained on images of this recipe. Pickles are rejected, because reading one can run
        any code.

    Examples
    --------
    >>> general = restore.load_model(recipe=restore.Recipe(max_resolution_A=6))
    >>> general.recipe.max_resolution_A
    6.0
    >>> model = restore.load_model("Models/model.safetensors")
    >>> model.recipe.max_resolution_A, model.recipe.phase_flip
    (9.0, True)
    >>> model.training["steps"]
    2
    """
    if path is None:
        return load_general_model(recipe)
    model = checkpoint.load_model(Path(path))
    if recipe is not None and model.recipe != recipe:
        raise UserError(
            f"the model was made with {model.recipe}",
            where=path,
            field="recipe",
            wanted=f"{recipe} is asked for",
        )
    return model


def save_model(path: str | PathLike[str], model: Model) -> None:
    """Write a model file. An existing file is replaced only when the new one is complete.

    Parameters
    ----------
    path
        The ``.safetensors`` file.
    model
        The model.

    Raises
    ------
    UserError
        The file cannot be written.

    Examples
    --------
    >>> restore.save_model("copy.safetensors", restore.load_model("Models/model.safetensors"))
    """
    checkpoint.save_model(Path(path), model)


def prepare(
    image: NDArray[Any] | Tensor | Image,
    recipe: Recipe | Model | None = None,
    *,
    pixel_size_A: float | None = None,
    ctf: CTFParameters | None = None,
) -> Prepared:
    """Prepare an image as the network sees it: cropped in Fourier space, band-pass filtered,
    phase-flipped, and scaled to zero mean and unit standard deviation.

    Parameters
    ----------
    image
        The raw image (y, x).
    recipe
        How the image is prepared; or a model, which has a recipe of its own.
    pixel_size_A
        Pixel size in Å. An `Image` has its own.
    ctf
        Parameters of the CTF, which are needed if the recipe flips phases.

    Returns
    -------
    Prepared
        ``image``, a tensor (y, x) on the cropped ``grid``, and what is needed to undo the scaling.

    Raises
    ------
    UserError
        The pixel size or the CTF is not known, the image has pixels that are NaN or infinite, or it
        is too small or its pixels are too large for the recipe.

    Examples
    --------
    >>> image = restore.read_image("session/Micrographs/mic_0001_DW.mrc")
    >>> recipe = restore.Recipe(max_resolution_A=9, phase_flip=False)
    >>> prepared = restore.prepare(image, recipe)
    >>> tuple(prepared.image.shape), [round(side_A, 2) for side_A in prepared.grid.pixel_size_yx_A]
    ((86, 86), [4.47, 4.47])
    """
    chosen = recipe.recipe if isinstance(recipe, Model) else recipe or Recipe()
    tensor = _as_tensor(pixels_of(image))
    return preprocessing.prepare(tensor, pixel_size_of(image, pixel_size_A), ctf, chosen)


def denoise(
    image: AnyImage,
    model: Model | str | PathLike[str] | None = None,
    *,
    pixel_size_A: float | None = None,
    ctf: CTFParameters | None = None,
    halves: tuple[AnyImage, AnyImage] | None = None,
    settings: DenoisingSettings | None = None,
    device: str | None = None,
) -> AnyImage:
    """Denoise one image.

    Parameters
    ----------
    image
        The raw image (y, x): a NumPy array, a tensor, or an `Image` from `read_image`.
    model
        A model, or the path of a model file. None stands for the general model, which was trained
        for 4.5 Å and flipped phases; ``load_model(recipe=…)`` gives it for other settings.
    pixel_size_A
        Pixel size in Å. An `Image` has its own.
    ctf
        Parameters of the CTF, which are needed if the model was trained on phase-flipped images.
    halves
        The even and the odd half (y, x). They calibrate the denoised image, as in ``restore
        denoise``; with ``DenoisingSettings(average_halves=True)`` they are denoised and averaged
        instead of ``image``.
    settings
        What is done with the network's output, such as merging with the raw image.
    device
        ``"cpu"``, ``"cuda"`` …. None stands for the tensor's own device; for other images, for a
        GPU if there is one.

    Returns
    -------
    ndarray, Tensor or Image
        The denoised image in float32, of the same kind and shape and on the same grey scale as
        ``image``; a tensor is on the same device.

    Raises
    ------
    UserError
        The pixel size or the CTF is not known, an image has pixels that are NaN or infinite, the
        image is too small or its pixels are too large for the model, or the halves have another
        shape than the image, or are missing although they are to be averaged.

    Examples
    --------
    Three lines denoise an image:

    >>> image = restore.read_image("session/Micrographs/mic_0001_DW.mrc")
    >>> micrograph = restore.read_micrographs("session/micrographs_ctf.star").micrographs[0]
    >>> denoised = restore.denoise(image, "Models/model.safetensors", ctf=micrograph.ctf)
    >>> denoised.data.shape, bool(denoised.data.std() < image.data.std())
    ((256, 256), True)

    An array comes back as an array, and a tensor as a tensor:

    >>> model = restore.load_model("Models/model.safetensors")
    >>> array = restore.denoise(image.data, model, pixel_size_A=1.5, ctf=micrograph.ctf)
    >>> bool(np.array_equal(array, denoised.data))
    True
    """
    chosen = model if isinstance(model, Model) else load_model(model)
    pixels = pixels_of(image)
    where = _device(pixels, device)
    size_A = pixel_size_of(image, pixel_size_A)
    settings = settings or DenoisingSettings()
    full = _as_tensor(pixels).to(where)
    both = _halves_for(settings, full, halves)
    name = str(image.path) if isinstance(image, Image) else "image"
    micrograph = Micrograph(name, Path(name), size_A, row=0, ctf=ctf)
    result = denoising.denoise(Exposure(full, both), micrograph, chosen, settings)
    return cast(AnyImage, _like(image, result, size_A))


def _halves_for(
    settings: DenoisingSettings, full: Tensor, halves: tuple[AnyImage, AnyImage] | None
) -> tuple[Tensor, Tensor] | None:
    """The halves as the settings use them, on the full sum's device; None if they do not."""
    if halves is None and settings.average_halves:
        problem = "the two halves are to be averaged, but are not given"
        raise UserError(problem, field="halves", do="give `halves=(even, odd)`")
    if halves is None or not (settings.average_halves or settings.calibration == "rings"):
        return None
    even, odd = (_as_tensor(pixels_of(half), "halves").to(full.device) for half in halves)
    for half in (even, odd):
        if half.shape != full.shape:
            sizes = "a half has {}x{} pixels, and the image {}x{}"
            raise UserError(
                sizes.format(*half.shape, *full.shape),
                field="halves",
                wanted="the images of one micrograph must have one shape",
            )
    return even, odd


def _device(pixels: NDArray[Any] | Tensor, name: str | None) -> torch.device:
    if name is None and isinstance(pixels, Tensor):
        return pixels.device
    return pick_device(name or "auto")


def _as_tensor(pixels: NDArray[Any] | Tensor, field: str = "image") -> Tensor:
    """The pixels as float32; an array's own memory is not changed. Raises UserError, which names
    the ``field`` that they are of, if some of them are not finite.
    """
    if isinstance(pixels, Tensor):
        tensor = pixels.detach().float()
    else:
        tensor = torch.from_numpy(np.ascontiguousarray(pixels, np.float32))
    bad = tensor.numel() - int(tensor.isfinite().sum())
    if bad:
        raise UserError(
            f"{bad} of {tensor.numel()} pixels are NaN or infinite",
            field=field,
            wanted="every pixel must be a number",
        )
    return tensor


def _like(
    image: NDArray[Any] | Tensor | Image, result: Tensor, size_A: float
) -> NDArray[Any] | Tensor | Image:
    """The result as the same kind of object as the image."""
    if isinstance(image, Tensor):
        return result.to(image.device)
    if isinstance(image, Image):
        return Image(result.cpu().numpy(), size_A, image.path)
    return result.cpu().numpy()
