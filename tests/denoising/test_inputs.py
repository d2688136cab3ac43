"""The halves of a set that is denoised are found as those of the training were."""

from dataclasses import replace
from pathlib import Path

import pytest
from half_pairs import half_pair

import restore
from restore.denoising.inputs import read_set
from restore.denoising.settings import DenoisingSettings
from restore.image_tensors import read_tensor
from restore.io.images.mrc import write_mrc
from restore.io.star import Block, StarFile, write_star
from restore.model.general import load_general_model
from restore.preprocessing import Recipe

RECIPE = Recipe(max_resolution_A=5.0, phase_flip=False)
SUFFIXES = "patch_aligned,HALF1,HALF2"
STAR = Path("micrographs.star")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Two micrographs whose halves have names of their own, and a table that does not name them."""
    monkeypatch.chdir(tmp_path)
    for number in range(2):
        even, odd = (half.numpy() for half in half_pair((96, 96), 1.0, number))
        for part, data in (("HALF1", even), ("HALF2", odd), ("patch_aligned", even + odd)):
            write_mrc(Path(f"{number}_{part}.mrc"), data, 2.0)
    optics = Block("optics", ("rlnOpticsGroup", "rlnMicrographPixelSize"), (("1", "2.0"),))
    rows = tuple((f"{number}_patch_aligned.mrc", "1") for number in range(2))
    block = Block("micrographs", ("rlnMicrographName", "rlnOpticsGroup"), rows)
    write_star(STAR, StarFile((optics, block)))
    return tmp_path


def halves(model, suffixes=None, **settings):
    chosen = read_set(
        STAR, model, DenoisingSettings(**settings), suffixes, pixel_size_A=None, ctf=None
    )
    return [micrograph.even and micrograph.even.name for micrograph in chosen.micrographs]


def test_a_model_knows_the_suffixes_of_the_halves_it_was_trained_on(here):
    settings = {"steps": 1, "batch_size": 1, "patch_px": 32}
    model = restore.train(STAR, settings, recipe=RECIPE, suffixes=SUFFIXES)
    assert halves(restore.load_model("Models/model.safetensors")) == [
        "0_HALF1.mrc",
        "1_HALF1.mrc",
    ]
    assert halves(model, average_halves=True) == ["0_HALF1.mrc", "1_HALF1.mrc"]
    assert halves(model, calibration="model") == [None, None]
    output = restore.OutputSettings(output_directory=Path("Denoised"))
    restore.denoise_set(STAR, model, output=output)
    given = restore.OutputSettings(output_directory=Path("Given"))
    restore.denoise_set(STAR, model, output=given, suffixes=SUFFIXES)
    name = "0_patch_aligned.mrc"
    assert read_tensor(Path("Denoised") / name).equal(read_tensor(Path("Given") / name))


def test_a_set_that_was_read_and_a_session_hand_their_suffixes_on_to_the_model(here):
    settings = {"steps": 1, "batch_size": 1, "patch_px": 32}
    chosen = restore.read_micrographs(STAR, suffixes=SUFFIXES, ctf=False, halves=True)
    model = restore.train(chosen, settings, recipe=RECIPE)
    assert halves(model) == ["0_HALF1.mrc", "1_HALF1.mrc"]
    watching = restore.WatchSettings(
        until_idle=0.5, poll=0.1, settle=0, train_after=2, evaluate=False
    )
    for source, output in ((STAR, "FromTable"), (".", "FromFolder")):
        restore.watch(source, output, load_general_model(RECIPE), settings=watching,
                      training=settings, suffixes=SUFFIXES)  # fmt: skip
        assert halves(restore.load_model(f"{output}/Models/session.safetensors")) == [
            "0_HALF1.mrc",
            "1_HALF1.mrc",
        ]


def test_the_usual_suffixes_and_those_that_are_given_come_first(here):
    model = replace(
        load_general_model(RECIPE), provenance={"inputs": {"suffixes": "patch_aligned,E,O"}}
    )
    assert halves(model) == [None, None]
    assert halves(model, SUFFIXES) == ["0_HALF1.mrc", "1_HALF1.mrc"]
    for part in ("E", "O", "patch_aligned_EVN", "patch_aligned_ODD"):
        write_mrc(Path(f"0_{part}.mrc"), read_tensor(Path("0_HALF1.mrc")).numpy(), 2.0)
    assert halves(model) == ["0_patch_aligned_EVN.mrc", None]
    assert halves(replace(model, provenance={})) == ["0_patch_aligned_EVN.mrc", None]
    Path("0_patch_aligned_EVN.mrc").unlink()
    assert halves(model) == ["0_E.mrc", None]
    for record in ({}, {"inputs": None}, {"inputs": {"suffixes": None}}):
        assert halves(replace(model, provenance=record)) == [None, None]
