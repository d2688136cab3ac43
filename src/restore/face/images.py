"""Reading and writing of images and tables of micrographs."""

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
    """Read one image from an MRC file (which may be compressed by gzip or bzip2) or a TIFF file.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Image
        ``data`` are the grey values as float32, (y, x), in RELION's order of rows and columns;
        ``pixel_size_A`` is the pixel size in the header in Å, None if the header has none.

    Raises
    ------
    UserError
        The file is missing, has been cut short or has another format; it holds several images; or
        the image is constant or has pixels that are NaN or infinite.

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
    """Write one image as an MRC file.

    An existing file is replaced only when the new one is complete.

    Parameters
    ----------
    path
        The file.
    image
        The image (y, x). All its values must be finite.
    pixel_size_A
        Pixel size in Å. An `Image` has its own.
    dtype
        ``"float32"`` or ``"float16"``, the type of the written numbers.

    Raises
    ------
    UserError
        The pixel size is not known, the image does not have two dimensions or has values that are
        not finite, or the file cannot be written.

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
    """Read a table of micrographs, or list the images that match a pattern.

    Parameters
    ----------
    source
        A RELION STAR file, a cryoSPARC ``.cs`` or ``.csg`` file, an image, or a pattern such as
        ``"*.mrc"``.
    suffixes
        What distinguishes the names of the full sum, the even and the odd half, as
        ``"DW,EVN,ODD"``; it is needed where the table does not name the halves.
    pixel_size_A
        Pixel size in Å, for images that no table lists.
    ctf, halves
        Whether every micrograph must have a CTF, and its two halves.

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
    >>> session = restore.read_micrographs("session/micrographs_ctf.star", halves=True)
    >>> [micrograph.name for micrograph in session.micrographs]
    ['Micrographs/mic_0001_DW.mrc', 'Micrographs/mic_0002_DW.mrc']
    >>> session.micrographs[0].ctf.voltage_kV
    300.0
    """
    return micrographs.read_micrographs(
        str(source),
        parse_suffixes(suffixes) if suffixes else None,
        pixel_size_A,
        Needs(ctf=ctf, halves=halves),
    )


def pixels_of(image: "NDArray[Any] | torch.Tensor | Image") -> "NDArray[Any] | torch.Tensor":
    """The pixels of an image of any kind, unchanged. Raises UserError if they are not
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
    """The given pixel size in Å, or else the image's own. Raises UserError if there is none."""
    size_A = pixel_size_A
    if size_A is None and isinstance(image, Image):
        size_A = image.pixel_size_A
    if size_A is None:
        raise UserError("the pixel size is not known", do="give `pixel_size_A`")
    if not 0 < size_A < float("inf"):
        problem = f"pixel_size_A is {size_A:g}"
        raise UserError(problem, field="pixel_size_A", wanted="it must be above 0")
    return float(size_A)
