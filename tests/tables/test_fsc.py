"""The STAR file of an FSC, under RELION's names."""

import pytest
import torch

from restore.io.star import parse_star
from restore.maps.fsc import FSC
from restore.tables.fsc import fsc_star

FREQUENCY = torch.arange(33) / 96.0
FALLING = 1 / (1 + (FREQUENCY * 6).double() ** 6)
RANDOM = torch.where(torch.arange(33) < 12, 0.99, 0.05).double()


def whole():
    return FSC(FREQUENCY, FALLING**1.5, FALLING, RANDOM, FALLING**1.1, 12)


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_the_star_file_has_relions_names_and_the_numbers_of_the_curves():
    star = parse_star(fsc_star(whole(), "a half.mrc", "b.mrc", "mask.mrc").text())
    general, table = star.block("general"), star.block("fsc")
    assert dict(zip(general.columns, general.rows[0], strict=True)) == {
        "rlnFinalResolution": f"{96 / whole().last_shell_above():.6f}",
        "rlnUnfilteredMapHalf1": "a half.mrc",
        "rlnUnfilteredMapHalf2": "b.mrc",
        "rlnMaskName": "mask.mrc",
        "rlnRandomiseFrom": "8.000000",
    }
    assert table.rows[0][:3] == ("0", "0.001001", "999.000000")
    assert table.rows[8][:3] == ("8", "0.083333", "12.000000")
    for name, curve in (
        ("Corrected", FALLING**1.1),
        ("UnmaskedMaps", FALLING**1.5),
        ("MaskedMaps", FALLING),
    ):
        numbers = [float(value) for value in table.column(f"rlnFourierShellCorrelation{name}")]
        assert numbers == pytest.approx(curve.tolist(), abs=1e-6)
    random = table.column("rlnCorrectedFourierShellCorrelationPhaseRandomizedMaskedMaps")
    assert [float(value) for value in random] == pytest.approx(RANDOM.tolist(), abs=1e-6)


def test_a_curve_that_is_not_there_has_no_column():
    star = fsc_star(FSC(FREQUENCY, FALLING), "a.mrc", "b.mrc")
    assert (
        len(star.block("fsc").columns) == 4 and "rlnMaskName" not in star.block("general").columns
    )


def test_the_columns_are_those_that_relion_wrote(shared_data):
    theirs = parse_star((shared_data / "star/betagal_postprocess_job030.star").read_text()).block(
        "fsc"
    )
    assert fsc_star(whole(), "a", "b", "m").block("fsc").columns == theirs.columns
