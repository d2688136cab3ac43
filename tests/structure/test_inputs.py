"""The files that structures are compared from."""

import mrcfile
import numpy as np
import pytest
from structure_world import write_project

from restore.ctf import ctf
from restore.errors import UserError
from restore.io.particle_images import open_particle_images
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


def flip_phases(particles):
    """Multiply the images of a file's particles by the signs of their CTFs."""
    images = open_particle_images(particles)
    shape, pixel_A = (images.box_px,) * 2, (images.pixel_size_A,) * 2
    signs = [np.sign(ctf(known, shape, pixel_A).numpy()) for known in images.particles.ctfs]
    with mrcfile.open(images.paths[0], "r+") as file:
        flipped = np.fft.irfft2(np.fft.rfft2(file.data) * np.stack(signs), s=shape)
        file.set_data(flipped.astype(np.float32))


@pytest.mark.parametrize(
    ("phases", "flipped", "mark", "expected"),
    [
        ("auto", False, None, False),
        ("auto", True, None, True),
        ("auto", True, "0", False),
        ("auto", False, "1", True),
        ("kept", True, None, False),
        ("kept", True, "1", False),
        ("flipped", False, None, True),
        ("flipped", False, "0", True),
    ],
)
def test_phases_are_as_the_settings_say_or_the_file_or_the_comparison_with_raw_images(
    tmp_path, phases, flipped, mark, expected
):
    project, out = write_project(tmp_path, 12, 16), tmp_path / "out"
    if flipped:
        flip_phases(project.denoised)
    if mark is not None:
        star = read_star(project.denoised)
        optics = star.block("optics").with_column("rlnCtfDataArePhaseFlipped", [mark])
        write_star(project.denoised, star.with_block(optics))
    inputs = StructureInputs(project.raw, project.denoised)
    settings = StructureSettings(denoised_phases=phases)
    matched = read_comparison_set(inputs, settings, out, Stages(out), no_bars)
    assert matched.images["denoised"].particles.phases_flipped.tolist() == [expected] * 12
    assert matched.images["raw"].particles.phases_flipped is None
