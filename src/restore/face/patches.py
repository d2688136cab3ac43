"""The patch file that training reads, from the micrographs of a table."""

import os
from collections.abc import Callable
from os import PathLike
from pathlib import Path

from restore.errors import UserError
from restore.face.images import read_micrographs
from restore.io.atomic import require_writable
from restore.io.file_checks import ReadHeader, reading_once, require_files
from restore.io.images.image import read_image_header
from restore.io.labels import without_denoised
from restore.io.micrographs import MicrographSet
from restore.micrograph import Micrograph
from restore.preprocessing import Grid, Recipe, cropped_grid
from restore.provenance import provenance
from restore.training.patches import Pair, refuse_smaller
from restore.training.preparation import Destination, is_made_of, prepare_patches

PATCH_DTYPES = ("float16", "float32")
"""The types of the numbers in a patch file, the default first."""


def make_patches(
    micrographs: str | PathLike[str] | MicrographSet,
    patch_file: str | PathLike[str] = "training_data.hdf",
    recipe: Recipe | None = None,
    *,
    suffixes: str | None = None,
    pixel_size_A: float | None = None,
    patch_dtype: str | None = None,
    patch_px: int = 0,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Prepare the halves of micrographs for training and store them as a patch file.

    A patch file that was already made from the same halves in the same way is kept.

    Parameters
    ----------
    micrographs
        A RELION STAR file, a cryoSPARC ``.cs`` or ``.csg`` file, or a pattern of images; or a
        `MicrographSet` from `read_micrographs`. Every micrograph needs its two halves.
    patch_file
        The file to write.
    recipe
        How the halves are prepared.
    suffixes
        What distinguishes the names of the full sum, the even and the odd half, as
        ``"DW,EVN,ODD"``.
    pixel_size_A
        Pixel size in Å, for images that no table lists.
    patch_dtype
        Type of the stored numbers, ``"float16"`` or ``"float32"``. None stands for that of a file
        that is kept, else for ``"float16"``.
    patch_px
        Side of the training windows in pixels of the prepared images. An image that is smaller is
        an error.
    overwrite
        Replace a patch file that was made of other micrographs.
    progress
        Called after each micrograph with the number of those that are finished, and of all.

    Returns
    -------
    Path
        The patch file.

    Raises
    ------
    UserError
        A half is missing or does not suit the recipe; or the file would replace an input, or was
        made of other micrographs. In these cases nothing has been written.

    Examples
    --------
    >>> recipe = restore.Recipe(max_resolution_A=9)
    >>> restore.make_patches("session/micrographs_ctf.star", "patches.hdf", recipe)
    PosixPath('patches.hdf')
    """
    path, recipe = Path(patch_file), recipe or Recipe()
    if not isinstance(micrographs, MicrographSet):
        micrographs = read_micrographs(
            micrographs,
            suffixes=suffixes,
            pixel_size_A=pixel_size_A,
            ctf=recipe.phase_flip,
            halves=True,
        )
    chosen = without_denoised(micrographs)
    read = reading_once()
    require_files(chosen.micrographs, read=read)
    pairs = [_pair(micrograph, recipe, read) for micrograph in chosen.micrographs]
    refuse_smaller(pairs, patch_px)
    _refuse_to_replace_input(path, chosen)
    if path.exists() and not overwrite:
        _require_same(path, chosen, recipe, patch_dtype)
        return path
    patch_dtype = patch_dtype or PATCH_DTYPES[0]
    pixel_bytes = 4 if patch_dtype == "float32" else 2
    require_writable(
        path.parent, sum(2 * pixel_bytes * pair.shape[0] * pair.shape[1] for pair in pairs)
    )
    count = len(chosen.micrographs)
    known = chosen.suffixes.text if chosen.suffixes is not None else suffixes
    inputs = {"micrographs": chosen.source, "suffixes": known, "count": count}
    record = provenance(recipe, inputs)
    done = iter(range(1, count + 1))

    def report(_: Micrograph) -> None:
        if progress is not None:
            progress(next(done), count)

    destination = Destination(path, patch_dtype, record)
    prepare_patches(chosen.micrographs, recipe, destination, report)
    return path


def _require_same(
    path: Path, chosen: MicrographSet, recipe: Recipe, patch_dtype: str | None
) -> None:
    """Raise UserError unless a patch file was made from these micrographs in this way; None
    accepts every type of numbers.
    """
    for dtype in PATCH_DTYPES:
        if is_made_of(path, chosen.micrographs, recipe, dtype):
            if patch_dtype in (None, dtype):
                return
            raise UserError(
                f"the numbers in the existing patch file are {dtype}",
                where=path,
                field="patch_dtype",
                wanted=f"{patch_dtype} is asked for",
                do="leave `patch_dtype` out, give another `patch_file`, or `overwrite=True`",
            )
    raise UserError(
        "the existing patch file was made from other micrographs, with another recipe or CTF, or "
        "by an earlier version",
        where=path,
        do="give another `patch_file`, or `overwrite=True`",
    )


def _pair(micrograph: Micrograph, recipe: Recipe, read: ReadHeader) -> Pair:
    """The patch file's entry for a micrograph, from its header."""
    grid = grid_of(micrograph, recipe, read)
    return Pair(micrograph.name, grid.shape, grid.pixel_size_yx_A)


def grid_of(micrograph: Micrograph, recipe: Recipe, read: ReadHeader = read_image_header) -> Grid:
    """The sampling of a micrograph's halves, from a header. Raises UserError, which names the
    micrograph, if it does not suit the recipe.
    """
    shape = read(micrograph.even or micrograph.image).shape
    try:
        return cropped_grid(shape, micrograph.pixel_size_A, recipe.max_resolution_A)
    except UserError as error:
        raise error.instead(where=micrograph.name) from None


def _refuse_to_replace_input(path: Path, chosen: MicrographSet) -> None:
    images = (
        image
        for micrograph in chosen.micrographs
        for image in (micrograph.image, micrograph.even, micrograph.odd)
        if image
    )
    inputs = {os.path.realpath(chosen.source), *(os.path.realpath(image) for image in images)}
    if os.path.realpath(path) in inputs:
        raise UserError(
            "the patch file would replace an input", where=path, do="give another `patch_file`"
        )
