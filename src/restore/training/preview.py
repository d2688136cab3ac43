"""A small picture of a run's progress: a part of a held-out half, denoised by the network in its
present state and by the Wiener filter.
"""

import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from restore.report.panels import Panel, save_picture, side_by_side
from restore.runtime.precision import autocast, resolve_precision
from restore.training.patches import PatchFile, Region
from restore.training.settings import TrainingSettings
from restore.training.split import Split
from restore.training.stability import averaged
from restore.training.state import TrainingState
from restore.training.validation import validation_windows, wiener_filter_of

log = logging.getLogger(__name__)

LONGEST_PX = 384
"""The longest side of the part that is shown, in pixels of the cropped image."""

_STRIDE_PX = 16


@dataclass(frozen=True)
class _Still:
    """What does not change from picture to picture."""

    raw: Float[Tensor, "y x"]
    wiener: Float[Tensor, "y x"]
    pixel_size_A: float


@dataclass(frozen=True)
class Preview:
    """The picture of one run, redrawn as it proceeds; ``parts`` say what is held out."""

    path: Path
    data: PatchFile
    parts: Split
    settings: TrainingSettings

    def draw_if_due(self, state: TrainingState) -> None:
        """Draw the picture after the first validation, the second, the fourth, the eighth and so
        on, unless nothing is held out.

        If it cannot be drawn, a warning is logged and the run continues.
        """
        looks = len(state.history)
        if "held_out_loss" not in state.history[-1] or looks & (looks - 1):
            return
        try:
            save_picture(side_by_side(self._panels(state)), self.path)
        except Exception as error:  # noqa: BLE001  training is worth more than its picture
            log.warning("%s: the preview is not drawn: %s", self.path, error)

    def _panels(self, state: TrainingState) -> list[Panel]:
        still = self._still
        images = {
            "raw half": still.raw,
            f"denoised, step {state.step:,}": self._denoised(still.raw, state),
            "Wiener filter": still.wiener,
        }
        return [Panel(title, image, still.pixel_size_A) for title, image in images.items()]

    @cached_property
    def _still(self) -> _Still:
        place = self._place()
        pair = self.data.pairs[place.pair]
        half = torch.from_numpy(self.data.halves(place.pair))[:1]
        filtered = wiener_filter_of(self.data, self.parts).applied(half, pair.pixel_size_yx_A)
        raw, wiener = (
            image[0, place.y0 : place.y1, place.x0 : place.x1] for image in (half, filtered)
        )
        return _Still(raw, wiener, pair.pixel_size_yx_A[1])

    def _place(self) -> Region:
        """The part that is shown: around the first validation window, within its region."""
        window = validation_windows(self.data, self.parts.held_out, self.settings.patch_px)[0]
        region = next(
            region
            for region in self.parts.held_out
            if region.pair == window.pair
            and region.y0 <= window.y0 < region.y1
            and region.x0 <= window.x0 < region.x1
        )
        rows, columns = _side_px(region.y1 - region.y0), _side_px(region.x1 - region.x0)
        y0, x0 = min(window.y0, region.y1 - rows), min(window.x0, region.x1 - columns)
        return Region(window.pair, y0, y0 + rows, x0, x0 + columns)

    def _denoised(self, half: Float[Tensor, "y x"], state: TrainingState) -> Float[Tensor, "y x"]:
        """The network's output, with the averaged weights if they are kept."""
        device = next(state.network.parameters()).device
        precision = resolve_precision(self.settings.precision, device)
        with torch.no_grad(), averaged(state), autocast(device, precision):
            return state.network(half[None, None].to(device))[0, 0].float().cpu()


def _side_px(available_px: int) -> int:
    """The longest side, at most ``available_px``, that every network accepts."""
    return min(LONGEST_PX, available_px) // _STRIDE_PX * _STRIDE_PX
