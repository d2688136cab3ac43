"""``restore reslog`` as a person types it."""

import json
import random
import shutil

import mrcfile
import numpy as np
import pytest
from particle_world import blobs, write_particles

from restore.cli.main import main
from restore.io.images.maps import write_map
from restore.io.star import StarFile, read_star, write_star


def restore(line):
    return main(line.split())


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Particles, and the same in another order."""
    folder = tmp_path_factory.mktemp("reslog")
    particle = blobs(24, "D2", count=8)
    write_particles(folder / "raw", count=160, side=24, noise=3.0, particle=particle, symmetry="D2")
    shutil.copytree(folder / "raw", folder / "again")
    star = read_star(folder / "raw/particles.star")
    block = star.block("particles")
    rows = list(range(160))
    random.Random(1).shuffle(rows)
    write_star(
        folder / "again/particles.star", StarFile((star.block("optics"), block.keeping(rows)))
    )
    write_star(
        folder / "again/most.star", StarFile((star.block("optics"), block.keeping(rows[:140])))
    )
    write_map(folder / "coarse.mrc", np.random.default_rng(0).random((24, 24, 24)), 6.0)
    return folder


@pytest.fixture
def here(project, tmp_path, monkeypatch):
    """The particles in the working directory."""
    shutil.copytree(project, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    yield tmp_path / "here"


def points(path, curve):
    block = read_star(path).block("points")
    rows = [row for row in block.rows if row[0] == curve]
    return [row[1:] for row in rows]


QUICK = "--sym D2 --sizes 3 --repeats 2"


def test_the_same_particles_give_the_same_curve_whatever_their_order(here, capsys):
    assert (
        restore(f"reslog raw/particles.star again/particles.star {QUICK} -o out/curves.star") == 0
    )
    raw, again = (points(here / "out/curves.star", curve) for curve in ("raw", "denoised"))
    assert len(raw) == 6
    for one, other in zip(raw, again, strict=True):
        assert one[:2] == other[:2] and one[4] == other[4]
        assert float(one[2]) == pytest.approx(float(other[2]), rel=1e-3)
    output = capsys.readouterr().out
    assert "raw: 3 sizes from 40 to 160 particles, 2 times" in output and "B factor" in output
    assert "denoised minus raw" in output and "95 % intervals" in output
    assert (here / "out/curves.png").stat().st_size > 10_000
    record = json.loads((here / "out/curves.settings.json").read_text())
    assert (
        record["settings"]["subsets"]["sizes"] == 3
        and record["settings"]["reconstruction"]["symmetry"] == "D2"
    )
    lines = read_star(here / "out/curves.star").block("lines")
    assert lines.column("restoreCurve") == ["raw", "denoised"]
    low, slope, high = (
        float(lines.column(f"restoreSlopePerDecade{end}")[0]) for end in ("Low", "", "High")
    )
    assert low < slope < high and slope > 0


def test_the_seed_decides(here):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert restore(f"reslog raw/particles.star {QUICK} --seed {seed} -o {name}.star") == 0
    text = [(here / f"{name}.star").read_text() for name in "abc"]
    assert text[0] == text[1] and text[0] != text[2]


def test_only_particles_that_all_files_hold_are_taken(here, capsys):
    assert restore(f"reslog raw/particles.star again/most.star {QUICK} --labels all most") == 0
    assert "to 140 particles" in capsys.readouterr().out
    assert {row[0] for row in read_star(here / "reslog.star").block("points").rows} == {
        "all",
        "most",
    }


def test_one_repeat_has_no_intervals(here, capsys):
    assert restore("reslog raw/particles.star --sym D2 --sizes 2 --repeats 1") == 0
    output = capsys.readouterr().out
    assert (
        "95 %" not in output
        and "particles: 2 sizes" in output
        and "(" not in output.split("B factor")[1].split("Å²")[0]
    )


def test_denoised_images_and_points_near_nyquist_are_pointed_out(here, capsys):
    for stack in (here / "again/stacks").iterdir():
        with mrcfile.open(stack, "r+") as file:
            file.add_label("restore 0.1 denoised with m")
    assert restore(f"reslog raw/particles.star again/particles.star {QUICK} -r 10") == 0
    output = capsys.readouterr()
    assert (
        "denoised: the images were denoised by restore" in output.err
        and "raw: the" not in output.err
    )
    assert (
        "points lie near Nyquist (9.00 Å)" in output.out or "never fall below 0.143" in output.out
    )


def test_symmetry_of_the_particle_raises_the_resolution(here):
    for group in ("C1", "D2"):
        assert (
            restore(
                f"reslog raw/particles.star --sym {group} --sizes 2 --repeats 1 -o {group}.star"
            )
            == 0
        )
    c1, d2 = (
        np.array([float(row[2]) for row in points(here / f"{group}.star", "particles")])
        for group in ("C1", "D2")
    )
    assert (d2 > c1).all()


@pytest.mark.parametrize(
    ("line", "status", "words"),
    [
        ("reslog raw/particles.star --sizes 1", 1, "At least 2 is needed"),
        ("reslog raw/particles.star --sym Q7", 2, "Q7"),
        ("reslog raw/particles.star -o curves.txt", 2, "is not the name of a STAR file"),
        (
            "reslog raw/particles.star again/particles.star --labels one",
            2,
            "2 different labels are needed",
        ),
        (
            "reslog raw/particles.star --phases_flipped denoised",
            2,
            "The files are called particles",
        ),
        (
            "reslog raw/particles.star --mask raw/stacks/part0.mrcs",
            1,
            "the mask has 24 x 24 x 80 voxels",
        ),
        (
            "reslog raw/particles.star --mask coarse.mrc",
            1,
            "coarse.mrc: its voxels measure 6 Å, and those of the maps 3 Å",
        ),
        ("reslog raw/particles.star --smallest 160", 1, "there are 160 particles"),
        ("reslog raw/particles.star -r 0", 2, "A resolution above 0 Å is needed"),
        ("reslog raw/particles.star --engine relion", 2, "restore reslog has no option --engine"),
        ("reslog gone.star", 1, "there is no such file"),
    ],
)
def test_what_cannot_be_is_said_before_the_work(here, capsys, line, status, words):
    assert restore(line) == status
    assert words in capsys.readouterr().err
    assert not (here / "reslog.star").exists()


def test_results_are_not_replaced_unasked(here, capsys):
    (here / "reslog.png").write_text("mine")
    assert restore("reslog raw/particles.star") == 1
    assert "reslog.png: the file already exists" in capsys.readouterr().err
    assert (here / "reslog.png").read_text() == "mine"
