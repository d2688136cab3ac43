"""The ring calibration of a trained network, measured on what was held out of its training."""

from collections.abc import Sequence

import torch

from restore.evaluation.estimators.calibration import (
    SMOOTHED_RINGS,
    Weights,
    least_squares_weights,
    summed,
    weights_for_full_sum,
)
from restore.evaluation.estimators.spectra import ring_covariances
from restore.model.calibration import RingCalibration, RingCurves, without_lattice
from restore.model.inference.selection import engine_for
from restore.model.inference.tiling import apply_network
from restore.model.network import Network, architecture_of
from restore.training.patches import PatchFile, Region
from restore.training.settings import TrainingSettings
from restore.training.validation import RING_PER_A, ring_width_per_A

MOST_REGIONS = 16
"""On so many held-out micrographs, spread over them, the calibration is measured."""


def measure_calibration(
    network: Network,
    data: PatchFile,
    held_out: Sequence[Region],
    settings: TrainingSettings,
    device: torch.device,
) -> RingCalibration | None:
    """The weights of the denoised and of the raw image in each ring; None where nothing is held
    out.

    The covariances of whole held-out micrographs are added up before anything is divided.
    """
    if not held_out:
        return None
    chosen = held_out[:: -(-len(held_out) // MOST_REGIONS)]
    engine = engine_for(network, device, settings.precision)
    stride = architecture_of(network.settings).stride
    shapes = [(region.y1 - region.y0, region.x1 - region.x0) for region in chosen]
    pixels = [data.pairs[region.pair].pixel_size_yx_A for region in chosen]
    width_per_A = ring_width_per_A(shapes, pixels)
    tables: list[torch.Tensor] = []
    for region, pixel_size_yx_A in zip(chosen, pixels, strict=True):
        halves = torch.from_numpy(data.halves(region.pair))
        raw = halves[:, region.y0 : region.y1, region.x0 : region.x1].to(device)
        denoised = [without_lattice(apply_network(engine, image), stride) for image in raw]
        images = torch.stack([*raw, *denoised])
        blank = data.blank(region)
        if blank is not None:  # pixels without data count for nothing
            images = images.masked_fill(torch.from_numpy(blank).to(device), 0)
        tables.append(ring_covariances(images, pixel_size_yx_A, width_per_A).covariance)
    table = summed(tables)
    window = 2 * round((SMOOTHED_RINGS * RING_PER_A / width_per_A - 1) / 2) + 1
    half = least_squares_weights(table, window)
    full = weights_for_full_sum(half, table, window)
    return RingCalibration(width_per_A, _curves(half), _curves(full))


def _curves(weights: Weights) -> RingCurves:
    slope, share = (
        tuple(round(value, 5) for value in curve.tolist())
        for curve in (weights.slope, weights.share)
    )
    return RingCurves(slope, share)
