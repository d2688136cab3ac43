"""``restore view`` as a person types it."""

import json
import shutil

import mrcfile
import numpy as np
import pytest
from PIL import Image
from small_model import write_density, write_model

from restore.cli.main import main


def restore(line):
    return main(line.split())


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("view")
    model = write_model(folder / "model.pdb")
    write_density(folder / "raw.mrc", model, 20.0)
    write_density(folder / "denoised.mrc", model, 6.0)
    with mrcfile.open(folder / "raw.mrc") as file:
        voxels, voxel_A = file.data.copy(), file.voxel_size.copy()
    half = np.zeros_like(voxels)
    half[:32] = 1
    for name, data in (("mask.mrc", half), ("small.mrc", voxels[:40, :40, :40])):
        with mrcfile.new(folder / name, data) as file:
            file.voxel_size = voxel_A
    with mrcfile.new(folder / "nameless.mrc", voxels):
        pass
    return folder


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    """A copy of the maps and the model as working directory."""
    shutil.copytree(made, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    yield tmp_path / "here"


def drawn(path):
    return json.loads(path.with_suffix(".settings.json").read_text())["inputs"]["drawn"]


def pixels_of(path):
    with Image.open(path) as picture:
        return np.asarray(picture).astype(int)


def coloured(pixels):
    return np.ptp(pixels, axis=-1) > 15


def test_maps_stand_beside_each_other_at_levels_that_enclose_the_same_volume(here, capsys):
    assert restore("view raw.mrc denoised.mrc --size_px 120") == 0
    said = capsys.readouterr().out
    assert "raw.mrc: 64 x 64 x 64 voxels; drawn at" in said and "view.png" in said
    first, second = drawn(here / "view.png")
    assert first["volume_A3"] == second["volume_A3"] > 1000
    assert second["level"] == pytest.approx(0.3 * first["level"], rel=1e-2)
    pixels = pixels_of(here / "view.png")
    middle = pixels.shape[1] // 2
    left, right = np.split(coloured(pixels), [middle], axis=1)
    assert left.sum() > 1000 and left.sum() == pytest.approx(right.sum(), rel=0.1)
    assert (pixels[..., 2] - pixels[..., 0])[
        :, :middle
    ].sum() > 0  # the first is blue, the second red
    assert (pixels[..., 2] - pixels[..., 0])[:, middle:].sum() < 0


def test_a_second_row_shows_sharpened_maps_and_residues_come_last(here, capsys):
    plain = "view raw.mrc denoised.mrc --names raw denoised --size_px 100"
    assert restore(f"{plain} -o plain.png") == 0
    assert restore(f"{plain} --sharpened denoised.mrc raw.mrc -o two.png") == 0
    assert restore(f"{plain} --model model.pdb --region A/5-9 B:2-4 -o more.png") == 0
    heights = [len(pixels_of(here / name)) for name in ("plain.png", "two.png", "more.png")]
    assert heights[1] > heights[0] + 100 and heights[2] > heights[0] + 60
    assert len(drawn(here / "two.png")) == 4
    assert "residues A/5-9: 25 atoms\nresidues B/2-4: 15 atoms" in capsys.readouterr().out


def test_without_a_region_the_longest_helix_and_strand_are_drawn(here, capsys):
    assert restore("view raw.mrc --model model.pdb --views --size_px 100 -o out/residues.png") == 0
    said = capsys.readouterr().out
    assert "residues A/4-17" in said and "residues B/1-8" in said
    assert coloured(pixels_of(here / "out/residues.png")).sum() > 2000


def test_mass_sigma_and_level_set_the_level(here):
    shapes = "view raw.mrc denoised.mrc --views top --size_px 100 --overwrite"
    assert restore(f"{shapes} --mass_kDa 3") == 0
    assert [each["volume_A3"] for each in drawn(here / "view.png")] == pytest.approx(
        [3630, 3630], rel=0.01
    )
    assert restore(f"{shapes} --level 0.5 0.15") == 0
    assert [each["level"] for each in drawn(here / "view.png")] == [0.5, 0.15]
    assert restore(f"{shapes} --sigma 3") == 0
    with mrcfile.open(here / "raw.mrc") as file:
        assert drawn(here / "view.png")[0]["level"] == pytest.approx(
            file.data.mean() + 3 * file.data.std(), rel=1e-3
        )


def test_only_what_lies_in_the_mask_is_drawn(here):
    line = "view raw.mrc --views side --size_px 120 --level 2 --dust 0"
    assert (
        restore(f"{line} -o whole.png") == 0 and restore(f"{line} --mask mask.mrc -o part.png") == 0
    )
    whole, part = (drawn(here / name)[0]["volume_A3"] for name in ("whole.png", "part.png"))
    assert 0.3 * whole < part < 0.9 * whole


def test_the_same_command_draws_the_same_picture(here):
    for name in ("one.png", "two.png"):
        assert (
            restore(
                f"view raw.mrc --model model.pdb --region A/5-9 --views top --size_px 100 -o {name}"
            )
            == 0
        )
    assert (here / "one.png").read_bytes() == (here / "two.png").read_bytes()


REFUSED = {
    "raw.mrc --model model.pdb --region Q/1-5": (1, 'no chain "Q". Its chains are A, B'),
    "raw.mrc --model model.pdb --region A/90-95": (1, "Its residues have numbers from 1 to 35"),
    "raw.mrc --model model.pdb --region 45-60": (1, "such as A/45-60"),
    "raw.mrc --model none.pdb": (1, "there is no such file"),
    "small.mrc --model model.pdb --region A/10-20": (
        1,
        "outside small.mrc (x 0 to 39, y 0 to 39, z 0 to 39 Å)",
    ),
    "raw.mrc --region A/5-9": (2, "--model"),
    "raw.mrc --views": (2, "there is nothing to draw"),
    "nameless.mrc": (1, "its header has no voxel size"),
    "none.mrc": (1, "none.mrc"),
    "small.mrc --mask mask.mrc": (1, "A mask must have the shape of what it masks"),
    "raw.mrc denoised.mrc --sharpened raw.mrc": (2, "One for each map is needed"),
    "raw.mrc --names a b": (2, "One for each map is needed"),
    "raw.mrc --level 1 2 3": (2, "One is needed, or 1: one for each map drawn"),
    "raw.mrc --level 1 --sigma 2": (2, "both set the level"),
    "raw.mrc --level 1e9": (1, "raw.mrc: nothing in it lies above the level 1e+09"),
    "raw.mrc --mass_kDa 1e6": (1, "is no part of its"),
    "raw.mrc --mass_kDa 0": (2, "A mass above 0 kDa is needed"),
    "raw.mrc --dust 2": (2, "A share from 0 to 1"),
    "raw.mrc --size_px 10": (2, "100 to 2000 pixels"),
    "raw.mrc --pixel_size -1": (2, "A voxel has a size above 0 Å"),
    "raw.mrc -o view.tif": (2, "The name must end in .png"),
}


@pytest.mark.parametrize(("line", "answer"), REFUSED.items(), ids=list(REFUSED))
def test_bad_input_is_refused_in_words(here, capsys, line, answer):
    status, words = answer
    assert restore(f"view {line}") == status
    assert words in " ".join(capsys.readouterr().err.split())
    assert not (here / "view.png").exists()


def test_a_picture_that_is_there_is_kept(here, capsys):
    (here / "view.png").write_text("mine")
    assert restore("view raw.mrc") == 1
    assert (
        "the file already exists" in capsys.readouterr().err
        and (here / "view.png").read_text() == "mine"
    )
