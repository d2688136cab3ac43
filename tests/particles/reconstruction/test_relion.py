"""The library's maps beside those of the real relion_reconstruct."""

import logging
import subprocess
from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import torch
from particle_world import shell_correlations, write_particles
from relion_project import needs

from restore.ctf import ctf
from restore.errors import UserError
from restore.io.particle_images import open_particle_images
from restore.io.star import Block, StarFile, read_star, write_star
from restore.particles.reconstruction import relion
from restore.particles.reconstruction.engines import chosen_engine, half_maps
from restore.particles.reconstruction.halves import ReconstructionSettings, reconstruct_halves
from restore.particles.reconstruction.relion import reconstruct_halves_by_relion

SIDE = 32


def both(star, **asked):
    """The half maps of both engines."""
    needs("relion_reconstruct")
    images, settings = open_particle_images(star), ReconstructionSettings(**asked)
    return reconstruct_halves(images, settings), reconstruct_halves_by_relion(images, settings)


@pytest.mark.parametrize(
    ("making", "asked", "shells"),
    [
        ({"noise": 2.0, "count": 600, "side": 48}, {}, 25),
        ({"noise": 3.0, "count": 200, "side": 48, "symmetry": "D7"}, {"symmetry": "D7"}, 25),
        ({"noise": 3.0, "count": 100, "symmetry": "O"}, {"symmetry": "O"}, 15),
        (
            {"noise": 2.0, "count": 300, "phases_flipped": True, "phase_shift_deg": 60.0},
            {"phases_flipped": True},
            15,
        ),
        ({"noise": 1.0, "count": 200, "with_ctf": False}, {"ctf": False}, 15),
    ],
)
def test_half_maps_agree_with_each_other_as_relions_do_in_every_shell(
    tmp_path, making, asked, shells
):
    """In a box of 32 but for the last two shells, in which there are few components."""
    ours, theirs = both(write_particles(tmp_path, **({"side": 32} | making)).star, **asked)
    curves = [shell_correlations(our.first, our.second)[:shells] for our in (ours, theirs)]
    assert abs(curves[0] - curves[1]).max() < 0.02
    assert shell_correlations(ours.first, theirs.first)[: shells - 2].min() > 0.98
    scale = float((ours.first * theirs.first).sum() / theirs.first.square().sum())
    assert scale == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("symmetry", ["C1", "D7"])
def test_both_engines_give_the_map_back_from_projections_without_noise(tmp_path, symmetry):
    world = write_particles(tmp_path, side=SIDE, count=300, symmetry=symmetry)
    for maps in both(world.star, symmetry=symmetry):
        for density in (maps.first, maps.second):
            assert (
                shell_correlations(density, world.volume)[: int(0.75 * SIDE / 2) + 1].min() > 0.99
            )


@pytest.mark.parametrize("is_absolute", [False, True])
def test_the_detectors_mtf_is_left_alone_by_both_engines(
    tmp_path, caplog, monkeypatch, is_absolute
):
    """A RELION that corrects for the MTF gets no file of it: 3.1.3 does not."""
    world = write_particles(tmp_path, side=SIDE, count=60)
    steps = np.linspace(0, 0.5, 11)
    names = ("rlnResolutionInversePixel", "rlnMtfValue")
    rows = tuple((f"{step:.3f}", f"{1 - 1.8 * step:.3f}") for step in steps)
    write_star(tmp_path / "mtf.star", StarFile((Block("mtf", names, rows),)))
    plain = both(world.star)[1]
    star = read_star(world.star)
    path = tmp_path / "mtf.star" if is_absolute else "mtf.star"
    optics = star.block("optics").with_column("rlnMtfFileName", [str(path)])
    optics = optics.with_column("rlnMicrographOriginalPixelSize", ["3.000000"])
    write_star(world.star, star.with_block(optics))
    written = []
    monkeypatch.setattr(
        relion, "write_star", lambda path, star: (written.append(star), write_star(path, star))
    )
    with caplog.at_level(logging.INFO):
        ours, theirs = both(world.star)
    assert "rlnMtfFileName" not in written[0].block("optics").columns
    torch.testing.assert_close(theirs.first, plain.first)
    assert shell_correlations(ours.first, theirs.first)[:13].min() > 0.98
    assert "not divided by the detector's MTF (rlnMtfFileName)" in caplog.text


def test_projections_that_relion_made_come_out_alike(tmp_path, monkeypatch):
    """Orientations, shifts and CTF are as relion_project takes them."""
    needs("relion_project", "relion_reconstruct")
    monkeypatch.chdir(tmp_path)
    world = write_particles(tmp_path, side=SIDE, count=200, shift_A=9.0)
    with mrcfile.new("truth.mrc", world.volume.numpy()) as file:
        file.voxel_size = world.pixel_size_A
    command = [
        "relion_project",
        "--i",
        "truth.mrc",
        "--o",
        "theirs",
        "--ang",
        "particles.star",
        "--ctf",
    ]
    subprocess.run([*command, "--angpix", "3"], check=True, capture_output=True, timeout=50)
    star = read_star(world.star)
    particles = star.block("particles")
    names = [f"{number + 1:06d}@theirs.mrcs" for number in range(200)]
    write_star(
        Path("theirs_ours.star"), star.with_block(particles.with_column("rlnImageName", names))
    )
    maps = reconstruct_halves(
        open_particle_images(Path("theirs_ours.star")), ReconstructionSettings()
    )
    assert shell_correlations(maps.first, world.volume)[: int(0.75 * SIDE / 2) + 1].min() > 0.97


def test_images_multiplied_with_their_ctf_are_known_by_the_optics_table(tmp_path):
    world = write_particles(tmp_path, side=SIDE, count=200, noise=1.0)
    values = torch.stack([ctf(parameters, (SIDE, SIDE), (3.0, 3.0)) for parameters in world.ctfs])
    for path, rows in zip(world.stacks, np.array_split(np.arange(200), 2), strict=True):
        with mrcfile.open(path, "r+") as file:
            spectra = torch.fft.rfft2(torch.from_numpy(file.data.copy())) * values[rows]
            file.set_data(torch.fft.irfft2(spectra, s=(SIDE, SIDE)).numpy())
    star = read_star(world.star)
    write_star(
        world.star,
        star.with_block(star.block("optics").with_column("rlnCtfDataAreCtfPremultiplied", ["1"])),
    )
    ours, theirs = both(world.star)
    assert shell_correlations(ours.first, theirs.first)[:12].min() > 0.98
    assert shell_correlations(ours.first, world.volume)[:10].min() > 0.9


def test_images_whose_negative_is_meant_give_the_same_map_from_relion(tmp_path):
    needs("relion_reconstruct")
    images = open_particle_images(write_particles(tmp_path, side=32, count=30).star)
    negative = replace(
        images, particles=replace(images.particles, contrast_signs=np.full(30, -1.0))
    )
    maps = [
        reconstruct_halves_by_relion(image, ReconstructionSettings()).first
        for image in (images, negative)
    ]
    assert torch.allclose(maps[0], -maps[1])
    mixed = replace(
        images, particles=replace(images.particles, contrast_signs=np.resize([1.0, -1.0], 30))
    )
    with pytest.raises(UserError, match="the images have both contrasts"):
        reconstruct_halves_by_relion(mixed, ReconstructionSettings())
    assert chosen_engine(mixed, ReconstructionSettings()) == "torch"


def test_what_relion_says_when_it_fails_is_told(tmp_path, monkeypatch):
    images = open_particle_images(write_particles(tmp_path, side=16, count=4).star)
    program = tmp_path / "relion_reconstruct"
    program.write_text("#!/bin/sh\necho 'ERROR: the moon is full' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(UserError, match="RELION failed: ERROR: the moon is full"):
        half_maps(images, ReconstructionSettings(engine="relion"))


def test_where_relion_is_not_installed_the_library_does_it(tmp_path, monkeypatch):
    images = open_particle_images(write_particles(tmp_path, side=16, count=4).star)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert half_maps(images, ReconstructionSettings()).engine == "torch"
    with pytest.raises(UserError, match="relion_reconstruct is not installed"):
        half_maps(images, ReconstructionSettings(engine="relion"))
    with pytest.raises(UserError, match="the engine is magic"):
        half_maps(images, ReconstructionSettings(engine="magic"))


def test_groups_that_relion_does_not_know_are_left_to_the_library(tmp_path, monkeypatch):
    images = open_particle_images(write_particles(tmp_path, side=16, count=4).star)
    monkeypatch.setattr(relion, "relion_is_there", lambda: True)
    assert chosen_engine(images, ReconstructionSettings(symmetry="dy7")) == "torch"
    with pytest.raises(UserError, match="does not support dy7"):
        reconstruct_halves_by_relion(images, ReconstructionSettings(symmetry="dy7"))


def test_aberrations_that_the_library_does_not_correct_are_warned_of(tmp_path, caplog):
    world = write_particles(tmp_path, side=16, count=8)
    star = read_star(world.star)
    optics = (
        star.block("optics")
        .with_column("rlnMagMat00", ["1.000000"])
        .with_column("rlnBeamTiltX", ["0.12"])
    )
    optics = optics.with_column("rlnEvenZernike", ["[0,0,0.0]"]).with_column(
        "rlnOddZernike", ["[0,0,3.5]"]
    )
    write_star(world.star, star.with_block(optics))
    with caplog.at_level(logging.WARNING):
        half_maps(open_particle_images(world.star), ReconstructionSettings(engine="torch"))
    assert "(rlnBeamTiltX, rlnOddZernike), which only RELION corrects" in caplog.text
