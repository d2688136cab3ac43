"""``restore view`` as a person types it."""

import base64
import gzip
import json
import shutil
from importlib.resources import files

import mrcfile
import numpy as np
import pytest
from small_model import write_density, write_model

from restore.cli.main import main


def restore(line):
    return main(line.split())


@pytest.fixture(scope="module")
def project(tmp_path_factory):
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
def here(project, tmp_path, monkeypatch):
    """A copy of the maps and the model as working directory."""
    shutil.copytree(project, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    yield tmp_path / "here"


def drawn(path):
    return json.loads(path.with_suffix(".settings.json").read_text())["inputs"]["drawn"]


def rows_of(path):
    """The rows of scenes that the page carries."""
    return json.loads(path.read_text().partition('id="scenes">')[2].partition("</script>")[0])


def voxels_above(scene):
    """How many voxels of a scene lie above its surface's level."""
    packed = base64.b64decode(scene["volume"]["steps"])
    return int((np.frombuffer(gzip.decompress(packed), np.int8) > 0).sum())


def test_maps_stand_beside_each_other_at_levels_that_enclose_the_same_volume(here, capsys):
    assert restore("view raw.mrc denoised.mrc") == 0
    printed = capsys.readouterr().out
    assert "raw.mrc: 64 x 64 x 64 voxels; drawn at" in printed and "view.html" in printed
    first, second = drawn(here / "view.html")
    assert first["volume_A3"] == second["volume_A3"] > 1000
    assert second["level"] == pytest.approx(0.3 * first["level"], rel=1e-2)
    (row,) = rows_of(here / "view.html")
    left, right = row["scenes"]
    assert voxels_above(left) > 1000
    assert voxels_above(left) == pytest.approx(voxels_above(right), rel=0.1)
    assert [left["title"], right["title"]] == ["raw.mrc", "denoised.mrc"]
    volume, level = left["caption"].split(" nm³ above ")
    assert float(volume) == pytest.approx(first["volume_A3"] / 1000, abs=0.5)
    assert float(level) == pytest.approx(first["level"], rel=0.01)
    for scene, channel in ((left, 5), (right, 1)):  # the first is blue, the second red
        strongest = max(1, 3, 5, key=lambda at, scene=scene: int(scene["colour"][at : at + 2], 16))
        assert strongest == channel
    assert list(row["turns"]) == ["side", "top"]


def test_a_second_row_shows_sharpened_maps_and_residues_come_last(here, capsys):
    plain = "view raw.mrc denoised.mrc --names raw denoised"
    assert restore(f"{plain} -o plain.html") == 0
    assert restore(f"{plain} --sharpened denoised.mrc raw.mrc -o two.html") == 0
    assert restore(f"{plain} --model model.pdb --region A/5-9 B:2-4 -o more.html") == 0
    words = [
        [row["words"] for row in rows_of(here / name)]
        for name in ("plain.html", "two.html", "more.html")
    ]
    assert words == [[""], ["", "sharpened"], ["", "residues A/5–9", "residues B/2–4"]]
    assert len(drawn(here / "two.html")) == 4
    assert [scene["title"] for scene in rows_of(here / "more.html")[2]["scenes"]] == [
        "raw",
        "denoised",
    ]
    assert "residues A/5-9: 25 atoms\nresidues B/2-4: 15 atoms" in capsys.readouterr().out


def test_without_a_region_the_longest_helix_and_strand_are_drawn(here, capsys):
    assert restore("view raw.mrc --model model.pdb -o out/residues.html") == 0
    printed = capsys.readouterr().out
    assert "residues A/4-17" in printed and "residues B/1-8" in printed
    scenes = [row["scenes"][0] for row in rows_of(here / "out/residues.html")[1:]]
    assert [scene["atoms"].count("ATOM") for scene in scenes] == [70, 40]
    assert all(voxels_above(scene) > 200 for scene in scenes)


def test_mass_sigma_and_level_set_the_level(here):
    shapes = "view raw.mrc denoised.mrc --overwrite"
    assert restore(f"{shapes} --mass_kDa 3") == 0
    assert [surface["volume_A3"] for surface in drawn(here / "view.html")] == pytest.approx(
        [3630, 3630], rel=0.01
    )
    assert restore(f"{shapes} --level 0.5 0.15") == 0
    assert [surface["level"] for surface in drawn(here / "view.html")] == [0.5, 0.15]
    assert "levels as given" in (here / "view.html").read_text()
    assert restore(f"{shapes} --sigma 3") == 0
    with mrcfile.open(here / "raw.mrc") as file:
        assert drawn(here / "view.html")[0]["level"] == pytest.approx(
            file.data.mean() + 3 * file.data.std(), rel=1e-3
        )


def test_only_what_lies_in_the_mask_is_drawn(here):
    line = "view raw.mrc --level 2 --dust 0"
    assert restore(f"{line} -o whole.html") == 0
    assert restore(f"{line} --mask mask.mrc -o part.html") == 0
    whole, part = (drawn(here / name)[0]["volume_A3"] for name in ("whole.html", "part.html"))
    assert 0.3 * whole < part < 0.9 * whole


def test_the_same_command_draws_the_same_page(here):
    for name in ("one.html", "two.html"):
        assert restore(f"view raw.mrc --model model.pdb --region A/5-9 -o {name}") == 0
    assert (here / "one.html").read_bytes() == (here / "two.html").read_bytes()


def test_the_package_ships_the_licence_of_the_viewer_in_the_page(here):
    assert restore("view raw.mrc") == 0
    assert "3Dmol.js (BSD-3-Clause)" in (here / "view.html").read_text()
    licence = (files("restore.report") / "assets" / "3Dmol-LICENSE.txt").read_text()
    assert "University of Pittsburgh" in licence


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
    "nameless.mrc": (1, "its header has no voxel size"),
    "none.mrc": (1, "none.mrc"),
    "small.mrc --mask mask.mrc": (1, "A mask must have the shape of what it masks"),
    "raw.mrc denoised.mrc --sharpened raw.mrc": (2, "One for each map is needed"),
    "raw.mrc --names a b": (2, "One for each map is needed"),
    "raw.mrc --level 1 2 3": (2, "Give one level, or 1: one for each map drawn"),
    "raw.mrc --level 1 --sigma 2": (2, "both set the level"),
    "raw.mrc --level 1e9": (1, "raw.mrc: nothing in it lies above the level 1e+09"),
    "raw.mrc --mass_kDa 1e6": (1, "is no part of its"),
    "raw.mrc --mass_kDa 0": (2, "A mass above 0 kDa is needed"),
    "raw.mrc --dust 2": (2, "A share from 0 to 1"),
    "raw.mrc --pixel_size -1": (2, "A voxel size is above 0 Å"),
    "raw.mrc -o view.png": (2, "The name must end in .html"),
}


@pytest.mark.parametrize(("line", "answer"), REFUSED.items(), ids=list(REFUSED))
def test_bad_input_is_refused_in_words(here, capsys, line, answer):
    status, words = answer
    assert restore(f"view {line}") == status
    assert words in " ".join(capsys.readouterr().err.split())
    assert not (here / "view.html").exists()


def test_a_page_that_is_there_is_kept(here, capsys):
    (here / "view.html").write_text("mine")
    assert restore("view raw.mrc") == 1
    assert (
        "the file already exists" in capsys.readouterr().err
        and (here / "view.html").read_text() == "mine"
    )
