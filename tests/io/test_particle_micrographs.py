"""The pixel sizes of the micrographs that particles were cut out of."""

import numpy as np
from scipy.spatial.transform import Rotation

from restore.io.images.image import write_image
from restore.io.particle_micrographs import micrograph_pixel_sizes_A
from restore.io.particles import Particles


def particles_in(folder, *names):
    return Particles(
        str(folder / "particles.star"), Rotation.identity(len(names)), micrograph_names=names
    )


def test_a_missing_micrograph_leaves_the_sizes_of_the_others_known(tmp_path):
    write_image(tmp_path / "a.mrc", np.zeros((8, 8), np.float32), 1.5)
    names = (str(tmp_path / "a.mrc"), str(tmp_path / "gone.mrc"))
    sizes_A = micrograph_pixel_sizes_A(particles_in(tmp_path, *names, *names))
    np.testing.assert_allclose(sizes_A, [1.5, np.nan, 1.5, np.nan])
    assert micrograph_pixel_sizes_A(particles_in(tmp_path, names[1])) is None
