"""From a raw micrograph to a denoised one of the same shape, pixel size and grey values (Palovcak
2020, S2.3, S2.4).
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from restore.denoising.full_size import Raw, at_full_size
from restore.denoising.input_checks import (
    has_fine_noise,
    objection_to_areas,
    objection_to_halves,
    signal_ratio,
)
from restore.denoising.merge import mean_of_halves
from restore.denoising.settings import DenoisingSettings
from restore.errors import UserError
from restore.micrograph import MANY_HOT_PIXELS, CTFParameters, Micrograph
from restore.model.calibration import (
    RingWeights,
    calibrated,
    model_weights,
    without_lattice,
)
from restore.model.checkpoint import Model
from restore.model.inference.engine import Engine
from restore.model.inference.ensemble import apply_self_ensemble
from restore.model.inference.selection import engine_for
from restore.model.network import architecture_of
from restore.model.own_calibration import own_weights
from restore.preprocessing import (
    Prepared,
    blank_in_any,
    blank_pixels_of,
    prepare_masked,
    restored_spectrum,
)

log = logging.getLogger(__name__)

OUTPUT_VERSION = 2
"""Increased when the same network's output becomes a different image with the same settings; in 2,
what is merged has no background, and the mean keeps its sign when phases are flipped back.
"""


@dataclass(frozen=True)
class Exposure:
    """The images of one micrograph as they were read: the full sum, and the two halves if they are
    to be averaged or used for calibration.
    """

    full: Float[Tensor, "y x"]
    halves: tuple[Float[Tensor, "y x"], Float[Tensor, "y x"]] | None = None


@dataclass(frozen=True)
class Denoiser:
    """A model with the settings for its output and the engine that runs its network, prepared once
    for many micrographs.
    """

    model: Model
    settings: DenoisingSettings
    engine: Engine


def denoiser_for(model: Model, settings: DenoisingSettings, device: torch.device) -> Denoiser:
    """A model prepared on a device, with the fastest available engine."""
    return Denoiser(model, settings, engine_for(model.network, device, settings.precision))


def denoise(
    exposure: Exposure, micrograph: Micrograph, model: Model, settings: DenoisingSettings
) -> Float[Tensor, "y x"]:
    """The denoised micrograph, with the raw one's shape and grey scale, and nothing finer than the
    recipe's resolution.

    It is computed on the images' device. For many micrographs, `denoise_with` with one `Denoiser`
    is faster.
    """
    return denoise_with(denoiser_for(model, settings, exposure.full.device), exposure, micrograph)


def denoise_with(
    denoiser: Denoiser, exposure: Exposure, micrograph: Micrograph
) -> Float[Tensor, "y x"]:
    """As `denoise`, with a prepared model. The images must be on its engine's device.

    Pixels without data in any of the images keep their values in the full sum. Halves that lack
    much of what the full sum has do not calibrate.
    """
    exposure, blank = _with_data(denoiser, exposure, micrograph)
    images = [exposure.full, *(exposure.halves or ())]
    prepared = prepare_masked(
        images, micrograph.pixel_size_A, micrograph.ctf, denoiser.model.recipe, blank
    )
    if not has_fine_noise(prepared[0]):
        log.warning(
            "%s: there is almost no noise near %.3g Å. Was the image filtered, or denoised "
            "already? The network has been trained on raw images",
            micrograph.name,
            denoiser.model.recipe.max_resolution_A,
        )
    if hot_pixels := prepared[0].hot_pixels:
        level = logging.INFO if hot_pixels > MANY_HOT_PIXELS else logging.DEBUG
        log.log(level, "%s: %d hot pixels replaced", micrograph.name, hot_pixels)
    raw = Raw(exposure.full, micrograph, denoiser.model.recipe, blank)
    denoised = _denoised(denoiser, raw, prepared)
    if blank is None:
        return denoised
    log.info(
        "%s: %d pixels without data (%.2g %%) are left unchanged",
        micrograph.name,
        prepared[0].blank_pixels,
        100 * prepared[0].blank_pixels / blank.numel(),
    )
    return torch.where(blank, exposure.full, denoised)


def _with_data(
    denoiser: Denoiser, exposure: Exposure, micrograph: Micrograph
) -> tuple[Exposure, Bool[Tensor, "y x"] | None]:
    """The exposure, and the pixels without data in any of its images. Without the halves, with a
    warning, if they are needed only for the calibration and one of them lacks data where the full
    sum has them: the denoised image would lack them as well.
    """
    full, *halves = (blank_pixels_of(image) for image in (exposure.full, *(exposure.halves or ())))
    settings = denoiser.settings
    if not settings.average_halves and (objection := objection_to_areas(full, halves)):
        if settings.calibration == "rings":
            words = result_without_halves(denoiser.model)
            log.warning("%s: %s; %s", micrograph.name, objection, words)
        exposure, halves = Exposure(exposure.full), []
    return exposure, blank_in_any([full, *halves])


def result_without_halves(model: Model) -> str:
    """What becomes of an image whose halves cannot calibrate it, for a message."""
    calibrates = model.calibration is not None
    return f"the image is {'calibrated without them' if calibrates else 'not calibrated'}"


def _denoised(denoiser: Denoiser, raw: Raw, prepared: Sequence[Prepared]) -> Float[Tensor, "y x"]:
    """The denoised full sum; ``prepared`` are the full sum and, if they are denoised instead, its
    halves.
    """
    settings, name = denoiser.settings, raw.micrograph.name
    full = prepared[0]
    if settings.average_halves and (objection := objection_to_halves(prepared)):
        raise UserError(objection, where=name, do="check the names of the halves")
    sources = prepared[1:] if settings.average_halves else prepared[:1]
    outputs = [_network_output(denoiser, source) for source in sources]
    denoised = mean_of_halves(outputs, prepared) if settings.average_halves else outputs[0]
    weights = _weights(denoiser, prepared, outputs, raw.micrograph)
    if weights is not None:
        denoised = calibrated(
            weights.full,
            weights.width_per_A,
            without_lattice(denoised, _stride(denoiser)),
            full.image,
            full.grid.pixel_size_yx_A,
        )
    return at_full_size(restored_spectrum(denoised, full), raw, full.grid, settings)


def _weights(
    denoiser: Denoiser,
    prepared: Sequence[Prepared],
    outputs: Sequence[Float[Tensor, "y x"]],
    micrograph: Micrograph,
) -> RingWeights | None:
    """The weights of the calibration, or None without calibration: from the micrograph's own
    halves, one of which is denoised for this purpose, or else from the model's card.

    ``outputs`` are the network's outputs for the full sum or for both halves.
    """
    kind, calibration = denoiser.settings.calibration, denoiser.model.calibration
    if kind == "rings" and len(prepared) == 3:
        objection = objection_to_halves(prepared)
        weights = None if objection else _own_weights(denoiser, prepared, outputs, micrograph.ctf)
        if weights is not None:
            return weights
        objection = objection or "its halves are almost identical"
        words = result_without_halves(denoiser.model)
        log.warning("%s: %s; %s", micrograph.name, objection, words)
    return None if calibration is None or kind == "none" else model_weights(calibration)


def _own_weights(
    denoiser: Denoiser,
    prepared: Sequence[Prepared],
    outputs: Sequence[Float[Tensor, "y x"]],
    parameters: CTFParameters | None,
) -> RingWeights | None:
    """The weights from a micrograph's own halves; None if these share their noise."""
    full, first, second = prepared
    denoised = outputs[0] if len(outputs) == 2 else _network_output(denoiser, first)
    denoised = without_lattice(denoised, _stride(denoiser))
    images = torch.stack([first.image, second.image, denoised])
    if (ratio := signal_ratio(prepared)) != 1:
        # Where D1 holds a·S and M2 holds b·S, their covariance is not that of D1 with a·S.
        images *= images.new_tensor([ratio, 1 / ratio, ratio]).rsqrt()[:, None, None]
    calibration = denoiser.model.calibration
    return own_weights(
        images, calibration, full.grid.pixel_size_yx_A, blank=full.blank, parameters=parameters
    )


def _stride(denoiser: Denoiser) -> int:
    return architecture_of(denoiser.model.network.settings).stride


def _network_output(denoiser: Denoiser, prepared: Prepared) -> Float[Tensor, "y x"]:
    """The network's output for an image, on the cropped grid and in the image's scale."""
    settings = denoiser.settings
    return apply_self_ensemble(
        denoiser.engine, prepared.image, settings.tile_px, settings.self_ensemble
    )
