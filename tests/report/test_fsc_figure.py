"""The figure and the STAR file of a Fourier shell correlation."""

import pytest
import torch

from restore.io.star import parse_star
from restore.maps.fsc import FSC
from restore.report.figures import save_png
from restore.report.fsc_figure import fsc_figure
from restore.report.fsc_file import fsc_star

FREQUENCY = torch.arange(33) / 96.0
FALLING = 1 / (1 + (FREQUENCY * 6).double() ** 6)
RANDOM = torch.where(torch.arange(33) < 12, 0.99, 0.05).double()


def whole():
    return FSC(FREQUENCY, FALLING**1.5, FALLING, RANDOM, FALLING**1.1, 12)


def texts(figure):
    return [each.get_text() for each in figure.axes[0].texts]


def test_every_curve_is_drawn_and_named_and_the_crossings_of_the_best_are_said(tmp_path):
    fsc = whole()
    figure = fsc_figure(fsc, "half1 and half2")
    named = {text.get_text() for text in figure.axes[0].get_legend().get_texts()}
    assert named == {"unmasked", "masked", "masked, phases random", "corrected"}
    drawn = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}
    assert torch.equal(torch.from_numpy(drawn["corrected"]), fsc.corrected)
    words = [f"{fsc.crossing_A(fsc.corrected, each):.2f} Å at {each:g}" for each in (0.5, 0.143)]
    assert texts(figure) == words
    save_png(figure, tmp_path / "fsc.png")
    assert (tmp_path / "fsc.png").stat().st_size > 5000


@pytest.mark.parametrize("level", [0.9, 0.01])
def test_without_a_crossing_the_thresholds_are_named_and_none_is_claimed(level):
    figure = fsc_figure(FSC(FREQUENCY, torch.full((33,), level).double()), "")
    assert texts(figure) == ["0.5", "0.143"]


def test_negative_correlations_stay_on_the_figure():
    figure = fsc_figure(FSC(FREQUENCY, torch.linspace(1, -0.9, 33).double()), "")
    assert figure.axes[0].get_ylim()[0] < -0.9


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
