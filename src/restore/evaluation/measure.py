"""Measuring one micrograph: from its halves, raw and denoised, to a table of covariances and a map
of local agreement.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from restore.errors import UserError
from restore.evaluation.covariances import Sampling, blocks_of, covariance_table, with_unpaired
from restore.evaluation.estimators.decomposition import PAIRS
from restore.evaluation.estimators.spectra import RingAxis, valid_patches
from restore.evaluation.estimators.support import Support, local_support
from restore.evaluation.patterns import lattices_of
from restore.evaluation.records import Facts
from restore.evaluation.views import BinnedHalves, Halves, Image, Views, valid_values
from restore.io.atomic import replacing
from restore.io.reading import reading
from restore.micrograph import Micrograph
from restore.model.calibration import (
    CalibrationKind,
    RingCalibration,
    calibrated,
    model_weights,
    without_lattice,
)
from restore.model.inference.engine import Engine
from restore.model.inference.ensemble import apply_self_ensemble
from restore.model.network import architecture_of
from restore.model.own_calibration import cross_calibrated
from restore.preprocessing import Grid, Prepared, Recipe, prepare_alike, prepare_masked
from restore.records import as_json, decoded, parse_json

_LARGEST_PATCH_PX, _SMALLEST_PATCH_PX = 256, 32
_PATCHES_ALONG, _FEWEST_ALONG = 4, 3


@dataclass(frozen=True)
class Measurement:
    """The stored measurement of one micrograph: tables of blocks of patches, whose sum is the table
    of the whole, and a few facts.
    """

    blocks: Float[Tensor, "blocks pairs rings"]
    facts: Facts = Facts()


def sampling_for(grids: Sequence[Grid], recipe: Recipe, patch_px: int = 0) -> Sampling:
    """The patches and rings for a set: 256 pixels if the smallest image holds four of them along
    each side, else fewer.

    Rings are two Fourier pixels of a patch wide. Raises UserError if an image is too small, or if
    ``patch_px`` patches would overlap so much that they say the same: three must fit along each
    side. (Those of 32 pixels need only fit once.)
    """
    smallest = min(min(grid.shape) for grid in grids)
    if patch_px == 0:
        patch_px = _LARGEST_PATCH_PX
        while patch_px > max(_SMALLEST_PATCH_PX, smallest / _PATCHES_ALONG):
            patch_px //= 2
    largest = max(_SMALLEST_PATCH_PX, smallest // _FEWEST_ALONG)
    if not _SMALLEST_PATCH_PX <= patch_px <= min(largest, smallest):
        raise UserError(
            f"patches of {patch_px} pixels do not fit: the smallest image has {smallest} pixels "
            f"at {recipe.max_resolution_A:g} Å",
            wanted=(
                f"a patch has at least {_SMALLEST_PATCH_PX} pixels a side, and at most a third of "
                "the image's (larger ones overlap too much for intervals)"
            ),
            field="patch_px",
            do="give another `patch_px`, or leave it out",
        )
    rings = patch_px // 4
    return Sampling(patch_px, RingAxis(rings, 1 / recipe.max_resolution_A / rings))


def views_of_model(
    halves: Halves,
    micrograph: Micrograph,
    recipe: Recipe,
    engine: Engine,
    tile_px: int = 0,
    *,
    calibration: RingCalibration | None = None,
    kind: CalibrationKind = "none",
    self_ensemble: int = 1,
) -> Views:
    """The halves and their difference, raw and denoised by a model, on the network's grid and
    scale. The network's output is calibrated according to ``kind``, with the model's
    ``calibration`` if it has one.
    """
    first, second = prepare_alike(halves, micrograph.pixel_size_A, micrograph.ctf, recipe)
    nothing = (first.image - second.image) / 2**0.5
    denoised = [
        apply_self_ensemble(engine, image, tile_px, self_ensemble)
        for image in (first.image, second.image, nothing)
    ]
    if kind != "none":
        raw = (first.image, second.image, nothing)
        stride = architecture_of(engine.settings).stride
        clean = [without_lattice(image, stride) for image in denoised]
        sizes_A = first.grid.pixel_size_yx_A
        own = kind == "rings" and cross_calibrated(
            clean, raw, calibration, sizes_A, blank=first.blank, parameters=micrograph.ctf
        )
        if own:
            denoised = own
        elif calibration is not None:
            weights = model_weights(calibration)
            denoised = [
                calibrated(weights.half, weights.width_per_A, image, half, sizes_A)
                for image, half in zip(clean, raw, strict=True)
            ]
    hot_pixels = first.hot_pixels + second.hot_pixels
    return Views(
        (first.image, second.image),
        (denoised[0], denoised[1]),
        (nothing, denoised[2]),
        first.grid,
        hot_pixels,
        first.blank,
        _blank_share(first),
    )


def _blank_share(prepared: Prepared) -> float:
    return prepared.blank_pixels / math.prod(prepared.grid.full_shape)


def views_of_images(
    halves: Halves, denoised: BinnedHalves, micrograph: Micrograph, recipe: Recipe
) -> Views:
    """The halves and their versions denoised by another program, on the same grid and in the grey
    values of the raw halves.

    The denoised images may be binned. A ``recipe`` that flips phases implies that theirs are
    flipped already. Sharp spots in them are left unchanged: in an image without noise they are not
    hot pixels.
    """
    raw = prepare_alike(halves, micrograph.pixel_size_A, micrograph.ctf, recipe)
    as_they_are = replace(recipe, phase_flip=False, hot_pixel_sigma=math.inf)
    on_grid: list[Image] = []
    for image, half in zip(denoised, raw, strict=True):
        pixel_size_A = micrograph.pixel_size_A * half.grid.full_shape[0] / image.shape[0]
        blank = _blank_of(raw[0].blank, (image.shape[0], image.shape[1]))
        (prepared,) = prepare_masked([image], pixel_size_A, micrograph.ctf, as_they_are, blank)
        _require_same_grid(prepared, half)
        on_grid.append(prepared.image * (prepared.scale / half.scale))
    return Views(
        (raw[0].image, raw[1].image),
        (on_grid[0], on_grid[1]),
        None,
        raw[0].grid,
        sum(half.hot_pixels for half in raw),
        raw[0].blank,
        _blank_share(raw[0]),
    )


def _blank_of(
    blank: Bool[Tensor, "y x"] | None, shape: tuple[int, int]
) -> Bool[Tensor, "rows columns"] | None:
    """The raw image's mask, resampled to another image of the same area. Denoised images have areas
    without noise, so blank pixels cannot be found in them.
    """
    if blank is None:
        return None
    rows, columns = (
        (torch.arange(new, device=blank.device) + 0.5) * old / new
        for new, old in zip(shape, blank.shape, strict=True)
    )
    return blank[rows.long()][:, columns.long()]


def _require_same_grid(denoised: Prepared, raw: Prepared) -> None:
    if denoised.grid.shape != raw.grid.shape:
        raise UserError(
            "a denoised half of {}×{} pixels, and a raw one of {}×{}".format(
                *denoised.grid.full_shape, *raw.grid.full_shape
            ),
            wanted="Both must show the same area",
        )


def fitted(views: Views) -> Views:
    """The views with the denoised halves multiplied by the one factor that brings them closest to
    the other raw halves.
    """
    m1, m2, d1, d2 = (valid_values(image, views.blank) for image in (*views.raw, *views.denoised))
    scale = (d1 * m2 + d2 * m1).mean() / (d1.square() + d2.square()).mean()
    return replace(views, denoised=(views.denoised[0] * scale, views.denoised[1] * scale))


def measure(views: Views, neighbour: Views | None, sampling: Sampling) -> Measurement:
    """The covariances of a micrograph's halves by blocks of patches; ``neighbour`` is an unrelated
    micrograph.

    The tables of all blocks sum to the mean over patches. Only patches without blank pixels are
    used; raises UserError if there are none.
    """
    images = {
        "M1": views.raw[0],
        "M2": views.raw[1],
        "D1": views.denoised[0],
        "D2": views.denoised[1],
    }
    if views.nothing is not None:
        images |= {"X": views.nothing[0], "F": views.nothing[1]}
    valid = _valid_patches(views.blank, sampling)
    pairs = [pair for pair in PAIRS if set(pair) <= set(images)]
    table = blocks_of(covariance_table(images, pairs, views.grid, sampling), valid)
    if neighbour is not None:
        table = with_unpaired(table, views, neighbour, sampling)
    facts = Facts(
        hot_pixels=views.hot_pixels,
        blank_share=views.blank_share,
        lattices=lattices_of(views, sampling),
        remarks=views.remarks,
    )
    return Measurement(table, facts)


def _valid_patches(
    blank: Bool[Tensor, "y x"] | None, sampling: Sampling
) -> Bool[Tensor, "rows columns"] | None:
    """A mask of the patches without blank pixels; None if there are no blank pixels."""
    if blank is None:
        return None
    valid = valid_patches(blank, sampling.patch_px)
    if not valid.any():
        raise UserError(
            f"no patch of {sampling.patch_px} pixels is free of pixels without data",
            wanted="the image has a border, a masked area, or the edge of the beam",
            do="use smaller patches, or leave this micrograph out",
        )
    return valid


def support_of(views: Views, window_A: float) -> Support:
    """The map of where each denoised half is confirmed by the other raw one."""
    window_px = window_A / views.grid.pixel_size_yx_A[0]
    return local_support(views.raw, views.denoised, window_px, views.blank)


def save_measurement(path: Path, measurement: Measurement) -> None:
    """Write a measurement (numpy's .npz) under a temporary name and rename it."""
    facts = np.frombuffer(
        as_json(measurement.facts).encode("utf-8", "surrogateescape"), dtype=np.uint8
    )
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez(file, blocks=measurement.blocks.numpy().astype(np.float32), facts=facts)


def load_measurement(path: Path) -> Measurement:
    """Read a measurement. Raises UserError if the file is not one, or is damaged."""
    do = "delete it and evaluate again"
    with reading(path, "", "not a readable measurement", do):
        try:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                facts = parse_json(file["facts"].tobytes(), path, "measurement", do)
                blocks = torch.from_numpy(file["blocks"].astype(np.float64))
        except BadZipFile as error:
            raise ValueError(str(error)) from None
    return Measurement(blocks, decoded(Facts, facts, path, "measurement", do))
