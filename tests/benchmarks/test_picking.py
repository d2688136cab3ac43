"""The picking benchmark: matching, precision and recall, and the files of the pickers."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from folders import ROOT, importable
from hypothesis import given
from hypothesis import strategies as st

FOLDER = ROOT / "benchmarks"


@pytest.fixture(scope="module")
def benchmark():
    """The benchmark's modules, which are no package: they find each other beside themselves."""
    with importable(FOLDER):
        import picking
        import picking_images
        import picking_metrics
        import picking_pickers
        import picking_tables

        modules = (picking, picking_images, picking_metrics, picking_pickers, picking_tables)
        yield {module.__name__: module for module in modules}


@pytest.fixture(scope="module")
def metrics(benchmark):
    return benchmark["picking_metrics"]


@pytest.fixture(scope="module")
def tables(benchmark):
    return benchmark["picking_tables"]


def picks_of(metrics, *rows):
    """Picks from rows of x, y, figure of merit."""
    table = np.array(rows, dtype=float).reshape(-1, 3)
    return metrics.Picks(table[:, :2], table[:, 2])


def truth_of(metrics, *centres, tolerance=10.0, margin=20.0):
    """Particles in an image of 200 by 100 pixels."""
    return metrics.Truth(
        np.array(centres, dtype=float).reshape(-1, 2), (200, 100), tolerance, margin
    )


def test_a_pick_within_the_tolerance_is_true_and_one_beyond_it_is_false(metrics):
    truth = truth_of(metrics, (50, 50), (120, 50))
    verdict = metrics.judge(picks_of(metrics, (56, 58, 2), (120, 60.1, 1)), truth)
    assert verdict.is_true.tolist() == [True, False]
    assert verdict.particles == 2


def test_one_particle_makes_only_the_best_of_two_picks_true(metrics):
    truth = truth_of(metrics, (50, 50))
    verdict = metrics.judge(picks_of(metrics, (50, 50, 1), (54, 50, 3)), truth)
    assert verdict.is_true.tolist() == [False, True]


def test_a_second_pick_gets_the_particle_that_the_first_left(metrics):
    truth = truth_of(metrics, (50, 50), (58, 50))
    verdict = metrics.judge(picks_of(metrics, (53, 50, 3), (52, 50, 1)), truth)
    assert metrics.match(picks_of(metrics, (53, 50, 3), (52, 50, 1)), truth).tolist() == [0, 1]
    assert verdict.is_true.all()


def test_x_and_y_are_not_exchanged(metrics):
    truth = truth_of(metrics, (150, 30))
    assert metrics.judge(picks_of(metrics, (150, 30, 1)), truth).is_true.tolist() == [True]
    assert metrics.judge(picks_of(metrics, (30, 50, 1)), truth).is_true.tolist() == [False]


def test_nothing_counts_near_the_border(metrics):
    truth = truth_of(metrics, (15, 50), (50, 50))
    picks = picks_of(metrics, (15, 50, 4), (21, 50, 3), (190, 90, 2), (50, 50, 1))
    verdict = metrics.judge(picks, truth)
    # The first has the particle at the border, the second is false, the third is at the border.
    assert verdict.is_true.tolist() == [False, True]
    assert verdict.figure_of_merit.tolist() == [3, 1]
    assert verdict.particles == 1


def test_a_particle_that_counts_makes_its_pick_count_wherever_it_is(metrics):
    verdict = metrics.judge(picks_of(metrics, (18, 50, 1)), truth_of(metrics, (21, 50)))
    assert verdict.is_true.tolist() == [True]


def test_without_particles_every_pick_is_false_and_without_picks_nothing_is_found(metrics):
    nothing = metrics.judge(picks_of(metrics, (50, 50, 1)), truth_of(metrics))
    assert nothing.is_true.tolist() == [False]
    curve = metrics.curve_of(metrics.judge(picks_of(metrics), truth_of(metrics, (50, 50))))
    assert metrics.average_precision(curve) == 0
    assert metrics.recall_at(curve, 0.9) == 0


def verdict_of(metrics, hits, particles, merits=None):
    merits = range(len(hits), 0, -1) if merits is None else merits
    return metrics.Verdict(np.array(merits, float), np.array(hits, bool), particles)


def test_precision_and_recall_of_a_ranking_worked_out_by_hand(metrics):
    curve = metrics.curve_of(verdict_of(metrics, [1, 1, 0, 1, 0], particles=4))
    assert curve.precision.tolist() == pytest.approx([1, 1, 2 / 3, 3 / 4, 3 / 5])
    assert curve.recall.tolist() == pytest.approx([0.25, 0.5, 0.5, 0.75, 0.75])
    assert metrics.average_precision(curve) == pytest.approx(0.25 * (1 + 1 + 0.75))
    assert metrics.recall_at(curve, 0.9) == 0.5
    assert metrics.recall_at(curve, 0.75) == 0.75
    assert metrics.precision_at(curve, 0.4) == 1
    assert metrics.precision_at(curve, 0.6) == pytest.approx(3 / 4)
    assert metrics.precision_at(curve, 0.8) == 0


def test_a_false_best_pick_does_not_hide_what_a_lower_threshold_reaches(metrics):
    curve = metrics.curve_of(verdict_of(metrics, [0] + 19 * [1], particles=19))
    assert curve.precision[0] == 0
    assert metrics.recall_at(curve, 0.9) == 1


def test_picks_of_one_figure_of_merit_come_together(metrics):
    """No order among equals can make the curve better than it is."""
    for hits in ([1, 0, 0], [0, 0, 1]):
        curve = metrics.curve_of(verdict_of(metrics, hits, 1, merits=[5, 5, 5]))
        assert curve.precision.tolist() == pytest.approx([1 / 3])
        assert metrics.average_precision(curve) == pytest.approx(1 / 3)


def test_the_picks_of_several_micrographs_are_ranked_together(metrics):
    first = verdict_of(metrics, [1, 0], 1, merits=[0.9, 0.1])
    second = verdict_of(metrics, [0, 1], 2, merits=[0.5, 0.3])
    curve = metrics.curve_of(metrics.together([first, second]))
    assert curve.threshold.tolist() == [0.9, 0.5, 0.3, 0.1]
    assert curve.recall.tolist() == pytest.approx([1 / 3, 1 / 3, 2 / 3, 2 / 3])


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(0, 20))
def test_the_measures_stay_in_their_bounds_and_depend_on_the_order_of_merit_alone(
    metrics, hits, missed
):
    particles = sum(hits) + missed
    verdict = verdict_of(metrics, hits, particles)
    curve = metrics.curve_of(verdict)
    precision = metrics.average_precision(curve)
    assert 0 <= precision <= sum(hits) / max(particles, 1) + 1e-12
    squashed = metrics.Verdict(np.tanh(verdict.figure_of_merit / 50), verdict.is_true, particles)
    assert metrics.average_precision(metrics.curve_of(squashed)) == pytest.approx(precision)


def test_the_error_is_zero_where_all_micrographs_are_alike_and_not_where_they_differ(metrics):
    good, bad = verdict_of(metrics, [1, 1], 2), verdict_of(metrics, [0, 0], 2)
    assert metrics.recall_error([[good, good]], 0.9) == 0
    # A quarter of the draws are both good, with a recall of 1; the others have one of 0.
    error = metrics.recall_error([[good, bad]], 0.9, draws=2000)
    assert error == pytest.approx((1 / 4 * 3 / 4) ** 0.5 * 2**0.5, rel=0.1)
    assert np.isnan(metrics.recall_error([[good]], 0.9))


RELION_PICKS = """
# version 30001

data_

loop_
_rlnCoordinateX #1
_rlnCoordinateY #2
_rlnAutopickFigureOfMerit #3
_rlnClassNumber #4
_rlnAnglePsi #5
   38.066087  1109.926949     0.094030            0     0.000000
  646.121735  1115.937384    -0.084119            0     0.000000
"""


def test_picks_of_relion_keep_their_order_of_columns_and_the_sign_of_their_merit(
    benchmark, tmp_path
):
    path = tmp_path / "m000_log.star"
    path.write_text(RELION_PICKS)
    picks = benchmark["picking_pickers"].read_relion_picks(path)
    assert picks.position_xy_px.tolist() == [[38.066087, 1109.926949], [646.121735, 1115.937384]]
    assert picks.figure_of_merit.tolist() == [0.09403, -0.084119]


def test_picks_of_topaz_go_to_their_images_and_an_image_may_have_none(benchmark, tmp_path):
    path = tmp_path / "picks.txt"
    path.write_text("image_name\tx_coord\ty_coord\tscore\nm001\t456\t668\t5.25\nm000\t8\t16\t-3\n")
    picks = benchmark["picking_pickers"].read_topaz_picks(path, ["m000", "m001", "m002"])
    assert picks["m001"].position_xy_px.tolist() == [[456, 668]]
    assert picks["m000"].figure_of_merit.tolist() == [-3]
    assert picks["m002"].position_xy_px.shape == (0, 2)


GROUPS = (("barrel", "20 e/Å²"), ("barrel", "50 e/Å²"))


def result_of(metrics, tables, image, *hits, not_run=""):
    """A result whose picks are right as ``hits`` says, best first, for each group."""
    verdicts = {group: [verdict_of(metrics, hit, 2)] for group, hit in zip(GROUPS, hits)}  # noqa: B905
    return tables.Result("relion", image, verdicts, not_run)


def test_the_best_low_pass_is_another_one_in_every_group(metrics, tables):
    low = [tables.lowpass_name(cutoff) for cutoff in tables.LOWPASS_A]
    results = [
        result_of(metrics, tables, "raw", [1, 0], [0, 1]),
        result_of(metrics, tables, low[0], [1, 1], [0, 0]),
        result_of(metrics, tables, low[1], [0, 0], [1, 1]),
        result_of(metrics, tables, "restore", [1, 0], [1, 0]),
    ]
    *before, best, restore = tables.with_best_lowpass(results)
    assert [*before, restore] == results
    assert (best.image, restore.image) == (tables.BEST_LOWPASS, "restore")
    assert list(best.chosen.values()) == low[:2]
    assert [best.recall(group) for group in GROUPS] == [1, 1]


def test_the_table_has_a_row_for_each_image_and_the_reason_of_what_was_not_run(metrics, tables):
    results = [
        result_of(metrics, tables, "raw", [1, 0], [1, 1]),
        result_of(metrics, tables, "Topaz-Denoise", not_run="no network"),
    ]
    lines = tables.table(results)
    assert lines[0].count("|") == lines[2].count("|") == lines[3].count("|")
    assert "| 75 % | 50 % | 100 % | 75 % | 0.750 |" in lines[2]
    assert "not run: no network" in lines[3]


def test_what_is_written_is_read_again_as_it_was(metrics, tables):
    result = result_of(metrics, tables, "raw", [1, 0, 1], [0, 0, 0])
    again = tables.from_json(json.loads(json.dumps(tables.as_json(result))))
    assert tables.table([again]) == tables.table([result])
    assert tables.line_of(again) == tables.line_of(result)
    assert tables.line_of(result).precision[0] == 0.5  # the mean of 1 and of 0


def chosen_of(benchmark, *words):
    return benchmark["picking"].parsed(["--minutes", "1", *words])


def test_rows_are_chosen_by_their_whole_names_or_by_how_these_begin(benchmark):
    def rows(*names):
        return list(benchmark["picking"].kinds_of(chosen_of(benchmark, "--images", *names)))

    assert rows("restore, general") == ["restore, general"]
    assert rows("restore, general, low", "raw") == ["raw", "restore, general, low frequencies kept"]
    assert len(rows("low-pass")) == 3 and len(rows("restore")) == 6
    assert rows("nothing") == []


def test_a_run_goes_on_with_the_results_of_the_same_question_and_of_no_other(
    benchmark, metrics, tables, tmp_path
):
    picking, path = benchmark["picking"], tmp_path / "picking.json"
    asked = picking.question(chosen_of(benchmark))
    results = [
        result_of(metrics, tables, "raw", [1, 0], [1, 1]),
        result_of(metrics, tables, "Topaz-Denoise", not_run="no network"),
    ]
    assert picking.earlier(path, asked) == []
    picking.write(results, asked, path)
    assert [result.image for result in picking.earlier(path, asked)] == ["raw"]
    other = picking.question(chosen_of(benchmark, "--log-diameters", "0.9", "1.2"))
    with pytest.raises(SystemExit, match="another run"):
        picking.earlier(path, other)


def test_files_of_two_questions_are_not_printed_in_one_table(benchmark, metrics, tables, tmp_path):
    picking, paths = benchmark["picking"], [tmp_path / f"{name}.json" for name in "abc"]
    diameters = ("--log-diameters", "0.9", "1.2")
    for path, image, more in zip(paths, ("raw", "Wiener", "raw"), ((), (), diameters), strict=True):
        asked = picking.question(chosen_of(benchmark, *more))
        picking.write([result_of(metrics, tables, image, [1, 0], [1, 1])], asked, path)
    machines, results = picking.joined(paths[:2])
    assert len(machines) == 1 and [result.image for result in results] == ["raw", "Wiener"]
    with pytest.raises(SystemExit, match=r"c\.json holds results of another run than .*a\.json"):
        picking.joined(paths)


@pytest.fixture(scope="module")
def shots(benchmark, tmp_path_factory):
    """A micrograph of barrels with halves and truth."""
    images = benchmark["picking_images"]
    condition = benchmark["picking"].Condition(50.0, (1.5, 1.5))
    session = images.Session(["barrel"], [condition], 1, 640)
    return images.simulated(tmp_path_factory.mktemp("picking"), session)


def test_simulated_micrographs_that_are_there_are_taken(benchmark, tmp_path, monkeypatch):
    images = benchmark["picking_images"]
    session = images.Session(["barrel"], [benchmark["picking"].Condition(50.0, (1.5, 1.5))], 1, 256)
    (first,) = images.simulated(tmp_path, session)
    monkeypatch.setattr(images, "simulate", None)
    (second,) = images.simulated(tmp_path, session)
    assert second.star == first.star and second.micrograph == first.micrograph


def test_a_model_is_used_again_for_the_same_micrographs_and_for_no_others(
    benchmark, tmp_path, monkeypatch
):
    images, trained = benchmark["picking_images"], []

    def call(command):
        folder = Path(command[command.index("-d") + 1])
        folder.mkdir(parents=True)  # as `restore train`, which replaces no model unasked
        (folder / "model.safetensors").touch()
        trained.append(command)

    monkeypatch.setattr(images, "call", call)
    condition = benchmark["picking"].Condition(50.0, (1.5, 1.5))
    place = tmp_path / "images" / "restore, trained 1 min" / "barrel"
    place.mkdir(parents=True)
    counts = []
    for seed in (0, 0, 1):
        shots = images.simulated(tmp_path, images.Session(["barrel"], [condition], 1, 128, seed))
        model = images._trained(shots, place / "set.star", images.RestoreUse(1))
        assert model.is_file()
        counts.append(len(trained))
    assert counts == [1, 1, 2]


def test_the_image_has_its_contrast_at_the_true_centres(benchmark, shots):
    """And not where x and y are exchanged, which only some particles happen to cover."""
    (shot,) = shots
    image = benchmark["picking_images"].read_tensor(
        shot.micrograph.image.with_name("mic_0001_TRUTH.mrc")
    )
    xy = shot.truth.position_xy_px.astype(int)
    xy = xy[((xy >= 16) & (xy < 624)).all(axis=1)]
    contrast = [float(image[y - 16 : y + 16, x - 16 : x + 16].std()) for x, y in xy]
    exchanged = [float(image[x - 16 : x + 16, y - 16 : y + 16].std()) for x, y in xy]
    assert len(contrast) >= 3
    assert min(contrast) > 1.25 * min(exchanged)
    assert np.mean(contrast) > 1.1 * np.mean(exchanged)


def test_every_filtered_image_has_the_size_of_the_raw_one(benchmark, shots, tmp_path):
    images = benchmark["picking_images"]
    (shot,) = shots
    raw = images.read_tensor(shot.micrograph.image)
    for number, kind in enumerate((images.lowpass_for(30.0), images.wiener)):
        folder = tmp_path / str(number)
        folder.mkdir()
        image = images.read_tensor(kind(shots, folder)[shot.key])
        assert image.shape == raw.shape
        assert image.std() < 0.6 * raw.std()


@pytest.mark.skipif(shutil.which("relion_autopick") is None, reason="RELION is not installed")
def test_relion_finds_the_particles_in_an_image_without_noise(benchmark, metrics, shots, tmp_path):
    (shot,) = shots
    truth_image = shot.micrograph.image.with_name("mic_0001_TRUTH.mrc")
    pixel_A, files = benchmark["picking_images"].PIXEL_SIZE_A, {shot.key: truth_image}
    pick = benchmark["picking_pickers"].relion_log_for()
    picks = pick(files, pixel_A, shot.diameter_A, tmp_path)
    verdict = metrics.judge(picks[shot.key], shot.truth)
    assert verdict.particles >= 2
    assert metrics.recall_at(metrics.curve_of(verdict), 0.9) >= 0.7
