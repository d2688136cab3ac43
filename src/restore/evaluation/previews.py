"""Small pictures of one micrograph for a page: raw, denoised, and where the denoised image is
confirmed.
"""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from restore.evaluation.estimators.support import Support
from restore.io.atomic import replacing
from restore.thumbnails import grey_levels, shrunk, shrunk_size

LONGEST_PX = 640
_QUALITY = 72
_CONFIRMED_RGB, _REFUTED_RGB = (
    (86, 180, 233),
    (213, 94, 0),
)  # told apart by colour-blind readers (Okabe & Ito)
_OPAQUE = 150

Halves = tuple[Float[Tensor, "y x"], Float[Tensor, "y x"]]


def save_previews(
    start: Path,
    raw: Halves,
    denoised: Halves,
    support: Support,
    pixel_size_yx_A: tuple[float, float],
) -> dict[str, Any]:
    """Write the pictures as ``start_raw.jpg``, ``start_denoised.jpg``, ``start_support.png``.

    Returns their names (relative to the folder above ``start``'s), size and pixel size, as an
    evaluation lists them.
    """
    size = shrunk_size((raw[0].shape[0], raw[0].shape[1]), LONGEST_PX)
    pictures = {"raw": (raw, "jpg"), "denoised": (denoised, "jpg")}
    names: dict[str, Any] = {}
    for name, (halves, suffix) in pictures.items():
        path = start.with_name(f"{start.name}_{name}.{suffix}")
        _save(path, Image.fromarray(grey_levels(shrunk(halves[0] + halves[1], size), 1)), "JPEG")
        names[name] = f"{path.parent.name}/{path.name}"
    path = start.with_name(f"{start.name}_support.png")
    _save(
        path,
        Image.fromarray(overlay(support), "RGBA").resize(
            (size[1] // 2, size[0] // 2), Image.Resampling.BILINEAR
        ),
        "PNG",
    )
    names["support"] = f"{path.parent.name}/{path.name}"
    return names | {
        "width_px": size[1],
        "height_px": size[0],
        "pixel_size_A": pixel_size_yx_A[1] * raw[0].shape[1] / size[1],
    }


def overlay(support: Support) -> UInt8[np.ndarray, "rows columns 4"]:
    """Blue where the drawing is confirmed, orange where it is refuted, clear where it cannot be
    told.
    """
    confirmed, refuted = support.confirmed.cpu().numpy(), support.refuted.cpu().numpy()
    colours = np.where(
        confirmed[..., None] >= refuted[..., None], np.array(_CONFIRMED_RGB), np.array(_REFUTED_RGB)
    )
    strength = np.sqrt(np.nan_to_num(np.maximum(confirmed, refuted)))
    return np.concatenate([colours, (_OPAQUE * strength)[..., None]], axis=-1).astype(np.uint8)


def _save(path: Path, picture: Image.Image, kind: str) -> None:
    with replacing(path) as partial:
        picture.save(partial, format=kind, quality=_QUALITY, optimize=True)
