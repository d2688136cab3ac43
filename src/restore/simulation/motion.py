"""Motion of the specimen under the beam: drift of the whole field, and a smooth local motion in
RELION's form.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from restore.simulation.settings import SimulationSettings

SPACE_POWERS_YX = ((0, 0), (0, 1), (0, 2), (1, 0), (2, 0), (1, 1))
"""The powers of (y, x) of each term in space, in RELION's order: 1, x, x², y, y², xy."""
TIME_POWERS = (1, 2, 3)
EARLY_DOSE_E_PER_A2 = 3.0  # the fast part of the drift falls to 1/e over this many electrons per Å²
EARLY_SHARE = 0.6
_TURN_DEG = 60.0
_MEAN_SQUARE = 1 / 12  # of a coordinate that runs from −½ to ½


@dataclass(frozen=True)
class Motion:
    """The displacement of the specimen in each frame relative to the first, (y, x) in pixels.

    ``drift_yx_px`` is that of the whole field. ``local_yx_px`` holds the coefficients of a
    polynomial for y and one for x: terms in space 1, x, x², y, y², xy of coordinates that run from
    −½ to ½ over the image, by t, t², t³ of the frame number from zero. It is RELION's model
    (Zivanov et al. 2019, IUCrJ 6, 5), whose shifts are those that bring the specimen back: the
    negative of these.
    """

    drift_yx_px: Float[np.ndarray, "frame 2"]
    local_yx_px: Float[np.ndarray, "2 6 3"]

    @property
    def is_local(self) -> bool:
        """Whether the motion varies over the image."""
        return bool(np.any(self.local_yx_px))


def draw_motion(settings: SimulationSettings, rng: np.random.Generator) -> Motion:
    """The motion of one micrograph, with amplitudes from the settings, and random directions and
    shape.
    """
    drift_px = (
        settings.drift_A
        / settings.pixel_size_A
        * drift_path(settings.frames, settings.dose_e_per_A2, rng)
    )
    local = local_polynomials(settings.frames, rng)
    return Motion(drift_px, local * (settings.local_motion_A / settings.pixel_size_A))


def drift_path(
    frames: int, dose_e_per_A2: float, rng: np.random.Generator
) -> Float[np.ndarray, "frame 2"]:
    """A path of length one from (0, 0): a fast start that decays with the dose, and a steady drift
    in another direction.
    """
    at = np.arange(frames) / frames * dose_e_per_A2
    early = 1 - np.exp(-at / EARLY_DOSE_E_PER_A2)
    steady = at / at[-1]
    first = rng.uniform(0, 2 * math.pi)
    second = first + math.radians(_TURN_DEG) * rng.normal()
    path = EARLY_SHARE * np.outer(early / early[-1], _direction(first))
    path += (1 - EARLY_SHARE) * np.outer(steady, _direction(second))
    return path / np.hypot(*np.diff(path, axis=0).T).sum()


def local_polynomials(frames: int, rng: np.random.Generator) -> Float[np.ndarray, "2 6 3"]:
    """Coefficients of a random field whose mean over the image is zero in every frame.

    Each term starts fast and slows down, some more than others. In the last frame the largest
    displacement is one.
    """
    weights = rng.normal(size=(2, len(SPACE_POWERS_YX)))
    haste = rng.uniform(0.5, 1, size=weights.shape)
    course = np.stack([1 + 2 * haste, -3 * haste, haste], axis=-1)  # (1 − h) τ + h (1 − (1 − τ)³)
    local = weights[..., None] * course
    local[:, 0] = -_MEAN_SQUARE * (local[:, 2] + local[:, 4])
    edge = np.linspace(-0.5, 0.5, 33)
    largest = np.hypot(
        *(_in_space(component.sum(axis=-1), edge, edge) for component in local)
    ).max()
    return local / largest / (frames - 1.0) ** np.array(TIME_POWERS)


def local_displacement_yx_px(
    motion: Motion, frame: int, shape: tuple[int, int], rows: slice
) -> tuple[Float[np.ndarray, "row x"], Float[np.ndarray, "row x"]]:
    """The displacement of each pixel of some rows, without the drift, in y and in x, in ``frame``
    (from zero).
    """
    y, x = (np.arange(n) / n - 0.5 for n in shape)
    in_time = motion.local_yx_px @ float(frame) ** np.array(TIME_POWERS)
    along_y, along_x = (_in_space(component, y[rows], x) for component in in_time)
    return along_y, along_x


def _in_space(
    coefficients: Float[np.ndarray, "6"], y: Float[np.ndarray, " y"], x: Float[np.ndarray, " x"]
) -> Float[np.ndarray, "y x"]:
    field = np.zeros((len(y), len(x)))
    for coefficient, (power_y, power_x) in zip(coefficients, SPACE_POWERS_YX, strict=True):
        field += coefficient * (y**power_y)[:, None] * x**power_x
    return field


def _direction(angle: float) -> Float[np.ndarray, "2"]:
    return np.array([math.sin(angle), math.cos(angle)])
