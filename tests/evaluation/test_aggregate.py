"""From measurements to an evaluation: who was trained on, which groups there are, and tables that
others can read.
"""

import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import starfile
import torch
from evaluation_world import micrographs
from simulated_halves import NYQUIST_PER_A, blocks_of, coloured, white

from restore.evaluation.aggregate import (
    EvaluationSettings,
    aggregate,
    rings_with_signal,
    roles,
)
from restore.evaluation.batch import plan
from restore.evaluation.estimators.decomposition import PAIRS
from restore.evaluation.estimators.resampling import Estimate
from restore.evaluation.estimators.spectra import RingAxis
from restore.evaluation.measure import Measurement, save_measurement
from restore.evaluation.records import FILE, Facts, Making, evaluation_from
from restore.io.star import write_star
from restore.quantities import Number
from restore.records import record_text
from restore.tables.evaluation import TABLE_COLUMNS, evaluation_csv, evaluation_star

AXIS = RingAxis(8, NYQUIST_PER_A / 8)
SETTINGS = EvaluationSettings(resamples=100)


def power(frequency):
    return 1.5 * torch.exp(-((frequency / 0.18) ** 2))


def blocks(seed, signal=1.0, neighbour=None, fixed=0.0):
    """The table of a micrograph with ``signal``, and a camera's pattern that is in every half of
    every micrograph.
    """
    shape = (128, 128)
    pattern = fixed * white(shape, 999)

    def halves(seed):
        true = signal * coloured(shape, 10 * seed, power)
        return true, [true + white(shape, 10 * seed + n) + pattern for n in (1, 2)]

    true, raw = halves(seed)
    images = {"M1": raw[0], "M2": raw[1]} | {f"D{n}": 0.7 * true + 0.2 * raw[n - 1] for n in (1, 2)}
    images |= {"X": (raw[0] - raw[1]) / 2**0.5, "F": 0.2 * (raw[0] - raw[1]) / 2**0.5}
    if neighbour is not None:
        other = halves(neighbour)[1][1]
        images |= {"M2'": other, "D2'": 0.2 * other}
    return blocks_of(images, 32, blocks=4)


@pytest.fixture
def measured(tmp_path):
    """A function that leaves measurements of so many micrographs on the disk; their subjects come
    back.
    """

    def make(count, names="abcdefghijklmnop", **known):
        jobs = plan(micrographs(tmp_path, names[:count]), tmp_path / "evaluation", "", None)
        chosen = [job.subject for job in jobs]
        for index, subject in enumerate(chosen):
            neighbour = (index - 1) % count if count > 1 else None
            facts = Facts(hot_pixels=index, confirmed=0.5, refuted=0.01)
            save_measurement(
                subject.path, Measurement(blocks(index, neighbour=neighbour, **known), facts)
            )
        return chosen

    return make


def spoilt(subject, change):
    """Measure a micrograph again, its blocks changed."""
    table = blocks(int(subject.micrograph.row), neighbour=0)
    change(table)
    save_measurement(subject.path, Measurement(table))


def evaluated(chosen, held_out=0, of_model=True, settings=SETTINGS):
    known = (
        ["held out"] * held_out + ["trained on"] * (len(chosen) - held_out)
        if of_model
        else ["all"] * len(chosen)
    )
    return aggregate(chosen, known, AXIS, settings, Making())


def test_micrographs_are_known_by_name_and_by_file_name_where_no_name_fits():
    training = {
        "trained_on": ["job2/a.mrc", "job2/b.mrc"],
        "held_out": ["job2/c.mrc", "job2/a.mrc"],
    }
    assert roles(["job2/b.mrc", "job2/c.mrc", "job2/new.mrc"], training) == [
        "trained on",
        "held out",
        "held out",
    ]
    assert roles(["/data/a.mrc", "/data/c.mrc"], training) == ["trained on", "held out"]
    assert roles(["job2/a.mrc", "job3/b.mrc"], training) == [
        "trained on",
        "held out",
    ]  # job3's is another


def test_groups_are_held_out_first_and_few_micrographs_are_resampled_by_patches(measured):
    groups = evaluated(measured(8), held_out=3).groups
    assert [(group.name, group.micrographs, group.resampled) for group in groups] == [
        ("held out", 3, "patches"), ("trained on", 5, "micrographs"), ("all", 8, "micrographs"),
    ]  # fmt: skip
    for group in groups:
        for key in ("snr_raw", "bias_share", "correlation_denoised", "advantage_over_wiener"):
            number = group.numbers[key]
            assert number.low < number.value < number.high, key
        assert {len(curve.value) for curve in group.curves.values()} == {8}


def test_one_group_where_there_is_one_role(measured):
    chosen = measured(2)
    assert [group.name for group in evaluated(chosen).groups] == ["trained on", "all"]
    other = evaluated(chosen, of_model=False)
    assert [group.name for group in other.groups] == ["all"]
    assert [micrograph.role for micrograph in other.micrographs] == ["", ""]
    assert not any("trained on" in warning for warning in other.warnings)


def test_a_group_is_the_mean_of_its_micrographs(measured):
    evaluation = evaluated(measured(6), held_out=6)
    singles = [micrograph.numbers["var_signal"].value for micrograph in evaluation.micrographs]
    assert evaluation.groups[0].numbers["var_signal"].value == pytest.approx(
        sum(singles) / 6, rel=1e-4
    )


def test_intervals_are_wider_where_more_confidence_is_asked_and_the_same_for_a_seed(measured):
    chosen = measured(5)

    def width(**settings):
        asked = EvaluationSettings(resamples=100, **settings)
        number = evaluated(chosen, 5, settings=asked).groups[0].numbers["snr_raw"]
        return number.high - number.low

    assert width(confidence=0.5) < width(confidence=0.9)
    assert width() == width() != width(seed=1)


def test_only_finite_numbers_reach_the_file_even_where_there_is_no_signal(measured):
    chosen = measured(3)

    def no_signal(table):
        table[:, PAIRS.index(("M1", "M2"))] = -1e-3

    spoilt(chosen[1], no_signal)
    evaluation = evaluated(chosen)
    card = json.loads(record_text(evaluation, FILE))
    assert json.dumps(card, allow_nan=False) and evaluation_from(card) == evaluation
    assert evaluation.micrographs[1].numbers["gain"] == Number(None, None, None)
    assert evaluation.micrographs[1].remarks[0] == "The halves have no measurable signal in common."
    assert evaluation.groups[0].numbers["gain"].value is not None


def test_a_gap_in_the_unpaired_test_is_no_zero(measured):
    chosen = measured(6, fixed=1.0)
    complete = evaluated(chosen).groups[0].numbers["unpaired_raw"].value
    for subject in chosen[:4]:
        table = blocks(subject.micrograph.row, fixed=1.0)
        save_measurement(subject.path, Measurement(table))
    evaluation = evaluated(chosen)
    assert evaluation.groups[0].numbers["unpaired_raw"].value == pytest.approx(complete, rel=0.2)
    assert evaluation.micrographs[0].numbers["unpaired_raw"].value is None


def test_one_micrograph_alone_has_no_unpaired_test_and_an_interval_from_its_patches(measured):
    (group, _) = evaluated(measured(1)).groups
    assert group.numbers["unpaired_raw"].value is None
    assert group.numbers["snr_raw"].low < group.numbers["snr_raw"].high


@pytest.mark.parametrize("count", [2, 6])
def test_a_fixed_pattern_is_warned_of_and_chance_is_not(measured, count):
    pattern = "fixed pattern of the camera"
    assert any(pattern in warning for warning in evaluated(measured(count, fixed=0.5)).warnings)
    assert not any(pattern in warning for warning in evaluated(measured(count)).warnings)


def test_the_odd_one_out_is_remarked_on(measured):
    chosen = measured(8)
    save_measurement(
        chosen[5].path, Measurement(blocks(5, signal=0.2, neighbour=4), Facts(hot_pixels=5000))
    )
    micrographs = evaluated(chosen).micrographs
    assert max(micrographs, key=lambda micrograph: micrograph.outlier).row == 5
    assert any("Unlike the others" in remark for remark in micrographs[5].remarks)
    assert "5000 hot pixels were replaced." in micrographs[5].remarks


def test_the_star_table_is_read_by_starfile(measured, tmp_path):
    micrographs = evaluated(measured(3), held_out=1).micrographs
    write_star(tmp_path / "table.star", evaluation_star(micrographs))
    table = starfile.read(tmp_path / "table.star")
    assert list(table["rlnMicrographName"]) == [micrograph.name for micrograph in micrographs]
    assert list(table["restoreRole"]) == ["held_out", "trained_on", "trained_on"]
    assert len(table.columns) == 6 + 3 * len(TABLE_COLUMNS)
    for end, name in (
        ("value", "restoreSnrRaw"),
        ("low", "restoreSnrRawLow"),
        ("high", "restoreSnrRawHigh"),
    ):
        assert table[name].to_list() == pytest.approx(
            [getattr(micrograph.numbers["snr_raw"], end) for micrograph in micrographs], rel=1e-5
        )


def test_the_csv_table_has_the_same_cells_and_says_nan_where_there_is_none(measured):
    micrographs = evaluated(measured(2), of_model=False).micrographs
    micrographs = [
        replace(micrographs[0], numbers={**micrographs[0].numbers, "gain": Number()}),
        replace(micrographs[1], name='grid "2", a/b.mrc'),
    ]
    rows = list(csv.DictReader(io.StringIO(evaluation_csv(micrographs))))
    assert [row["micrograph"] for row in rows] == [micrograph.name for micrograph in micrographs]
    assert math.isnan(float(rows[0]["gain"])) and math.isnan(float(rows[0]["gain_high"]))
    assert float(rows[1]["gain_low"]) == pytest.approx(micrographs[1].numbers["gain"].low, rel=1e-5)
    assert rows[0]["role"] == "none" and all(
        None not in row and "" not in row.values() for row in rows
    )


def test_micrographs_with_spaces_in_their_names_survive_the_star_table(measured, tmp_path):
    micrographs = evaluated(measured(2), of_model=False).micrographs
    micrographs = [replace(micrographs[0], name="my grid/a.mrc"), micrographs[1]]
    write_star(tmp_path / "table.star", evaluation_star(micrographs))
    assert starfile.read(tmp_path / "table.star")["rlnMicrographName"][0] == "my grid/a.mrc"


@pytest.mark.parametrize("name", [Path("trained_on"), Path("nothing")])
def test_a_model_without_a_record_has_trained_on_nothing_that_is_known(name):
    assert roles(["a.mrc"], {} if name.name == "nothing" else {"trained_on": []}) == ["held out"]


def test_the_only_micrograph_of_a_group_has_the_intervals_of_its_group(measured):
    settings = EvaluationSettings(resamples=400)  # more than a micrograph of many gets
    result = evaluated(measured(6), held_out=1, settings=settings)
    assert result.micrographs[0].numbers == result.groups[0].numbers


def test_a_ring_has_signal_where_it_and_a_neighbour_correlate_beyond_the_error():
    low = torch.tensor([0.2, 0.1, -0.1, 0.05, -0.2, 0.01, 0.02, torch.nan])
    frc = Estimate(low + 0.05, low, low + 0.1)
    assert rings_with_signal(frc) == (True, True, False, False, False, True, True, False)
    unknown = torch.full_like(low, torch.nan)
    assert rings_with_signal(Estimate(low, unknown, unknown)) == ()


@pytest.mark.parametrize(
    ("count", "confidence", "resampled"),
    [(4, 0.5, "patches"), (5, 0.95, "patches"), (6, 0.95, "micrographs"), (5, 0.99, "patches")],
)
def test_patches_are_resampled_where_micrographs_are_too_few_for_the_confidence(
    measured, count, confidence, resampled
):
    settings = EvaluationSettings(resamples=100, confidence=confidence)
    evaluation = evaluated(measured(count), of_model=False, settings=settings)
    (group,) = evaluation.groups
    assert group.resampled == resampled
    assert len(group.has_signal) == 8
    for numbers in (group.numbers, evaluation.micrographs[0].numbers):
        assert numbers["snr_raw"].low < numbers["snr_raw"].value < numbers["snr_raw"].high


def test_signal_is_found_where_it_is_and_not_in_noise(measured):
    (group,) = evaluated(measured(6, signal=1.0), of_model=False).groups
    assert group.has_signal[0] and group.has_signal[1]
    (group,) = evaluated(measured(6, signal=0.0), of_model=False).groups
    assert sum(group.has_signal) == 0
