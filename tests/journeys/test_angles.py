"""``restore angles`` as a person types it."""

import csv
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from restore.cli.main import main
from restore.io.star import Block, StarFile, read_star, write_star
from restore.symmetry import point_group

MEDIANS_DEG = {
    ("019", "025"): 0.37,
    ("025", "029"): 0.49,
    ("019", "029"): 0.50,
}  # by another program


def angles(line):
    return main(["angles", *line.split()])


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path


def rotations(count=40):
    return Rotation.from_quat(np.random.default_rng(1).standard_normal((count, 4)))


def write(name, rotations, first_number=1):
    numbers = range(first_number, first_number + len(rotations))
    rows = [
        (f"{number:06d}@Extract/job018/a.mrcs", *(f"{angle:.6f}" for angle in euler_deg))
        for number, euler_deg in zip(numbers, rotations.as_euler("ZYZ", degrees=True), strict=True)
    ]
    write_star(
        name,
        StarFile(
            (
                Block(
                    "particles",
                    ("rlnImageName", "rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"),
                    tuple(rows),
                ),
            )
        ),
    )


def write_cs(name, rotations):
    table = np.zeros(len(rotations), dtype=[("uid", "<u8"), ("alignments3D/pose", "<f4", (3,))])
    table["uid"], table["alignments3D/pose"] = np.arange(len(rotations)), rotations.as_rotvec()
    with name.open("wb") as file:
        np.save(file, table)


@pytest.fixture
def two(here):
    """a.star, and b.star: two particles fewer at either end, each turned by 1.5° and put into
    another copy under D7.
    """
    group = point_group("D7")
    copies = group[np.random.default_rng(2).integers(0, 14, 40)]
    turn = Rotation.from_euler("x", 1.5, degrees=True)
    write(here / "a.star", rotations())
    write(here / "b.star", (copies * rotations() * turn)[2:], first_number=3)


def numbers(path):
    return np.array(
        read_star(path).block("angles").column("restoreAngularDistanceDeg"), dtype=float
    )


def test_the_real_refinements_have_the_medians_that_another_program_gives(
    shared_data, here, capsys
):
    for (first, second), median_deg in MEDIANS_DEG.items():
        paths = [
            shared_data / "star" / f"betagal_refine_job{job}_D2.star" for job in (first, second)
        ]
        assert angles(f"{paths[0]} {paths[1]} --sym D2 --overwrite") == 0
        output = capsys.readouterr()
        assert float(output.out.split("median")[1].split("°")[0]) == pytest.approx(
            median_deg, abs=0.01
        )
        assert "matched                     4501 particles" in output.out and output.err == ""
        assert np.median(numbers(here / "angles.star")) == pytest.approx(median_deg, abs=0.01)


def test_a_turn_is_found_under_the_symmetry_and_what_is_unmatched_is_counted(two, here, capsys):
    assert angles("a.star b.star --sym d7") == 0
    output = capsys.readouterr()
    assert "matched                     38 particles, by image name" in output.out
    assert "only in first               2 of 40, a.star" in output.out
    assert "only in second              0 of 38, b.star" in output.out
    assert "D7, 14 rotations" in output.out and "median                      1.500°" in output.out
    assert (
        "below 1°                    0.0 %" in output.out
        and "below 2°                    100.0 %" in output.out
    )
    assert output.out.endswith("angles.star\nangles.png\n") and output.err == ""
    assert numbers(here / "angles.star") == pytest.approx(1.5, abs=1e-4)
    assert (here / "angles.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((here / "angles.settings.json").read_text())["settings"]["sym"] == "d7"


def test_without_its_symmetry_the_same_looks_like_chance_and_is_called_so(two, capsys):
    assert angles("a.star b.star") == 0
    assert "the orientations hardly agree" in capsys.readouterr().err


@pytest.mark.parametrize(("typed", "matched"), [("", 2), ("--tolerance_px 3", 1)])
def test_particles_are_matched_within_the_typed_distance(here, typed, matched):
    names = ("rlnMicrographName", "rlnCoordinateX", "rlnCoordinateY")
    names += ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
    for name, x in (("a.star", "100"), ("b.star", "104")):
        rows = (("m.mrc", x, "100", "0", "0", "0"), ("m.mrc", "500", "500", "0", "90", "0"))
        write_star(here / name, StarFile((Block("particles", names, rows),)))
    assert angles(f"a.star b.star {typed}") == 0
    assert len(numbers(here / "angles.star")) == matched
    assert angles("a.star b.star --tolerance_px 5 --overwrite") == 0
    assert len(numbers(here / "angles.star")) == 2


def test_the_table_may_be_csv_and_rows_point_into_the_files(two, here):
    assert angles("a.star b.star --sym D7 -o out/x.csv") == 0
    rows = list(csv.DictReader((here / "out/x.csv").read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 38 and rows[0]["rlnImageName"] == "000003@Extract/job018/a.mrcs"
    assert (rows[0]["restoreRowFirst"], rows[0]["restoreRowSecond"]) == ("3", "1")
    assert float(rows[0]["restoreAngularDistanceDeg"]) == pytest.approx(1.5, abs=1e-4)
    assert (here / "out/x.png").exists()


def test_earlier_results_are_replaced_only_on_request(two, here, capsys):
    assert angles("a.star b.star --sym D7 -o mine") == 0
    before = (here / "mine.star").read_bytes()
    assert angles("a.star b.star --sym C1 -o mine") == 1
    assert "mine.star: the file already exists" in capsys.readouterr().err
    assert (here / "mine.star").read_bytes() == before
    assert angles("a.star b.star --sym C1 -o mine --overwrite") == 0
    assert (here / "mine.star").read_bytes() != before


def test_a_second_comparison_in_one_folder_needs_no_name(two, here, capsys):
    assert angles("a.star b.star --sym D7") == 0
    before = (here / "angles.star").read_bytes()
    capsys.readouterr()
    assert angles("a.star b.star --sym C1") == 0
    assert capsys.readouterr().out.endswith("angles_2.star\nangles_2.png\n")
    (here / "angles_3.png").write_text("mine")
    assert angles("a.star b.star --sym D7") == 0
    assert (here / "angles_4.star").read_bytes() == (here / "angles.star").read_bytes() == before
    assert (here / "angles_3.png").read_text() == "mine"
    assert angles("a.star b.star --sym C1 --overwrite") == 0
    assert (here / "angles.star").read_bytes() == (here / "angles_2.star").read_bytes()


def test_an_input_is_never_replaced(two, here, capsys):
    before = (here / "a.star").read_bytes()
    assert angles("a.star b.star -o a.star --overwrite") == 1
    assert (
        "would replace an input" in capsys.readouterr().err
        and (here / "a.star").read_bytes() == before
    )


@pytest.mark.parametrize(
    ("line", "status", "words"),
    [
        (
            "a.star b.star --sym D",
            2,
            '"D" is not a point group of rotations; those known are C1',
        ),
        ("a.star b.star --tolerance_px -1", 2, "It must be 0 or more pixels"),
        ("a.star", 2, "the following arguments are required"),
        ("a.star none.star", 1, "none.star: there is no such file"),
        ("a.star none.cs", 1, "none.cs: there is no such file"),
        ("a.star twice.star", 1, "rows 1 and 2 both hold 000001@"),
        ("a.star other.star", 1, "no particle of a.star is in other.star"),
    ],
)
def test_wrong_use_and_bad_input_are_said_and_leave_nothing(two, here, line, status, words, capsys):
    text = (here / "a.star").read_text()
    (here / "twice.star").write_text(text.replace("000002@", "000001@"))
    (here / "other.star").write_text(text.replace("a.mrcs", "b.mrcs"))
    before = set(here.iterdir())
    assert angles(line) == status
    assert words in capsys.readouterr().err
    assert set(here.iterdir()) == before


def test_cryosparc_files_are_compared_and_its_axes_are_told(here, capsys):
    copies = point_group("DY7")[np.random.default_rng(2).integers(0, 14, 40)]
    write_cs(here / "a.cs", rotations())
    write_cs(here / "b.cs", copies * rotations())
    assert angles("a.cs b.cs --sym DY7") == 0
    output = capsys.readouterr()
    assert "by unique identifier" in output.out and output.err == ""
    assert numbers(here / "angles.star").max() < 1e-3
    assert angles("a.cs b.cs --sym D7 --overwrite") == 0
    assert "DY7" in capsys.readouterr().err


def test_particles_of_one_name_in_two_places_are_noticed(here, capsys):
    for name, x in (("a", 100), ("b", 160)):
        columns = (
            "rlnImageName",
            "rlnMicrographName",
            "rlnCoordinateX",
            "rlnCoordinateY",
            "rlnAngleRot",
            "rlnAngleTilt",
            "rlnAnglePsi",
        )
        rows = tuple(
            (f"{n}@a.mrcs", "a.mrc", str(x), str(100 * n), "1", "2", "3") for n in (1, 2, 3)
        )
        write_star(here / f"{name}.star", StarFile((Block("particles", columns, rows),)))
    assert angles("a.star b.star") == 0
    assert (
        "3 of the matched particles have coordinates that are more than 5 pixels apart"
        in capsys.readouterr().err
    )


@pytest.mark.skipif(not shutil.which("relion_star_printtable"), reason="RELION is not installed")
def test_relion_reads_the_table(two):
    assert angles("a.star b.star --sym D7") == 0
    command = ["relion_star_printtable", "angles.star", "data_angles", "rlnImageName"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout
    assert len(printed.split()) == 38 and "000003@Extract/job018/a.mrcs" in printed


def test_names_that_most_particles_share_end_with_a_status_that_says_so(capsys):
    columns = ("rlnImageName", "rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
    for job in ("one", "two"):
        rows = [(f"{job}/TS_{row % 3}/{row // 3}.mrcs", "1", "2", "3") for row in range(30)]
        rows.append((f"{job}/only.mrcs", "1", "2", "3"))
        block = Block("particles", columns, tuple(rows))
        write_star(Path(f"{job}.star"), StarFile((block,)))
    assert angles("one.star two.star -o out.star") == 1
    assert re.search(
        r"ambiguous +30 whose name other particles have as well", capsys.readouterr().out
    )
