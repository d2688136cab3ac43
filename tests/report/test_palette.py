"""One colour, one name and one list of ticks for a quantity, in a page and in a picture."""

import re

import evaluation_example
import pytest
import torch
from matplotlib.colors import to_hex

from restore.evaluation.records import evaluation_from
from restore.maps.fsc import FSC
from restore.report.axes import TICKS_APART, Axis, resolution_ticks
from restore.report.curves import charts_of
from restore.report.document import page_style
from restore.report.figures import ring_curves
from restore.report.fsc_figure import fsc_figure
from restore.report.palette import VARIABLES
from restore.report.spectra import error_curves, shares


def variables(ground):
    """The colours of a page by the names of its lines, on a light or on a dark ground."""
    sheet = page_style("structure.css")
    part = sheet.split("@media (prefers-color-scheme: dark)")[0 if ground == "light" else 1]
    return dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", part.split("@media")[0]))


def test_a_curve_has_one_colour_and_one_name_in_the_page_and_in_the_picture():
    evaluation = evaluation_from(evaluation_example.evaluation())
    looks = {
        (line.label, line.curve): line.look
        for chart in charts_of(evaluation, evaluation.groups[0])
        for line in chart.lines
    }
    labels = {label: look for (label, _), look in looks.items()}
    drawn = {
        line.get_label(): to_hex(line.get_color())
        for figure in (error_curves(evaluation), shares(evaluation))
        for line in figure.axes[0].lines
    }
    common = set(drawn) & set(labels)
    assert common == {
        "raw", "Wiener filter", "denoised", "signal kept", "bias", "output for noise alone",
    }  # fmt: skip
    assert {label: drawn[label] for label in common} == {
        label: VARIABLES[labels[label]].light for label in common
    }


@pytest.mark.parametrize("ground", ["light", "dark"])
def test_the_style_sheet_has_every_colour_once(ground):
    colours = variables(ground)
    assert {name: colours[name] for name in VARIABLES} == {
        name: getattr(colour, ground) for name, colour in VARIABLES.items()
    }


def test_raw_and_denoised_have_the_same_colours_in_both_pages():
    assert VARIABLES["rr"] == VARIABLES["raw"]
    assert VARIABLES["dd"] == VARIABLES["denoised"]


def test_resolutions_are_named_alike_in_every_figure():
    frequency = torch.linspace(0, 0.25, 65)
    names = [name for _, name in resolution_ticks(Axis(0, 0.25), TICKS_APART)]
    curve = torch.linspace(1, 0, 65).double()
    figures = [ring_curves(frequency, {"raw": curve}), fsc_figure(FSC(frequency, curve), "")]
    for figure in figures:
        assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == names
    assert len(names) > 5
