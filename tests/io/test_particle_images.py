"""The images of particles: found, checked before anything is computed, and read some at a time."""

from dataclasses import replace

import mrcfile
import numpy as np
import pytest
from cryosparc_files import save, table
from particle_world import particle_star, write_particles, write_stack

from restore.errors import UserError
from restore.io.particle_images import open_particle_images, read_particle_images
from restore.io.star import Block, StarFile, read_star, write_star

CHANCE = np.random.default_rng(1)
PIXELS = CHANCE.normal(size=(5, 8, 8)).astype(np.float32)


def some(folder, names, pixels=PIXELS, pixel_A=2.0):
    write_stack(folder / "E/a.mrcs", pixels, pixel_A)
    zeros = np.zeros((len(names), 3))
    write_star(
        folder / "particles.star", particle_star(names, zeros, zeros[:, :2], image=(8, pixel_A))
    )
    return folder / "particles.star"


def test_images_come_in_the_order_that_is_asked_for_from_every_stack(tmp_path):
    world = write_particles(tmp_path, count=10, side=16, stacks=3)
    images = open_particle_images(world.star)
    assert (len(images), images.box_px, images.pixel_size_A) == (10, 16, 3.0)
    everything = np.concatenate([mrcfile.read(path) for path in world.stacks])
    rows = [9, 0, 4, 4, 3, 0]
    assert np.array_equal(read_particle_images(images, rows), everything[rows])


def test_shifts_in_pixels_are_converted_by_the_stacks_pixel_size_if_the_table_has_none(tmp_path):
    path = some(tmp_path, ["1@E/a.mrcs", "2@E/a.mrcs"], pixel_A=2.5)
    block = read_star(path).block("particles")
    columns = ("rlnImageName", "rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
    rows = tuple(zip(*(block.column(name) for name in columns), strict=True))
    flat = Block("", columns, rows).with_column("rlnOriginX", ["1.5", "-2"])
    write_star(path, StarFile((flat.with_column("rlnOriginY", ["0.5", "4"]),)))
    images = open_particle_images(path)
    assert images.pixel_size_A == 2.5 and images.particles.origins_px is None
    np.testing.assert_allclose(images.particles.origins_A, [[3.75, 1.25], [-5, 10]])


def test_a_stacks_images_may_be_named_in_any_order_and_again(tmp_path):
    images = open_particle_images(some(tmp_path, ["5@E/a.mrcs", "000001@E/a.mrcs", "5@E/a.mrcs"]))
    assert np.array_equal(read_particle_images(images, np.arange(3)), PIXELS[[4, 0, 4]])


def test_the_ctfs_of_the_particles_are_those_of_their_rows_and_optics(tmp_path):
    world = write_particles(tmp_path, count=6, side=16, phase_shift_deg=30.0)
    assert open_particle_images(world.star).particles.ctfs == world.ctfs
    assert (
        open_particle_images(
            write_particles(tmp_path, count=6, side=16, with_ctf=False).star
        ).particles.ctfs
        is None
    )


@pytest.mark.parametrize(
    ("column", "value"),
    [("rlnDefocusU", "nan"), ("rlnVoltage", "0"), ("rlnAmplitudeContrast", "7")],
)
def test_a_ctf_that_cannot_be_is_refused_with_its_row(tmp_path, column, value):
    star = read_star(write_particles(tmp_path, count=4, side=16).star)
    block = next(block for block in star.blocks if column in block.columns)
    write_star(
        tmp_path / "bad.star", star.with_block(block.with_column(column, [value] * len(block.rows)))
    )
    with pytest.raises(UserError, match=f'row 1: {column} is "?{value}'):
        open_particle_images(tmp_path / "bad.star")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["6@E/a.mrcs"], "image 6 is asked for, and there are 5. Row 1 of"),
        (["1@E/a.mrcs", "0@E/a.mrcs"], "image 0 is asked for, and there are 5. Row 2 of"),
        (["1@E/b.mrcs"], "b.mrcs: there is no such file"),
        (["E/a.mrcs"], "it has 5 sections, and row 1 of"),
        (["one@E/a.mrcs"], 'rlnImageName is "one@E/a.mrcs"'),
    ],
)
def test_images_that_are_not_there_are_refused_before_any_is_read(tmp_path, names, words):
    with pytest.raises(UserError, match=words):
        open_particle_images(some(tmp_path, names))


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((5, 8, 6), "6 x 8 pixels. Square"),
        ((5, 7, 7), "7 x 7 pixels. Square"),
        ((5, 10, 10), "10 x 10 pixels, and those"),
    ],
)
def test_images_must_be_square_even_and_of_one_size(tmp_path, shape, words):
    star = some(tmp_path, ["1@E/a.mrcs", "1@E/b.mrcs"])
    write_stack(tmp_path / "E/b.mrcs", np.ones(shape) + CHANCE.normal(size=shape), 2.0)
    with pytest.raises(UserError, match=words):
        open_particle_images(star)


def test_several_pixel_sizes_are_refused(tmp_path):
    star = read_star(some(tmp_path, ["1@E/a.mrcs", "2@E/a.mrcs"]))
    optics = star.block("optics")
    second = [value.replace("2.000000", "3.000000") for value in optics.rows[0]]
    second[optics.columns.index("rlnOpticsGroup")] = "2"
    particles = star.block("particles").with_column("rlnOpticsGroup", ["1", "2"])
    write_star(
        tmp_path / "two.star",
        StarFile((replace(optics, rows=(*optics.rows, tuple(second)), verbatim=None), particles)),
    )
    with pytest.raises(UserError, match="row 2 has images of 3 Å per pixel, row 1 of 2 Å"):
        open_particle_images(tmp_path / "two.star")


def test_where_the_file_has_no_pixel_size_the_stacks_header_has_it(tmp_path):
    star = read_star(some(tmp_path, ["1@E/a.mrcs"], pixel_A=2.5))
    write_star(tmp_path / "flat.star", StarFile((star.block("particles"),)))
    assert open_particle_images(tmp_path / "flat.star").pixel_size_A == 2.5
    write_stack(tmp_path / "E/a.mrcs", PIXELS, 0.0)
    with pytest.raises(UserError, match="there is no pixel size of the images"):
        open_particle_images(tmp_path / "flat.star")


def test_an_image_that_is_no_image_is_named_as_it_is_read(tmp_path):
    pixels = PIXELS.copy()
    images = open_particle_images(some(tmp_path, ["1@E/a.mrcs", "4@E/a.mrcs"], pixels))
    pixels[3, 2, 2] = np.nan
    with pytest.warns(RuntimeWarning):
        write_stack(tmp_path / "E/a.mrcs", pixels, 2.0)
    with pytest.raises(UserError, match=r"a\.mrcs: image 4 holds values that are not finite"):
        read_particle_images(images, [0, 1])


def test_a_file_without_images_is_refused(tmp_path):
    columns = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
    write_star(
        tmp_path / "angles.star", StarFile((Block("particles", columns, (("1", "2", "3"),)),))
    )
    with pytest.raises(UserError, match="no images are named"):
        open_particle_images(tmp_path / "angles.star")


def test_an_exported_name_is_looked_for_beside_the_table_and_another_in_the_project(tmp_path):
    (tmp_path / "cs.lock").touch()
    pixels = np.ones((2, 8, 8), np.float32)
    for folder, value in (("J5", 1.0), ("out/J5", 2.0)):
        (tmp_path / folder).mkdir(parents=True)
        write_stack(tmp_path / folder / "a.mrcs", value * pixels, 2.0)
    for mark, value in (("", 1.0), (">", 2.0)):
        columns = {
            "uid": np.arange(2, dtype="<u8"),
            "blob/path": np.array([f"{mark}J5/a.mrcs".encode()] * 2),
            "blob/idx": np.arange(2, dtype="<u4"),
            "blob/psize_A": np.full(2, 2.0, "<f4"),
        }
        path = save(tmp_path / "out/particles.cs", table(columns))
        images = open_particle_images(path, needs_poses=False)
        assert (read_particle_images(images, [0, 1]) == value).all()
        assert images.particles.image_names == ("000001@J5/a.mrcs", "000002@J5/a.mrcs")
