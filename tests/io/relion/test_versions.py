"""Micrographs of RELION 4 and 5: version lines, new columns, empty strings; what is not understood
survives.
"""

from pathlib import Path

import pytest
from written_images import as_written

from restore.io.micrographs import read_micrographs

OPTICS = (
    "# version 50001",
    "",
    "data_optics",
    "",
    "loop_ ",
    "_rlnOpticsGroupName #1 ",
    "_rlnOpticsGroup #2 ",
    "_rlnMtfFileName #3 ",
    "_rlnMicrographOriginalPixelSize #4 ",
    "_rlnVoltage #5 ",
    "_rlnSphericalAberration #6 ",
    "_rlnAmplitudeContrast #7 ",
    "_rlnMicrographPixelSize #8 ",
    "_rlnOpticsEvenZernike #9 ",
    "opticsGroup1            1 mtf_k2_200kV.star     0.885000   200.000000     1.400000     "
    "0.100000     0.885000 [0,0,0.1,0] ",
    'opticsGroup2            2           ""     0.430000   300.000000     2.700000     0.070000   '
    "  1.720000 [0,0,-0.2,0] ",
    'opticsGroup7            7           ""     0.500000   300.000000     2.700000     0.070000 '
    "    1.000000 '[0, 0, 1]' ",
    " ",
    "",
)
MICROGRAPHS = (
    "# version 50001",
    "",
    "data_micrographs",
    "",
    "loop_ ",
    "_rlnCtfPowerSpectrum #1 ",
    "_rlnMicrographNameEven #2 ",
    "_rlnMicrographNameOdd #3 ",
    "_rlnMicrographName #4 ",
    "_rlnMicrographMetadata #5 ",
    "_rlnOpticsGroup #6 ",
    "_rlnAccumMotionTotal #7 ",
    "_rlnCtfImage #8 ",
    "_rlnDefocusU #9 ",
    "_rlnDefocusV #10 ",
    "_rlnCtfAstigmatism #11 ",
    "_rlnDefocusAngle #12 ",
    "_rlnCtfFigureOfMerit #13 ",
    "_rlnCtfMaxResolution #14 ",
    "_rlnCtfIceRingDensity #15 ",
    "MotionCorr/job002/Movies/a_PS.mrc MotionCorr/job002/Movies/a_EVN.mrc "
    "MotionCorr/job002/Movies/a_ODD.mrc "
    "MotionCorr/job002/Movies/a.mrc MotionCorr/job002/Movies/a.star            2    16.420495 "
    "CtfFind/job003/Movies/a_PS.ctf:mrc 10863.857422 10575.793945   288.063477    77.967194     "
    "0.131144     4.809192     1.234560 ",
    'MotionCorr/job002/Movies/b_PS.mrc "" "" '
    'MotionCorr/job002/Movies/b.mrc ""            7 nan '
    "CtfFind/job003/Movies/b_PS.ctf:mrc 9836.475586 9586.718750   249.756836    72.291649     "
    "0.137190     3.619633     0.990000 ",
    "MotionCorr/job002/Movies/c_PS.mrc MotionCorr/job002/Movies/c_EVN.mrc "
    "MotionCorr/job002/Movies/c_ODD.mrc "
    "MotionCorr/job002/Movies/c.mrc MotionCorr/job002/Movies/c.star            1    1.9e+01 "
    "CtfFind/job003/Movies/c_PS.ctf:mrc 10641.450195 10384.215820   257.234375    74.968773     "
    "0.155023     3.619633     1.000000 ",
    " ",
    "",
)
GENERAL = (
    "# version 50001",
    "",
    "data_general",
    "",
    "_rlnExperimentTitle                        'my grid'",
    " ",
    "",
)
RELION5 = "\n" + "\n".join((*GENERAL, *OPTICS, *MICROGRAPHS))
RELION4 = RELION5.replace("# version 50001", "# version 40001")
VERSIONS = pytest.mark.parametrize(
    "text", [RELION5, RELION4, RELION5.replace("\n", "\r\n")], ids=["5", "4", "5 CRLF"]
)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def denoised(text, outputs):
    """The STAR text of the denoised images, where ``text`` lists the raw ones."""
    Path("micrographs_ctf.star").write_bytes(text.encode())
    chosen = read_micrographs("micrographs_ctf.star")
    ((path, content),) = chosen.listing.denoised(Path("out.star"), as_written(outputs)).items()
    path.write_bytes(content)
    return content.decode()


@VERSIONS
def test_each_micrograph_has_its_optics_groups_pixel_size_and_voltage(here, text):
    Path("m.star").write_bytes(text.encode())
    first, second, third = read_micrographs("m.star").micrographs
    assert [micrograph.pixel_size_A for micrograph in (first, second, third)] == [1.72, 1.0, 0.885]
    assert [
        micrograph.ctf and micrograph.ctf.voltage_kV for micrograph in (first, second, third)
    ] == [300, 300, 200]
    assert third.even == Path("MotionCorr/job002/Movies/c_EVN.mrc") and second.even is None


@VERSIONS
def test_everything_but_the_names_survives(here, text):
    names = {row: f"Denoised/{name}.mrc" for row, name in enumerate("abc")}
    out, newline = denoised(text, names), "\r\n" if "\r\n" in text else "\n"
    head, table = out.split("data_micrographs")
    assert (
        head == text.split("data_micrographs")[0]
    )  # the version lines, the optics and the other block, byte for byte
    expected = text.split("data_micrographs")[1]
    for name in "abc":
        expected = expected.replace(
            f" MotionCorr/job002/Movies/{name}.mrc ", f" Denoised/{name}.mrc "
        )
    assert [line.split() for line in table.split(newline)] == [
        line.split() for line in expected.split(newline)
    ]
    assert out.count("\n") == out.count(newline)


def test_the_rows_that_failed_are_left_out(here):
    out = denoised(RELION5, {1: "b.mrc"})
    assert len([line for line in out.splitlines() if "_PS.ctf:mrc" in line]) == 1
    again = read_micrographs("out.star").micrographs
    assert [(micrograph.name, micrograph.pixel_size_A) for micrograph in again] == [("b.mrc", 1.0)]


@VERSIONS
def test_starfile_finds_the_same_table_but_for_the_names(here, text):
    starfile = pytest.importorskip("starfile")
    denoised(text, {row: f"Denoised/{name}.mrc" for row, name in enumerate("abc")})
    theirs, ours = (
        starfile.read(path, always_dict=True) for path in ("micrographs_ctf.star", "out.star")
    )
    assert list(ours) == list(theirs) == ["general", "optics", "micrographs"]
    assert ours["optics"].equals(theirs["optics"]) and ours["general"] == theirs["general"]
    names = ours["micrographs"].pop("rlnMicrographName")
    del theirs["micrographs"]["rlnMicrographName"]
    assert ours["micrographs"].equals(theirs["micrographs"])
    assert list(names) == [f"Denoised/{name}.mrc" for name in "abc"]
