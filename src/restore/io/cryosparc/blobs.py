"""The columns of a slot of images in a cryoSPARC table: those of denoised micrographs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restore.errors import UserError
from restore.io.cryosparc.exposures import BLOB
from restore.io.cryosparc.tables import text_column, texts
from restore.io.images.mrc import MrcHeader, read_mrc_header

DENOISED_BLOB = f"{BLOB}_denoised"
"""The slot that cryoSPARC's own Micrograph Denoiser fills, and that its pickers look for."""

_FORMATS = {2: "MRC/12", 4: "MRC/2"}
"""cryoSPARC's names for the formats of MRC files that restore writes, by bytes per pixel; the MRC
mode follows the slash.
"""


def blob_columns(
    slot: str,
    columns: Mapping[str, NDArray[Any]],
    names: Sequence[str],
    images: Sequence[Path],
    pixel_sizes_A: Sequence[float],
) -> dict[str, NDArray[Any]]:
    """The columns of ``slot`` for images called ``names`` in the table; fields and types are those
    of ``micrograph_blob`` in ``columns``.

    ``path`` is the image's, ``idx`` is zero, ``shape`` and ``format`` are read from its file (from
    the raw one until the image is made), and ``is_background_subtracted`` is one, because the model
    removes the background. ``psize_A``, ``vmin``, ``vmax`` and ``import_sig`` are copied from the
    raw image, whose sampling, grey values and origin the denoised one shares. A new slot always has
    path, shape and psize_A, the only fields that readers of cryoSPARC's
    ``micrograph_blob_denoised`` use.
    """
    raw = {
        name.removeprefix(f"{BLOB}/"): column
        for name, column in columns.items()
        if name.startswith(f"{BLOB}/")
    }
    headers = [_header(image) for image in images]
    fields = raw | {"path": text_column(list(names))}
    if slot != BLOB:
        fields.setdefault("shape", np.zeros((len(names), 2), "<u4"))
        fields.setdefault("psize_A", np.array(pixel_sizes_A, "<f4"))
    if "shape" in fields:
        fields["shape"] = _shapes(headers, fields["shape"])
    if "format" in fields:
        fields["format"] = _formats(headers, fields["format"])
    for field, value in (("idx", 0), ("is_background_subtracted", 1)):
        if field in fields:
            fields[field] = np.full_like(fields[field], value)
    return {f"{slot}/{field}": column for field, column in fields.items()}


def _shapes(headers: Sequence[MrcHeader | None], raw: NDArray[Any]) -> NDArray[Any]:
    shapes = zip(headers, raw.tolist(), strict=True)
    new = [header.shape if header else shape for header, shape in shapes]
    return np.array(new, dtype=raw.dtype).reshape(-1, 2)


def _formats(headers: Sequence[MrcHeader | None], raw: NDArray[Any]) -> NDArray[Any]:
    formats = zip(headers, texts(raw), strict=True)
    return text_column(
        [_FORMATS.get(header.dtype.itemsize, text) if header else text for header, text in formats]
    )


def _header(image: Path) -> MrcHeader | None:
    try:
        return read_mrc_header(image)
    except UserError:
        return None
