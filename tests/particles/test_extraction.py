"""Particles cut out of micrographs: beside relion_preprocess, and as journeys from a session to
stacks.
"""

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from cryosparc_files import save
from cryosparc_files import table as cryosparc_table

from restore.errors import UserError
from restore.io.images.image import write_image
from restore.io.particles import match, read_particles
from restore.io.star import Block, StarFile, read_star, write_star
from restore.micrograph import CTFParameters
from restore.particles.extraction.finding import as_named, counterparts, raw_images
from restore.particles.extraction.relion import is_installed, relion_windows
from restore.particles.extraction.stacks import Images, extract
from restore.particles.extraction.windows import ExtractionSettings, own_windows, rescaled
from restore.simulation.session import simulate
from restore.simulation.settings import SimulationSettings

SETTINGS = ExtractionSettings(box_px=32, engine="own")
SHAPE = (120, 150)
COORDINATES = (
    (60.4, 70.6),
    (33.99, 40.0),
    (10.0, 5.5),
    (149.0, 119.0),
    (-5.6, 60.999),
    (80.0, 130.0),
)
COLUMNS = (
    "rlnCoordinateX",
    "rlnCoordinateY",
    "rlnAngleRot",
    "rlnAngleTilt",
    "rlnAnglePsi",
    "rlnOriginXAngst",
)
COLUMNS += (
    "rlnOriginYAngst",
    "rlnMicrographName",
    "rlnOpticsGroup",
    "rlnRandomSubset",
    "rlnDefocusU",
    "rlnNotes",
)

needs_relion = pytest.mark.skipif(not is_installed(), reason="relion_preprocess is not installed")


def image(seed, shape=SHAPE):
    """Noise on a slope, as a micrograph has it."""
    y, x = np.indices(shape)
    return (
        100 + 0.1 * x - 0.05 * y + 5 * np.random.default_rng(seed).standard_normal(shape)
    ).astype(np.float32)


def optics(**columns):
    names = {
        "rlnOpticsGroupName": "one",
        "rlnOpticsGroup": "1",
        "rlnMicrographPixelSize": "1.5",
        "rlnVoltage": "300",
    }
    names |= {"rlnSphericalAberration": "2.7", "rlnAmplitudeContrast": "0.1"} | columns
    return Block("optics", tuple(names), (tuple(names.values()),))


def particle_block(micrographs=("Micrographs/b.mrc", "Micrographs/a.mrc")):
    rows = [
        (
            f"{x}",
            f"{y}",
            f"{7 * k}",
            "20",
            "30",
            f"{k + 0.5}",
            "-2.25",
            micrographs[k % len(micrographs)],
            "1",
            str(1 + k // 2 % 2),
            f"{11000 + k}",
            f"note {k}",
        )
        for k, (x, y) in enumerate(COORDINATES)
    ]
    return Block("particles", COLUMNS, tuple(rows))


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Two raw micrographs and their denoised ones in a working directory, with the table of a
    refinement.
    """
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate("ab"):
        write_image(tmp_path / f"Micrographs/{name}.mrc", image(number), 1.5)
        smooth = 0.2 * (image(number) - 100) + 40
        write_image(
            tmp_path / f"Denoised/Micrographs/{name}_dn.mrc",
            smooth,
            1.5,
            ["restore 0.1 denoised with m"],
        )
    write_star(tmp_path / "run_data.star", StarFile((optics(), particle_block())))
    return tmp_path


def images_of(project, normalised_as_raw=False):
    names = ("Micrographs/a.mrc", "Micrographs/b.mrc")
    raw = as_named(names, project / "run_data.star")
    return Images(raw), Images(
        counterparts(names, str(project / "Denoised")), raw if normalised_as_raw else None
    )


def stack_of(star, row):
    """The image of a row, counted from zero."""
    number, _, stack = read_star(star).block("particles").column("rlnImageName")[row].partition("@")
    return mrcfile.read(stack)[int(number) - 1]


# Beside RELION


@needs_relion
@pytest.mark.parametrize("scale_px", [None, 20, 14])
def test_windows_are_those_of_relion(tmp_path, scale_px):
    write_image(tmp_path / "a.mrc", image(3), 1.5)
    settings, places = replace(SETTINGS, scale_px=scale_px), np.array(COORDINATES)
    ours = own_windows(image(3), places, settings)
    theirs = relion_windows(tmp_path / "a.mrc", places, settings, norm=False)
    if scale_px is None:
        assert np.array_equal(ours, theirs)
    np.testing.assert_allclose(ours, theirs, atol=3e-5)
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.9999


@needs_relion
@pytest.mark.parametrize(
    "changes", [{}, {"ramp": False, "background_radius_px": 9}, {"scale_px": 24}]
)
@pytest.mark.parametrize("normalise", ["own", "none"])
def test_both_engines_write_the_same_stacks_and_table(project, changes, normalise):
    raw, _ = images_of(project)
    outputs = []
    for engine in ("own", "relion"):
        settings = replace(SETTINGS, engine=engine, normalise=normalise, **changes)
        star = extract(project / "run_data.star", raw, project / "out", settings)
        outputs.append(
            (star.read_text(), np.stack([stack_of(star, row) for row in range(len(COORDINATES))]))
        )
    assert outputs[0][0] == outputs[1][0]
    np.testing.assert_allclose(outputs[0][1], outputs[1][1], atol=3e-5)


@needs_relion
def test_relion_gets_images_that_it_does_not_read_itself(tmp_path):
    noise = image(4)
    write_image(tmp_path / "a.mrc", noise, 1.5, dtype="float16")
    windows = relion_windows(tmp_path / "a.mrc", np.array(COORDINATES), SETTINGS, norm=False)
    assert np.array_equal(
        windows, own_windows(noise.astype(np.float16), np.array(COORDINATES), SETTINGS)
    )


@needs_relion
def test_what_relion_says_of_a_failure_reaches_the_user(tmp_path):
    write_image(tmp_path / "a.mrc", image(4), 1.5)
    settings = replace(SETTINGS, background_radius_px=16)
    object.__setattr__(settings, "background_radius_px", 40)
    with pytest.raises(UserError, match=r"relion_preprocess failed.*bg_radius"):
        relion_windows(tmp_path / "a.mrc", np.array(COORDINATES), settings, norm=True)


# Identities


def test_a_window_holds_the_pixel_of_its_coordinate_in_its_middle():
    noise = image(5)
    (window,) = own_windows(noise, np.array([[60.9, 70.2]]), SETTINGS)
    assert window[16, 16] == noise[70, 60] and window[0, 31] == noise[54, 75]


def test_rescaling_keeps_a_wave_that_the_smaller_image_can_hold():
    x = np.arange(32) / 32
    wave = np.cos(2 * np.pi * 3 * x)[None] + np.sin(2 * np.pi * 5 * x)[:, None] + 2
    coarse = np.arange(16) / 16
    expected = np.cos(2 * np.pi * 3 * coarse)[None] + np.sin(2 * np.pi * 5 * coarse)[:, None] + 2
    np.testing.assert_allclose(rescaled(wave, 16), expected, atol=1e-12)


def test_the_background_of_a_normalised_image_has_mean_zero_and_deviation_one(project):
    raw, _ = images_of(project)
    star = extract(
        project / "run_data.star", raw, project / "out", replace(SETTINGS, background_radius_px=10)
    )
    y, x = np.indices((32, 32)) - 16
    outside = stack_of(star, 2)[x**2 + y**2 > 100]
    assert abs(outside.mean()) < 1e-6 and abs(outside.std() - 1) < 1e-6


def test_inverting_changes_the_sign_and_nothing_else(project):
    raw, _ = images_of(project)
    one, other = (
        extract(
            project / "run_data.star",
            raw,
            project / name,
            replace(SETTINGS, invert_contrast=invert),
        )
        for name, invert in (("bright", True), ("dark", False))
    )
    assert np.array_equal(stack_of(one, 3), -stack_of(other, 3))


def test_denoised_images_normalised_as_raw_keep_their_amplitude(project):
    """A denoised image that is a fifth of the raw one is a fifth of it afterwards; normalised by
    itself it would be as strong.
    """
    raw, denoised = images_of(project, normalised_as_raw=True)
    table = project / "run_data.star"
    first = extract(table, raw, project / "raw", SETTINGS)
    as_raw = extract(table, denoised, project / "as_raw", replace(SETTINGS, normalise="raw"))
    own = extract(table, denoised, project / "own", SETTINGS)
    for row in range(len(COORDINATES)):
        np.testing.assert_allclose(stack_of(as_raw, row), 0.2 * stack_of(first, row), atol=1e-4)
        np.testing.assert_allclose(stack_of(own, row), stack_of(first, row), atol=1e-4)


# Tables


def test_rows_stay_in_their_order_with_all_their_columns(project):
    raw, denoised = images_of(project)
    before = particle_block()
    settings = replace(SETTINGS, scale_px=24)
    for images, folder in ((raw, "raw"), (denoised, "denoised")):
        star = read_star(extract(project / "run_data.star", images, project / folder, settings))
        after, group = star.block("particles"), star.block("optics")
        assert after.columns == (*before.columns, "rlnImageName")
        assert [row[:-1] for row in after.rows] == list(before.rows)
        assert float(group.column("rlnImagePixelSize")[0]) == 2.0 and group.column(
            "rlnImageSize"
        ) == ["24"]
        stack = project / folder / "Micrographs/b.mrcs"
        assert after.column("rlnImageName")[0] == f"000001@{stack}" and after.column(
            "rlnImageName"
        )[4].startswith("000003")
        with mrcfile.open(stack) as file:
            assert file.data.shape == (3, 24, 24) and float(file.voxel_size.x) == 2.0


def test_raw_and_denoised_particles_are_matched_row_by_row(project):
    raw, denoised = images_of(project)
    stars = [
        extract(project / "run_data.star", images, project / name, SETTINGS)
        for images, name in ((raw, "r"), (denoised, "d"))
    ]
    pairs = match(read_particles(stars[0]), read_particles(stars[1]), tolerance_px=0.1)
    assert pairs.first.tolist() == pairs.second.tolist() == list(range(len(COORDINATES)))


def test_stacks_of_denoised_images_say_so(project):
    raw, denoised = images_of(project)
    for images, name, is_denoised in ((raw, "r", False), (denoised, "d", True)):
        extract(project / "run_data.star", images, project / name, SETTINGS)
        with mrcfile.open(project / name / "Micrographs/a.mrcs") as file:
            assert ("restore 0.1 denoised with m" in file.get_labels()) is is_denoised


def test_a_record_of_what_was_done_is_left(project):
    raw, _ = images_of(project)
    extract(project / "run_data.star", raw, project / "out", SETTINGS)
    record = json.loads((project / "out/particles.settings.json").read_text())
    assert record["settings"]["box_px"] == 32 and record["inputs"]["relion"] is False


def test_progress_is_told_micrograph_by_micrograph(project):
    raw, _ = images_of(project)
    reports = []
    extract(
        project / "run_data.star",
        raw,
        project / "out",
        SETTINGS,
        lambda done, of: reports.append((done, of)),
    )
    assert reports == [(1, 2), (2, 2)]


def test_windows_beyond_the_edge_are_counted_in_a_warning(project, caplog):
    raw, _ = images_of(project)
    with caplog.at_level(logging.WARNING, "restore"):
        extract(project / "run_data.star", raw, project / "out", SETTINGS)
    assert "windows of 4 of 6 particles reach beyond" in caplog.text


def test_a_flat_table_keeps_its_form_with_the_new_pixel_size(project):
    block = (
        particle_block()
        .with_column("rlnOriginX", ["2.0"] * 6)
        .with_column("rlnOriginY", ["-1.0"] * 6)
    )
    dropped = [
        name
        for name in block.columns
        if name not in ("rlnOpticsGroup", "rlnOriginXAngst", "rlnOriginYAngst")
    ]
    flat = Block(
        "",
        tuple(dropped),
        tuple(zip(*(block.column(name) for name in dropped), strict=True)),
        before="",
    ).with_column("rlnDetectorPixelSize", ["5"] * 6)
    write_star(
        project / "old.star", StarFile((flat.with_column("rlnMagnification", ["50000"] * 6),))
    )
    raw, _ = images_of(project)
    particles = read_particles(
        extract(project / "old.star", raw, project / "out", replace(SETTINGS, scale_px=16))
    )
    np.testing.assert_allclose(particles.image_pixel_size_A, 3.0)
    np.testing.assert_allclose(particles.origins_A, [[2.0, -1.0]] * 6, atol=1e-5)


def test_the_header_tells_the_pixel_size_where_the_table_has_only_the_movies(project):
    block = optics(rlnMicrographOriginalPixelSize="0.75")
    columns = [name for name in block.columns if name != "rlnMicrographPixelSize"]
    row = tuple(dict(zip(block.columns, block.rows[0], strict=True))[name] for name in columns)
    write_star(
        project / "run_data.star",
        StarFile((Block("optics", tuple(columns), (row,)), particle_block())),
    )
    raw, _ = images_of(project)
    particles = read_particles(extract(project / "run_data.star", raw, project / "out", SETTINGS))
    np.testing.assert_allclose(particles.image_pixel_size_A, 1.5)


def without_micrograph_size(project, **more):
    """The project's table with other pixel sizes in place of rlnMicrographPixelSize."""
    optics_block = optics(**more).without(["rlnMicrographPixelSize"])
    write_star(project / "run_data.star", StarFile((optics_block, particle_block())))


def with_headers(project, size_A):
    for number, name in enumerate("ab"):
        write_image(project / f"Micrographs/{name}.mrc", image(number), size_A)


def extracted(project, name="run_data.star", **settings):
    raw, _ = images_of(project)
    how = replace(SETTINGS, **settings)
    return read_particles(extract(project / name, raw, project / "out", how))


@pytest.mark.parametrize(
    ("header_A", "sizes", "size_A", "is_warned"),
    [
        (1.0, {"rlnMicrographOriginalPixelSize": "0.834"}, 0.834, True),
        (1.5, {"rlnMicrographOriginalPixelSize": "0.75"}, 1.5, False),
        (1.251, {"rlnMicrographOriginalPixelSize": "0.834"}, 1.251, False),
        (0.417, {"rlnMicrographOriginalPixelSize": "0.834"}, 0.834, True),
        (1.5, {"rlnMicrographOriginalPixelSize": "0.75", "rlnImagePixelSize": "0.75"}, 0.75, True),
        (1.5, {"rlnMicrographOriginalPixelSize": "0.75", "rlnImagePixelSize": "3"}, 1.5, False),
        (1.0, {"rlnImagePixelSize": "1.34"}, 1.34, True),
        (1.0, {"rlnImagePixelSize": "2"}, 1.0, False),
        (1.1, {"rlnImagePixelSize": "1.3"}, 1.1, True),
    ],
)
def test_a_header_that_contradicts_the_table_is_not_believed(
    project, caplog, header_A, sizes, size_A, is_warned
):
    with_headers(project, header_A)
    without_micrograph_size(project, **sizes)
    with caplog.at_level(logging.WARNING, "restore"):
        particles = extracted(project)
    np.testing.assert_allclose(particles.image_pixel_size_A, size_A, rtol=1e-5)
    assert ("which does not fit the pixel sizes in" in caplog.text) is is_warned
    assert ("2 micrographs are like this" in caplog.text) is is_warned


def flat_table(project, **columns):
    block = particle_block().without(["rlnOpticsGroup", "rlnOriginXAngst", "rlnOriginYAngst"])
    for name, value in columns.items():
        block = block.with_column(name, [value] * len(block.rows))
    write_star(project / "old.star", StarFile((replace(block, name="", before=""),)))


def test_a_wrong_header_does_not_rescale_the_origins_of_a_flat_table(project, caplog):
    with_headers(project, 1.0)
    flat_table(
        project, rlnOriginX="2", rlnOriginY="-1", rlnDetectorPixelSize="5", rlnMagnification="60000"
    )
    with caplog.at_level(logging.WARNING, "restore"):
        particles = extracted(project, "old.star", scale_px=16)
    np.testing.assert_allclose(particles.image_pixel_size_A, 10 / 6, rtol=1e-5)
    np.testing.assert_allclose(particles.origins_A, [[10 / 6, -5 / 6]] * 6, rtol=1e-5)
    assert "1 Å, which does not fit" in caplog.text


def test_a_flat_table_tells_the_pixel_size_that_a_header_does_not(project):
    with_headers(project, 1.0)
    for name in "ab":
        with mrcfile.open(project / f"Micrographs/{name}.mrc", mode="r+") as file:
            file.voxel_size = 0
    flat_table(project, rlnDetectorPixelSize="5", rlnMagnification="25000")
    np.testing.assert_allclose(extracted(project, "old.star").image_pixel_size_A, 2.0)


def test_a_flat_table_without_origins_gets_those_that_restore_the_coordinates(project):
    flat_table(project, rlnDetectorPixelSize="5", rlnMagnification="33333.3333")
    particles = extracted(project, "old.star", scale_px=16)
    lost = particles.coordinates_px - np.trunc(particles.coordinates_px)
    np.testing.assert_allclose(particles.origins_A, -1.5 * lost, atol=1e-5)
    assert abs(lost).max() > 0.9


def test_the_new_table_knows_the_pixel_size_of_the_micrographs(project):
    without_micrograph_size(project, rlnMicrographOriginalPixelSize="0.75")
    particles = extracted(project, scale_px=16)
    np.testing.assert_allclose(particles.micrograph_pixel_size_A, 1.5)
    np.testing.assert_allclose(particles.image_pixel_size_A, 3.0)


@pytest.mark.parametrize("flag", ["rlnCtfDataArePhaseFlipped", "rlnCtfDataAreCtfPremultiplied"])
@pytest.mark.parametrize("value", ["0", "1"])
@pytest.mark.parametrize("in_optics", [True, False])
def test_marks_of_the_images_before_are_not_those_of_new_ones(project, flag, value, in_optics):
    blocks = (optics(), particle_block())
    marked = blocks[1 - in_optics].with_column(flag, [value] * len(blocks[1 - in_optics].rows))
    write_star(project / "run_data.star", StarFile(blocks).with_block(marked))
    particles = extracted(project)
    assert particles.phases_flipped is None and particles.ctf_premultiplied is None
    raw, _ = images_of(project)
    images = replace(raw, phases_flipped=True)
    again = read_particles(extract(project / "run_data.star", images, project / "out", SETTINGS))
    assert again.phases_flipped.all() and again.ctf_premultiplied is None


def test_images_whose_phases_are_flipped_are_marked(project):
    raw, _ = images_of(project)
    for flipped in (True, False):
        star = extract(
            project / "run_data.star",
            replace(raw, phases_flipped=flipped),
            project / "out",
            SETTINGS,
        )
        assert (read_particles(star).phases_flipped is not None) is flipped
    assert (
        read_star(project / "out/particles.star").block("particles").rows[0][:-1]
        == particle_block().rows[0]
    )


def test_particles_of_cryosparc_are_listed_for_relion(project):
    """Fractions of the micrograph become pixels, and poses, shifts, CTF and half sets are those of
    the same record.
    """
    count = len(COORDINATES)
    inside = np.clip(np.array(COORDINATES), 1, 100).astype(np.float32)
    columns = {
        "uid": np.arange(count, dtype="<u8"),
        "alignments3D/pose": np.random.default_rng(0).normal(size=(count, 3)).astype("<f4"),
        "alignments3D/shift": np.full((count, 2), 1.5, "<f4"),
        "alignments3D/split": np.arange(count, dtype="<u4") % 2,
        "blob/psize_A": np.full(count, 3.0, "<f4"),
        "location/micrograph_path": np.array(["Micrographs/a.mrc", "Micrographs/b.mrc"] * 3, "S"),
        "location/micrograph_shape": np.array([SHAPE] * count, "<u4"),
        "location/micrograph_psize_A": np.full(count, 1.5, "<f4"),
        "location/center_x_frac": inside[:, 0] / SHAPE[1],
        "location/center_y_frac": inside[:, 1] / SHAPE[0],
    }
    for name, value in {
        "df1_A": 12000,
        "df2_A": 11000,
        "df_angle_rad": 0.5,
        "accel_kv": 300,
        "cs_mm": 2.7,
    }.items():
        columns[f"ctf/{name}"] = np.full(count, value, "<f4")
    columns["ctf/amp_contrast"] = np.full(count, 0.1, "<f4")
    save(project / "particles.cs", cryosparc_table(columns))
    raw, _ = images_of(project)
    before = read_particles(project / "particles.cs")
    after = read_particles(extract(project / "particles.cs", raw, project / "out", SETTINGS))
    np.testing.assert_allclose((before.rotations.inv() * after.rotations).magnitude(), 0, atol=1e-6)
    np.testing.assert_allclose(after.coordinates_px, before.coordinates_px, atol=1e-5)
    np.testing.assert_allclose(after.origins_A, before.origins_A, atol=1e-5)
    np.testing.assert_allclose(after.image_pixel_size_A, 1.5)
    assert after.half_sets.tolist() == before.half_sets.tolist()
    assert after.ctfs[0].defocus_angle_deg == pytest.approx(
        before.ctfs[0].defocus_angle_deg, abs=1e-5
    )
    assert after.ctfs[0].voltage_kV == 300 and after.ctfs[0].amplitude_contrast == pytest.approx(
        0.1
    )


# Which image belongs to a micrograph


def test_denoised_images_are_found_by_the_table_that_lists_them(project):
    names = [f"Denoised/Micrographs/{name}_dn.mrc" for name in "ab"]
    table = Block(
        "micrographs", ("rlnMicrographName", "rlnOpticsGroup"), tuple((name, "1") for name in names)
    )
    write_star(project / "denoised.star", StarFile((optics(), table)))
    partners = counterparts(
        ["Micrographs/b.mrc", "Micrographs/a.mrc"], str(project / "denoised.star")
    )
    assert {name: path.name for name, path in partners.items()} == {
        "Micrographs/b.mrc": "b_dn.mrc",
        "Micrographs/a.mrc": "a_dn.mrc",
    }


def test_names_that_begin_alike_are_told_apart(tmp_path):
    numbers = range(1, 13)
    for number in numbers:
        write_image(tmp_path / f"m_{number}_DW_denoised.mrc", image(0, (8, 8)), 1.0)
    partners = counterparts([f"raw/m_{number}_DW.tif" for number in numbers], f"{tmp_path}/*.mrc")
    assert [path.name for path in partners.values()] == [
        f"m_{number}_DW_denoised.mrc" for number in numbers
    ]


def test_one_name_in_two_folders_is_told_by_the_folder(tmp_path):
    for folder in ("one", "two"):
        write_image(tmp_path / f"out/{folder}/m.mrc", image(0, (8, 8)), 1.0)
    partners = counterparts(["two/m.mrc", "one/m.mrc"], f"{tmp_path}/out")
    assert [path.parent.name for path in partners.values()] == ["two", "one"]
    with pytest.raises(UserError, match=r"could both be the denoised image of three/m\.mrc"):
        counterparts(["three/m.mrc"], f"{tmp_path}/out")


RAW = ["Micrographs/a.mrc", "Micrographs/b.mrc"]


def beside_the_raw_ones(project, kind, labels=()):
    for name in "ab":
        write_image(project / f"Micrographs/{name}{kind}.mrc", image(9), 1.5, labels)


def test_raw_images_in_the_same_folder_are_not_taken_for_the_denoised_ones(project):
    """As restore denoise leaves them by default, in the folder of the raw ones and their halves."""
    beside_the_raw_ones(project, "_denoised", ["restore 0.1 denoised with m"])
    for half in ("_EVN", "_ODD", "_PS"):
        beside_the_raw_ones(project, half)
    raw = raw_images(RAW, "Micrographs")
    assert [path.name for path in raw.values()] == ["a.mrc", "b.mrc"]
    partners = counterparts(
        RAW, "Micrographs", leave_out=[path.absolute() for path in raw.values()]
    )
    assert [path.name for path in partners.values()] == ["a_denoised.mrc", "b_denoised.mrc"]


def test_images_that_another_program_denoised_are_found_beside_the_raw_ones(project):
    beside_the_raw_ones(project, "_topaz")
    partners = counterparts(RAW, "Micrographs", leave_out=as_named(RAW, Path("x.star")).values())
    assert [path.name for path in partners.values()] == ["a_topaz.mrc", "b_topaz.mrc"]


def test_raw_images_alone_are_no_denoised_ones(project):
    raw = as_named(RAW, project / "run_data.star")
    with pytest.raises(UserError, match="2 of 2 micrographs have no denoised image") as error:
        counterparts(RAW, "Micrographs", leave_out=raw.values())
    assert "give `raw_micrographs`" in str(error.value)


def test_particles_that_name_the_denoised_images_need_the_raw_ones(project):
    names = [f"Denoised/Micrographs/{name}_dn.mrc" for name in "ab"]
    taken = as_named(names, project / "run_data.star").values()
    write_image(project / "Denoised/another.mrc", image(9), 1.5)
    with pytest.raises(UserError, match=r"those that are taken as raw.*give `raw_micrographs`"):
        counterparts(names, "Denoised", leave_out=taken)
    beside_the_raw_ones(project, "_topaz")
    with pytest.raises(UserError, match="1 of 3 micrographs have no denoised") as error:
        counterparts([*RAW, "c.mrc"], "Micrographs", leave_out=[Path("Micrographs/a.mrc")])
    assert "raw_micrographs" not in str(error.value)


def test_micrographs_without_a_denoised_image_are_named(project):
    with pytest.raises(
        UserError,
        match=r"Denoised: 1 of 2 micrographs have no denoised image: Micrographs/c\.mrc\.",
    ):
        counterparts(["Micrographs/a.mrc", "Micrographs/c.mrc"], str(project / "Denoised"))
    with pytest.raises(UserError, match=r"1 of 1 micrographs have no image: gone\.mrc"):
        as_named(["gone.mrc"], project / "run_data.star")


# Bad input


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"box_px": 31}, "box_px is 31"),
        ({"scale_px": 40}, "scale_px is 40"),
        ({"background_radius_px": 17}, "background_radius_px is 17"),
        ({"background_radius_px": 0}, "background_radius_px is 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, words):
    with pytest.raises(UserError, match=words):
        replace(SETTINGS, **changes)


def test_a_denoised_image_of_another_shape_is_refused_before_anything_is_written(project):
    write_image(project / "Denoised/Micrographs/a_dn.mrc", image(0, (60, 60)), 1.5)
    _, denoised = images_of(project, normalised_as_raw=True)
    with pytest.raises(UserError, match=r"60 x 60 pixels"):
        extract(
            project / "run_data.star", denoised, project / "out", replace(SETTINGS, normalise="raw")
        )
    assert not (project / "out").exists()


def test_a_constant_background_is_refused_with_the_particle(project):
    flat = np.zeros(SHAPE, np.float32)
    flat[0, 0] = 1
    write_image(project / "Micrographs/b.mrc", flat, 1.5)
    raw, _ = images_of(project)
    with pytest.raises(UserError, match=r"b\.mrc: the background of particle 1 in it is constant"):
        extract(project / "run_data.star", raw, project / "out", SETTINGS)
    assert not (project / "out/particles.star").exists()


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("rlnCoordinateX", "west", r'row 1: rlnCoordinateX is "west"'),
        ("rlnOpticsGroup", "9", r'row 1: rlnOpticsGroup is "9"'),
        (
            "rlnCoordinateX",
            "-17",
            r"row 1: the window around -17, 70\.6 lies outside Micrographs/b\.mrc \(150 x 120",
        ),
    ],
)
def test_wrong_values_are_named_with_their_row(project, column, value, words):
    block = particle_block()
    write_star(
        project / "run_data.star",
        StarFile((optics(), block.with_column(column, [value, *block.column(column)[1:]]))),
    )
    raw, _ = images_of(project)
    with pytest.raises(UserError, match=words):
        extract(project / "run_data.star", raw, project / "out", SETTINGS)


def test_a_table_of_micrographs_is_refused(project):
    write_star(
        project / "mics.star",
        StarFile((Block("micrographs", ("rlnMicrographName",), (("a.mrc",),)),)),
    )
    with pytest.raises(UserError, match="no table has rlnMicrographName, rlnCoordinateX"):
        extract(project / "mics.star", Images({}), project / "out", SETTINGS)


# Truth


def test_particles_of_a_session_stand_in_the_middle_of_their_images(tmp_path, monkeypatch):
    """The mean of all particles of a session is dark in the middle of the raw image, so bright in
    ours, and origins put back what whole pixels lose.
    """
    monkeypatch.chdir(tmp_path)
    simulate(
        SimulationSettings(micrographs=2, size_px=(384,), pixel_size_A=4.0, seed=3), tmp_path / "s"
    )
    table = tmp_path / "s/particles.star"
    names = set(read_star(table).block("particles").column("rlnMicrographName"))
    ctfs = {name: CTFParameters(15000, 14900, 20, 300, 2.7, 0.07) for name in names}
    settings = ExtractionSettings(box_px=64, engine="own", background_radius_px=26)
    star = extract(table, Images(as_named(names, table), ctfs=ctfs), tmp_path / "out", settings)
    particles = read_particles(star)
    stacks = {name.partition("@")[2] for name in particles.image_names}
    mean = np.concatenate([mrcfile.read(stack) for stack in stacks]).mean(axis=0)
    y, x = np.indices(mean.shape) - 32
    assert mean[np.hypot(x, y) < 12].mean() > 5 * abs(mean[np.hypot(x, y) > 26].mean()) + 0.05
    lost = particles.coordinates_px - np.trunc(particles.coordinates_px)
    np.testing.assert_allclose(particles.origins_A, -4.0 * lost, atol=1e-5)
    assert set(read_star(star).block("particles").column("rlnDefocusU")) == {"15000.000000"}


def test_the_engine_relion_says_where_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UserError, match="relion_preprocess is not installed"):
        relion_windows(tmp_path / "a.mrc", np.array(COORDINATES), SETTINGS, norm=False)
