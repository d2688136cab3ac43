"""References for maps on their grid."""

import numpy as np
import pytest

from restore.errors import UserError
from restore.io.images.maps import write_map
from restore.structure.volumes import read_truth


def test_a_true_map_whose_voxels_are_no_cubes_is_refused_with_all_three_sizes(tmp_path):
    density = np.random.default_rng(0).normal(size=(16, 16, 16)).astype(np.float32)
    write_map(tmp_path / "flat.mrc", density, (2.5, 2.01, 2.0))
    with pytest.raises(UserError, match=r"flat\.mrc: its voxels measure 2 x 2\.01 x 2\.5 Å"):
        read_truth(tmp_path / "flat.mrc", 16, 2.0)
    write_map(tmp_path / "cubic.mrc", density, (2.001, 2.0, 2.0))
    assert read_truth(tmp_path / "cubic.mrc", 16, 2.0).shape == (16, 16, 16)
