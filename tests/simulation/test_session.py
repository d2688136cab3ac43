"""A session on disk: names, STAR files, seeds, refusals."""

import hashlib
import json
from dataclasses import asdict, replace

import mrcfile
import numpy as np
import pytest
import starfile

from restore.errors import UserError
from restore.simulation.microscope import SimulationSettings
from restore.simulation.session import check_settings, simulate

SETTINGS = SimulationSettings(micrographs=2, size_px=(300, 257), pixel_size_A=3.0, seed=5)


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated") / "session"
    done = []
    star = simulate(SETTINGS, folder, progress=lambda number, total: done.append((number, total)))
    assert star == folder / "micrographs_ctf.star" and done == [(1, 2), (2, 2)]
    return folder


def digests(folder):
    return {
        path.name: hashlib.sha256(path.read_bytes()[1024:]).hexdigest()
        for path in sorted(folder.rglob("*.mrc"))
    }


def test_a_session_holds_halves_sums_truth_and_tables(session):
    names = sorted(str(path.relative_to(session)) for path in session.rglob("*") if path.is_file())
    images = [
        f"Micrographs/mic_000{n}_{suffix}.mrc"
        for n in (1, 2)
        for suffix in ("DW", "EVN", "ODD", "TRUTH")
    ]
    assert names == [
        *images,
        "micrographs_ctf.star",
        "particles.star",
        "simulation.json",
        "specimen.mrc",
    ]
    assert json.loads((session / "simulation.json").read_text()) == json.loads(
        json.dumps(asdict(SETTINGS))
    )


def test_the_images_on_disk_are_halves_of_their_sum_with_the_pixel_size(session):
    full, even, odd, truth = (
        mrcfile.read(session / f"Micrographs/mic_0001_{suffix}.mrc")
        for suffix in ("DW", "EVN", "ODD", "TRUTH")
    )
    assert full.shape == (300, 257)
    assert np.array_equal(full, even + odd)
    assert np.corrcoef(full.ravel(), truth.ravel())[0, 1] > 0.1
    with mrcfile.open(session / "Micrographs/mic_0002_EVN.mrc") as file:
        assert float(file.voxel_size.x) == pytest.approx(3.0)
    with mrcfile.open(session / "specimen.mrc") as file:
        assert file.is_volume() and len(set(file.data.shape)) == 1
        assert float(file.voxel_size.x) == pytest.approx(3.0) and 3 * file.data.shape[0] < 260


def test_another_program_reads_the_ctf_star(session):
    blocks = starfile.read(session / "micrographs_ctf.star", always_dict=True)
    optics, micrographs = blocks["optics"], blocks["micrographs"]
    assert optics["rlnMicrographPixelSize"].iloc[0] == 3.0 and optics["rlnVoltage"].iloc[0] == 300
    assert list(micrographs["rlnMicrographName"]) == [
        "Micrographs/mic_0001_DW.mrc",
        "Micrographs/mic_0002_DW.mrc",
    ]
    assert "rlnPhaseShift" not in micrographs
    mean = (micrographs["rlnDefocusU"] + micrographs["rlnDefocusV"]) / 2
    assert mean.between(8000, 20000).all()
    astigmatism = micrographs["rlnDefocusU"] - micrographs["rlnDefocusV"]
    np.testing.assert_allclose(micrographs["rlnCtfAstigmatism"], astigmatism, atol=1e-3)


def test_particles_lie_in_their_images_and_name_them(session):
    particles = starfile.read(session / "particles.star", always_dict=True)["particles"]
    assert len(particles) > 4
    assert (
        particles["rlnCoordinateX"].between(0, 256).all()
        and particles["rlnCoordinateY"].between(0, 299).all()
    )
    assert set(particles["rlnMicrographName"]) == {
        "Micrographs/mic_0001_DW.mrc",
        "Micrographs/mic_0002_DW.mrc",
    }
    assert {"rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi", "rlnOpticsGroup"} <= set(particles)


def test_a_session_without_particles_still_has_a_particle_table(tmp_path):
    simulate(replace(SETTINGS, micrographs=1, particles_per_um2=0.0), tmp_path / "ice")
    assert "_rlnCoordinateX" in (tmp_path / "ice" / "particles.star").read_text()


def test_a_phase_shift_is_in_the_star_where_there_is_one(tmp_path):
    simulate(replace(SETTINGS, micrographs=1, phase_shift_deg=60.0), tmp_path / "plate")
    table = starfile.read(tmp_path / "plate" / "micrographs_ctf.star", always_dict=True)[
        "micrographs"
    ]
    assert table["rlnPhaseShift"].iloc[0] == 60


def test_the_same_seed_gives_the_same_bytes_however_many_micrographs(session, tmp_path):
    simulate(replace(SETTINGS, micrographs=1), tmp_path / "again")
    again, first = digests(tmp_path / "again"), digests(session)
    assert len(again) == 5
    assert all(first[name] == digest for name, digest in again.items())


def test_a_folder_with_a_session_is_refused_and_left_alone(session):
    before = digests(session)
    with pytest.raises(UserError, match=r"session.*`overwrite=True`"):
        simulate(SETTINGS, session)
    assert digests(session) == before


def test_overwriting_leaves_nothing_of_the_old_session(tmp_path):
    small = replace(SETTINGS, size_px=(64,))
    simulate(small, tmp_path / "s")
    (tmp_path / "s" / "notes.txt").write_text("mine")
    simulate(replace(small, micrographs=1), tmp_path / "s", overwrite=True)
    assert len(list((tmp_path / "s").rglob("mic_*.mrc"))) == 4
    assert (tmp_path / "s" / "notes.txt").read_text() == "mine"


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(UserError, match="taken"):
        simulate(SETTINGS, tmp_path / "taken")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("micrographs", 0),
        ("size_px", (8,)),
        ("size_px", (64, 64, 64)),
        ("pixel_size_A", 0.0),
        ("pixel_size_A", float("nan")),
        ("dose_e_per_A2", -1.0),
        ("frames", 1),
        ("voltage_kV", 0.0),
        ("defocus_um", (2.0, 1.0)),
        ("astigmatism_A", float("nan")),
        ("astigmatism_A", 16_000.0),
        ("astigmatism_spread_A", 6000.0),
        ("phase_shift_deg", float("inf")),
        ("spherical_aberration_mm", float("nan")),
        ("amplitude_contrast", 7.0),
        ("particles_per_um2", -1.0),
        ("seed", -1),
    ],
)
def test_settings_that_no_microscope_has_are_named(tmp_path, name, value):
    with pytest.raises(UserError, match=name):
        simulate(replace(SETTINGS, **{name: value}), tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_a_missing_specimen_leaves_nothing_behind(tmp_path):
    with pytest.raises(UserError, match=r"none\.pdb"):
        simulate(replace(SETTINGS, specimen="none.pdb"), tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_the_defaults_are_fine():
    check_settings(SimulationSettings())


def test_astigmatism_may_reach_overfocus_with_a_phase_plate_and_near_focus():
    strong = replace(SETTINGS, astigmatism_A=20_000.0)
    with pytest.raises(
        UserError, match=r"astigmatism_A is 20000\.0\. .*twice the smallest defocus"
    ):
        check_settings(strong)
    check_settings(replace(strong, phase_shift_deg=90.0))
    check_settings(replace(strong, defocus_um=(0.0, 0.5)))
