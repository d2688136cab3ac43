"""Tilt series of RELION 5: a table of series with a STAR file each, read, and written again for the
denoised images.
"""

import shutil
import subprocess
from pathlib import Path

import pytest
from tilt_series_project import (
    DEFOCUS,
    JOB,
    TABLE,
    image_of,
    series_text,
    table_row,
    tilt_row,
    write_project,
)
from written_images import as_written

from restore.errors import UserError
from restore.io.micrographs import Needs, Suffixes, read_micrographs

FIRST = Path(JOB) / "tilt_series/TS_01.star"
OUT = Path("Denoised/tilt_series_ctf.star")
NO_CTF = Needs(ctf=False)


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_project(tmp_path)
    return tmp_path


def edit(path, old, new):
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new))


def outputs(chosen, leave_out=()):
    """A new name for each image, by its row, but those left out."""
    return as_written(
        {
            micrograph.row: f"Denoised/{micrograph.name}"
            for micrograph in chosen.micrographs
            if micrograph.row not in leave_out
        }
    )


def written(chosen, path=OUT, leave_out=()):
    files = chosen.listing.denoised(path, outputs(chosen, leave_out))
    for name, content in files.items():
        name.parent.mkdir(parents=True, exist_ok=True)
        name.write_bytes(content)
    return list(files)


def test_every_tilt_image_is_a_micrograph_with_its_halves_its_series_and_the_series_optics(project):
    chosen = read_micrographs(TABLE)
    assert [micrograph.row for micrograph in chosen.micrographs] == list(range(6))
    assert [micrograph.series for micrograph in chosen.micrographs] == ["TS_01"] * 3 + ["TS_02"] * 3
    fifth = chosen.micrographs[4]
    assert fifth.name == f"{image_of('TS_02', 1)}.mrc" and fifth.pixel_size_A == 1.35
    assert (fifth.even, fifth.odd) == tuple(
        Path(f"{image_of('TS_02', 1)}_{half}.mrc") for half in ("EVN", "ODD")
    )
    ctf = fifth.ctf
    assert ctf is not None
    assert (ctf.defocus_u_A, ctf.defocus_v_A, ctf.defocus_angle_deg) == (28750.12, 28650.25, 12.5)
    assert (ctf.voltage_kV, ctf.spherical_aberration_mm, ctf.amplitude_contrast) == (300, 2.7, 0.07)


def test_the_original_pixel_size_stands_in_where_there_is_no_binned_one(project):
    edit(TABLE, "_rlnTomoTiltSeriesPixelSize", "_rlnTomoSomething")
    assert {micrograph.pixel_size_A for micrograph in read_micrographs(TABLE).micrographs} == {
        0.675
    }


def test_the_halves_follow_from_the_name_where_their_columns_are_not_there(project):
    edit(FIRST, "_rlnMicrographNameEven", "_rlnOther")
    first, *_, last = read_micrographs(TABLE, Suffixes()).micrographs
    assert first.even == Path(f"{image_of('TS_01', 0)}_EVN.mrc") and last.odd is not None
    assert read_micrographs(TABLE).micrographs[0].even is None


def test_series_before_ctf_estimation_do_for_a_model_that_flips_no_phases(project):
    edit(FIRST, "_rlnDefocusU", "_rlnOther")
    with pytest.raises(UserError) as caught:
        read_micrographs(TABLE)
    assert str(caught.value) == (
        f"{FIRST}, data_TS_01, row 1: rlnDefocusU is missing. "
        "Phase flipping needs it: run CTF estimation, or give `phase_flip=False`."
    )
    assert [
        micrograph.ctf is None for micrograph in read_micrographs(TABLE, needs=NO_CTF).micrographs
    ] == [True] * 3 + [False] * 3


def test_names_are_looked_for_from_the_projects_folder_wherever_one_stands(project, monkeypatch):
    (project / "MotionCorr/job002/frames").mkdir(parents=True)
    image = project / f"{image_of('TS_01', 2)}.mrc"
    image.write_bytes(b"")
    (project / "elsewhere").mkdir()
    monkeypatch.chdir(project / "elsewhere")
    third = read_micrographs(project / TABLE).micrographs[2]
    assert third.image == image


def test_the_output_differs_from_the_input_only_in_names(project):
    chosen = read_micrographs(TABLE)
    first, second, table = written(chosen)
    assert [str(path) for path in (first, second, table)] == [
        "Denoised/tilt_series_ctf_tilts/TS_01.star",
        "Denoised/tilt_series_ctf_tilts/TS_02.star",
        str(OUT),
    ]
    expected = FIRST.read_text()
    for tilt in range(3):
        name = f" {image_of('TS_01', tilt)}.mrc "
        expected = expected.replace(name, f" Denoised/{name[1:]}")
    assert [line.split() for line in first.read_text().splitlines()] == [
        line.split() for line in expected.splitlines()
    ]
    expected = (
        Path(TABLE).read_text().replace(f"{JOB}/tilt_series/", "Denoised/tilt_series_ctf_tilts/")
    )
    assert [line.split() for line in table.read_text().splitlines()] == [
        line.split() for line in expected.splitlines()
    ]
    again = read_micrographs(table)
    names = [image.name for image in outputs(chosen).values()]
    assert [micrograph.name for micrograph in again.micrographs] == names
    assert [
        (micrograph.ctf, micrograph.even, micrograph.series) for micrograph in again.micrographs
    ] == [(micrograph.ctf, micrograph.even, micrograph.series) for micrograph in chosen.micrographs]


def test_starfile_finds_the_same_tables_but_for_the_names(project):
    starfile = pytest.importorskip("starfile")
    first, _, table = written(read_micrographs(TABLE))
    for name, before, after, column in [
        ("TS_01", FIRST, first, "rlnMicrographName"),
        ("global", TABLE, table, "rlnTomoTiltSeriesStarFile"),
    ]:
        theirs, ours = (starfile.read(path, always_dict=True)[name] for path in (before, after))
        assert ours.drop(columns=column).equals(theirs.drop(columns=column))
        assert not (ours[column] == theirs[column]).any()
    assert starfile.read(first)["rlnMicrographName"][2] == f"Denoised/{image_of('TS_01', 2)}.mrc"


def test_relion_reads_the_new_files(project):
    printer = shutil.which("relion_star_printtable")
    if printer is None:
        pytest.skip("RELION is not installed")
    _, second, table = written(read_micrographs(TABLE), leave_out=[3])
    output = subprocess.run(
        [printer, second, "data_TS_02", "rlnMicrographName", "rlnDefocusU"],
        capture_output=True,
        text=True,
        check=True,
    )
    names = [f"Denoised/{image_of('TS_02', tilt)}.mrc" for tilt in (1, 2)]
    assert output.stdout.split() == [names[0], "28750.120000", names[1], "28750.120000"]
    output = subprocess.run(
        [printer, table, "data_global", "rlnVoltage"], capture_output=True, text=True, check=True
    )
    assert output.stdout.split() == ["300.000000"] * 2


def test_a_series_keeps_the_rows_that_were_denoised_and_one_without_any_is_left_out(project):
    chosen = read_micrographs(TABLE)
    files = written(chosen, leave_out=[1, 3, 4, 5])
    assert [path.name for path in files] == ["TS_01.star", OUT.name]
    names = [micrograph.name for micrograph in read_micrographs(OUT).micrographs]
    assert names == [f"Denoised/{image_of('TS_01', tilt)}.mrc" for tilt in (0, 2)]
    assert "TS_02" not in OUT.read_text()


def test_other_blocks_and_line_ends_survive_in_both_kinds_of_file(project):
    extra = (
        "\n# version 50001\n\ndata_general\n\n_rlnTomoSubTomosAre2DStacks                       1\n"
    )
    for path in (TABLE, FIRST):
        Path(path).write_bytes(
            (extra + Path(path).read_text() + extra.replace("general", "rest"))
            .replace("\n", "\r\n")
            .encode()
        )
    first, _, table = written(read_micrographs(TABLE))
    for path in (first, table):
        content = path.read_bytes()
        assert content.startswith(extra.replace("\n", "\r\n").encode())
        assert content.endswith(extra.replace("general", "rest").replace("\n", "\r\n").encode())
        assert content.count(b"\n") == content.count(b"\r\n")


def test_series_are_named_from_the_projects_folder_and_outside_it_in_full(
    project, monkeypatch, tmp_path_factory
):
    (project / "elsewhere").mkdir()
    monkeypatch.chdir(project / "elsewhere")
    chosen = read_micrographs(project / TABLE)
    beside = (project / TABLE).with_name("denoised.star")
    assert (
        f" {JOB}/denoised_tilts/TS_01.star "
        in chosen.listing.denoised(beside, outputs(chosen))[beside].decode()
    )
    far = tmp_path_factory.mktemp("scratch") / "out.star"
    assert (
        f" {far.parent}/out_tilts/TS_02.star "
        in chosen.listing.denoised(far, outputs(chosen))[far].decode()
    )
    edit(project / TABLE, f"{JOB}/tilt_series/", f"{project}/{JOB}/tilt_series/")
    chosen = read_micrographs(project / TABLE)
    inside = chosen.listing.denoised(Path("out.star"), outputs(chosen))[Path("out.star")].decode()
    assert f" {project}/elsewhere/out_tilts/TS_01.star " in inside


def test_a_series_file_of_the_input_is_never_replaced(project):
    written(read_micrographs(TABLE))
    shutil.copy(OUT, "copy.star")
    with pytest.raises(
        UserError, match=r"tilts/TS_01\.star: the output STAR would replace a series' of the input"
    ):
        written(read_micrographs("copy.star"))


def test_one_series_by_itself_is_read_with_what_it_does_not_say_given(project):
    chosen = read_micrographs(FIRST, None, 1.35, NO_CTF)
    assert [micrograph.pixel_size_A for micrograph in chosen.micrographs] == [1.35] * 3
    (path,) = written(chosen, Path("one.star"), leave_out=[0])
    assert path.read_text().count("Denoised/") == 2 and "data_TS_01" in path.read_text()
    with pytest.raises(
        UserError,
        match=r"row 1: there is no pixel size .*give the table of series .*`pixel_size_A`",
    ):
        read_micrographs(FIRST, needs=NO_CTF)
    with pytest.raises(
        UserError, match=r"rlnVoltage is missing\. .*give the table of series .*`phase_flip=False`"
    ):
        read_micrographs(FIRST, None, 1.35)


@pytest.mark.parametrize(
    ("path", "old", "new", "words"),
    [
        (
            TABLE,
            "tilt_series/TS_02",
            "tilt_series/TS_09",
            r'data_global, row 2: there is no file ".*TS_09\.star"',
        ),
        (TABLE, "TS_02 ", "TS_01 ", r"data_global: rows 1 and 2 both have the series TS_01"),
        (
            TABLE,
            "tilt_series/TS_02",
            "tilt_series/TS_01",
            r"data_global: rows 1 and 2 both have the file .*TS_01",
        ),
        (TABLE, "_rlnTomoName", "_rlnOther", r"data_global: rlnTomoName is missing"),
        (TABLE, " TS_02 ", " a/b ", r'data_global, row 2: rlnTomoName is "a/b"'),
        (
            TABLE,
            " 1.350000",
            " nan",
            r'data_global, row 1: rlnTomoTiltSeriesPixelSize is "nan"\. A positive',
        ),
        (
            TABLE,
            " 300.000000",
            " high",
            r'data_global, row 1: rlnVoltage is "high"\. Phase flipping needs it',
        ),
        (
            TABLE,
            "_rlnVoltage",
            "_rlnOther",
            r"data_global, row 1: rlnVoltage is missing\. .*add the column",
        ),
        (
            TABLE,
            "_rlnTomoTiltSeriesStarFile",
            "_rlnTomoTiltSeriesName",
            r"data_global: its series are stacks .*RELION 4",
        ),
        (
            FIRST,
            "data_TS_01",
            "data_other",
            r"TS_01\.star: there is no data_TS_01 \(the blocks are data_other\)",
        ),
        (
            FIRST,
            "_rlnMicrographName ",
            "_rlnOther ",
            r"data_TS_01: rlnMicrographName is missing\. .*motion correction",
        ),
        (
            FIRST,
            f" {image_of('TS_01', 1)}.mrc ",
            ' "" ',
            r"data_TS_01, row 2: rlnMicrographName is empty",
        ),
        (
            FIRST,
            f" {image_of('TS_01', 1)}.mrc ",
            " 2@TS.mrcs ",
            r"row 2: 2@TS\.mrcs is an image of a stack",
        ),
        (
            FIRST,
            f" {image_of('TS_01', 1)}.mrc ",
            f" {image_of('TS_01', 0)}.mrc ",
            r"row 2: .* also in .*TS_01, row 1",
        ),
        (
            FIRST,
            f" {image_of('TS_01', 1)}.mrc ",
            f" {image_of('TS_02', 0)}.mrc ",
            r"data_TS_02, row 1: .* also in .*row 2",
        ),
        (FIRST, DEFOCUS, "nan nan", r'data_TS_01, row 1: rlnDefocusU is "nan"'),
    ],
)
def test_what_is_wrong_is_said_with_its_place(project, path, old, new, words):
    edit(path, old, new)
    with pytest.raises(UserError, match=words):
        read_micrographs(TABLE)


def test_series_without_any_pixel_size_are_refused_or_take_the_one_given(project):
    edit(TABLE, "_rlnTomoTiltSeriesPixelSize", "_rlnOther")
    edit(TABLE, "_rlnMicrographOriginalPixelSize", "_rlnAnother")
    with pytest.raises(
        UserError,
        match=r"data_global, row 1: there is no pixel size \(rlnTomoTiltSeriesPixelSize or rln",
    ):
        read_micrographs(TABLE)
    assert read_micrographs(TABLE, pixel_size_A=2.0).micrographs[5].pixel_size_A == 2.0


def test_an_empty_table_is_refused_and_an_empty_series_left_out_with_a_warning(project, caplog):
    FIRST.write_text(series_text("TS_01", []))
    chosen = read_micrographs(TABLE)
    assert [micrograph.series for micrograph in chosen.micrographs] == ["TS_02"] * 3
    assert "TS_01 has no images" in caplog.text
    assert [path.name for path in written(chosen)] == ["TS_02.star", OUT.name]
    (FIRST.parent / "TS_02.star").write_text(series_text("TS_02", []))
    with pytest.raises(UserError, match="no series in it has an image"):
        read_micrographs(TABLE)
    edit(TABLE, table_row("TS_01"), "")
    edit(TABLE, table_row("TS_02"), "")
    with pytest.raises(UserError, match="data_global: the table has no rows"):
        read_micrographs(TABLE)


def test_a_series_may_have_any_name_that_a_file_can_have(project):
    edit(TABLE, "TS_01 ", "01 ")
    FIRST.write_text(series_text("01", [tilt_row("TS_01", 0)]))
    chosen = read_micrographs(TABLE)
    assert chosen.micrographs[0].series == "01"
    assert written(chosen)[0].name == "01.star"
