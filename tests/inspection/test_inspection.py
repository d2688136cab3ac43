"""restore inspect: what a file is, what would be done with it, what is wrong with it."""

import json
import shutil

import mrcfile
import numpy as np
import pytest
import structure_example
import torch
from half_byte_movie import half_bytes

from restore.cli.main import as_typed, main
from restore.inspection.dispatch import inspect
from restore.io.half_names import Suffixes
from restore.io.images.image import write_image
from restore.model.checkpoint import Model, save_model
from restore.model.network import NetworkSettings, build_network
from restore.preprocessing import Recipe

RECIPE = Recipe()


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """A simulated session with its patch file, a model, a training state and a denoised set."""
    folder = tmp_path_factory.mktemp("inspected")
    assert main(["simulate", str(folder), "--micrographs=2", "--size_px=512"]) == 0
    star, patches = str(folder / "micrographs_ctf.star"), str(folder / "training_data.hdf")
    size = [
        "--filters=2",
        "--blocks=1",
        "--patch_px=96",
        "--batch_size=1",
        "--steps=1",
        "--device=cpu",
    ]
    assert main(["train", "-m", star, "-f", patches, "-d", str(folder / "Models"), *size]) == 0
    return folder


def facts(findings):
    return dict(findings.facts)


def test_a_session_star_says_what_would_be_done(session):
    findings = inspect(session / "micrographs_ctf.star", RECIPE)
    assert findings.what == "a list of micrographs" and findings.problems == ()
    named = facts(findings)
    assert (
        named["images"] == "2 of 2 are there and readable" and named["halves"] == "2 of 2 have both"
    )
    assert (
        named["pixel size"] == "1 Å"
        and named["CTF"].startswith("of 2: defocus ")
        and "300 kV" in named["CTF"]
    )
    assert (
        named["size"]
        == "2 of 512 × 512 pixels of 1 Å, cropped to 228 × 228 pixels of 2.246 Å at -r 4.5"
    )
    assert [line.command for line in findings.commands] == ["train", "denoise", "evaluate"]


def test_what_is_missing_is_named(session, tmp_path):
    shutil.copytree(session / "Micrographs", tmp_path / "Micrographs")
    shutil.copy(session / "micrographs_ctf.star", tmp_path)
    (tmp_path / "Micrographs/mic_0001_DW.mrc").unlink()
    (tmp_path / "Micrographs/mic_0002_ODD.mrc").unlink()
    findings = inspect(tmp_path / "micrographs_ctf.star", RECIPE)
    assert facts(findings)["images"].startswith("1 of 2") and facts(findings)["halves"].startswith(
        "0 of 2"
    )
    assert (
        len(findings.problems) == 1
        and "mic_0001_DW.mrc: there is no such file" in findings.problems[0]
    )
    assert findings.commands[-1].command == "halves"


def test_a_resolution_beyond_nyquist_is_a_problem(session):
    for name in ("micrographs_ctf.star", "Micrographs/mic_0001_DW.mrc"):
        findings = inspect(session / name, Recipe(1.5))
        assert (
            len(findings.problems) == 1
            and "finer than the image's Nyquist limit, 2 Å" in findings.problems[0]
        ), name


def test_nothing_is_proposed_that_the_resolution_forbids(session):
    text = (session / "micrographs_ctf.star").read_text()
    (session / "coarse.star").write_text(text.replace("1.000000 \n", "2.500000 \n", 1))
    findings = inspect(session / "coarse.star", RECIPE)
    (problem,) = findings.problems
    assert "finer than the image's Nyquist limit, 5 Å" in problem and findings.commands == ()
    findings = inspect(session / "coarse.star", Recipe(6))
    assert findings.problems == ()
    lines = [as_typed(line) for line in findings.commands]
    assert lines[0].endswith("-r 6") and lines[1].endswith("-r 6") and len(lines) == 3


def test_training_is_not_proposed_where_one_micrograph_is_too_coarse(session):
    optics = "data_optics\n\nloop_\n_rlnOpticsGroup\n_rlnMicrographPixelSize\n1 1.0\n2 2.5\n\n"
    names = [f"Micrographs/mic_000{number}_DW.mrc {number}" for number in (1, 2)]
    loop = "data_micrographs\n\nloop_\n_rlnMicrographName\n_rlnOpticsGroup\n"
    (session / "mixed.star").write_text(optics + loop + "\n".join(names) + "\n")
    findings = inspect(session / "mixed.star", Recipe(phase_flip=False))
    assert len(findings.problems) == 1 and "Nyquist limit, 5 Å" in findings.problems[0]
    assert [line.command for line in findings.commands] == ["denoise"]


def test_halves_of_other_suffixes_are_found_where_these_are_given(session, tmp_path):
    shutil.copytree(session / "Micrographs", tmp_path / "Micrographs")
    shutil.copy(session / "micrographs_ctf.star", tmp_path)
    for image in (tmp_path / "Micrographs").glob("*_DW.mrc"):
        with mrcfile.mmap(image, mode="r+") as file:
            file.data[:] += np.random.default_rng(0).normal(size=file.data.shape)
    for half, name in (("EVN", "even"), ("ODD", "odd")):
        for path in (tmp_path / "Micrographs").glob(f"*_{half}.mrc"):
            path.rename(path.with_name(path.name.replace(half, name)))
    table = tmp_path / "micrographs_ctf.star"
    usual = inspect(table, RECIPE)
    assert "none lie beside the images under DW,EVN,ODD (" in usual.needs[0]
    assert facts(usual)["halves"] == "0 of 2 have both"
    other = inspect(table, RECIPE, Suffixes("DW", "even", "odd"))
    assert facts(other)["halves"] == "2 of 2 have both" and other.needs == ()
    lines = [as_typed(line) for line in other.commands]
    assert [line.split()[1] for line in lines] == ["train", "denoise", "evaluate"]
    assert all("DW,even,odd" in line for line in lines)


def test_the_files_in_a_folder_are_inspected_with_the_same_options(session):
    findings = inspect(session, Recipe(6, phase_flip=False), Suffixes("DW", "a", "b"))
    lines = [as_typed(line) for line in findings.commands]
    assert lines and all(line.endswith("-s DW,a,b -r 6 --dont_phaseflip") for line in lines)


@pytest.mark.parametrize(("size_A", "is_taken"), [(1.0, False), (1.01, True)])
def test_a_header_of_exactly_one_angstrom_becomes_no_option(tmp_path, size_A, is_taken):
    frames = np.random.default_rng(0).poisson(1.0, (4, 96, 80)).astype(np.int16)
    for name, data in (("movie.mrcs", frames), ("image.mrc", frames[0])):
        with mrcfile.new(tmp_path / name) as file:
            file.set_data(data)
            file.voxel_size = size_A
        findings = inspect(tmp_path / name, Recipe(phase_flip=False))
        lines = " ".join(map(as_typed, findings.commands))
        assert (f"--pixel_size {size_A:g}" in lines) == is_taken
        assert any("exactly 1 Å" in need for need in findings.needs) != is_taken


def test_a_movie_of_4_bits_is_a_movie(tmp_path):
    frames = np.random.default_rng(0).integers(0, 16, (5, 96, 127)).astype("u1")
    findings = inspect(half_bytes(tmp_path / "movie.mrc", frames), RECIPE)
    assert findings.what == "a movie (MRC)" and findings.problems == ()
    assert facts(findings)["size"] == "5 frames of 127 × 96 pixels"
    assert facts(findings)["stored as"] == "MRC, 4-bit integers"
    (line,) = findings.commands
    assert "--pixel_size 0.7" in as_typed(line)


def test_what_restore_structure_writes_is_known(tmp_path):
    structure_example.write_pictures(tmp_path)
    (tmp_path / "region.json").rename(tmp_path / "regions.json")
    (tmp_path / "structure.json").write_text(json.dumps(structure_example.structure()))
    findings = inspect(tmp_path / "structure.json", RECIPE)
    assert findings.what == "a comparison of structures" and findings.problems == ()
    named = facts(findings)
    assert named["particles"] == "5000, symmetry D7" and named["made by"].startswith("restore 0.2")
    assert named["maps"].startswith("raw by raw, denoised by raw")
    for name in ("views.json", "regions.json"):
        findings = inspect(tmp_path / name, RECIPE)
        assert findings.what == "scenes of maps, from restore structure"
        assert facts(findings)["scenes"] == "1 scene in 1 row" and findings.problems == ()


def test_counts_are_known_and_a_filtered_image_is_none(session, tmp_path):
    shutil.copy(session / "Micrographs/mic_0001_DW.mrc", tmp_path / "sized.mrc")
    with mrcfile.mmap(tmp_path / "sized.mrc", mode="r+") as file:
        file.voxel_size = 1.2
    findings = inspect(tmp_path / "sized.mrc", RECIPE)
    assert findings.what == "an image" and facts(findings)["counts"].startswith("electrons, 50")
    assert facts(findings)["hot pixels"] == "3 would be replaced" and "--thin" in as_typed(
        findings.commands[1]
    )
    with mrcfile.new(tmp_path / "float.mrc") as file:
        file.set_data(np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32))
    findings = inspect(tmp_path / "float.mrc", RECIPE)
    assert "counts" not in facts(findings) and facts(findings)["pixel size"] == "not in the file"


def test_an_image_with_nan_is_wrong(tmp_path):
    image = np.ones((64, 64), dtype=np.float32)
    with mrcfile.new(tmp_path / "nan.mrc") as file:
        file.set_data(image)
    with mrcfile.mmap(tmp_path / "nan.mrc", mode="r+") as file:
        file.data[3, 4] = np.nan
    (problem,) = inspect(tmp_path / "nan.mrc", RECIPE).problems
    assert "1 of its 4096 pixels are NaN or infinite, first at row 3, column 4" in problem


def test_movies_stacks_and_volumes_are_told_apart(tmp_path):
    frames = np.random.default_rng(0).poisson(1.0, (4, 64, 48)).astype(np.int16)
    for name, volume in (("movie.mrcs", False), ("map.mrc", True)):
        with mrcfile.new(tmp_path / name) as file:
            file.set_data(frames)
            if volume:
                file.set_volume()
            else:
                file.set_image_stack()
    findings = inspect(tmp_path / "movie.mrcs", RECIPE)
    assert "a movie" in findings.what and facts(findings)["size"] == "4 frames of 48 × 64 pixels"
    assert inspect(tmp_path / "map.mrc", RECIPE).what == "a volume"


def test_restores_own_files_are_known(session):
    patches = inspect(session / "training_data.hdf", RECIPE)
    assert (
        patches.what == "a patch file"
        and facts(patches)["recipe"] == "4.5 Å, phases flipped, high-pass 200 Å"
    )
    model = inspect(session / "Models/model.safetensors", RECIPE)
    assert model.what == "a model" and facts(model)["network"] == "unet, 2 filters, 1 block"
    assert facts(model)["trained"].startswith("1 steps in ") and "validation loss" in facts(model)
    state = inspect(session / "Models/model.state.safetensors", RECIPE)
    assert state.what == "the state of a training run" and as_typed(state.commands[0]).endswith(
        "-x model --resume"
    )
    settings = inspect(session / "Models/model.settings.json", RECIPE)
    assert settings.what == "the settings of a run" and facts(settings)["made by"].startswith(
        "restore "
    )


def test_particles_are_counted(session):
    findings = inspect(session / "particles.star", RECIPE)
    assert findings.what == "particles with orientations" and findings.problems == ()
    assert int(facts(findings)["particles"]) > 0 and "restore angles" in findings.needs[0]
    text = (session / "particles.star").read_text().replace("rlnAngleRot", "rlnSomethingElse")
    (session / "picked.star").write_text(text)
    assert (
        inspect(session / "picked.star", RECIPE).what == "a list of particles without orientations"
    )


def test_a_pickle_and_the_unknown_are_refused_in_words(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"PK\x03\x04rest")
    assert "could run any code" in inspect(tmp_path / "model.pt", RECIPE).problems[0]
    (tmp_path / "a.docx").write_text("")
    (problem, *_) = inspect(tmp_path / "a.docx", RECIPE).problems
    assert 'restore does not read files ending in ".docx"' in problem
    assert "there is no such file" in inspect(tmp_path / "gone.star", RECIPE).problems[0]
    assert "Give a file in the folder" in inspect(tmp_path, RECIPE).problems[0]


def test_the_command_prints_and_its_status_says_whether_all_is_well(session, capsys):
    star = str(session / "micrographs_ctf.star")
    assert main(["inspect", star, str(session / "Models/model.safetensors")]) == 0
    output = capsys.readouterr().out
    assert f"{star}: a list of micrographs\n" in output and "\n  next  " in output
    assert main(["inspect", star, "gone.mrc"]) == 1
    assert "\n  wrong             gone.mrc: there is no such file." in capsys.readouterr().out


def test_pixels_without_data_are_counted_and_their_sides_named(tmp_path):
    from restore.inspection.images import inspect_image

    image = 200 + 10 * np.random.default_rng(0).standard_normal((256, 320)).astype(np.float32)
    write_image(tmp_path / "whole.mrc", image, 1.0)
    image[:2], image[:, -8:] = 0, 0
    write_image(tmp_path / "border.mrc", image, 1.0)
    facts = [
        dict(inspect_image(tmp_path / name, Recipe()).facts) for name in ("whole.mrc", "border.mrc")
    ]
    assert facts[0]["without data"] == "none"
    assert (
        facts[1]["without data"] == "2672 pixels (3.262 %, at the top, right), which are left out"
    )
    assert facts[1]["hot pixels"] == "none"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("data_job\n\n_rlnJobTypeLabel relion.ctffind\n", "the settings of a RELION job"),
        ("data_pipeline_general\n\n_rlnPipeLineJobCounter 3\n", "a RELION pipeline"),
        (
            "data_coordinate_files\n\nloop_\n_rlnMicrographName\n_rlnMicrographCoordinates\n"
            "a.mrc a_autopick.star\n",
            "a list of coordinate files, from RELION's picking",
        ),
        (
            "data_\n\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n1 2\n",
            "particle coordinates of one micrograph",
        ),
    ],
)
def test_relions_own_files_are_no_micrographs(tmp_path, text, what):
    (tmp_path / "file.star").write_text(text)
    findings = inspect(tmp_path / "file.star", RECIPE)
    assert findings.what == what and findings.commands == () and findings.problems == ()


def test_a_folder_is_looked_into(session):
    findings = inspect(session, RECIPE)
    assert findings.what == "a folder" and findings.problems == ()
    assert f"restore inspect {session / 'micrographs_ctf.star'}" in map(as_typed, findings.commands)


def test_particles_and_class_averages_are_no_movies(tmp_path):
    images = np.zeros((4, 64, 64), dtype=np.float32)
    for name, what in (("p.mrcs", "a stack of particles"), ("r_classes.mrcs", "class averages")):
        with mrcfile.new(tmp_path / name) as file:
            file.set_data(images)
            file.set_image_stack()
        findings = inspect(tmp_path / name, RECIPE)
        assert findings.what == what and findings.commands == ()


def test_a_model_whose_training_record_lacks_what_is_told_of_it_is_no_traceback(tmp_path):
    network = build_network(
        NetworkSettings("waunet", filters=2, blocks=1), torch.Generator().manual_seed(0)
    )
    save_model(tmp_path / "m.safetensors", Model(network, Recipe(), {"steps": 3}))
    assert ("trained", "3 steps") in inspect(tmp_path / "m.safetensors", Recipe()).facts
    for training in ({"best": 4}, {"trained_on": 7, "steps": 1, "seconds": "x"}):
        save_model(tmp_path / "m.safetensors", Model(network, Recipe(), training))
        findings = inspect(tmp_path / "m.safetensors", Recipe())
        assert "a damaged record of the training" in findings.problems[0]
