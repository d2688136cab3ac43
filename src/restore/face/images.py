"""Images and tables of micrographs, read and written."""

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from restore.errors import UserError
from restore.io import micrographs
from restore.io.images import image as images
from restore.io.images.image import Image
from restore.io.micrographs import MicrographSet, Needs, parse_suffixes

if TYPE_CHECKING:
    import torch


def read_image(path: str | PathLike[str]) -> Image:
    """Read one image: MRC (also packed by gzip or bzip2) or TIFF.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Image
        ``data`` is float32, with rows and columns as RELION has them; ``pixel_size_A`` is the
        header's pixel size in Å, None where the header has none.

    Raises
    ------
    UserError
        The file is missing, cut short or of another format; it holds several images; the image is
        constant, or holds NaN or infinity.

    Examples
    --------
    >>> image = restore.read_image("session/Micrographs/mic_0001_DW.mrc")
    >>> image.data.shape, image.pixel_size_A
    ((256, 256), 1.5)
    """
    return images.read_image(Path(path))


def write_image(
    path: str | PathLike[str],
    image: "NDArray[Any] | torch.Tensor | Image",
    pixel_size_A: float | None = None,
    *,
    dtype: Literal["float32", "float16"] = "float32",
) -> None:
    """Write one image as MRC, whole or not at all.

    Parameters
    ----------
    path
        The file, which is replaced if it is there.
    image
        Rows and columns; finite numbers only.
    pixel_size_A
        Pixel size in Å; an `Image` brings its own.
    dtype
        Type of the numbers in the file.

    Raises
    ------
    UserError
        No pixel size is known, the image is not two-dimensional or not finite, or the file cannot
        be written.

    Examples
    --------
    >>> restore.write_image("flat.mrc", np.eye(64), pixel_size_A=1.25)
    >>> restore.read_image("flat.mrc").pixel_size_A
    1.25
    """
    data, size_A = pixels_of(image), pixel_size_of(image, pixel_size_A)
    images.write_image(Path(path), np.asarray(data, np.float32), size_A, dtype=dtype)


def read_micrographs(
    source: str | PathLike[str],
    *,
    suffixes: str | None = None,
    pixel_size_A: float | None = None,
    ctf: bool = True,
    halves: bool = False,
) -> MicrographSet:
    """The micrographs of a table, or of a pattern of image files.

    Parameters
    ----------
    source
        A RELION STAR file, a cryoSPARC ``.cs`` or ``.csg`` file, an image, or a pattern of images.
    suffixes
        How the names of a full sum and its halves differ, as ``"DW,EVN,ODD"``.
    pixel_size_A
        Pixel size in Å, where no table says it.
    ctf, halves
        Whether every micrograph must have them.

    Returns
    -------
    MicrographSet
        Its ``micrographs`` are `Micrograph` records, in the order of the table.

    Raises
    ------
    UserError
        The table cannot be read, or lacks what is needed; the message names file, row and column.

    Examples
    --------
    >>> found = restore.read_micrographs("session/micrographs_ctf.star", halves=True)
    >>> [micrograph.name for micrograph in found.micrographs]
    ['Micrographs/mic_0001_DW.mrc', 'Micrographs/mic_0002_DW.mrc']
    >>> found.micrographs[0].ctf.voltage_kV
    300.0
    """
    return micrographs.read_micrographs(
        str(source),
        parse_suffixes(suffixes) if suffixes else None,
        pixel_size_A,
        Needs(ctf=ctf, halves=halves),
    )


def pixels_of(image: "NDArray[Any] | torch.Tensor | Image") -> "NDArray[Any] | torch.Tensor":
    """The pixels of an image of any kind, as they are. UserError where they are not
    two-dimensional.
    """
    data: Any = image.data if isinstance(image, Image) else image
    if not hasattr(data, "shape") or len(data.shape) != 2:
        shape = getattr(data, "shape", None)
        problem = f"an array of shape {tuple(shape)}" if shape is not None else f"{type(image)}"
        raise UserError(
            problem, field="image", wanted="an image has two dimensions, rows and columns"
        )
    return data


def pixel_size_of(
    image: "NDArray[Any] | torch.Tensor | Image", pixel_size_A: float | None
) -> float:
    """The pixel size in Å that is given, or else the image's own. UserError where there is none."""
    size_A = pixel_size_A
    if size_A is None and isinstance(image, Image):
        size_A = image.pixel_size_A
    if size_A is None:
        raise UserError("the pixel size is not known", do="give `pixel_size_A`")
    if not 0 < size_A < float("inf"):
        problem = f"pixel_size_A is {size_A:g}"
        raise UserError(problem, field="pixel_size_A", wanted="it must be above 0")
    return float(size_A)
