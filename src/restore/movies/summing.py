"""Frames to two halves in one pass: gain, bad pixels, motion, binning, dose weights, sums
(docs/decisions/011).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from restore.errors import UserError
from restore.fourier import Shape, cropped_spectrum_of, frequency_per_A, image_of, spectrum_of
from restore.io.relion.motion import Motion
from restore.movies.defects import Defects, find_neighbours
from restore.movies.dose import critical_exposure_e_per_A2, dose_weight
from restore.movies.motion import locally_aligned, shifted


@dataclass(frozen=True)
class Dosing:
    """The parameters of dose weighting: the exposure of each frame, the voltage, and the pixel size
    of the movie.
    """

    per_frame_e_per_A2: float
    voltage_kV: float
    pixel_size_A: float


@dataclass(frozen=True)
class Summing:
    """How the frames of one movie are summed.

    ``shape`` (y, x) is that of the frames, ``new_shape`` that of the sums, smaller if they are
    binned. ``motion`` is None if the frames are aligned, ``dosing`` if all frames have the same
    weight, ``gain`` if it has been applied. ``bad`` marks defective pixels.
    """

    shape: Shape
    new_shape: Shape
    motion: Motion | None = None
    dosing: Dosing | None = None
    gain: Float[Tensor, "y x"] | None = None
    bad: Bool[Tensor, "y x"] | None = None

    def __post_init__(self) -> None:
        if any(new > old for new, old in zip(self.new_shape, self.shape, strict=True)):
            problem = f"the micrograph would have {self.new_shape[1]} x {self.new_shape[0]} pixels"
            wanted = (
                f"The movie has {self.shape[1]} x {self.shape[0]} pixels, and can only be "
                "made smaller"
            )
            raise UserError(problem, wanted=wanted, do="give another `bin` or `output_pixel_size`")

    @property
    def binning_yx(self) -> tuple[float, float]:
        """Pixels of the movie per pixel of the sums, along y and x."""
        return self.shape[0] / self.new_shape[0], self.shape[1] / self.new_shape[1]

    def uses(self, number: int) -> bool:
        """Whether the frame with this number, counted from 1, is included in the sums."""
        return self.motion is None or number in self.motion.shifts_yx_px


@dataclass(frozen=True)
class Halves:
    """The sums of the even and of the odd frames, (y, x), and the number of frames in each; the
    first frame is odd.
    """

    even: Float[Tensor, "y x"]
    odd: Float[Tensor, "y x"]
    frames: tuple[int, int]

    @property
    def full(self) -> Float[Tensor, "y x"]:
        """The full sum: the two halves added, pixel by pixel."""
        return self.even + self.odd


def sum_halves(
    frames: Iterable[Float[Tensor, "y x"]], summing: Summing, device: torch.device | str = "cpu"
) -> Halves:
    """The two halves of a movie, whose frames come one by one, in order; memory does not grow with
    their number.

    Without dose weighting a half is the plain sum of its frames, which is exact for aligned frames
    that are not binned. With it, a half is Σ w F / √(2 Σ w²), over its own frames: its noise is
    white and has half the variance of that in one frame, for any weights, and the full sum of the
    two halves has the noise of one frame, like RELION's dose-weighted images.

    Raises
    ------
    UserError
        A frame does not have the expected shape, there are fewer than two, or dose weighting does
        not support the voltage.
    """
    mend, gain = _mend(summing, device), None if summing.gain is None else summing.gain.to(device)
    even, odd = (_Sum(summing, device) for _ in range(2))
    first = 0
    for number, frame in enumerate(frames, 1):
        if not summing.uses(number):
            continue
        if tuple(frame.shape) != summing.shape:
            problem, wanted = (
                f"frame {number} has {frame.shape[1]} x {frame.shape[0]} pixels",
                "All frames must have the same size",
            )
            raise UserError(problem, wanted=wanted, do="write the movie again")
        image = frame.to(device)
        image = image if gain is None else image * gain
        first = first or number
        (odd if number % 2 else even).add(mend.mended(image), number, number - first)
    if not even.count or not odd.count:
        problem = f"{even.count} even and {odd.count} odd frames are summed"
        raise UserError(
            problem, wanted="Two halves need at least two frames", do="give the complete movie"
        )
    return Halves(even.image(), odd.image(), (even.count, odd.count))


def _mend(summing: Summing, device: torch.device | str) -> Defects:
    bad = torch.zeros(1, 1, dtype=torch.bool) if summing.bad is None else summing.bad
    return find_neighbours(bad).to(device)


class _Sum:
    """The running sum of one half: in real space if possible, else as a spectrum."""

    def __init__(self, summing: Summing, device: torch.device | str) -> None:
        self.summing, self.device, self.count = summing, device, 0
        self.moves = summing.motion is not None or summing.new_shape != summing.shape
        self.local = None if summing.motion is None else summing.motion.local
        self._in_fourier = summing.dosing is not None or (self.moves and self.local is None)
        self._total: Tensor | None = None
        self._squares: Tensor | None = None
        self._critical = _critical(summing, device)

    def add(self, image: Float[Tensor, "y x"], number: int, steps: int) -> None:
        """Add frame ``number``, which is ``steps`` frames after the first one that is used."""
        self.count += 1
        if not self._in_fourier:
            image = self._aligned(image, number, steps) if self.moves else image
            self._total = image.clone() if self._total is None else self._total.add_(image)
            return
        spectrum = self._aligned_spectrum(image, number, steps)
        if self._critical is None or self.summing.dosing is None:
            self._total = spectrum if self._total is None else self._total.add_(spectrum)
            return
        weight = dose_weight(self._critical, steps * self.summing.dosing.per_frame_e_per_A2)
        if self._total is None or self._squares is None:
            self._total, self._squares = spectrum * weight, weight.square()
        else:
            torch.view_as_real(self._total).addcmul_(
                torch.view_as_real(spectrum), weight[..., None]
            )
            self._squares.addcmul_(weight, weight)

    def image(self) -> Float[Tensor, "y x"]:
        """The half."""
        if self._total is None:
            raise ValueError("no frame has been added")
        if not self._in_fourier:
            return self._total.cpu()
        spectrum = (
            self._total
            if self._squares is None
            else self._total / (self._squares.sqrt() * math.sqrt(2))
        )
        return image_of(spectrum, self.summing.new_shape).cpu()

    def _aligned(
        self, image: Float[Tensor, "y x"], number: int, steps: int
    ) -> Float[Tensor, "new_y new_x"]:
        """The frame on the grid of the sums, after its global and local shifts."""
        moved = image_of(self._globally_aligned(image, number), self.summing.new_shape)
        return (
            moved
            if self.local is None
            else locally_aligned(moved, self.local, steps, self.summing.binning_yx)
        )

    def _aligned_spectrum(
        self, image: Float[Tensor, "y x"], number: int, steps: int
    ) -> Complex[Tensor, "new_y new_kx"]:
        if self.local is None:
            return self._globally_aligned(image, number) if self.moves else spectrum_of(image)
        return spectrum_of(self._aligned(image, number, steps))

    def _globally_aligned(
        self, image: Float[Tensor, "y x"], number: int
    ) -> Complex[Tensor, "new_y new_kx"]:
        spectrum = cropped_spectrum_of(image, self.summing.new_shape)
        if self.summing.motion is None:
            return spectrum
        (y, x), binning = self.summing.motion.shifts_yx_px[number], self.summing.binning_yx
        return shifted(spectrum, self.summing.new_shape, (y / binning[0], x / binning[1]))


def _critical(summing: Summing, device: torch.device | str) -> Float[Tensor, "y kx"] | None:
    if summing.dosing is None:
        return None
    binning_yx, size_A = summing.binning_yx, summing.dosing.pixel_size_A
    pixel_size_yx_A = (size_A * binning_yx[0], size_A * binning_yx[1])
    frequency = frequency_per_A(summing.new_shape, pixel_size_yx_A, device)
    return critical_exposure_e_per_A2(frequency, summing.dosing.voltage_kV)
