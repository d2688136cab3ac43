"""Small pictures of one micrograph for a page: raw, denoised, and where the denoised image is
confirmed.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from restore.evaluation.estimators.support import Support
from restore.evaluation.records import Previews
from restore.io.atomic import replacing
from restore.thumbnails import grey_levels, shrunk, shrunk_size

LONGEST_PX = 640
_QUALITY = 72
_CONFIRMED_RGB, _REFUTED_RGB = (
    (86, 180, 233),
    (213, 94, 0),
)  # distinguishable by colour-blind readers (Okabe & Ito)
_OPAQUE = 150

Halves = tuple[Float[Tensor, "y x"], Float[Tensor, "y x"]]


def save_previews(
    start: Path,
    raw: Halves,
    denoised: Halves,
    support: Support,
    pixel_size_yx_A: tuple[float, float],
) -> Previews:
    """Write the pictures as ``start_raw.jpg``, ``start_denoised.jpg``, ``start_support.png``.

    Returns their names (relative to the parent of ``start``'s folder), size and pixel size, as
    listed in an evaluation.
    """
    size = shrunk_size((raw[0].shape[0], raw[0].shape[1]), LONGEST_PX)
    paths = {
        name: start.with_name(f"{start.name}_{name}.{suffix}")
        for name, suffix in (("raw", "jpg"), ("denoised", "jpg"), ("support", "png"))
    }
    for name, halves in (("raw", raw), ("denoised", denoised)):
        levels = grey_levels(shrunk(halves[0] + halves[1], size), 1)
        _save(paths[name], Image.fromarray(levels), "JPEG")
    half_size = (size[1] // 2, size[0] // 2)
    picture = Image.fromarray(overlay(support), "RGBA")
    _save(paths["support"], picture.resize(half_size, Image.Resampling.BILINEAR), "PNG")
    names = {name: f"{path.parent.name}/{path.name}" for name, path in paths.items()}
    return Previews(
        raw=names["raw"],
        denoised=names["denoised"],
        support=names["support"],
        width_px=size[1],
        height_px=size[0],
        pixel_size_A=pixel_size_yx_A[1] * raw[0].shape[1] / size[1],
    )


def overlay(support: Support) -> UInt8[np.ndarray, "rows columns 4"]:
    """Blue where the denoised image is confirmed, orange where it is refuted, transparent where
    neither is significant.
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
