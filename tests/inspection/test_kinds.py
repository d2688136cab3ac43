"""The files of RELION 3 to 5 and cryoSPARC that hold no micrographs are called what they are."""

import bz2
import gzip

import mrcfile
import numpy as np
import pytest
from cryosparc_files import table
from tilt_series_project import write_project

from restore.inspection.dispatch import inspect
from restore.io.images.maps import write_map
from restore.preprocessing import Recipe

RECIPE = Recipe()


def loop(block, columns, row):
    """A STAR table of one row."""
    names = "".join(f"_{column}\n" for column in columns.split())
    return f"data_{block}\n\nloop_\n{names}{row}\n\n"


STAR_FILES = {
    "a RELION 3 job": ("data_job\n\n_rlnJobType 2\n", "the settings of a RELION job"),
    "a RELION 4 scheme": ("data_scheme_general\n\n_rlnSchemeName a/\n", "a RELION scheme"),
    "output nodes": (
        loop("output_nodes", "rlnPipeLineNodeName rlnPipeLineNodeType", "gone.star 1"),
        "the outputs of a RELION job",
    ),
    "optimiser": (
        "data_optimiser_general\n\n_rlnModelStarFile gone.star\n",
        "the optimiser of a RELION refinement",
    ),
    "model": (
        "data_model_general\n\n_rlnNrClasses 2\n\n"
        + loop("model_groups", "rlnGroupNumber rlnGroupName rlnGroupNrParticles", "1 a 4"),
        "the model of a RELION refinement",
    ),
    "sampling": (
        "data_sampling_general\n\n_rlnPsiStep 24\n",
        "the sampling of a RELION refinement",
    ),
    "picking summary": (
        loop("", "rlnMicrographName rlnAutopickFigureOfMerit rlnGroupNrParticles", "a.mrc 0.1 16"),
        "a summary of RELION's picking",
    ),
    "selected classes": (
        loop("", "rlnReferenceImage rlnClassDistribution", "1@a.mrcs 0.5"),
        "class averages, from RELION's classification or selection",
    ),
    "movies": (loop("movies", "rlnMicrographMovieName", "a.tiff"), "a list of movies"),
    "RELION 4 tomograms": (
        loop("global", "rlnTomoName rlnTomoTiltSeriesName", "TS_01 a.mrc")
        + loop("TS_01", "rlnTomoProjX rlnTomoProjY", "[1] [2]"),
        "tomograms (RELION 4)",
    ),
    "one tilt series": (
        loop("TS_01", "rlnMicrographName rlnTomoNominalStageTiltAngle", "a.mrc 3"),
        "one tilt series (RELION 5)",
    ),
    "an optimisation set": (
        "data_\n\n_rlnTomoParticlesFile gone.star\n",
        "a set of tomography files (RELION's optimisation set)",
    ),
    "subtomograms": (
        loop("particles", "rlnTomoName rlnCoordinateX rlnAngleRot", "TS_01 1 2"),
        "particles in tomograms",
    ),
}


@pytest.mark.parametrize(("text", "what"), STAR_FILES.values(), ids=STAR_FILES)
def test_a_star_file_of_relions_is_called_what_it_is(tmp_path, text, what):
    (tmp_path / "file.star").write_text(text)
    findings = inspect(tmp_path / "file.star", RECIPE)
    assert findings.what == what and findings.problems == ()
    assert findings.commands == ()


def test_optics_groups_are_counted(tmp_path):
    row = "g1 1\ng2 2"
    text = loop("optics", "rlnOpticsGroupName rlnOpticsGroup", row) + STAR_FILES["movies"][0]
    (tmp_path / "movies.star").write_text(text)
    assert ("optics groups", "2: g1, g2") in inspect(tmp_path / "movies.star", RECIPE).facts


def test_tilt_series_and_their_images_are_counted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / write_project(tmp_path)
    findings = inspect(path, RECIPE)
    assert findings.what == "a list of tilt series"
    assert dict(findings.facts)["tilt series"] == "2 tilt series, 6 images"


def write_stack(path, count=3, side=64):
    images = np.random.default_rng(0).normal(size=(count, side, side)).astype(np.float32)
    with mrcfile.new(path) as file:
        file.set_data(images)
        file.set_image_stack()


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("run_it025_classes.mrcs", "class averages"),
        ("J12_020_class_averages.mrc", "class averages"),
        ("proj.mrcs", "projections of a map"),
        ("mic_PS.mrcs", "power spectra"),
        ("batch_0_particles.mrc", "a stack of particles"),
        ("other.mrc", "a stack of small images: particles, class averages or projections"),
    ],
)
@pytest.mark.parametrize("pack", [None, gzip, bz2])
def test_small_stacks_are_no_movies(tmp_path, name, what, pack):
    path = tmp_path / name
    write_stack(path)
    if pack:
        packed = path.with_name(name + (".gz" if pack is gzip else ".bz2"))
        packed.write_bytes(pack.compress(path.read_bytes()))
        path = packed
    findings = inspect(path, RECIPE)
    assert findings.what == what and findings.commands == () and findings.problems == ()


def test_a_mask_is_known_by_its_values_or_its_name(tmp_path):
    rng = np.random.default_rng(0)
    mask = np.clip(rng.normal(size=(32, 32, 32)), 0, 1)
    write_map(tmp_path / "sphere.mrc", mask, 2.0)
    write_map(tmp_path / "volume_mask_fsc.mrc", 3 * mask, 2.0)
    write_map(tmp_path / "postprocess_masked.mrc", 3 * mask, 2.0)
    kinds = {path.name: inspect(path, RECIPE).what for path in tmp_path.iterdir()}
    assert kinds["sphere.mrc"] == kinds["volume_mask_fsc.mrc"] == "a mask"
    assert kinds["postprocess_masked.mrc"] == "a volume"


def test_cryosparcs_volumes_are_called_so_and_their_halves_compared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "J5").mkdir()
    names = {"map": "map", "map_half_A": "half_A", "map_half_B": "half_B"}
    columns = {f"{slot}/path": [f"J5/{name}.mrc"] for slot, name in names.items()}
    np.save(tmp_path / "v.npy", table({"uid": np.array([1], dtype="<u8"), **{
        name: np.array(values, dtype="S") for name, values in columns.items()
    }}))  # fmt: skip
    (tmp_path / "v.npy").rename(tmp_path / "J5/J5_volume.cs")
    for name in ("half_A", "half_B"):
        write_map(tmp_path / f"J5/{name}.mrc", np.random.default_rng(0).normal(size=(8, 8, 8)), 2.0)
    findings = inspect(tmp_path / "J5/J5_volume.cs", RECIPE)
    assert findings.what == "volumes of cryoSPARC's" and findings.problems == ()
    assert dict(findings.facts)["map"] == "J5/map.mrc (not there)"
    (line,) = findings.commands
    assert line.command == "fsc" and "half_A.mrc" in str(line) and "half_B.mrc" in str(line)
