"""What a training says of itself before its first step."""

import logging

import pytest

from restore.cli.main import main
from restore.training.patches import Region
from restore.training.run import train
from restore.training.schedules import budget, words_of_open_end
from restore.training.split import Split, words_of_split


def test_micrographs_are_counted_in_the_right_number_and_the_first_held_out_are_named():
    regions = [Region(index, 0, 64, 0, 64) for index in range(6)]
    names = [f"{name}.mrc" for name in "abcdef"]
    assert words_of_split(Split(regions[:1], regions[1:2]), names[:2]) == (
        "training on 1 micrograph; validation on 1 micrograph: b.mrc"
    )
    assert words_of_split(Split(regions[:2], regions[2:]), names) == (
        "training on 2 micrographs; validation on 4 micrographs: c.mrc, d.mrc, e.mrc, …"
    )
    assert words_of_split(Split(regions, []), names) == (
        "training on 6 micrographs, without validation"
    )


@pytest.mark.parametrize(
    ("held_out_px", "words"),
    [
        (8, "training on 7/8 of the one micrograph, a.mrc; validation on the other eighth"),
        (16, "training on 75 % of the one micrograph, a.mrc; validation on the rest"),
    ],
)
def test_the_shares_of_one_micrograph_are_those_of_its_area(held_out_px, words):
    parts = Split([Region(0, held_out_px, 64, 0, 64)], [Region(0, 0, held_out_px, 0, 64)])
    assert words_of_split(parts, ["a.mrc"]) == words


def test_a_run_without_a_length_says_how_it_ends_and_how_to_shorten_it():
    run = budget(None, None, None, 500)
    assert "on a CPU can take hours" in words_of_open_end(run, on_cpu=True)
    words = words_of_open_end(run, on_cpu=False)
    assert "CPU" not in words and "50000 steps" in words and "`minutes`" in words


def test_a_run_without_length_or_validation_says_that_it_does_not_end_early(make_patches, caplog):
    caplog.set_level(logging.INFO)

    def stop(progress):
        raise KeyboardInterrupt

    small = {"batch_size": 1, "patch_px": 32, "filters": 4, "held_out": 0.0}
    path = make_patches()
    with pytest.raises(KeyboardInterrupt):
        train(path, small, model_directory=path.parent, device="cpu", progress=stop)
    assert "nothing is held out for validation, so training ends after 50000 steps" in caplog.text
    assert "no longer improves" not in caplog.text


def test_train_refuses_a_schedule_that_it_would_not_follow(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "-t", "training_data.hdf", "--schedule", "staircase"]) == 1
    message = capsys.readouterr().err
    assert "--schedule is staircase, but the run has no length" in message
    assert "give --steps, --minutes or --number_of_epochs" in message


def test_one_of_several_micrographs_that_is_left_is_named():
    parts = Split([Region(1, 0, 56, 0, 64)], [Region(1, 56, 64, 0, 64)])
    assert words_of_split(parts, ["a.mrc", "b.mrc"]) == (
        "training on 7/8 of the one micrograph, b.mrc; validation on the other eighth"
    )


def test_train_says_what_it_trains_on_before_it_does(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    simulate = ["simulate", ".", "--overwrite", "-n", "1", "--size_px=256", "--pixel_size_A=2"]
    assert main(simulate) == 0
    capsys.readouterr()
    small = "--filters=4 --blocks=1 --batch_size=2 --patch_px=32 --from_scratch"
    assert main(f"train -m micrographs_ctf.star -r 9 --steps 1 {small}".split()) == 0
    messages = capsys.readouterr().err
    assert "training_data.hdf: 1 pair of halves" in messages
    assert "of the one micrograph, Micrographs/mic_0001_DW.mrc; validation on" in messages
    assert "can take hours" not in messages
