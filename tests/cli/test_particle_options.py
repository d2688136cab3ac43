"""``restore denoise`` of particles refuses options that are for micrographs."""

from pathlib import Path

import pytest

from restore.cli.main import main

TABLE = "data_particles\n\nloop_\n_rlnImageName #1\n000001@stack.mrcs\n"


@pytest.mark.parametrize(
    "typed",
    [
        "--pixel_size 2",
        "--even_odd_suffix DW,EVN,ODD",
        "--defocus 15000",
        "--voltage 300",
        "--spherical_aberration 2.7",
        "--amplitude_contrast 0.1",
        "--phase_shift 90",
    ],
)
def test_an_option_of_micrographs_is_refused_with_a_table_of_particles(
    tmp_path, monkeypatch, capsys, typed
):
    monkeypatch.chdir(tmp_path)
    Path("particles.star").write_text(TABLE, encoding="utf-8")
    assert main(["denoise", "-m", "particles.star", *typed.split()]) == 2
    assert f"{typed.split()[0]} does not apply to particles" in capsys.readouterr().err
