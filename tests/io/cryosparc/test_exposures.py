"""cryoSPARC's exposures: files, sizes, CTF, and the tables of the denoised ones."""

import math
import os
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from cryosparc_files import exposures, job, of_star, save, table
from written_images import as_written

from restore.ctf import ctf
from restore.errors import UserError
from restore.io.cryosparc.tables import texts
from restore.io.images.image import write_image
from restore.io.micrographs import HALVES, Needs, Suffixes, check_files, read_micrographs
from restore.micrograph import CTFParameters

DATA = np.random.default_rng(0).normal(size=(40, 48)).astype(np.float32)
NAMES = [f"J2/motioncorrected/{name}_patch_aligned_doseweighted.mrc" for name in "abc"]
NO_CTF = Needs(ctf=False)


@pytest.fixture
def project(tmp_path):
    """A project's folder with three micrographs of a motion correction, J2."""
    folder = tmp_path / "CS-my-project"
    for name in NAMES:
        image(folder / name)
    (folder / "cs.lock").write_text("")
    return folder


def image(path, data=DATA, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, data, 0.6575, **more)
    return path


def refused(*arguments, **more):
    with pytest.raises(UserError) as caught:
        read_micrographs(*arguments, **more)
    return str(caught.value)


def listed(chosen, path, outputs, replace_raw=True):
    """The denoised table and the text of its group, written where they belong, and the names of the
    files in their order.
    """
    files = replace(chosen.listing, replace_raw=replace_raw).denoised(path, as_written(outputs))
    path.parent.mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        file.write_bytes(content)
    return (
        np.load(path.with_suffix(".cs")),
        path.with_suffix(".csg").read_text(),
        [file.name for file in files],
    )


# What is read


def test_exposures_are_found_from_the_projects_folder_whichever_is_the_working_directory(
    project, monkeypatch
):
    path = save(project / "J12/exposures.cs", exposures(NAMES))
    monkeypatch.chdir("/")
    got = read_micrographs(path)
    assert [micrograph.name for micrograph in got.micrographs] == NAMES
    assert [micrograph.image for micrograph in got.micrographs] == [
        project / name for name in NAMES
    ]
    assert {micrograph.pixel_size_A for micrograph in got.micrographs} == {0.6575}
    assert got.is_listed and got.listing.ending == ".cs"
    assert check_files(got.micrographs) == (list(got.micrographs), [])


def test_exported_paths_lie_beside_the_table(project):
    folder = project / "exports/groups/J12_exposures"
    image(folder / "J2/motioncorrected/a.mrc")
    (micrograph,) = read_micrographs(
        save(folder / "J12_exposures_exported.cs", exposures([">J2/motioncorrected/a.mrc"]))
    ).micrographs
    assert (
        micrograph.image == folder / "J2/motioncorrected/a.mrc"
        and micrograph.name == "J2/motioncorrected/a.mrc"
    )


def test_a_missing_image_is_said_to_be_missing_in_the_project(project):
    path = save(project / "J12/exposures.cs", exposures(["J2/motioncorrected/none.mrc"]))
    _, (problem,) = check_files(read_micrographs(path).micrographs)
    assert f"{project}/J2/motioncorrected/none.mrc" in problem.message
    (project / "cs.lock").unlink()
    assert read_micrographs(path).micrographs[0].image == project / "J2/motioncorrected/none.mrc"


def test_the_ctf_is_in_angstroms_and_degrees(project):
    """The row is one of the T20S tutorial's, as the tests of cryosparc-tools have it."""
    micrograph = read_micrographs(save(project / "J12/e.cs", exposures(NAMES))).micrographs[0]
    wanted = CTFParameters(16400.2, 16232.468, math.degrees(4.6313896), 300.0, 2.7, 0.1, 0.0)
    assert micrograph.ctf is not None
    for name, value in vars(wanted).items():
        assert getattr(micrograph.ctf, name) == pytest.approx(value, abs=1e-9), name


def test_the_phase_shift_is_in_degrees_and_zero_where_there_is_none(project):
    shifted = exposures(NAMES, **{"ctf/phase_shift_rad": [math.pi / 2] * 3})
    (first, *_) = read_micrographs(save(project / "J12/e.cs", shifted)).micrographs
    assert first.ctf is not None and first.ctf.phase_shift_deg == pytest.approx(90, abs=1e-5)
    kept = {name: shifted[name] for name in shifted.dtype.names if name != "ctf/phase_shift_rad"}
    (first, *_) = read_micrographs(save(project / "J12/e.cs", table(kept))).micrographs
    assert first.ctf is not None and first.ctf.phase_shift_deg == 0


STAR = """
data_optics

loop_
_rlnOpticsGroupName #1
_rlnOpticsGroup #2
_rlnMicrographPixelSize #3
_rlnVoltage #4
_rlnSphericalAberration #5
_rlnAmplitudeContrast #6
og1 1 0.6575 300.0 2.7 0.1
og2 2 1.70 200.0 1.4 0.07

data_micrographs

loop_
_rlnMicrographName #1
_rlnOpticsGroup #2
_rlnDefocusU #3
_rlnDefocusV #4
_rlnDefocusAngle #5
_rlnPhaseShift #6
{} 1 10000 9000 33 0
{} 2 11000 15500 -45.5 90
{} 1 -8000 -9000 170 12.5
"""


def test_the_ctf_is_that_of_the_star_that_describes_the_same(project, monkeypatch):
    """Point by point in the spectrum, astigmatic, underfocused and overfocused, with and without a
    phase plate.
    """
    monkeypatch.chdir(project)
    star = project / "m.star"
    star.write_text(STAR.format(*NAMES))
    path = save(project / "J12/e.cs", of_star(star, project))
    for ours, theirs in zip(
        read_micrographs(path).micrographs, read_micrographs(star).micrographs, strict=True
    ):
        assert ours.ctf is not None and theirs.ctf is not None
        assert ours.pixel_size_A == theirs.pixel_size_A and ours.image.samefile(theirs.image)
        grid = ((64, 60), (theirs.pixel_size_A, theirs.pixel_size_A))
        assert (ctf(ours.ctf, *grid) - ctf(theirs.ctf, *grid)).abs().max() < 2e-3
        turned = CTFParameters(
            **vars(theirs.ctf) | {"defocus_angle_deg": -theirs.ctf.defocus_angle_deg + 7}
        )
        assert (ctf(turned, *grid) - ctf(theirs.ctf, *grid)).abs().max() > 0.1


def test_the_ctf_is_that_of_the_formula_in_radians(project):
    """sin(π λ z(α) k² − π/2 Cs λ³ k⁴ + φ + asin w), z the defocus along α from x towards y; written
    out for a .cs row.
    """
    table = exposures(
        NAMES,
        **{
            "ctf/df_angle_rad": [0.7] * 3,
            "ctf/df2_A": [12000.0] * 3,
            "ctf/phase_shift_rad": [0.3] * 3,
        },
    )
    parameters = read_micrographs(save(project / "J12/e.cs", table)).micrographs[0].ctf
    assert parameters is not None
    row, side, pixel_A = table[0], 64, 1.5
    ky, kx = np.fft.fftfreq(side, pixel_A)[:, None], np.fft.rfftfreq(side, pixel_A)[None]
    squared, angle = kx**2 + ky**2, np.arctan2(ky, kx)
    volts = 1e3 * float(row["ctf/accel_kv"])
    wavelength_A = 12.2643247 / math.sqrt(volts * (1 + volts * 0.978466e-6))
    df1, df2 = float(row["ctf/df1_A"]), float(row["ctf/df2_A"])
    defocus_A = (df1 + df2) / 2 + (df1 - df2) / 2 * np.cos(
        2 * (angle - float(row["ctf/df_angle_rad"]))
    )
    aberration = math.pi / 2 * float(row["ctf/cs_mm"]) * 1e7 * wavelength_A**3 * squared**2
    chi = math.pi * wavelength_A * defocus_A * squared - aberration
    wanted = np.sin(
        chi + float(row["ctf/phase_shift_rad"]) + math.asin(float(row["ctf/amp_contrast"]))
    )
    values = ctf(parameters, (side, side), (pixel_A, pixel_A)).double()
    assert (values - torch.from_numpy(wanted)).abs().max() < 2e-3


def test_a_group_gives_what_one_table_gives(project):
    table = exposures(NAMES)
    whole = read_micrographs(save(project / "J12/all.cs", table)).micrographs
    got = read_micrographs(job(project / "J12", table))
    assert (
        sorted(got.micrographs, key=lambda micrograph: micrograph.name) != list(got.micrographs)
        or len(whole) == 3
    )
    by_name = {
        micrograph.name: (micrograph.image, micrograph.pixel_size_A, micrograph.ctf)
        for micrograph in whole
    }
    assert {
        micrograph.name: (micrograph.image, micrograph.pixel_size_A, micrograph.ctf)
        for micrograph in got.micrographs
    } == by_name


def test_halves_are_beside_the_micrograph_by_suffix(project):
    for name in NAMES:
        for half in ("even", "odd"):
            image(project / name.replace("doseweighted", half))
    path = save(project / "J12/e.cs", exposures(NAMES))
    got = read_micrographs(path, Suffixes("doseweighted", "even", "odd"), needs=Needs(halves=True))
    assert check_files(got.micrographs, HALVES)[1] == []
    assert got.micrographs[1].odd == project / "J2/motioncorrected/b_patch_aligned_odd.mrc"
    missing = check_files(read_micrographs(path, needs=Needs(halves=True)).micrographs, HALVES)[1]
    assert len(missing) == 3 and "_EVN.mrc" in missing[0].message


def test_halves_of_imported_micrographs_are_beside_what_the_link_leads_to(project, tmp_path):
    """Import Micrographs leaves links, whose names begin with a number of its own."""
    for name in ("x_DW", "x_EVN", "x_ODD"):
        image(tmp_path / f"MotionCorr/{name}.mrc")
    link = project / "J1/imported/004356277541886112345_x_DW.mrc"
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "MotionCorr/x_DW.mrc")
    path = save(project / "J12/e.cs", exposures(["J1/imported/004356277541886112345_x_DW.mrc"]))
    (got,) = read_micrographs(path, needs=Needs(halves=True)).micrographs
    assert (got.even, got.odd) == (
        tmp_path / "MotionCorr/x_EVN.mrc",
        tmp_path / "MotionCorr/x_ODD.mrc",
    )
    assert check_files([got], HALVES)[1] == []
    image(project / "J1/imported/004356277541886112345_x_EVN.mrc")
    image(project / "J1/imported/004356277541886112345_x_ODD.mrc")
    (got,) = read_micrographs(path, needs=Needs(halves=True)).micrographs
    assert got.even == project / "J1/imported/004356277541886112345_x_EVN.mrc"


def test_thousands_of_exposures_are_read_at_once(project):
    table = exposures([f"J2/motioncorrected/{number:05d}.mrc" for number in range(5000)])
    path = job(project / "J12", table, np.random.default_rng(0).permutation(5000))
    start = time.perf_counter()
    assert len(read_micrographs(path).micrographs) == 5000
    assert time.perf_counter() - start < 5


# What is refused


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("micrograph_blob/psize_A", 0.0, "row 2: micrograph_blob/psize_A is 0"),
        ("micrograph_blob/psize_A", np.nan, "row 2: micrograph_blob/psize_A is nan"),
        ("micrograph_blob/idx", 3, "row 2: micrograph_blob/idx is 3"),
        ("micrograph_blob/path", b"", "row 2: micrograph_blob/path is empty"),
        ("micrograph_blob/path", NAMES[0].encode(), f"row 2: {NAMES[0]} is listed a second time"),
        (
            "ctf/df1_A",
            np.nan,
            (
                "row 2: ctf/df1_A is nan. Phase flipping needs it: estimate the CTF again, or give "
                "`phase_flip=False`"
            ),
        ),
        ("ctf/df_angle_rad", np.inf, "row 2: ctf/df_angle_rad is inf"),
        ("ctf/accel_kv", 0.0, "row 2: ctf/accel_kv is 0"),
        ("ctf/amp_contrast", 1.5, "row 2: ctf/amp_contrast is 1.5"),
        ("ctf/phase_shift_rad", np.nan, "row 2: ctf/phase_shift_rad is nan"),
    ],
)
def test_a_wrong_value_is_refused_by_row(project, column, value, words):
    table = exposures(NAMES)
    table[column][1] = value
    path = save(project / "J12/e.cs", table)
    assert f"{path}, {words}" in refused(path)
    if column.startswith("ctf/"):
        assert [
            micrograph.ctf is None
            for micrograph in read_micrographs(path, needs=NO_CTF).micrographs
        ] == [
            False,
            True,
            False,
        ]


@pytest.mark.parametrize("column", ["micrograph_blob/path", "micrograph_blob/psize_A", "ctf/cs_mm"])
def test_a_missing_column_is_named(project, column):
    rows = exposures(NAMES)
    path = save(
        project / "J12/e.cs",
        table({name: rows[name] for name in rows.dtype.names if name != column}),
    )
    assert f"{path}: {column} is missing" in refused(path)


def test_particles_and_movies_are_no_exposures_to_denoise(project):
    path = save(
        project / "J30/p.cs",
        table({"uid": np.arange(2), "blob/path": np.array([b"J30/a.mrc"] * 2)}),
    )
    assert (
        "it lists particles. Every micrograph must name its image file: give the exposures of a "
        "motion correction job"
    ) in refused(path)
    save(
        path, table({"uid": np.arange(2), "movie_blob/path": np.array([b"J1/imported/a.tif"] * 2)})
    )
    assert (
        "micrograph_blob/path is missing. Every micrograph must name its image file: give the "
        "exposures" in refused(path)
    )


def test_a_table_that_lacks_the_ctf_names_the_group_that_joins_it(project):
    group = job(project / "J12", exposures(NAMES))
    message = refused(project / "J12/exposures.cs")
    assert "ctf/df1_A, ctf/df2_A, ctf/df_angle_rad" in message
    assert f"Phase flipping needs them: give {group}, which joins it with the others" in message
    assert read_micrographs(project / "J12/exposures.cs", needs=NO_CTF).micrographs[0].ctf is None
    message = refused(project / "J12/J12_passthrough_exposures.cs")
    assert (
        f"micrograph_blob/path is missing. Every micrograph must name its image file: give {group}"
        in message
    )
    group.unlink()
    assert "give the .csg of a CTF estimation job, or `phase_flip=False`" in refused(
        project / "J12/exposures.cs"
    )


def test_a_pixel_size_that_is_given_must_agree_or_stands_in(project):
    rows = exposures(NAMES)
    path = save(project / "J12/e.cs", rows)
    assert read_micrographs(path, pixel_size_A=0.66).micrographs[0].pixel_size_A == 0.6575
    assert "row 1: the pixel size is 0.6575 Å, and 1.1 Å was given" in refused(
        path, pixel_size_A=1.1
    )
    save(
        path,
        table({name: rows[name] for name in rows.dtype.names if name != "micrograph_blob/psize_A"}),
    )
    assert read_micrographs(path, pixel_size_A=1.1).micrographs[0].pixel_size_A == 1.1


# What is written


def denoise_beside(chosen, suffix="_denoised", shape=(40, 48), **more):
    """An image for each micrograph beside the raw one, and their paths by row."""
    outputs = {}
    for micrograph in chosen.micrographs:
        outputs[micrograph.row] = image(
            micrograph.image.with_name(f"{micrograph.image.stem}{suffix}.mrc"),
            DATA[: shape[0], : shape[1]],
            **more,
        )
    return outputs


CHANGED = {
    f"micrograph_blob/{column}"
    for column in ("path", "shape", "idx", "format", "is_background_subtracted")
}


def test_the_denoised_table_keeps_all_but_the_blob_and_the_rows_left_out(project):
    table = exposures(NAMES)
    got = read_micrographs(save(project / "J12/e.cs", table))
    outputs = denoise_beside(got, shape=(38, 46))
    del outputs[1]
    written, text, files = listed(got, project / "J12/e_denoised.cs", outputs)
    assert files == ["e_denoised.csg", "e_denoised.cs"]
    assert written.dtype.names == table.dtype.names
    for name in set(table.dtype.names) - CHANGED:
        assert (
            written[name].dtype == table[name].dtype
            and written[name].tobytes() == table[name][[0, 2]].tobytes()
        ), name
    assert texts(written["micrograph_blob/path"]) == [
        NAMES[row].replace(".mrc", "_denoised.mrc") for row in (0, 2)
    ]
    assert written["micrograph_blob/shape"].tolist() == [[38, 46]] * 2
    assert written["micrograph_blob/format"].tolist() == [b"MRC/2"] * 2
    assert written["micrograph_blob/is_background_subtracted"].tolist() == [1, 1]
    assert text.count("num_items: 2") == 3 and text.count("metafile: '>e_denoised.cs'") == 3
    again = read_micrographs(project / "J12/e_denoised.csg")
    assert [micrograph.ctf for micrograph in again.micrographs] == [
        got.micrographs[row].ctf for row in (0, 2)
    ]
    assert check_files(again.micrographs)[1] == []


SLOT = "micrograph_blob_denoised"


def test_denoised_images_stand_in_a_slot_of_their_own_beside_the_raw_ones(project):
    table = exposures(NAMES)
    got = read_micrographs(save(project / "J12/e.cs", table))
    outputs = denoise_beside(got, shape=(38, 46))
    written, text, _ = listed(got, project / "J12/e_denoised.cs", outputs, replace_raw=False)
    for name in table.dtype.names:
        assert written[name].tobytes() == table[name].tobytes(), name
    new = [name for name in written.dtype.names if name not in table.dtype.names]
    assert new == [
        name.replace("micrograph_blob", SLOT) for name in table.dtype.names if "_blob/" in name
    ]
    last = written.dtype.names.index("micrograph_blob/import_sig")
    assert written.dtype.names[last + 1] == f"{SLOT}/path"
    assert texts(written[f"{SLOT}/path"]) == [
        name.replace(".mrc", "_denoised.mrc") for name in NAMES
    ]
    assert written[f"{SLOT}/shape"].tolist() == [[38, 46]] * 3
    assert written[f"{SLOT}/format"].tolist() == [b"MRC/2"] * 3
    assert written[f"{SLOT}/is_background_subtracted"].tolist() == [1] * 3
    for field in ("psize_A", "vmin", "vmax", "import_sig"):
        assert written[f"{SLOT}/{field}"].dtype == table[f"micrograph_blob/{field}"].dtype
        assert written[f"{SLOT}/{field}"].tolist() == table[f"micrograph_blob/{field}"].tolist()
    assert f"  {SLOT}:\n    metafile: '>e_denoised.cs'\n    num_items: 3\n" in text
    again = read_micrographs(project / "J12/e_denoised.csg")
    assert [micrograph.name for micrograph in again.micrographs] == NAMES


def test_a_table_of_paths_and_sizes_alone_gets_the_three_columns_of_the_slot(project):
    rows = exposures(NAMES)
    few = {name: rows[name] for name in ("uid", "micrograph_blob/path", "micrograph_blob/psize_A")}
    got = read_micrographs(save(project / "J12/e.cs", table(few)), needs=NO_CTF)
    outputs = denoise_beside(got, shape=(38, 46))
    written, *_ = listed(got, project / "J12/e_denoised.cs", outputs, replace_raw=False)
    new = [f"{SLOT}/{field}" for field in ("path", "psize_A", "shape")]
    assert written.dtype.names == (*few, *new)
    assert written[f"{SLOT}/shape"].dtype == "<u4" and written[f"{SLOT}/psize_A"].dtype == "<f4"
    assert written[f"{SLOT}/shape"].tolist() == [[38, 46]] * 3


def test_the_slot_takes_its_place_in_a_jobs_group_as_pyyaml_would_write_it(project):
    got = read_micrographs(job(project / "J12", exposures(NAMES)))
    outputs = denoise_beside(got)
    written, text, _ = listed(got, project / "out/e.csg", outputs, replace_raw=False)
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    results = yaml.safe_load(text)["results"]
    assert list(results) == ["ctf", "micrograph_blob", SLOT, "mscope_params"]
    assert results[SLOT] == {
        "metafile": ">e.cs",
        "num_items": 3,
        "type": "exposure.micrograph_blob",
    }
    # Given again, as after cryoSPARC's own denoiser, the slot is renewed and stays one.
    again = read_micrographs(project / "out/e.csg")
    assert again.listing.data.group.metafiles[SLOT] == ">e.cs"
    second, text, _ = listed(again, project / "out/f.csg", outputs, replace_raw=False)
    assert text.count(f"{SLOT}:") == 1 and sorted(second.dtype.names) == sorted(written.dtype.names)


def test_a_group_becomes_one_table_and_the_group_names_it(project):
    table = exposures(NAMES)
    got = read_micrographs(job(project / "J12", table))
    written, text, files = listed(got, project / "out/exposures_denoised.csg", denoise_beside(got))
    assert files == ["exposures_denoised.cs", "exposures_denoised.csg"]
    assert sorted(written.dtype.names) == sorted(table.dtype.names)
    order = np.argsort(written["uid"]), np.argsort(table["uid"])
    for name in set(table.dtype.names) - CHANGED:
        assert written[name][order[0]].tolist() == table[name][order[1]].tolist(), name
    assert (
        "title: Exposures accepted" in text
        and "version: v4.5.3" in text
        and "threshold, and no more" in text
    )
    again = read_micrographs(project / "out/exposures_denoised.csg")
    wanted = {
        micrograph.name.replace(".mrc", "_denoised.mrc"): micrograph.ctf
        for micrograph in got.micrographs
    }
    assert {micrograph.name: micrograph.ctf for micrograph in again.micrographs} == wanted
    assert check_files(again.micrographs)[1] == []


def test_images_under_the_tables_folder_are_named_as_exported_ones_are(project, monkeypatch):
    monkeypatch.chdir(project)
    save(project / "J12/e.cs", exposures(NAMES))
    got = read_micrographs("J12/e.cs")
    outputs = {micrograph.row: f"out/{micrograph.name}" for micrograph in got.micrographs}
    for name in outputs.values():
        image(project / name)
    written, *_ = listed(got, project / "out/e.cs", outputs)
    assert texts(written["micrograph_blob/path"]) == [f">{name}" for name in NAMES]
    assert texts(written["ctf/path"])[0] == "J12/ctf/0_spline.npy"
    again = read_micrographs(project / "out/e.cs")
    assert [micrograph.image for micrograph in again.micrographs] == [
        project / "out" / name for name in NAMES
    ]


def test_images_outside_the_project_are_named_in_full(project, tmp_path):
    got = read_micrographs(save(project / "J12/e.cs", exposures(NAMES)))
    outputs = {
        micrograph.row: str(image(tmp_path / f"elsewhere/{micrograph.row}.mrc"))
        for micrograph in got.micrographs
    }
    written, *_ = listed(got, tmp_path / "out/e.cs", outputs)
    assert texts(written["micrograph_blob/path"]) == [
        f"{tmp_path}/elsewhere/{row}.mrc" for row in range(3)
    ]


def test_exported_paths_stay_right_when_the_table_moves(project, tmp_path):
    """Marked paths start at the table's folder: of a table elsewhere they are named from the
    project, or in full.
    """
    (project / "J12/ctf").mkdir(parents=True)
    folder = project / "exports/groups/J12_exposures"
    folder.mkdir(parents=True)
    for job_folder in ("J2", "J12"):
        (folder / job_folder).symlink_to(project / job_folder)
    marked = [f">{name}" for name in NAMES]
    table = exposures(marked, **{"ctf/path": [f">J12/ctf/{row}.npy" for row in range(3)]})
    got = read_micrographs(save(folder / "e_exported.cs", table))
    outputs = {
        micrograph.row: str(image(tmp_path / f"out/{micrograph.name}"))
        for micrograph in got.micrographs
    }
    same, *_ = listed(got, folder / "e_denoised.cs", outputs)
    assert texts(same["ctf/path"]) == [f">J12/ctf/{row}.npy" for row in range(3)]
    moved, *_ = listed(got, tmp_path / "out/e.cs", outputs)
    assert texts(moved["ctf/path"]) == [
        f"exports/groups/J12_exposures/J12/ctf/{row}.npy" for row in range(3)
    ]
    (project / "cs.lock").unlink()
    moved, *_ = listed(got, tmp_path / "out/e.cs", outputs)
    assert texts(moved["ctf/path"]) == [f"{folder}/J12/ctf/{row}.npy" for row in range(3)]


def test_float16_images_are_called_so(project):
    got = read_micrographs(save(project / "J12/e.cs", exposures(NAMES)))
    written, *_ = listed(got, project / "J12/e_denoised.cs", denoise_beside(got, dtype="float16"))
    assert written["micrograph_blob/format"].tolist() == [b"MRC/12"] * 3


def test_a_slot_of_unknown_type_is_left_out_of_the_group_and_kept_in_the_table(project, caplog):
    rows = exposures(NAMES)
    more = {name: rows[name] for name in rows.dtype.names} | {"my_slot/value": np.arange(3)}
    got = read_micrographs(save(project / "J12/e.cs", table(more)))
    written, text, _ = listed(got, project / "J12/e_denoised.cs", denoise_beside(got))
    assert written["my_slot/value"].tolist() == [0, 1, 2] and "my_slot" not in text
    assert "the .csg leaves out my_slot" in caplog.text


def test_a_new_group_has_the_version_of_the_one_that_names_its_table(project):
    job(project / "J12", exposures(NAMES))
    got = read_micrographs(project / "J12/exposures.cs", needs=NO_CTF)
    outputs = denoise_beside(got)
    assert "version: v4.5.3" in listed(got, project / "J12/exposures_denoised.cs", outputs)[1]
    (project / "J12/exposures.csg").unlink()
    assert "version: v4.0.0" in listed(got, project / "J12/exposures_denoised.cs", outputs)[1]


def test_the_same_is_written_twice(project):
    got = read_micrographs(save(project / "J12/e.cs", exposures(NAMES)))
    outputs = as_written(denoise_beside(got))
    first = got.listing.denoised(project / "J12/e_denoised.cs", outputs)
    os.utime(project / NAMES[0].replace(".mrc", "_denoised.mrc"))
    assert got.listing.denoised(project / "J12/e_denoised.cs", outputs) == first


def test_no_table_that_was_read_is_replaced(project):
    got = read_micrographs(job(project / "J12", exposures(NAMES)))
    (project / "J12/exposures.csg").rename(project / "J12/other.csg")
    for path in (project / "J12/exposures.csg", project / "J12/J12_passthrough_exposures.csg"):
        with pytest.raises(UserError, match=r"exposures\.csg?: the output would replace an input"):
            got.listing.denoised(path, {})


def test_the_files_are_known_before_anything_is_denoised(project):
    got = read_micrographs(job(project / "J12", exposures(NAMES)))
    for outputs in ({}, as_written({row: f"out/{row}.mrc" for row in range(3)})):
        assert [file.name for file in got.listing.denoised(project / "J12/new.csg", outputs)] == [
            "new.cs",
            "new.csg",
        ]
