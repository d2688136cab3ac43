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
"""What cryoSPARC calls the MRC files that restore writes, by the bytes of a pixel: their mode
stands after the slash.
"""


def blob_columns(
    slot: str,
    columns: Mapping[str, NDArray[Any]],
    names: Sequence[str],
    images: Sequence[Path],
    pixel_sizes_A: Sequence[float],
) -> dict[str, NDArray[Any]]:
    """The columns of ``slot``, which has the fields and types of ``micrograph_blob`` in
    ``columns``, for images that the table calls ``names``.

    ``path`` is the image's, ``idx`` zero, ``shape`` and ``format`` what its file says (the raw
    one's as long as the image is not made), ``is_background_subtracted`` one: the model takes the
    background off. ``psize_A``, ``vmin``, ``vmax``, ``import_sig`` are the raw image's, as are
    sampling, grey values and origin. A slot of its own has path, shape and psize_A in any case:
    they are all that readers of cryoSPARC's ``micrograph_blob_denoised`` use.
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
