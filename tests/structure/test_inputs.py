"""The files that structures are compared from."""

import pytest
from structure_world import write_project

from restore.errors import UserError
from restore.io.star import StarFile, read_star, write_star
from restore.runtime.progress import no_bars
from restore.structure.inputs import read_comparison_set, refinement_of
from restore.structure.settings import StructureInputs, StructureSettings
from restore.structure.stages import Stages


def flat(path, origins):
    """The particles of a file as before RELION 3.1; origins are in pixels of unknown size."""
    star = read_star(path)
    block = star.block("particles").without(
        ["rlnOpticsGroup", "rlnOriginXAngst", "rlnOriginYAngst"]
    )
    for name in ("rlnOriginX", "rlnOriginY"):
        block = block.with_column(name, [origins] * len(block.rows))
    old = path.with_name("old.star")
    write_star(old, StarFile((block,)))
    return old


def test_shifts_in_pixels_of_unknown_size_are_refused_before_anything_is_extracted(tmp_path):
    project = write_project(tmp_path, 12, 16)
    old = flat(project.denoised, "1.5")
    inputs = StructureInputs(project.raw, old, denoised_micrographs="Denoised")
    how = StructureSettings(box_px=16)
    with pytest.raises(UserError, match=r"its shifts are in pixels.*add rlnImagePixelSize"):
        read_comparison_set(inputs, how, tmp_path / "out", Stages(tmp_path / "out"), no_bars)
    assert not (tmp_path / "out").exists()


def test_shifts_of_zero_need_no_pixel_size(tmp_path):
    project = write_project(tmp_path, 12, 16)
    assert refinement_of(flat(project.denoised, "0")).origins_A is None
    assert refinement_of(project.denoised).origins_A is not None
