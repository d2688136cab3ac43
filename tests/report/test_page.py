"""The page of an evaluation: what it holds, whatever the evaluation lacks, and nothing that could
harm its reader.
"""

import json
import logging
import re
from itertools import pairwise

import evaluation_example as example
import pytest
from html_reader import Reader
from hypothesis import given
from hypothesis import strategies as st

from restore.cli.main import main
from restore.errors import UserError
from restore.evaluation.records import Group, evaluation_from, read_evaluation
from restore.quantities import Curve, Number
from restore.report.axes import Axis, linear_axis, logarithmic_axis, resolution_ticks
from restore.report.charts import Chart, Line, svg, y_axis
from restore.report.curves import charts_of
from restore.report.page import page
from restore.report.pictures import LARGEST_BYTES, choose
from restore.report.verdict import large_figures

EVIL = 'Micrographs/</script><img src=x onerror="alert(1)">&\u2028_DW.mrc'


@pytest.fixture
def make_page(tmp_path):
    """A function that writes an evaluation's JSON with its pictures and returns the page's HTML."""

    def make(card, size=(64, 48), most=24):
        folder = example.write(tmp_path / "evaluation", card, size)
        return page(read_evaluation(folder), folder, most)

    return make


def rows_of(html):
    return html.split("<tbody>")[1].split("</tbody>")[0].strip().splitlines()


def test_the_page_says_what_was_run_and_how_it_went(make_page):
    text = Reader(make_page(example.evaluation())).text
    for words in (
        "What denoising did to all.star",
        "12 micrographs · model m.safetensors · to 4.5 Å · restore 0.2.0 · 2026-05-04",
        "Only four micrographs were held out.", "The denoised halves beat the Wiener filter",
        "low-pass, 21 Å", "0.830", "restore evaluate -m all.star -p m.safetensors",
        "2,383,826 parameters",
        "1000 bootstrap samples", "var B = cov(D₁, D₂)",
    ):  # fmt: skip
        assert words in text


def test_the_glossary_says_what_holds_in_each_ring_and_what_in_the_whole_image(make_page):
    text = Reader(make_page(example.evaluation())).text
    assert "In each ring, (1 − gain)² var S" in text and "summed over the rings" in text


@pytest.mark.parametrize("lowpass_A, label", [(4.5, "4.5 Å"), (21.0, "21 Å"), (146.3, "146 Å")])
def test_the_low_pass_is_not_rounded_past_nyquist(make_page, lowpass_A, label):
    card = example.evaluation()
    card["groups"][0]["numbers"]["lowpass_A"] = {"value": lowpass_A}
    assert f"low-pass, {label}<" in make_page(card)


def test_warnings_stand_above_the_verdict_and_are_absent_where_there_are_none(make_page):
    card = example.evaluation()
    html = make_page(card)
    assert html.index("Only four") < html.index('id="verdict"')
    assert 'class="warnings"' not in make_page(card | {"warnings": []})


def test_every_group_has_its_numbers_and_curves_held_out_first(make_page):
    html = Reader(make_page(example.evaluation()))
    assert [attributes["value"] for attributes in html.of("input", name="group")] == ["0", "1", "2"]
    assert "checked" in html.of("input", name="group")[0]
    assert "held out: 4 micrographs, intervals from resampling micrographs" in html.text
    charts = [attributes["data-chart"] for attributes in html.of("figure", **{"class": "chart"})]
    assert charts == [f"{group}-{chart}" for group in range(3) for chart in range(7)] + ["loss"]


def test_a_group_of_all_is_left_out_where_it_is_the_same_as_another(make_page):
    card = example.evaluation(3, 3)
    assert [group["name"] for group in card["groups"]] == ["held out", "all"]
    html = Reader(make_page(card))
    assert not html.of("input", name="group")
    assert "all: 3 micrographs" not in html.text and "held out: 3 micrographs" in html.text


def test_noise_removed_is_what_the_variances_say(make_page):
    card = example.evaluation()
    card["groups"][0]["numbers"]["noise_share"] = {"value": 0.25, "low": 0.2, "high": 0.31}
    assert (
        "<dt>noise removed</dt><dd><strong>75 %</strong> "
        '<span class="interval">69 to 80 %</span>' in make_page(card)
    )


def test_the_table_has_the_strangest_micrograph_first(make_page):
    rows = rows_of(make_page(example.evaluation(30, 5)))
    assert len(rows) == 30
    assert ["mic_0018" in rows[0], "mic_0005" in rows[1], "Much less signal" in rows[0]] == [
        True
    ] * 3


def test_names_are_shown_and_never_run(make_page):
    card = example.evaluation(3, 1)
    card["micrographs"][0]["name"] = EVIL
    card["micrographs"][1]["role"] = card["groups"][0]["name"] = "<b>held out</b>"
    card["warnings"] = card["summary"] = card["micrographs"][0]["remarks"] = [
        "<script>alert(2)</script>"
    ]
    card["provenance"]["command"] = card["provenance"]["inputs"]["micrographs"] = (
        "</style><script>alert(3)</script>"
    )
    card["model"]["name"] = card["recipe"]["max_resolution_A"] = "<i>x</i>"
    html = make_page(card)
    page_ = Reader(html)
    assert len(page_.of("script")) == 3 and len(page_.of("style")) == 1
    assert not [
        attributes
        for _, attributes in page_.elements
        if any(name.startswith("on") for name in attributes)
    ]
    assert not page_.of("b") and not page_.of("i") and not page_.of("img", src="x")
    assert '<img src=x onerror="alert(1)">&' in page_.text


def test_what_is_embedded_can_neither_end_its_element_nor_hold_nan():
    from restore.report.document import embedded

    text = embedded({"name": EVIL, "value": None})
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text)["name"] == EVIL
    with pytest.raises(ValueError, match="not JSON compliant"):
        embedded([float("nan")])


def test_nothing_in_the_page_points_outside_it(make_page):
    html = make_page(example.evaluation())
    reader = Reader(html)
    assert all(image["src"].startswith("data:image/") for image in reader.of("img"))
    assert not reader.of("link") and not reader.of("iframe")
    assert all(anchor["href"].startswith("#") for anchor in reader.of("a"))
    assert not re.search(r"""(src|href)=["']?(https?:)?//|url\(|@import|\bfetch\(|style=""", html)
    (policy,) = reader.of("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy["content"].startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy["content"]


def nulled(value):
    """The JSON with NaN for every number of an estimate, as a careless writer might leave it."""
    if isinstance(value, dict):
        keys = ("value", "low", "high")
        return {
            key: ([float("nan")] * len(item) if isinstance(item, list) else float("nan"))
            if key in keys
            else nulled(item)
            for key, item in value.items()
        }
    return [nulled(item) for item in value] if isinstance(value, list) else value


def test_numbers_that_are_not_there_are_dashes_and_never_nan(make_page):
    html = make_page(nulled(example.evaluation()))
    body = html.split("<script>")[1].split("</script>", 1)[
        1
    ]  # after the style and the first script
    assert "nan" not in Reader(html).text.lower().replace("finance", "")
    assert "NaN" not in body.split('id="readings"')[1].split("</script>")[0]
    assert 'class="ladder"' not in html and 'data-chart="0-0"' not in html
    assert len(rows_of(html)) == 12


def test_there_may_be_no_model(make_page):
    card = example.evaluation(5, 0) | {"model": None}
    card["groups"] = [example.group("all", 5)]
    for row in card["micrographs"]:
        row["role"] = ""
        del row["numbers"]["invented_share"]
    text = make_page(card)
    assert "denoised by another program" in text
    assert 'name="group"' not in text and 'data-chart="loss"' not in text
    assert ">role<" not in text and ">output for noise alone</button>" not in text


def test_there_may_be_no_pictures(make_page):
    text = make_page(example.evaluation(pictures=False))
    assert "no pictures to show" in text
    assert 'data-view="' not in text


def test_there_may_be_one_micrograph_and_no_intervals(make_page):
    card = example.evaluation(1, 1)
    card["groups"] = [example.group("held out", 1)]
    for number in card["groups"][0]["numbers"].values():
        number["low"] = number["high"] = None
    for curve in card["groups"][0]["curves"].values():
        curve["low"] = curve["high"] = [None] * example.RINGS
    card["micrographs"][0]["outlier"] = None
    html = make_page(card)
    assert "1 micrograph ·" in html and "held out: 1 micrograph," in html
    assert 'class="whisker"' not in html and 'class="band' not in html
    assert html.count('class="line denoised"') > 5


def test_there_may_be_nothing_but_what_is_needed(tmp_path):
    empty = {"format_version": 1, "frequency_per_A": [], "groups": [], "micrographs": []}
    html = Reader(page(evaluation_from(empty), tmp_path))
    assert "What denoising did to these micrographs" in html.text


def test_pictures_outside_the_folder_or_that_are_no_pictures_stay_out(make_page, tmp_path):
    card = example.evaluation(4, 2)
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(b"\xff\xd8\xff secret")
    folder = example.write(tmp_path / "evaluation", card)
    (folder / "previews/note.txt").write_text("not a picture")
    previews = [row["previews"] for row in card["micrographs"]]
    previews[0]["raw"], previews[1]["raw"], previews[2]["denoised"] = (
        "../secret.jpg",
        str(secret),
        "previews/note.txt",
    )
    previews[3]["support"] = "previews/gone.png"
    chosen = choose(evaluation_from(card).micrographs, folder, 24)
    assert [(shown.index, shown.support) for shown in chosen] == [(3, None)]


def test_few_of_many_are_shown_typical_and_strange_held_out_first(tmp_path):
    card = example.evaluation(60, 12)
    folder = example.write(tmp_path / "evaluation", card)
    shown = choose(evaluation_from(card).micrographs, folder, 9)
    roles = [preview.row.role for preview in shown]
    assert len(shown) == 9 and roles == sorted(roles) and roles.count("held out") >= 6
    assert shown[0].row.outlier == min(row["outlier"] for row in card["micrographs"][:12])
    strange = [preview.index for preview in shown if preview.row.outlier > 3]
    assert {57, 44, 31} <= set(strange), "the three strangest of all"


def test_fifty_micrographs_with_large_pictures_stay_below_10_MB(make_page):
    html = make_page(example.evaluation(50, 10), size=(640, 620), most=50)
    assert len(html.encode()) < 10e6
    shown = html.count('<article class="view"')
    assert 10 < shown < 50 and f"{shown} of 50 micrographs are shown" in html


def test_pictures_larger_than_a_page_may_hold_are_left_out(tmp_path, monkeypatch):
    card = example.evaluation(4, 2)
    folder = example.write(tmp_path / "evaluation", card)
    rows = evaluation_from(card).micrographs
    one = choose(rows, folder, 1)[0]
    monkeypatch.setattr(
        "restore.report.pictures.LARGEST_BYTES",
        2 * (len(one.raw) + len(one.denoised) + len(one.support)),
    )
    assert len(choose(rows, folder, 24)) == 2 and LARGEST_BYTES < 10e6


def test_two_thousand_micrographs_make_a_page_of_little_more_than_a_megabyte(make_page):
    card = example.evaluation(2000, 100, pictures=False)
    html = make_page(card)
    assert len(rows_of(html)) == 2000
    assert len(html.encode()) < 1.5e6


def points_of(path):
    return [[float(number) for number in point.split()] for point in re.split("[ML]", path)[1:]]


def lines_of(values, logarithmic=True, low=None, high=None):
    none = (None,) * len(values)
    curve = Curve(tuple(values), low or none, high or none)
    chart = Chart(
        "T",
        "w",
        tuple(0.01 * (index + 1) for index in range(len(values))),
        (Line("l", "raw", curve),),
        logarithmic,
    )
    return re.findall(r'class="line raw" d="([^"]*)"', svg(chart)), re.findall(
        r'class="band raw" d="([^"]*)"', svg(chart)
    )


def test_a_line_has_gaps_where_a_value_is_missing_or_cannot_stand_on_the_axis():
    (path,), _ = lines_of([1.0, 0.5, None, 0.3, -0.2, 0.1, 0.2])
    assert path.count("M") == 3
    (path,), _ = lines_of([1.0, 0.5, None, 0.3, -0.2, 0.1, 0.2], logarithmic=False)
    assert path.count("M") == 2


def test_a_value_that_alone_has_no_interval_is_not_drawn():
    ends = (0.4, None, 0.2, 0.1)
    (path,), (band,) = lines_of([0.5, 9.0, 0.3, 0.2], low=ends, high=ends)
    assert path.count("M") == 2 and band.count("M") == 2


def test_a_band_whose_low_end_is_negative_reaches_the_floor_of_a_logarithmic_axis():
    _, (band,) = lines_of([1.0, 0.5, 0.2], low=(0.9, 0.4, -0.1), high=(1.1, 0.6, 0.4))
    assert max(y for _, y in points_of(band.rstrip("Z"))) > 300


@given(st.lists(st.floats(1e-5, 1e5), min_size=2, max_size=40))
def test_larger_values_stand_higher(values):
    (path,), _ = lines_of(values)
    heights = [y for _, y in points_of(path)]
    for (before, y_before), (after, y_after) in pairwise(zip(values, heights, strict=True)):
        assert (after - before) * (y_after - y_before) <= 0 or abs(y_after - y_before) < 0.2


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_all_values_lie_on_a_linear_axis_with_a_few_ticks(values):
    axis = linear_axis(values, [])
    assert all(0 <= axis.place(value) <= 1 for value in values)
    assert 2 <= len(axis.ticks()) <= 12


@given(st.lists(st.floats(1e-2, 1e3), min_size=1, max_size=60))
def test_nearly_all_values_lie_on_a_logarithmic_axis(values):
    axis = logarithmic_axis(values)
    outside = [value for value in values if not 0 <= axis.place(value) <= 1]
    assert len(outside) <= len(values) / 20


def test_resolutions_are_named_from_the_finest_on_and_never_crowd():
    ticks = resolution_ticks(Axis(0.0, 1 / 4.5), 0.085)
    assert ticks[0] == (1 / 4.5, "4.5")
    assert all(a - b >= 0.085 / 4.5 for (a, _), (b, _) in pairwise(ticks))


@pytest.fixture
def quiet():
    """Logging as it was found."""
    root, own = logging.getLogger(), logging.getLogger("restore")
    before = root.handlers[:], root.level, own.level
    yield
    root.handlers[:], root.level = before[:2]
    own.setLevel(before[2])


def test_the_command_writes_the_page_and_prints_its_path(tmp_path, capsys, quiet):
    folder = example.write(tmp_path / "evaluation", example.evaluation())
    assert main(["report", str(folder)]) == 0
    assert capsys.readouterr().out == f"{folder / 'report.html'}\n"
    assert (
        main(["report", str(folder), "-o", str(tmp_path / "new/page.html"), "--previews", "2"]) == 0
    )
    assert (tmp_path / "new/page.html").read_text(encoding="utf-8").count(
        '<article class="view"'
    ) == 2
    assert main(["report", str(folder), "--previews", "-1"]) == 2
    assert not list(tmp_path.rglob("*.partial"))


def test_the_command_starts_without_torch():
    import subprocess
    import sys

    program = (
        "import sys; from restore.cli.main import main; main(['report', 'nowhere']);"
        "print('torch' in sys.modules, 'matplotlib' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=True
    )
    assert done.stdout.strip() == "False False"


def test_a_folder_without_an_evaluation_is_named(tmp_path):
    with pytest.raises(
        UserError,
        match=r"gone: there is no such folder. Name the folder that restore evaluate wrote",
    ):
        read_evaluation(tmp_path / "gone")
    with pytest.raises(UserError, match=r"evaluation.json: there is no such file"):
        read_evaluation(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"format_version": 1, "groups": ',
        "[]",
        "{}",
        '{"format_version": 1}',
        '{"format_version": 1, "frequency_per_A": [0.1], "groups": [3], "micrographs": []}',
        '{"format_version": 1, "frequency_per_A": [0.1, 0.2], "micrographs": [], "groups": '
        '[{"name": "all",'
        ' "micrographs": 1, "curves": {"gain": {"value": [1]}}}]}',
    ],
)
def test_a_damaged_evaluation_says_so(tmp_path, text):
    (tmp_path / "evaluation.json").write_text(text)
    with pytest.raises(
        UserError, match=r"evaluation.json: a damaged evaluation .*\. Run restore evaluate again"
    ):
        read_evaluation(tmp_path)


def test_bytes_that_are_no_text_are_a_damaged_evaluation(tmp_path):
    (tmp_path / "evaluation.json").write_bytes(b"\x93NUMPY\xff\xfe")
    with pytest.raises(UserError, match="a damaged evaluation"):
        read_evaluation(tmp_path)


def test_an_evaluation_of_a_newer_program_says_what_this_one_reads(tmp_path):
    (tmp_path / "evaluation.json").write_text(
        json.dumps(example.evaluation() | {"format_version": 2})
    )
    with pytest.raises(
        UserError, match=r"format version 2. This version of restore reads version 1: use"
    ):
        read_evaluation(tmp_path)


def test_each_share_stands_beside_its_ideal_and_the_wiener_filter_where_it_is_known():
    numbers = {
        "noise_share": Number(0.025), "noise_share_wiener": Number(0.25),
        "bias_share": Number(0.24), "bias_share_wiener": Number(0.4),
        "gain": Number(0.62), "gain_wiener": Number(0.5), "hallucinated_share": Number(0.03),
        "hallucinated_share_wiener": Number(1e-9), "invented_share": Number(0.08),
        "signal_to_error_denoised": Number(3.1), "signal_to_error_wiener": Number(2.2),
        "advantage_over_wiener": Number(1.41, 1.33, 1.49),
    }  # fmt: skip
    html = large_figures(Group(name="held out", micrographs=2, numbers=numbers))
    assert re.findall('<p class="reference">(.*?)</p>', html) == [
        "Wiener filter 75 % · ideal 100 %",
        "Wiener filter 50 % · ideal 100 %",
        "Wiener filter 40 % · ideal 0 %",
        "Wiener filter 0.0 % · ideal 0 %",
        "ideal 0 %",
        "Wiener filter 2.20 · 1.41 times as much (1.33 to 1.49)",
    ]


def test_whether_denoising_was_of_use_is_the_first_thing_on_the_page(make_page):
    html = make_page(example.evaluation())
    first = html.index("<p>The denoised halves beat the Wiener filter")
    assert html.index("</h1>") < first < html.index('class="warnings"')
    assert html.count("The denoised halves beat the Wiener filter") == 1


def masked(card, without):
    """The evaluation with no signal in some rings, where ratios with it go astray."""
    has_signal = [index not in without for index in range(example.RINGS)]
    for group in card["groups"]:
        group["has_signal"] = has_signal
        for key in ("advantage_over_wiener", "signal_to_error_denoised", "snr_raw", "gain"):
            for index in without:
                group["curves"][key]["value"][index] = 1e5
                group["curves"][key]["high"][index] = 1e6
    return evaluation_from(card)


def test_rings_without_signal_are_shaded_and_explained_and_do_not_stretch_an_axis():
    evaluation = masked(example.evaluation(), {*range(20, 26), *range(50, example.RINGS)})
    charts = {chart.title: chart for chart in charts_of(evaluation, evaluation.groups[0])}
    for title in (
        "Gain over the Wiener filter",
        "Signal against all error",
        "Signal against noise",
    ):
        drawn = svg(charts[title])
        assert drawn.count('class="blank"') == 2
        assert "Shaded: the halves have no measurable signal in common" in charts[title].words
        assert y_axis(charts[title]).high < 1e4
    assert svg(charts["Agreement of the two halves"]).count('class="blank"') == 0
    kept = {line.label: line.curve for line in charts[KEPT].lines}
    assert kept["signal kept"].value[22] is None
    assert kept["output for noise alone"].value[22] is not None


KEPT = "Signal kept, bias, and output for noise alone"


def test_an_evaluation_that_does_not_know_its_signal_is_drawn_whole():
    evaluation = evaluation_from(example.evaluation())
    for chart in charts_of(evaluation, evaluation.groups[0]):
        assert 'class="blank"' not in svg(chart) and "Shaded" not in chart.words


def test_a_difference_from_the_wiener_filter_can_be_seen_and_a_tiny_one_is_not_blown_up():
    for advantage, low, high in ((1.06, 0.9, 1.2), (1.001, 0.85, 1.15), (3.0, 0.5, 3.6)):
        card = example.evaluation()
        card["groups"][0]["curves"]["advantage_over_wiener"] = example.curve(
            [advantage] * example.RINGS, 0.01
        )
        evaluation = evaluation_from(card)
        axis = y_axis(charts_of(evaluation, evaluation.groups[0])[0])
        assert low < axis.low < 1 < axis.high < high and axis.high - axis.low > 0.199


def test_lines_are_named_at_the_lines():
    evaluation = evaluation_from(example.evaluation())
    for chart in charts_of(evaluation, evaluation.groups[0])[1:6]:
        names = re.findall('<text class="label"[^>]*>(.*?)</text>', svg(chart))
        assert {"raw", "denoised"} & set(names) or "signal kept" in names, chart.title
