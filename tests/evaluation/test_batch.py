"""A set measured: what is there is left, what is stale is not, what fails is noted, and a full disk
ends it.
"""

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluation_world import RECIPE, micrographs, write_session
from seen_bars import SeenBars

from restore.errors import UserError
from restore.evaluation import batch as examination
from restore.evaluation.aggregate import EvaluationSettings, aggregate
from restore.evaluation.batch import Method, fingerprint_in, measure_jobs, plan
from restore.evaluation.estimators.decomposition import PAIRS, covariance
from restore.evaluation.half_checks import require_pair
from restore.evaluation.measure import load_measurement, measure, sampling_for, views_of_images
from restore.evaluation.records import Making
from restore.image_tensors import read_tensor
from restore.preprocessing import cropped_grid
from restore.report.page import page
from restore.runtime.distributed import Place
from restore.runtime.jobs import is_current

SHAPE = (72, 96)
SAMPLING = sampling_for([cropped_grid(SHAPE, 4.0, 9.0)], RECIPE)


def do_nothing(halves, denoised, micrograph):
    return views_of_images(halves, halves, micrograph, RECIPE)


METHOD = Method(do_nothing, SAMPLING, 100.0, torch.device("cpu"))


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    return write_session(tmp_path_factory.mktemp("session"), shape=SHAPE)


@pytest.fixture
def here(session, tmp_path):
    return shutil.copytree(session, tmp_path / "here")


def planned(folder, made_with="this way", names="abcd"):
    return plan(micrographs(folder, names), folder / "evaluation", made_with, None)


def current(jobs):
    return [is_current(job, fingerprint_in) for job in jobs]


def examined(folder, chosen=None):
    """What the micrographs are called that were measured now, and those that failed with their
    reasons.
    """
    chosen = chosen or planned(folder)
    stale = [job for job, there in zip(chosen, current(chosen), strict=True) if not there]
    bars = SeenBars()
    results = measure_jobs(chosen, METHOD, bars=bars)
    assert bars.calls == [(len(stale), "micrographs", "measuring")] * bool(stale)
    assert bars.counts[-1:] == [len(stale)] * bool(stale) and bars.counts == sorted(bars.counts)
    bad = {letter(job): reason for job, reason in results.failed}
    assert sorted(map(letter, results.good)) == sorted(set(map(letter, chosen)) - bad.keys())
    return "".join(letter(job) for job in stale), bad


def letter(job):
    return job.subject.micrograph.image.stem[0]


def unpaired(job):
    return covariance(load_measurement(job.subject.path).blocks, "M1", "M2'")


def views_of(folder, name):
    (chosen,) = [
        micrograph for micrograph in micrographs(folder) if micrograph.name == f"mics/{name}_DW.mrc"
    ]
    halves = tuple(read_tensor(path) for path in (chosen.even, chosen.odd))
    return do_nothing(halves, None, chosen)


def test_a_second_run_measures_nothing_and_the_first_left_everything(here):
    assert examined(here) == ("abcd", {})
    assert examined(here) == ("", {})
    measured = load_measurement(planned(here)[1].subject.path)
    previews = measured.facts.preview
    assert all(
        (here / "evaluation" / getattr(previews, kind)).is_file()
        for kind in ("raw", "denoised", "support")
    )
    assert 0 <= measured.facts.refuted <= 1 and measured.blocks.shape == (12, len(PAIRS), 8)


def test_only_the_missing_and_the_stale_are_measured_again(here):
    examined(here)
    planned(here)[2].subject.path.unlink()
    planned(here)[3].subject.path.write_bytes(b"damaged")
    assert examined(here) == ("cd", {})
    newer = planned(here)[0].subject.path.stat().st_mtime + 10
    os.utime(here / "mics/b_ODD.mrc", (newer, newer))
    assert examined(here) == ("bc", {})  # c is compared with b


@pytest.mark.parametrize("time", [1e9, 4e9])
def test_a_half_that_another_file_has_replaced_is_measured_again_whatever_its_date(here, time):
    examined(here)
    (here / "other.mrc").write_bytes((here / "mics/d_ODD.mrc").read_bytes())
    os.utime(here / "other.mrc", (time, time))
    (here / "other.mrc").replace(here / "mics/b_ODD.mrc")
    assert examined(here) == ("bc", {}) and examined(here) == ("", {})


def test_other_halves_are_measured_again(here):
    examined(here)
    chosen = micrographs(here)
    chosen[1] = replace(chosen[1], odd=chosen[3].odd)
    assert current(plan(chosen, here / "evaluation", "this way", None)) == [
        True,
        False,
        False,
        True,
    ]


def test_another_way_or_another_ctf_makes_all_or_one_stale(here):
    examined(here)
    assert current(planned(here, "that way")) == [False] * 4
    chosen = micrographs(here)
    chosen[2] = replace(chosen[2], ctf=replace(chosen[2].ctf, defocus_u_A=13000.0))
    again = plan(chosen, here / "evaluation", "this way", None)
    assert current(again) == [True, True, False, False]  # d is compared with c


def test_one_that_fails_is_noted_and_the_others_are_measured(here, caplog):
    (here / "mics/b_EVN.mrc").write_bytes((here / "mics/b_EVN.mrc").read_bytes()[:5000])
    done, failed = examined(here)
    assert done == "abcd" and failed.keys() == {"b"} and "b_EVN.mrc" in failed["b"]
    assert current(planned(here)) == [True, False, True, True]
    assert "mics/b_DW.mrc is skipped: " in caplog.text
    # The next is compared with the last that could be read.
    expected = measure(views_of(here, "c"), views_of(here, "a"), SAMPLING)
    assert torch.allclose(
        unpaired(planned(here)[2]), covariance(expected.blocks, "M1", "M2'"), atol=1e-9
    )


@pytest.mark.parametrize("broken, done", [("a", "bcd"), ("d", "abc"), ("abc", "d")])
def test_whichever_fails_the_others_are_measured(here, broken, done):
    for name in broken:
        (here / f"mics/{name}_ODD.mrc").unlink()
    assert examined(here)[1].keys() == set(broken)
    assert (
        "".join(name for name, there in zip("abcd", current(planned(here)), strict=True) if there)
        == done
    )


def test_each_is_compared_with_the_one_before_and_the_first_with_the_last(here):
    examined(here)
    for mine, before in ("ad", "ba", "cb", "dc"):
        expected = measure(views_of(here, mine), views_of(here, before), SAMPLING)
        assert torch.allclose(
            unpaired(planned(here)["abcd".index(mine)]),
            covariance(expected.blocks, "M1", "M2'"),
            atol=1e-9,
        )


def test_one_micrograph_has_nobody_to_be_compared_with(here):
    (alone,) = planned(here, names="a")
    examined(here, [alone])
    assert unpaired(alone).isnan().all()
    assert not covariance(load_measurement(alone.subject.path).blocks, "M1", "M2").isnan().any()


def test_what_the_checks_found_is_kept_with_the_measurement(here):
    def shifted(halves, denoised, micrograph):
        return do_nothing(halves, denoised, micrograph).remarked(["Shifted."])

    jobs = planned(here, names="ab")
    measure_jobs(jobs, replace(METHOD, views=shifted))
    for _ in range(2):  # measured, and already measured
        assert [load_measurement(job.subject.path).facts.remarks for job in jobs] == [
            ("Shifted.",)
        ] * 2
        evaluation = aggregate(
            [job.subject for job in jobs], ["all"] * 2, SAMPLING.axis, EvaluationSettings(),
            Making(),
        )  # fmt: skip
        assert all("Shifted." in of_one.remarks for of_one in evaluation.micrographs)
        assert any("2 of 2 micrographs" in warning for warning in evaluation.warnings)
        assert "Shifted." in page(evaluation, here)
        assert not measure_jobs(jobs, METHOD).done


def test_halves_without_a_signal_in_common_are_remarked(caplog):
    raw = tuple(torch.randn(256, 256, generator=torch.Generator().manual_seed(n)) for n in (1, 2))
    views = do_nothing(raw, None, replace(micrographs(Path(), "a")[0], pixel_size_A=4.5))
    (remark,) = require_pair(views, "a.mrc")
    assert remark.startswith("The raw halves look unrelated: check that both belong to the same")
    assert "a.mrc have no signal in common; check that both" in caplog.text


def in_series(folder, series):
    return [
        replace(micrograph, series=name)
        for micrograph, name in zip(micrographs(folder), series, strict=True)
    ]


@pytest.mark.parametrize("series, partners", [
    (("", "", "", ""), "dabc"),
    (("S", "S", "T", "T"), "ddbb"),
    (("S", "T", "S", "T"), "dabc"),
    (("S", "S", "S", ""), "dddc"),
])  # fmt: skip
def test_the_unrelated_micrograph_is_never_of_the_same_tilt_series(here, series, partners):
    jobs = plan(in_series(here, series), here / "evaluation", "", None)
    seen = []

    def counted(halves, denoised, micrograph):
        seen.append(micrograph.name)
        return do_nothing(halves, denoised, micrograph)

    measure_jobs(jobs, replace(METHOD, views=counted))
    assert len(seen) == 4 + (partners[1] == "d")  # the last once more, for the first series
    for job, partner in zip(jobs, partners, strict=True):
        expected = measure(views_of(here, letter(job)), views_of(here, partner), SAMPLING).blocks
        assert torch.allclose(unpaired(job), covariance(expected, "M1", "M2'"), atol=1e-9)


def test_a_single_tilt_series_has_no_unrelated_micrographs(here):
    jobs = plan(in_series(here, "SSSS"), here / "evaluation", "", None)
    measure_jobs(jobs, METHOD)
    assert all(unpaired(job).isnan().all() for job in jobs)
    os.utime(here / "mics/b_ODD.mrc", (4e9, 4e9))
    again = plan(in_series(here, "SSSS"), here / "evaluation", "", None)
    assert current(again) == [True, False, True, True]


def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("where", ["measurement", "previews"])
def test_a_full_disk_ends_it_and_leaves_nothing_half_written(here, monkeypatch, where):
    if where == "measurement":
        monkeypatch.setattr(np, "savez", full)
    else:
        monkeypatch.setattr("PIL.Image.Image.save", full)
    with pytest.raises(UserError, match=r"the disk is full. The file was not written: free some"):
        measure_jobs(planned(here), METHOD)
    assert not list(here.rglob("*.npz")) and not list(here.rglob("*.partial"))


def test_an_unknown_fault_is_not_swallowed(here, monkeypatch):
    monkeypatch.setattr(examination, "save_previews", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        measure_jobs(planned(here), METHOD)


def test_two_of_one_name_in_two_folders_have_places_of_their_own():
    chosen = [
        replace(micrograph, image=Path(f"grid{row}/same.mrc"))
        for row, micrograph in enumerate(micrographs(Path()))
    ]
    subjects = [job.subject for job in plan(chosen, Path("evaluation"), "", None)]
    assert (
        len({subject.path for subject in subjects})
        == len({subject.preview for subject in subjects})
        == 4
    )


@pytest.mark.parametrize("first", ["a", "b", "cd", "acd", "abd"])
def test_a_resumed_evaluation_is_that_of_a_whole_run(here, first):
    examined(here)
    whole = [load_measurement(job.subject.path) for job in planned(here)]
    for job in planned(here):
        if letter(job) not in first:
            job.subject.path.unlink()
    assert examined(here)[0] == "".join(sorted(set("abcd") - set(first)))
    for job, expected in zip(planned(here), whole, strict=True):
        measurement = load_measurement(job.subject.path)
        assert torch.allclose(
            measurement.blocks, expected.blocks, rtol=1e-4, atol=1e-6, equal_nan=True
        )
        assert not unpaired(job).isnan().any() and measurement.facts == expected.facts


class OneOfTwo(Place):
    """A process that meets no other, and so learns nothing of what the other did."""

    def gather(self, items):
        return list(items)


def test_the_shares_of_several_processes_are_together_what_one_does(here):
    examined(here)
    shares = []
    for rank in (0, 1):
        jobs = plan(micrographs(here), here / f"share {rank}", "this way", None)
        measure_jobs(jobs, METHOD, place=OneOfTwo(rank, 2, torch.device("cpu")))
        shares.append({letter(job): job.subject.path for job in jobs if job.subject.path.exists()})
    assert [set(share) for share in shares] == [{"b", "c"}, {"d", "a"}]
    for job in planned(here):
        expected = load_measurement(job.subject.path).blocks
        measurement = load_measurement((shares[0] | shares[1])[letter(job)]).blocks
        assert torch.allclose(measurement, expected, rtol=1e-4, atol=1e-6, equal_nan=True)
        assert not unpaired(job).isnan().any()


def test_an_unreadable_neighbour_of_one_that_is_resumed_is_passed_over_as_in_a_whole_run(here):
    (here / "mics/b_EVN.mrc").write_bytes((here / "mics/b_EVN.mrc").read_bytes()[:5000])
    examined(here)
    whole = unpaired(planned(here)[2])
    planned(here)[2].subject.path.unlink()
    assert examined(here)[1].keys() == {"b"}
    assert torch.allclose(unpaired(planned(here)[2]), whole, rtol=1e-4, atol=1e-6)
