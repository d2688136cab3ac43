"""The ring calibration of a trained network, measured on data held out from its training."""

from collections.abc import Sequence

import torch

from restore.evaluation.estimators.calibration import HalfCovariances
from restore.evaluation.estimators.spectra import ring_covariances
from restore.model.calibration import RingCalibration, without_lattice
from restore.model.inference.selection import engine_for
from restore.model.inference.tiling import apply_network
from restore.model.network import Network, architecture_of, receptive_field_px
from restore.training.patches import PatchFile, Region
from restore.training.settings import TrainingSettings
from restore.training.validation import ring_width_per_A

MOST_REGIONS = 16
"""The number of held-out regions, spread evenly, on which the calibration is measured."""


@torch.no_grad()
def measure_calibration(
    network: Network,
    data: PatchFile,
    regions: Sequence[Region],
    settings: TrainingSettings,
    device: torch.device,
) -> RingCalibration | None:
    """The covariances of raw and denoised halves, in each ring, over the regions held out from
    training; None if there are none.

    They are summed over up to `MOST_REGIONS` regions. The network also sees the surroundings of
    each region.
    """
    if not regions:
        return None
    chosen = regions[:: -(-len(regions) // MOST_REGIONS)]
    engine = engine_for(network, device, settings.precision)
    stride = architecture_of(network.settings).stride
    pairs = [data.pairs[region.pair] for region in chosen]
    width_per_A = ring_width_per_A(
        [pair.shape for pair in pairs], [pair.pixel_size_yx_A for pair in pairs]
    )
    tables: list[torch.Tensor] = []
    for region, pair in zip(chosen, pairs, strict=True):
        halves = torch.from_numpy(data.halves(region.pair)).to(device)
        seen, inside = _with_surroundings(region, pair.shape, receptive_field_px(network.settings))
        rows, columns = slice(region.y0, region.y1), slice(region.x0, region.x1)
        denoised = [
            without_lattice(apply_network(engine, half[seen].contiguous()), stride)[inside]
            for half in halves
        ]
        images = torch.stack([*halves[:, rows, columns], *denoised])
        blank = data.blank(region)
        if blank is not None:  # pixels without data are ignored
            images = images.masked_fill(torch.from_numpy(blank).to(device), 0)
        tables.append(ring_covariances(images, pair.pixel_size_yx_A, width_per_A).covariance)
    count = min(table.shape[-1] for table in tables)
    total = torch.stack([table[..., :count] for table in tables]).sum(dim=0)
    return RingCalibration.of(width_per_A, HalfCovariances.of(total))


def _with_surroundings(
    region: Region, shape: tuple[int, int], reach_px: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The part of an image within ``reach_px`` of a region, and the region's position in
    that part.
    """
    y0, x0 = max(region.y0 - reach_px, 0), max(region.x0 - reach_px, 0)
    y1 = min(region.y1 + reach_px, shape[0])
    x1 = min(region.x1 + reach_px, shape[1])
    inside = slice(region.y0 - y0, region.y1 - y0), slice(region.x0 - x0, region.x1 - x0)
    return (slice(y0, y1), slice(x0, x1)), inside
