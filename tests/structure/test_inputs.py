"""The files that structures are compared from."""

import pytest
from structure_world import write_project

from restore.errors import UserError
from restore.io.star import StarFile, read_star, write_star
from restore.structure.inputs import refinement_of


def flat(path, origins):
    """The particles of a file as before RELION 3.1, these origins being in pixels."""
    star = read_star(path)
    block = star.block("particles").without(
        ["rlnOpticsGroup", "rlnOriginXAngst", "rlnOriginYAngst"]
    )
    for name in ("rlnOriginX", "rlnOriginY"):
        block = block.with_column(name, [origins] * len(block.rows))
    old = path.with_name("old.star")
    write_star(old, StarFile((block,)))
    return old


def test_shifts_in_pixels_of_unknown_size_are_refused_and_not_left_out(tmp_path):
    project = write_project(tmp_path, 12, 16)
    assert refinement_of(project.denoised).origins_A is not None
    with pytest.raises(UserError, match=r"its shifts are in pixels.*add rlnImagePixelSize"):
        refinement_of(flat(project.denoised, "1.5"))
    assert refinement_of(flat(project.denoised, "0")).origins_A is None
