"""Options that do not apply to what a command works on are refused, not ignored."""

from pathlib import Path

import pytest

from restore.cli.main import main


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("denoise -m mics.star --protein dark", "--protein does not apply to micrographs"),
        ("denoise a.mrc --margin_A 20", "--margin_A does not apply to micrographs"),
        ("denoise a.mrc --margin-A 9 --protein auto", "--margin_A, --protein do not apply to"),
        ("fsc a.mrc --model b.pdb --count whole", "--count does not apply to a comparison with"),
        ("fsc a.mrc --model b.pdb --seed 1", "--seed does not apply to a comparison with"),
        ("fsc a.mrc b.mrc --model_bfactors none", "--model_bfactors does not apply to half maps"),
        ("watch Raw -o Out -p a.model --train_after 20", "--train_after does not apply to"),
        ("watch Raw -o Out -p a.model --minutes 9", "--minutes does not apply to a session with"),
        ("train -t a.hdf -s DW,EVN,ODD", "--even_odd_suffix does not apply to an existing patch"),
        ("train -t a.hdf --pixel_size 2", "--pixel_size does not apply to an existing patch file"),
        ("train --resume --patch_dtype float32", "--patch_dtype does not apply to an existing"),
        ("train -t a.hdf --o Job -f b.hdf", "--training_filename does not apply to an existing"),
    ],
)
def test_an_option_is_refused_with_status_2(tmp_path, monkeypatch, capsys, line, words):
    monkeypatch.chdir(tmp_path)
    Path("mics.star").write_text("data_micrographs\n\nloop_\n_rlnMicrographName #1\na.mrc\n")
    assert main(line.split()) == 2
    message = capsys.readouterr().err
    assert words in message and len(message.splitlines()) == 1


def test_a_session_with_a_model_may_say_that_none_is_trained(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["watch", "Raw", "-o", "Out", "-p", "a.model", "--train_after", "0"]) == 1
    assert "a.model: " in capsys.readouterr().err
