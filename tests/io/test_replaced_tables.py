"""A table of another input is not replaced unasked, and one that loses nothing is."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from cryosparc_files import exposures, save

import restore
from restore.errors import UserError
from restore.io.images.mrc import write_mrc
from restore.io.star import Block, StarFile, read_star, write_star
from restore.model.checkpoint import Model
from restore.model.network import NetworkSettings, build_network
from restore.movies.halving import HalvesOutput
from restore.preprocessing import Recipe


@pytest.fixture(scope="module")
def model():
    network = build_network(
        NetworkSettings("waunet", filters=2, blocks=1), torch.Generator()
    ).eval()
    return Model(network, Recipe(max_resolution_A=5.0, phase_flip=False))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Five micrographs in the folders of two days."""
    monkeypatch.chdir(tmp_path)
    for number in range(5):
        path = Path(f"day{1 + number // 3}/{number}.mrc")
        path.parent.mkdir(exist_ok=True)
        data = np.random.default_rng(number).poisson(1, (64, 64)).astype(np.float32)
        write_mrc(path, data, 2.0)
    return tmp_path


def star(job, numbers, stem="micrographs_ctf"):
    """A STAR file of the micrographs of these numbers in a job's folder."""
    names = tuple((f"day{1 + number // 3}/{number}.mrc", "1") for number in numbers)
    optics = Block("optics", ("rlnOpticsGroup", "rlnMicrographPixelSize"), (("1", "2.0"),))
    block = Block("micrographs", ("rlnMicrographName", "rlnOpticsGroup"), names)
    path = Path(job) / f"{stem}.star"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_star(path, StarFile((optics, block)))
    return path


def denoise(source, model, folder="Denoised", **output):
    output = restore.OutputSettings(output_directory=Path(folder), **output)
    return restore.denoise_set(source, model, output=output, model_name="m").table


def listed(path="Denoised/micrographs_ctf.star"):
    names = read_star(Path(path)).block("micrographs").column("rlnMicrographName")
    return [int(Path(name).stem) for name in names]


def test_a_table_of_another_star_file_of_the_same_name_is_not_replaced(here, model):
    denoise(star("CtfFind/job003", [0, 1, 2]), model)
    files = {path: path.read_bytes() for path in Path("Denoised").glob("*.*")}
    other = star("CtfFind/job010", [2, 3, 4])
    with pytest.raises(UserError, match="lists 2 images that are not in CtfFind/job010") as caught:
        denoise(other, model)
    assert caught.value.wanted == "It was made from CtfFind/job003/micrographs_ctf.star"
    assert "`output_directory`, or `overwrite=True`" in caught.value.do
    assert {path: path.read_bytes() for path in Path("Denoised").glob("*.*")} == files
    assert not Path("Denoised/day2").exists()
    denoise(other, model, overwrite=True)
    assert listed() == [2, 3, 4]


def test_a_table_that_lists_all_of_the_earlier_ones_replaces_it(here, model):
    denoise(star("CtfFind/job003", [0, 1, 2]), model)
    denoise(star("CtfFind/job010", [0, 1, 2, 3]), model)
    assert listed() == [0, 1, 2, 3]


def test_a_table_that_has_shrunk_replaces_its_own_also_in_a_project_that_was_moved(
    here, model, monkeypatch
):
    denoise(star("Select/job003", [0, 1, 2]), model)
    star("Select/job003", [1, 2])
    denoise(Path("Select/job003/micrographs_ctf.star"), model)
    assert listed() == [1, 2]
    here.rename(here.parent / "moved")
    monkeypatch.chdir(here.parent / "moved")
    denoise(star("Select/job003", [1]).resolve(), model)
    assert listed() == [1]


def test_names_that_are_typed_alike_in_two_folders_are_not_one_source(here, model, monkeypatch):
    for job, numbers in (("job003", [0, 1]), ("job010", [1, 2])):
        star(f"CtfFind/{job}", numbers)
    monkeypatch.chdir(here / "CtfFind/job003")
    denoise("micrographs_ctf.star", model, here / "Denoised")
    monkeypatch.chdir(here / "CtfFind/job010")
    with pytest.raises(UserError, match="lists 1 image that is not in micrographs_ctf"):
        denoise("micrographs_ctf.star", model, here / "Denoised")


def test_a_table_of_another_pattern_is_not_replaced(here, model):
    denoise("day1/*.mrc", model)
    with pytest.raises(UserError, match=r"lists 3 images that are not in day2/\*\.mrc"):
        denoise("day2/*.mrc", model)
    denoise("day1/*.mrc", model)
    denoise(["day1/*.mrc", "day2/*.mrc"], model)
    assert listed("Denoised/micrographs.star") == [0, 1, 2, 3, 4]


def test_a_job_of_relions_replaces_its_own_table(here, model):
    denoise(star("CtfFind/job003", [0, 1]), model, "External/job004", within_job=True)
    denoise(star("CtfFind/job010", [1, 2]), model, "External/job004", within_job=True)
    assert listed("External/job004/micrographs_ctf.star") == [1, 2]


def test_a_record_without_the_origin_or_without_sense_does_not_forbid_what_loses_nothing(
    here, model
):
    denoise(star("CtfFind/job003", [0, 1]), model)
    record = Path("Denoised/micrographs_ctf.settings.json")
    content = json.loads(record.read_text())
    del content["inputs"]["origin"]
    for text in (json.dumps(content), "{", "[1]", '{"inputs": 3}'):
        record.write_text(text)
        denoise(star("CtfFind/job010", [0, 1]), model)
        with pytest.raises(UserError, match="lists 1 image that is not in"):
            denoise(star("CtfFind/job011", [1, 2]), model)


@pytest.mark.parametrize("ending", ["cs", "csg"])
def test_a_table_of_other_exposures_is_not_replaced(here, model, ending):
    rows = exposures(
        [f"day1/{number}.mrc" for number in (0, 1, 2)],
        **{"micrograph_blob/psize_A": [2.0] * 3, "micrograph_blob/shape": [[64, 64]] * 3},
    )
    (here / "cs.lock").touch()
    for job, some in (("J12", rows[:2]), ("J13", rows[1:]), ("J14", rows)):
        save(here / job / "exposures.cs", some)
    denoise("J12/exposures.cs", model)
    if ending == "csg":
        for job in ("J13", "J14"):
            group = Path("Denoised/exposures.csg").read_text()
            Path(job, "exposures.csg").write_text(group)
    with pytest.raises(UserError, match=rf"lists 1 image that is not in J13/exposures\.{ending}"):
        denoise(f"J13/exposures.{ending}", model)
    denoise(f"J14/exposures.{ending}", model)
    assert len(np.load("Denoised/exposures.cs")) == 3


def test_halves_of_another_star_file_of_the_same_name_do_not_replace_the_table(here):
    output = HalvesOutput(output_directory=Path("Halves"))
    restore.make_halves(star("CtfFind/job003", [0, 1]), restore.Thinning(), output=output)
    with pytest.raises(UserError, match="lists 1 image that is not in CtfFind/job010"):
        restore.make_halves(star("CtfFind/job010", [1, 2]), restore.Thinning(), output=output)
    restore.make_halves(star("CtfFind/job010", [0, 1, 2]), restore.Thinning(), output=output)
    assert listed("Halves/micrographs_ctf.star") == [0, 1, 2]


def test_a_shrunk_table_of_an_older_version_replaces_its_own(here, model):
    denoise(star("Select/job003", [0, 1, 2]), model)
    record = Path("Denoised/micrographs_ctf.settings.json")
    content = json.loads(record.read_text())
    del content["inputs"]["origin"]
    record.write_text(json.dumps(content))
    denoise(star("Select/job003", [1, 2]), model)
    assert listed() == [1, 2]


def test_one_folder_typed_in_two_ways_holds_the_same_images(here, model):
    denoise(star("CtfFind/job003", [0, 1]), model)
    denoise(star("CtfFind/job010", [0, 1, 2]), model, here / "Denoised")
    assert listed() == [0, 1, 2]


def test_many_names_are_cut_short_and_a_removed_table_makes_way(here, model):
    denoise(["day1/*.mrc"] * 50, model)
    with pytest.raises(UserError, match="…") as caught:
        denoise(["day2/*.mrc"] * 50, model)
    assert len(str(caught.value)) < 700
    assert "remove this table, which keeps its images" in caught.value.do
