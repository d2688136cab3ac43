"""The micrographs that particles were cut out of: their files, and the pixel size in which
coordinates are given.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float

from restore.errors import UserError
from restore.io.cryosparc.datasets import is_cryosparc
from restore.io.cryosparc.paths import finder
from restore.io.images.image import read_image_header
from restore.io.micrograph_pixel_size import micrograph_pixel_size_A
from restore.io.particle_records import Particles
from restore.io.paths import Places


def micrograph_finder(particles: Particles) -> Callable[[str], Path | None]:
    """A function from the name of a micrograph in the particles' file to its image file; None if
    there is no such file.
    """
    source = Path(particles.source)
    find = finder(source) if is_cryosparc(source) else Places.of_star(source).find_or_first

    def existing(name: str) -> Path | None:
        path = find(name)
        return path if path.is_file() else None

    return existing


def micrograph_pixel_sizes_A(particles: Particles) -> Float[np.ndarray, "n"] | None:
    """The pixel size of each particle's micrograph: the file's or, if it has none, that of the
    micrograph's header (:func:`restore.io.micrograph_pixel_size.micrograph_pixel_size_A`). NaN
    where it is not known, as of a micrograph that is missing; None if that of no particle is known.
    """
    if particles.micrograph_pixel_size_A is not None or particles.micrograph_names is None:
        return particles.micrograph_pixel_size_A
    find = micrograph_finder(particles)
    headers_A = {name: _header_A(find(name)) for name in dict.fromkeys(particles.micrograph_names)}
    sizes_A = [
        micrograph_pixel_size_A(
            headers_A[name],
            _at(particles.movie_pixel_size_A, row),
            _at(particles.image_pixel_size_A, row),
        )
        for row, name in enumerate(particles.micrograph_names)
    ]
    if all(size_A is None for size_A in sizes_A):
        return None
    return np.array([np.nan if size_A is None else size_A for size_A in sizes_A])


def _header_A(path: Path | None) -> float | None:
    try:
        return None if path is None else read_image_header(path).pixel_size_A
    except UserError:  # whoever reads the micrograph reports it
        return None


def _at(values: Float[np.ndarray, "n"] | None, row: int) -> float | None:
    return None if values is None else float(values[row])
