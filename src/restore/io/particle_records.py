"""Particles of a refinement, as arrays with one row per particle."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial.transform import Rotation

from restore.micrograph import CTFParameters


@dataclass(frozen=True)
class Particles:
    """Particles and their orientations, in the order of the file ``source``; fields that a file
    lacks are None.

    ``rotations`` turn image axes into specimen axes (:func:`restore.symmetry.from_euler_deg`).
    ``image_names`` are RELION's, as "000001@stack.mrcs", counted from one. ``coordinates_px`` are x
    and y in the micrograph, in its pixels of ``micrograph_pixel_size_A``; ``movie_pixel_size_A`` is
    that of its movie, from which it may have been binned. ``origins_A`` are RELION's x and y shifts
    of the image (``origins_px`` if the file has them in pixels of unknown size), ``half_sets`` are
    1 or 2. ``contrast_signs`` are −1 if the negative of the image is meant (cryoSPARC's
    ``blob/sign``: cryoSPARC leaves protein dark in its images and makes it bright in its maps).
    ``phases_flipped`` and ``ctf_premultiplied`` mark images to which the sign of the CTF, or the
    CTF itself, was applied. ``tomogram_names`` are RELION 5's names of subtomograms, "TS_01/12",
    the same in every job. ``exported`` marks image names that are relative to the file's own
    folder, not to the project's, as cryoSPARC marks them.
    """

    source: str
    rotations: Rotation
    image_names: tuple[str, ...] | None = None
    micrograph_names: tuple[str, ...] | None = None
    coordinates_px: Float[np.ndarray, "n 2"] | None = None
    micrograph_pixel_size_A: Float[np.ndarray, "n"] | None = None
    image_pixel_size_A: Float[np.ndarray, "n"] | None = None
    origins_A: Float[np.ndarray, "n 2"] | None = None
    half_sets: Int[np.ndarray, "n"] | None = None
    optics_groups: tuple[str, ...] | None = None
    uids: Int[np.ndarray, "n"] | None = None
    ctfs: tuple[CTFParameters, ...] | None = None
    contrast_signs: Float[np.ndarray, "n"] | None = None
    phases_flipped: Bool[np.ndarray, "n"] | None = None
    ctf_premultiplied: Bool[np.ndarray, "n"] | None = None
    tomogram_names: tuple[str, ...] | None = None
    exported: Bool[np.ndarray, "n"] | None = None
    movie_pixel_size_A: Float[np.ndarray, "n"] | None = None
    origins_px: Float[np.ndarray, "n 2"] | None = None

    def __len__(self) -> int:
        return len(self.rotations)

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if (
                name not in ("source", "rotations")
                and value is not None
                and len(value) != len(self)
            ):
                raise ValueError(f"{len(value)} {name} for {len(self)} particles")

    @property
    def contrast_sign(self) -> int | None:
        """The sign that all images have in common, 1 if the file has none; None if they have both
        contrasts.
        """
        if self.contrast_signs is None:
            return 1
        signs = {-1 if sign < 0 else 1 for sign in self.contrast_signs.tolist()}
        return signs.pop() if len(signs) == 1 else None

    def rotations_of(self, rows: Int[np.ndarray, "m"]) -> Rotation:
        """The rotations of these rows (counted from zero), in this order."""
        return Rotation.from_quat(self.rotations.as_quat()[rows])

    def selected(self, rows: Int[np.ndarray, "m"]) -> "Particles":
        """The particles in these rows (counted from zero), in this order."""
        fields: dict[str, Any] = {}
        for name, value in vars(self).items():
            if isinstance(value, tuple):
                fields[name] = tuple(value[row] for row in rows)
            elif isinstance(value, np.ndarray):
                fields[name] = value[rows]
        return replace(self, rotations=self.rotations_of(rows), **fields)
