"""Patch files from Python and the command line: which are kept, which are trained on."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from half_pairs import as_prepared, half_pair

import restore
from restore.cli.main import main
from restore.errors import UserError
from restore.preprocessing import Recipe
from restore.training.patches import PatchWriter

TINY = {"filters": 4, "batch_size": 1, "patch_px": 16, "from_scratch": True}


def write_patches(path, made_of):
    with PatchWriter(path, Recipe(phase_flip=False), "float32") as writer:
        for index in range(2):
            even, odd = half_pair((32, 32), 1.0, index)
            writer.add(f"mic{index}.mrc", as_prepared(even), as_prepared(odd))
        writer.finish({"made_of": made_of})
    return path


def test_a_run_is_resumed_with_its_patch_file_in_another_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_patches(Path("training_data.hdf"), "these halves")
    write_patches(Path("other.hdf"), "other halves")

    def trained(steps, patch_file=None):
        settings = {**TINY, "steps": steps}
        model = restore.train(
            settings=settings, patch_file=patch_file, resume=steps > 1, device="cpu"
        )
        return model.training["steps"], model.provenance["inputs"]["patches"]

    assert trained(1) == (1, "training_data.hdf")
    assert trained(2) == (2, "training_data.hdf")
    Path("training_data.hdf").rename("moved.hdf")
    assert trained(3, "moved.hdf") == (3, "moved.hdf")
    assert trained(4) == (4, "moved.hdf")
    with pytest.raises(UserError, match=r"other\.hdf: these are not the patches that the run"):
        trained(5, "other.hdf")


@pytest.mark.parametrize("unused", [{"pixel_size_A": 2.0}, {"suffixes": "DW,EVN,ODD"}])
def test_what_describes_micrographs_is_refused_where_none_are_given(tmp_path, unused):
    path = write_patches(tmp_path / "a.hdf", "these halves")
    (name,) = unused
    with pytest.raises(UserError, match=f"{name} is .*, but no micrographs are given") as refused:
        restore.train(settings=TINY, steps=1, patch_file=path, **unused)
    assert refused.value.field == name


PREPARE = ["prepare", "-m", "*_DW.mrc", "-f", "p.hdf", "--pixel_size", "2", "-r", "9"]


def prepared(*more):
    return main([*PREPARE, "--dont_phaseflip", *more])


def number_type():
    with h5py.File("p.hdf") as file:
        return file["000000"].dtype.name


def test_a_patch_file_of_the_other_number_type_is_kept_unless_one_is_asked_for(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for suffix in ("DW", "EVN", "ODD"):
        restore.write_image(f"a_{suffix}.mrc", rng.normal(size=(128, 128)), 2.0)
    assert prepared("--patch_dtype", "float32") == 0 and number_type() == "float32"
    assert prepared() == 0 and number_type() == "float32"
    assert prepared("--patch_dtype", "float32") == 0
    capsys.readouterr()
    assert prepared("--patch_dtype", "float16") == 1 and number_type() == "float32"
    assert capsys.readouterr().err.splitlines()[-1] == (
        "p.hdf: the numbers in the existing patch file are float32. float16 is asked for: leave "
        "--patch_dtype out, give another --training_filename, or --overwrite."
    )
    assert prepared("--overwrite") == 0 and number_type() == "float16"
    assert prepared("--patch_dtype", "float32") == 1
    assert "patch file are float16. float32 is asked for" in capsys.readouterr().err
