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
from restore.io.star import Block, StarFile, read_star, write_star
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


@pytest.fixture
def named(here):
    """The table of `here`, naming the halves."""
    star = read_star(STAR)
    block = star.existing_block("micrographs")
    for part, name in (("Even", "HALF1"), ("Odd", "HALF2")):
        files = [f"{number}_{name}.mrc" for number in range(2)]
        block = block.with_column(f"rlnMicrographName{part}", files)
    write_star(STAR, star.with_block(block))


def cut_short(path):
    path.write_bytes(path.read_bytes()[:2000])


def of_another_shape(path):
    write_mrc(path, read_tensor(path).numpy()[:64], 2.0)


def a_link_to_the_other(path):
    path.unlink()
    path.symlink_to("0_HALF2.mrc")


SPOILT = {
    "missing": (Path.unlink, "0_HALF1.mrc"),
    "cut short": (cut_short, "0_HALF1.mrc"),
    "of another shape": (of_another_shape, "the shapes differ"),
    "a link to the other": (a_link_to_the_other, "are one file"),
}


@pytest.mark.usefixtures("named")
@pytest.mark.parametrize(("spoil", "reason"), SPOILT.values(), ids=SPOILT)
def test_halves_that_the_table_names_and_that_cannot_be_used_are_warned_of_once(
    caplog, spoil, reason
):
    caplog.set_level("INFO", logger="restore")
    model = load_general_model(RECIPE)
    assert halves(model) == ["0_HALF1.mrc", "1_HALF1.mrc"]
    assert [record.levelname for record in caplog.records] == ["INFO"]
    spoil(Path("0_HALF1.mrc"))
    caplog.clear()
    assert halves(model) == [None, "1_HALF1.mrc"]
    warning, counted = caplog.records
    assert (warning.levelname, counted.levelname) == ("WARNING", "INFO")
    start = "the halves of 1 of 2 micrographs cannot be used, and do not calibrate: "
    assert warning.message.startswith(start) and reason in warning.message
    assert counted.message.startswith("1 of 2 micrographs have halves")


@pytest.mark.usefixtures("named")
def test_where_no_named_half_can_be_used_the_cure_is_not_another_name(caplog):
    caplog.set_level("INFO", logger="restore")
    for number in range(2):
        Path(f"{number}_HALF2.mrc").unlink()
    assert halves(load_general_model(RECIPE)) == [None, None]
    (warning,) = caplog.messages
    assert warning.startswith("the halves of 2 of 2 micrographs cannot be used")
    assert "0_HALF2.mrc" in warning


def test_halves_that_are_named_by_suffixes_are_missed_and_guessed_ones_are_not(here, caplog):
    caplog.set_level("INFO", logger="restore")
    model = load_general_model(RECIPE)
    assert halves(model) == [None, None]
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "no halves are known" in caplog.text
    caplog.clear()
    assert halves(model, "patch_aligned,E,O") == [None, None]
    (record,) = caplog.records
    assert record.levelname == "WARNING" and "0_E.mrc" in record.message


@pytest.mark.usefixtures("named")
def test_a_missing_full_sum_is_no_problem_of_its_halves(caplog):
    Path("0_patch_aligned.mrc").unlink()
    assert halves(load_general_model(RECIPE)) == [None, "1_HALF1.mrc"]
    assert not caplog.messages
