"""Sets of micrographs: from every kind of STAR file to records, and back."""

import logging
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from folders import SHARED
from written_images import as_written

from restore.errors import UserError
from restore.io.file_checks import require_files
from restore.io.images.image import write_image
from restore.io.micrographs import (
    HALVES,
    Needs,
    Suffixes,
    check_files,
    read_micrographs,
)
from restore.io.star import parse_star, read_star, write_star

DATA = np.arange(24, dtype=np.float32).reshape(4, 6)
NO_CTF = Needs(ctf=False)

FLAT = """
data_

loop_
_rlnMicrographName #1
_rlnDefocusU #2
_rlnDefocusV #3
_rlnDefocusAngle #4
_rlnVoltage #5
_rlnSphericalAberration #6
_rlnAmplitudeContrast #7
_rlnMagnification #8
_rlnDetectorPixelSize #9
_rlnPhaseShift #10
_rlnMyOwn #11
mics/a_DW.mrc 10000.5 9000 45 300 2.7 0.07 40000 5.0 90 x
mics/b_DW.mrc 11000 9500 -45 300 2.7 0.07 40000 5.0 0 y
"""

OPTICS = """
# version 30001

data_optics

loop_
_rlnOpticsGroupName #1
_rlnOpticsGroup #2
_rlnMicrographPixelSize #3
_rlnMicrographOriginalPixelSize #4
_rlnVoltage #5
_rlnSphericalAberration #6
_rlnAmplitudeContrast #7
og1 1 0.85 0.425 300.0 2.7 0.1
og2 2 1.70 1.70 200.0 1.4 0.07

# version 30001

data_micrographs

loop_
_rlnMicrographName #1
_rlnOpticsGroup #2
_rlnDefocusU #3
_rlnDefocusV #4
_rlnDefocusAngle #5
_rlnMicrographNameEven #6
_rlnMicrographNameOdd #7
mics/a.mrc 1 10000 9000 45 halves/a_one.mrc halves/a_two.mrc
mics/b.mrc 2 11000 9500 -45 halves/b_one.mrc halves/b_two.mrc

data_other
_rlnKept "as it is"
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path


def star(folder, text, name="m.star"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def images(folder, *names, shape=(4, 6), size_A=1.25):
    for name in names:
        write_image(folder / name, np.resize(DATA, shape), size_A)


def refused(folder, text, words, needs=None):
    with pytest.raises(UserError, match=words) as caught:
        read_micrographs(star(folder, text), needs=needs or Needs())
    return str(caught.value)


def test_a_flat_star_gives_pixel_size_ctf_and_phase_shift(project):
    got = read_micrographs(star(project, FLAT), Suffixes())
    first, second = got.micrographs
    assert (first.name, first.row, second.row) == ("mics/a_DW.mrc", 0, 1)
    assert first.pixel_size_A == pytest.approx(1.25)
    assert first.ctf is not None and second.ctf is not None
    assert (first.ctf.defocus_u_A, first.ctf.defocus_v_A, first.ctf.defocus_angle_deg) == (
        10000.5,
        9000,
        45,
    )
    assert (
        first.ctf.voltage_kV,
        first.ctf.spherical_aberration_mm,
        first.ctf.amplitude_contrast,
    ) == (300, 2.7, 0.07)
    assert (first.ctf.phase_shift_deg, second.ctf.phase_shift_deg) == (90, 0)
    assert first.even == Path("mics/a_EVN.mrc") and first.odd == Path("mics/a_ODD.mrc")


def test_optics_groups_have_their_own_pixel_sizes_and_voltages(project):
    first, second = read_micrographs(star(project, OPTICS)).micrographs
    assert (first.pixel_size_A, second.pixel_size_A) == (0.85, 1.70)
    assert first.ctf is not None and second.ctf is not None
    assert (first.ctf.voltage_kV, second.ctf.voltage_kV) == (300, 200)
    assert (first.ctf.amplitude_contrast, second.ctf.spherical_aberration_mm) == (0.1, 1.4)
    assert (first.even, second.odd) == (Path("halves/a_one.mrc"), Path("halves/b_two.mrc"))


def test_the_original_pixel_size_stands_in_and_explicit_sizes_go_first(project):
    text = OPTICS.replace("_rlnMicrographPixelSize", "_rlnSomething")
    assert read_micrographs(star(project, text)).micrographs[0].pixel_size_A == 0.425
    text = (
        FLAT.replace("_rlnMyOwn", "_rlnPixelSize")
        .replace(" x\n", " 1.1\n")
        .replace(" y\n", " 1.2\n")
    )
    assert [
        micrograph.pixel_size_A for micrograph in read_micrographs(star(project, text)).micrographs
    ] == [
        1.1,
        1.2,
    ]


def test_paths_start_from_the_working_directory_then_the_star_then_the_folders_above(project):
    source = star(project / "CtfFind" / "job003", FLAT)
    for folder in (project, source.parent, Path()):
        images(folder, "mics/a_DW.mrc", "mics/a_EVN.mrc", "mics/a_ODD.mrc")
        got = read_micrographs(source, Suffixes()).micrographs[0]
        assert got.image.resolve() == (folder / "mics/a_DW.mrc").resolve()
        assert got.even is not None and got.even.resolve() == (folder / "mics/a_EVN.mrc").resolve()


def test_relion_and_motioncor_halves_are_found_under_strange_folders(project):
    folder = project / "DW é x"
    text = FLAT.replace("mics/a_DW.mrc", "'mics DW/a.mrc'").replace("mics/b_DW", "DW/b_DW")
    images(
        folder,
        "mics DW/a.mrc",
        "mics DW/a_EVN.mrc",
        "mics DW/a_ODD.mrc",
        "DW/b_DW_EVN.mrc",
        "DW/b_DW_ODD.mrc",
    )
    first, second = read_micrographs(star(folder, text), Suffixes()).micrographs
    assert (first.even, second.odd) == (folder / "mics DW/a_EVN.mrc", folder / "DW/b_DW_ODD.mrc")


def test_a_bad_number_is_named_with_block_row_column_and_cure(project):
    source = star(project, OPTICS.replace(" 11000 ", " nan "))
    with pytest.raises(UserError) as caught:
        read_micrographs(source)
    assert str(caught.value) == (
        f'{source}, data_micrographs, row 2: rlnDefocusU is "nan". '
        "Phase flipping needs it: run CTF estimation, or give `phase_flip=False`."
    )
    assert [
        micrograph.ctf is None for micrograph in read_micrographs(source, needs=NO_CTF).micrographs
    ] == [
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (" 200.0 ", " high ", r'data_optics, row 2: rlnVoltage is "high"'),
        (" 200.0 ", " 0 ", r'data_optics, row 2: rlnVoltage is "0"'),
        ("1.4 0.07", "1.4 7", r'data_optics, row 2: rlnAmplitudeContrast is "7"'),
        (
            "_rlnDefocusU",
            "_rlnX",
            r"rlnDefocusU is missing\. Phase flipping needs it: run CTF est.*`phase_flip=False`",
        ),
        (
            "og2 2",
            "og2 3",
            r'data_micrographs, row 2: rlnOpticsGroup is "2"\. The groups in data_optics are 1, 3',
        ),
        ("og2 2", "og2 1", r"data_optics, row 2: optics group 1 is defined twice"),
        ("_rlnOpticsGroup #2", "_rlnX #2", r"rlnOpticsGroup is missing"),
        ("mics/b.mrc", "mics/a.mrc", r"data_micrographs: rows 1 and 2 both name mics/a\.mrc"),
        (
            " 1.70 1",
            " 0 1",
            r'data_optics, row 2: rlnMicrographPixelSize is "0"\. A positive pixel size',
        ),
        (" 1.70 1", " -1 1", r'rlnMicrographPixelSize is "-1"'),
        (" 1.70 1", " inf 1", r'rlnMicrographPixelSize is "inf"'),
        (
            "_rlnMicrographName ",
            "_rlnX ",
            r"rlnMicrographName is missing \(the blocks are data_optics, data_micro",
        ),
        ("_rlnMicrographNameOdd", "_rlnImageName", r"data_micrographs: it lists particles"),
        ("mics/b.mrc 2", "mics/b.mrc", r"data_micrographs, line 30: row 2 has 6 values"),
    ],
)
def test_what_is_wrong_in_a_star_is_said_with_its_place(project, old, new, words):
    text = OPTICS.replace(old, new)
    assert text != OPTICS
    refused(project, text, words)


def test_missing_ctf_columns_are_listed_and_do_not_matter_without_flipping(project):
    text = FLAT.replace("_rlnDefocusV", "_rlnX").replace("_rlnVoltage", "_rlnY")
    message = refused(project, text, "rlnDefocusV, rlnVoltage are missing")
    assert message.endswith(
        "Phase flipping needs them: run CTF estimation, or give `phase_flip=False`."
    )
    assert [
        micrograph.ctf
        for micrograph in read_micrographs(star(project, text), needs=NO_CTF).micrographs
    ] == [None, None]


def test_a_missing_or_contradicting_pixel_size_is_refused(project):
    text = FLAT.replace("_rlnMagnification", "_rlnX")
    refused(project, text, r"data_, row 1: there is no pixel size .*`pixel_size_A`")
    assert (
        read_micrographs(star(project, text), pixel_size_A=2.0).micrographs[0].pixel_size_A == 2.0
    )
    with pytest.raises(UserError, match=r"the pixel size is 1\.25 Å, and 2 Å was given"):
        read_micrographs(star(project, FLAT), pixel_size_A=2.0)
    refused(project, FLAT.replace(" 40000 ", " 0 "), r'row 1: rlnMagnification is "0"')


def test_an_empty_table_and_a_missing_star_are_refused(project):
    refused(project, FLAT.split("mics/a", maxsplit=1)[0], r"m\.star, data_: the table has no rows")
    with pytest.raises(UserError, match=r"none\.star: there is no such file"):
        read_micrographs(project / "none.star")
    with pytest.raises(UserError, match=r"a\.cs: there is no such file"):
        read_micrographs("a.cs")


def test_images_without_a_star_need_a_pixel_size_and_no_ctf(project):
    folder = project / "my mics"
    images(
        folder, "b_DW.mrc", "a.mrc", "a_EVN.mrc", "a_ODD.mrc", "b_EVN.mrc", "b_ODD.mrc", "[x].mrc"
    )
    (folder / "notes.txt").write_text("")
    pattern = f"{folder}/*"
    got = read_micrographs(pattern, Suffixes(), 1.25, NO_CTF)
    assert [micrograph.image.name for micrograph in got.micrographs] == [
        "[x].mrc",
        "a.mrc",
        "b_DW.mrc",
    ]
    assert (
        got.micrographs[2].even == folder / "b_EVN.mrc"
        and got.micrographs[1].odd == folder / "a_ODD.mrc"
    )
    assert (got.is_listed, got.micrographs[1].ctf, got.micrographs[1].pixel_size_A) == (
        False,
        None,
        1.25,
    )
    assert len(read_micrographs(pattern, None, 1.25, NO_CTF).micrographs) == 7
    assert len(read_micrographs(folder / "[x].mrc", Suffixes(), 1.25, NO_CTF).micrographs) == 1
    for source, size_A, needs, words in [
        (pattern, None, NO_CTF, "give `pixel_size_A`"),
        (pattern, 1.0, Needs(), "have no CTF"),
        (pattern, 0.0, NO_CTF, "the pixel size given is 0"),
        (f"{folder}/*.tif", 1.0, NO_CTF, "no image matches it"),
        (f"{folder}/*_EVN.mrc", 1.0, NO_CTF, "only halves match it"),
        (f"{folder}", 1.0, NO_CTF, "it is a folder"),
        (f"{folder}/none.mrc", 1.0, NO_CTF, "there is no such file"),
    ]:
        with pytest.raises(UserError, match=words):
            read_micrographs(source, Suffixes(), size_A, needs)


def test_bad_images_are_named_one_by_one_and_the_rest_is_good(project, caplog):
    micrographs = read_micrographs(star(project, FLAT), Suffixes()).micrographs
    images(project, "mics/a_EVN.mrc", "mics/a_ODD.mrc", "mics/b_EVN.mrc")
    micrographs = read_micrographs(project / "m.star", Suffixes()).micrographs
    good, problems = check_files(micrographs, HALVES)
    assert [micrograph.name for micrograph in good] == ["mics/a_DW.mrc"]
    assert [problem.message.split(". ")[0] for problem in problems] == [
        "mics/b_ODD.mrc: there is no such file"
    ]
    images(project, "mics/b_ODD.mrc", shape=(5, 6))
    micrographs = read_micrographs(project / "m.star", Suffixes()).micrographs
    _, (problem,) = check_files(micrographs, HALVES)
    assert problem.micrograph.name == "mics/b_DW.mrc"
    assert (
        "b_EVN.mrc has 6 x 4" in problem.message and "b_ODD.mrc has 6 x 5 pixels" in problem.message
    )
    with pytest.raises(
        UserError,
        match=r"(?s)1 of the 2 micrographs cannot be used:\n  mics/b_DW.*`suffixes`",
    ):
        require_files(micrographs)
    assert len(check_files(micrographs)[1]) == 2
    assert caplog.records == []


def test_a_truncated_half_is_found_from_its_header(project):
    images(project, "mics/a_EVN.mrc", "mics/a_ODD.mrc", "mics/b_EVN.mrc", "mics/b_ODD.mrc")
    micrographs = read_micrographs(star(project, FLAT), needs=Needs(halves=True)).micrographs
    require_files(micrographs)
    path = project / "mics/b_ODD.mrc"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"b_ODD\.mrc: the file is cut short"):
        require_files(micrographs)


def test_many_problems_are_counted_and_five_are_listed(project):
    rows = "".join(f"m{n}.mrc\n" for n in range(9))
    text = f"data_\nloop_\n_rlnMicrographName\n_rlnPixelSize\n{rows}".replace(
        ".mrc\n", ".mrc 1.0\n"
    )
    micrographs = read_micrographs(star(project, text), Suffixes(), needs=NO_CTF).micrographs
    with pytest.raises(UserError, match=r"(?s)9 of the 9.*and 4 more") as caught:
        require_files(micrographs)
    assert str(caught.value).count("there is no such file") == 5


def test_unknown_halves_are_a_problem(project):
    images(project, "mics/a_DW.mrc")
    _, problems = check_files(read_micrographs(star(project, FLAT)).micrographs, HALVES)
    assert "its even half is not known" in problems[0].message


def test_a_wrong_pixel_size_in_headers_is_warned_of_once(project, caplog):
    images(project, "mics/a_DW.mrc", "mics/b_DW.mrc", size_A=1.0)
    micrographs = read_micrographs(star(project, FLAT)).micrographs
    with caplog.at_level(logging.WARNING):
        good, problems = check_files(micrographs)
    assert len(good) == 2 and problems == []
    (record,) = caplog.records
    assert (
        "2 of the micrographs: mics/a_DW.mrc has 1 Å in its header, and 1.25 Å is taken"
        in record.getMessage()
    )
    caplog.clear()
    images(project, "mics/a_DW.mrc", "mics/b_DW.mrc", size_A=1.255)
    check_files(micrographs)
    images(project, "mics/a_DW.mrc", "mics/b_DW.mrc", size_A=0.0)
    check_files(micrographs)
    assert caplog.records == []


@pytest.mark.parametrize("size_yx_A", [(1.25, 2.5), (2.5, 1.25), (1.0, 1.5)])
def test_two_pixel_sizes_in_a_header_are_warned_of_too(project, caplog, size_yx_A):
    images(project, "mics/a_DW.mrc", "mics/b_DW.mrc", size_A=size_yx_A)
    with caplog.at_level(logging.WARNING):
        good, problems = check_files(read_micrographs(star(project, FLAT)).micrographs)
    assert len(good) == 2 and problems == []
    (record,) = caplog.records
    words = "2 of the micrographs: mics/a_DW.mrc has {:g} Å (y) and {:g} Å (x) in its header"
    assert words.format(*size_yx_A) in record.getMessage()


def test_an_image_with_two_pixel_sizes_in_its_header_needs_another(project):
    images(project, "a.mrc", size_A=(1.0, 2.0))
    with pytest.raises(
        UserError, match=r"its header differ: 1 Å \(y\) and 2 Å \(x\)\. Give `pixel"
    ):
        read_micrographs(project / "a.mrc", needs=Needs(ctf=False, header_pixel_size=True))


def denoised(chosen, outputs):
    """The STAR file of the denoised images in ``outputs``."""
    ((path, content),) = chosen.listing.denoised(Path("out.star"), as_written(outputs)).items()
    assert path == Path("out.star")
    return parse_star(content.decode())


def test_the_output_star_keeps_all_but_the_names_and_the_rows_left_out(project):
    got = read_micrographs(star(project, OPTICS))
    out, before = denoised(got, {1: "denoised/my b.mrc"}), read_star(Path(got.source))
    assert out.block("optics") == before.block("optics") and out.block("other") == before.block(
        "other"
    )
    table = out.block("micrographs")
    assert table is not None and table.columns == before.blocks[1].columns
    assert table.rows == (
        ("denoised/my b.mrc", "2", "11000", "9500", "-45", "halves/b_one.mrc", "halves/b_two.mrc"),
    )
    assert out.text().startswith(
        OPTICS.split("data_micrographs", maxsplit=1)[0]
    ) and out.text().endswith('"as it is"\n')
    write_star(project / "out.star", out)
    assert read_micrographs(project / "out.star").micrographs[0].ctf == got.micrographs[1].ctf


def test_the_output_star_of_a_flat_one_is_flat(project):
    out = denoised(read_micrographs(star(project, FLAT)), {0: "a.mrc", 1: "b.mrc"})
    assert [block.name for block in out.blocks] == [""]
    assert out.blocks[0].column("rlnMicrographName") == ["a.mrc", "b.mrc"]
    assert (
        out.blocks[0].column("rlnMyOwn") == ["x", "y"]
        and out.blocks[0].column("rlnDefocusU")[0] == "10000.5"
    )


def test_images_without_a_star_get_a_minimal_one(project):
    images(project, "a.mrc", "b.mrc")
    got = read_micrographs(f"{project}/*.mrc", Suffixes(), 1.25, NO_CTF)
    write_star(project / "out.star", denoised(got, {1: f"{project}/b.mrc"}))
    (back,) = read_micrographs(project / "out.star", needs=NO_CTF).micrographs
    assert (back.image, back.pixel_size_A) == (project / "b.mrc", 1.25)


def test_the_beta_galactosidase_session_is_read():
    path = SHARED / "star/betagal_micrographs_ctf_relion31.star"
    if not path.is_file():
        pytest.skip(f"there is no {path}")
    micrographs = read_micrographs(path).micrographs
    first = micrographs[0]
    assert len(micrographs) == 24 and first.pixel_size_A == 0.885 and first.ctf is not None
    assert (first.ctf.defocus_u_A, first.ctf.voltage_kV, first.ctf.spherical_aberration_mm) == (
        10863.857422,
        200,
        1.4,
    )
    assert (first.ctf.amplitude_contrast, first.ctf.phase_shift_deg) == (0.1, 0)
    _, problems = check_files(micrographs)
    assert len(problems) == 24


def test_the_k2_field_is_found_with_its_halves():
    path = SHARED / "k2/micrographs_ctf.star"
    if not path.is_file():
        pytest.skip(f"there is no {path}")
    got = read_micrographs(path, Suffixes(), needs=Needs(halves=True))
    assert check_files(got.micrographs, ("image", "even", "odd"))[1] == []
    assert (
        got.micrographs[0].even is not None and got.micrographs[0].even.name == "k2_field1_EVN.mrc"
    )
    assert got.micrographs[0].pixel_size_A == 0.85378


def test_relion_reads_the_output_star(project):
    program = shutil.which("relion_star_printtable")
    path = SHARED / "star/betagal_micrographs_ctf_relion31.star"
    if not path.is_file():
        pytest.skip(f"there is no {path}")
    if program is None:
        pytest.skip("relion_star_printtable is not installed")
    got = read_micrographs(path)
    write_star(
        project / "out.star", denoised(got, {row: f"Denoised/{row}.mrc" for row in range(0, 24, 2)})
    )
    command = [program, "out.star", "data_micrographs", "rlnMicrographName", "rlnDefocusU"]
    out = subprocess.run(
        command, cwd=project, capture_output=True, text=True, check=True
    ).stdout.split()
    table = read_star(path).block("micrographs")
    assert table is not None
    assert out[::2] == [f"Denoised/{row}.mrc" for row in range(0, 24, 2)]
    assert [float(number) for number in out[1::2]] == [
        float(number) for number in table.column("rlnDefocusU")[::2]
    ]
