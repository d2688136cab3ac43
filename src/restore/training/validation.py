"""The validation loss on held-out windows, and the two losses that it is compared with."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from restore import fourier
from restore.evaluation.estimators.baselines import wiener_filter
from restore.evaluation.estimators.spectra import RingCovariances, ring_covariances
from restore.model.calibration import RING_PER_A
from restore.model.network import Network
from restore.runtime.precision import autocast, resolve_precision
from restore.training.patches import PatchFile, Region
from restore.training.settings import LOSSES, TrainingSettings
from restore.training.split import Split
from restore.training.valid_windows import blank_pixels_of, valid_covering_windows

MAX_HELD_OUT_WINDOWS = 32
MOST_PAIRS = 16
"""The number of micrographs, spread over the set, from which the filter's spectra are measured."""


@torch.no_grad()
def held_out_losses(
    network: Network,
    data: PatchFile,
    held_out: Sequence[Region],
    settings: TrainingSettings,
    device: torch.device,
) -> dict[str, float]:
    """The loss on held-out windows, and the noise floor: the loss that a perfect denoiser would
    have there.

    A perfect denoiser leaves the noise of the other half: var(M2) − cov(M1, M2), Palovcak 2020,
    eqs. 10–15; for the absolute error, the mean of a normal distribution of that variance, √(2
    var/π).
    """
    losses: list[float] = []
    perfect: list[float] = []
    for window in validation_windows(data, held_out, settings.patch_px):
        halves = torch.from_numpy(data.window(window, settings.patch_px)).to(device)
        with autocast(device, resolve_precision(settings.precision, device)):
            denoised = network(halves[:, None])[:, 0].float()
        losses.append(float(LOSSES[settings.loss](denoised, halves.flip(0))))
        covariance = torch.cov(halves.flatten(1))
        noise = (covariance.diagonal().mean() - covariance[0, 1]).clamp(min=0)
        perfect.append(float(noise if settings.loss == "l2" else (2 * noise / math.pi).sqrt()))
    return {"held_out_loss": float(np.mean(losses)), "perfect_loss": float(np.mean(perfect))}


def validation_windows(data: PatchFile, held_out: Sequence[Region], patch_px: int) -> list[Region]:
    """The windows on which the validation loss is measured: spread over the held-out regions, and
    limited in number.
    """
    windows = valid_covering_windows(data, held_out, patch_px)
    return windows[:: -(-len(windows) // MAX_HELD_OUT_WINDOWS)]


@dataclass(frozen=True)
class WienerFilter:
    """The Wiener filter of one half: its transfer in rings of ``width_per_A`` (1/Å)."""

    transfer: Float[Tensor, "rings"]
    width_per_A: float

    def applied(
        self, halves: Float[Tensor, "n y x"], pixel_size_yx_A: tuple[float, float]
    ) -> Float[Tensor, "n y x"]:
        """The filtered images."""
        shape = (halves.shape[1], halves.shape[2])
        frequency = fourier.frequency_per_A(shape, pixel_size_yx_A)
        gains = fourier.along_rings(self.transfer, self.width_per_A, frequency)
        return fourier.image_of(fourier.spectrum_of(halves) * gains, shape)


def wiener_filter_of(data: PatchFile, parts: Split) -> WienerFilter:
    """The Wiener filter for the whole set, from the spectra of the training micrographs."""
    rings = spectra_of(data, sorted({region.pair for region in parts.training}))
    transfer = wiener_filter(rings.correlation(0, 1)).float()
    return WienerFilter(transfer, float(rings.frequency_per_A[1]))


def wiener_loss(data: PatchFile, parts: Split, settings: TrainingSettings) -> float:
    """The validation loss of the Wiener filter from the spectra of the training micrographs.

    One filter for the whole set is applied to whole micrographs; the windows are those of
    `held_out_losses`.
    """
    windows = validation_windows(data, parts.held_out, settings.patch_px)
    wiener = wiener_filter_of(data, parts)
    losses: list[float] = []
    for index in sorted({window.pair for window in windows}):
        halves = torch.from_numpy(data.halves(index))
        filtered = wiener.applied(halves, data.pairs[index].pixel_size_yx_A)
        for window in (window for window in windows if window.pair == index):
            filtered_window, half_window = (
                _cut(images, window, settings.patch_px) for images in (filtered, halves)
            )
            losses.append(float(LOSSES[settings.loss](filtered_window, half_window.flip(0))))
    return float(np.mean(losses))


def _cut(images: Tensor, window: Region, patch_px: int) -> Tensor:
    return images[:, window.y0 : window.y0 + patch_px, window.x0 : window.x0 + patch_px]


def spectra_of(data: PatchFile, indices: Sequence[int]) -> RingCovariances:
    """The covariances of the two halves in each ring, summed over pairs from the whole set. Pixels
    without data are ignored.
    """
    chosen = indices[:: -(-len(indices) // MOST_PAIRS)]
    pairs = [data.pairs[index] for index in chosen]
    width_per_A = ring_width_per_A(
        [pair.shape for pair in pairs], [pair.pixel_size_yx_A for pair in pairs]
    )
    tables = [
        ring_covariances(_with_data(data, index), pair.pixel_size_yx_A, width_per_A)
        for index, pair in zip(chosen, pairs, strict=True)
    ]
    count = min(len(table.frequency_per_A) for table in tables)
    total = torch.stack([table.covariance[..., :count] for table in tables]).sum(dim=0)
    return RingCovariances(tables[0].frequency_per_A[:count], total)


def _with_data(data: PatchFile, index: int) -> Float[Tensor, "2 y x"]:
    """The halves of a pair, with 0 in pixels without data: their filling has the power of noise."""
    halves, blank = torch.from_numpy(data.halves(index)), blank_pixels_of(data, index)
    return halves if blank is None else halves.masked_fill(blank, 0)


def epoch_words(row: Mapping[str, float]) -> str:
    """A line with an epoch's losses: validation loss, noise floor, and the loss of the Wiener
    filter.
    """
    words = f"epoch {row['epoch']:.0f}: " if row["step"] else "before training: "
    if "train_loss" in row:
        words += f"training loss {row['train_loss']:.4f}, "
    if "held_out_loss" in row:
        words += f"validation loss {row['held_out_loss']:.4f}"
        words += f" (noise floor {row['perfect_loss']:.4f}"
        if "wiener_loss" in row:
            words += f", Wiener filter {row['wiener_loss']:.4f}"
        words += ")"
    return words.removesuffix(", ")


def ring_width_per_A(
    shapes: Sequence[tuple[int, int]], pixel_sizes_yx_A: Sequence[tuple[float, float]]
) -> float:
    """The width of the rings of all images: 1/600 Å, or two Fourier pixels of the smallest side."""
    extent_A = min(
        side * size_A
        for shape, sizes_A in zip(shapes, pixel_sizes_yx_A, strict=True)
        for side, size_A in zip(shape, sizes_A, strict=True)
    )
    return max(RING_PER_A, 2 / extent_A)


def verdict(best: Mapping[str, float]) -> str:
    """A verdict on a run: whether it beats the Wiener filter on held-out micrographs, and what to
    do.
    """
    if "wiener_loss" not in best:
        return (
            "No micrographs were held out for validation: use restore evaluate to see how good "
            "the model is."
        )
    excess, of_wiener = (
        best[name] - best["perfect_loss"] for name in ("held_out_loss", "wiener_loss")
    )
    if best["held_out_loss"] >= best["wiener_loss"]:
        return (
            "On the validation micrographs, the network is not better than a Wiener filter. Train "
            "for longer, or on more micrographs."
        )
    if excess <= 0 or of_wiener <= 0:
        return "On the validation micrographs, the network is better than a Wiener filter."
    share = 1 - excess / of_wiener
    return (
        "On the validation micrographs, the network is better than a Wiener filter: its error "
        f"beyond the noise floor is {100 * share:.0f} % smaller."
    )
