"""How a surface looks: soft light from the upper left, darker in its hollows, paler in the
distance.
"""

import numpy as np
from jaxtyping import Float, UInt8
from scipy.ndimage import uniform_filter

from restore.report.rays import Hits

Colour = tuple[float, float, float]
Picture = Float[np.ndarray, "rows columns 3"]

WHITE: Colour = (1.0, 1.0, 1.0)
_KEY, _FILL = (-0.5, 0.65, 0.8), (0.75, -0.15, 0.6)
_SHINE, _SHINE_POWER = 0.16, 24
_FADE = 0.35  # of the farthest surface, towards the background
_HOLLOWS = (
    (0.012, 0.35),
    (0.035, 0.4),
    (0.1, 0.3),
)  # width as a share of the picture, and how dark
_COARSE = 4  # pixels, of what blurs


def shaded(hits: Hits, colour: Colour | Picture, pixel_size_A: float) -> Picture:
    """The colour of every pixel's surface under the light, from 0 to 1; white where there is none."""
    light = _light(hits.normal) * _hollows(hits, pixel_size_A)
    shine = _SHINE * np.clip(hits.normal @ _halfway(), 0, 1) ** _SHINE_POWER
    lit = np.clip(np.asarray(colour, np.float32) * light[..., None] + shine[..., None], 0, 1)
    return np.where(hits.there[..., None], _faded(lit, hits.depth_A), 1.0).astype(np.float32)


def over(front: Picture, opacity: Float[np.ndarray, "rows columns"], behind: Picture) -> Picture:
    """One picture laid over another, where it is opaque."""
    return behind + opacity[..., None] * (front - behind)


def shrunk_colours(picture: Picture, times: int) -> Float[np.ndarray, "fewer_rows fewer_columns 3"]:
    """The picture with so many pixels along each side averaged to one: edges without steps."""
    rows, columns = picture.shape[0] // times, picture.shape[1] // times
    return picture.reshape(rows, times, columns, times, 3).mean((1, 3))


def as_bytes(picture: Picture) -> UInt8[np.ndarray, "rows columns 3"]:
    """Colours from 0 to 255."""
    return np.round(255 * np.clip(picture, 0, 1)).astype(np.uint8)


def _light(normal: Picture) -> Float[np.ndarray, "rows columns"]:
    sky = 0.5 + 0.5 * normal[..., 1]
    key = np.clip(normal @ _unit(_KEY), 0, 1)
    fill = np.clip(normal @ _unit(_FILL), 0, 1)
    return 0.3 + 0.14 * sky + 0.62 * key + 0.14 * fill


def _unit(direction: tuple[float, float, float]) -> Float[np.ndarray, "3"]:
    vector = np.array(direction, np.float32)
    return vector / np.linalg.norm(vector)


def _halfway() -> Float[np.ndarray, "3"]:
    """Between the light and the viewer: what faces there shines."""
    towards = _unit(_KEY) + np.array([0, 0, 1], np.float32)
    return towards / np.linalg.norm(towards)


def _hollows(hits: Hits, pixel_size_A: float) -> Float[np.ndarray, "rows columns"]:
    """Less than 1 where the surface lies deeper than what is around it (unsharp-masked depth, Luft
    et al. 2006).
    """
    there = hits.there
    light = np.ones(there.shape, np.float32)
    if not there.any():
        return light
    depth_A = np.where(there, hits.depth_A, 0).astype(np.float32)
    coarse_A, coarse_there = (
        depth_A[::_COARSE, ::_COARSE],
        there[::_COARSE, ::_COARSE].astype(np.float32),
    )
    for share, darkness in _HOLLOWS:
        width = max(3, round(share * max(coarse_A.shape)))
        around_A = _blurred(coarse_A, width) / np.maximum(_blurred(coarse_there, width), 1e-6)
        around_A = _enlarged(around_A, there.shape)
        deeper = (around_A - depth_A) / (2.5 * width * _COARSE * pixel_size_A)
        light *= 1 - darkness * np.clip(deeper, 0, 1)
    return light


def _blurred(
    image: Float[np.ndarray, "rows columns"], width: int
) -> Float[np.ndarray, "rows columns"]:
    for _ in range(3):
        image = uniform_filter(image, width, mode="constant")
    return image


def _enlarged(
    image: Float[np.ndarray, "y x"], shape: tuple[int, ...]
) -> Float[np.ndarray, "rows columns"]:
    large = image.repeat(_COARSE, axis=0)[: shape[0]].repeat(_COARSE, axis=1)[:, : shape[1]]
    return uniform_filter(large, _COARSE + 1, mode="nearest")


def _faded(lit: Picture, depth_A: Float[np.ndarray, "rows columns"]) -> Picture:
    if np.isnan(depth_A).all():
        return lit
    nearest, farthest = np.nanmax(depth_A), np.nanmin(depth_A)
    distance = (nearest - np.nan_to_num(depth_A)) / max(nearest - farthest, 1e-6)
    return lit + _FADE * np.clip(distance, 0, 1)[..., None] * (1 - lit)
