"""``restore reconstruct`` as a person types it."""

import json
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from cryosparc_files import particles_of_world
from particle_world import shell_correlations, write_particles, write_stack
from relion_project import needs

from restore.cli.main import main
from restore.io.denoised_mark import shows_denoised
from restore.io.particle_images import open_particle_images
from restore.io.star import read_star, write_star
from restore.particles.reconstruction import half_map_files
from restore.particles.reconstruction.halves import ReconstructionSettings, reconstruct_halves
from restore.particles.reconstruction.relion import reconstruct_halves_by_relion

SIDE = 32


def restore(line):
    return main(line.split())


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory with particles."""
    monkeypatch.chdir(tmp_path)
    yield write_particles(tmp_path, side=SIDE, count=120, noise=0.5, symmetry="D2")


def header_of(name):
    with mrcfile.open(name) as file:
        return float(file.voxel_size.x), [
            label.decode().strip() for label in file.header.label[: file.header.nlabl]
        ]


def test_half_maps_their_mean_and_the_record_are_left(here, capsys):
    assert restore("reconstruct particles.star --sym D2 --engine torch -o out/proteasome.mrc") == 0
    output = capsys.readouterr().out
    assert "120 particles of 32 x 32 pixels, 3 Å each: 60 and 60 in the halves" in output
    assert "without a mask, " in output and "out/proteasome_half1.mrc" in output
    first, second, mean = (
        mrcfile.read(f"out/proteasome{name}.mrc") for name in ("_half1", "_half2", "")
    )
    assert np.allclose(mean, (first + second) / 2, atol=1e-5)
    assert shell_correlations(mean, here.volume)[:10].min() > 0.9
    assert header_of("out/proteasome.mrc")[0] == 3.0
    record = json.loads(Path("out/proteasome.settings.json").read_text())
    assert (
        record["settings"]["symmetry"],
        record["inputs"]["engine"],
        record["inputs"]["denoised"],
    ) == (
        "D2",
        "torch",
        False,
    )
    assert restore("fsc out/proteasome_half1.mrc out/proteasome_half2.mrc") == 0
    assert "denoised" not in capsys.readouterr().err


def test_files_that_are_there_stay(here, capsys):
    Path("map_half2.mrc").write_text("mine")
    assert restore("reconstruct particles.star") == 1
    assert "map_half2.mrc: the file already exists" in capsys.readouterr().err
    assert Path("map_half2.mrc").read_text() == "mine" and not Path("map_half1.mrc").exists()
    assert restore("reconstruct particles.star --engine torch --overwrite") == 0
    assert mrcfile.read("map_half2.mrc").shape == (SIDE,) * 3


def test_wrong_use_and_bad_input_are_told_before_anything_is_done(here, capsys):
    assert restore("reconstruct particles.star --sym Q7") == 2
    assert restore("reconstruct nothing.star") == 1
    assert "nothing.star" in capsys.readouterr().err
    assert not list(Path().glob("map*"))


def test_an_interrupt_leaves_nothing(here, capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(half_map_files, "half_maps", interrupted)
    assert restore("reconstruct particles.star") == 130
    assert not list(Path().glob("*map*"))


def denoised_world(here):
    """The same particles as restore denoise leaves them: their stacks' labels say so."""
    for path in here.stacks:
        write_stack(path, mrcfile.read(path), 3.0, "restore 0.1.0 denoised with a.safetensors")


def test_maps_of_denoised_images_say_so_and_fsc_warns_of_them(here, capsys):
    denoised_world(here)
    assert restore("reconstruct particles.star --engine torch") == 0
    assert (
        "the images of particles.star were denoised by restore: their phases are flipped, unless"
        in capsys.readouterr().err
    )
    assert restore("fsc map_half1.mrc map_half2.mrc") == 0
    assert "map_half1.mrc was denoised by restore" in capsys.readouterr().err
    assert restore("reconstruct particles.star --engine torch --phases_flipped --overwrite") == 0
    assert "their phases are flipped" not in capsys.readouterr().err


def test_denoised_images_are_known_by_their_micrograph_too(here):
    star = read_star(here.star)
    particles = star.block("particles").with_column("rlnMicrographName", ["mics/a.mrc"] * 120)
    write_star(here.star, star.with_block(particles))
    assert not shows_denoised(open_particle_images(here.star))
    write_stack(Path("mics/a.mrc"), np.ones((1, 8, 8)) + np.eye(8), 1.0)
    assert not shows_denoised(open_particle_images(here.star))
    write_stack(
        Path("mics/a.mrc"),
        np.ones((1, 8, 8)) + np.eye(8),
        1.0,
        "restore 0.1.0 denoised with a.safetensors",
    )
    assert shows_denoised(open_particle_images(here.star))


def test_cryosparcs_particles_give_the_same_maps(here, tmp_path):
    assert restore("reconstruct particles.star --engine torch -o star") == 0
    for sign in (1, -1):
        particles_of_world(here, tmp_path, sign)
        assert restore(f"reconstruct J9/J9_particles.cs --engine torch -o cs{sign}") == 0
        for half in ("half1", "half2"):
            star, cs = mrcfile.read(f"star_{half}.mrc"), mrcfile.read(f"cs{sign}_{half}.mrc")
            assert np.allclose(star, cs, atol=5e-3 * star.std())


def test_cryosparcs_aberrations_are_warned_of_where_there_are_any(here, tmp_path, capsys):
    tilt, none = np.full((120, 2), 0.1, "<f4"), np.zeros((120, 4), "<f4")
    particles_of_world(here, tmp_path, **{"ctf/tilt_A": tilt, "ctf/anisomag": none})
    assert restore("reconstruct J9/J9_particles.cs --engine torch") == 0
    assert (
        "aberrations beyond the CTF (ctf/tilt_A), which are not corrected"
    ) in capsys.readouterr().err


def test_cryosparcs_particles_go_through_relion_as_well(here, tmp_path):
    needs("relion_reconstruct")
    images = open_particle_images(particles_of_world(here, tmp_path / "a folder"))
    assert images.particles.ctfs[3].defocus_u_A == pytest.approx(here.ctfs[3].defocus_u_A, abs=0.01)
    ours, theirs = (
        engine(images, ReconstructionSettings())
        for engine in (reconstruct_halves, reconstruct_halves_by_relion)
    )
    assert shell_correlations(ours.first, theirs.first)[: SIDE // 2 - 1].min() > 0.97
