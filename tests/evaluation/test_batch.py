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

from restore.errors import UserError
from restore.evaluation import batch as examination
from restore.evaluation.batch import Method, examine, subjects
from restore.evaluation.estimators.decomposition import PAIRS, covariance
from restore.evaluation.measure import load_measurement, measure, sampling_for, views_of_images
from restore.io.images.image import read_image
from restore.preprocessing import cropped_grid

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
    return subjects(micrographs(folder, names), folder / "evaluation", made_with, None)


def examined(folder, chosen=None):
    """What the micrographs are called that were measured now, and those that failed with their
    reasons.
    """
    chosen = chosen or planned(folder)
    stale = [each for each in chosen if not each.is_current()]
    counts = []
    failed = examine(stale, METHOD, counts.append)
    assert counts == list(range(1, len(stale) + 1))
    bad = {subject.micrograph.image.stem[0]: reason for subject, reason in failed}
    return "".join(each.micrograph.image.stem[0] for each in stale), bad


def unpaired(subject):
    return covariance(load_measurement(subject.path).blocks, "M1", "M2'")


def views_of(folder, name):
    (chosen,) = [each for each in micrographs(folder) if each.name == f"mics/{name}_DW.mrc"]
    halves = tuple(torch.from_numpy(read_image(path).data) for path in (chosen.even, chosen.odd))
    return do_nothing(halves, None, chosen)


def test_a_second_run_measures_nothing_and_the_first_left_everything(here):
    assert examined(here) == ("abcd", {})
    assert examined(here) == ("", {})
    measured = load_measurement(planned(here)[1].path)
    previews = measured.facts["preview"]
    assert all(
        (here / "evaluation" / previews[kind]).is_file() for kind in ("raw", "denoised", "support")
    )
    assert 0 <= measured.facts["refuted"] <= 1 and measured.blocks.shape == (12, len(PAIRS), 8)


def test_only_the_missing_and_the_stale_are_measured_again(here):
    examined(here)
    newer = planned(here)[0].path.stat().st_mtime + 10
    os.utime(here / "mics/b_ODD.mrc", (newer, newer))
    planned(here)[2].path.unlink()
    planned(here)[3].path.write_bytes(b"damaged")
    assert examined(here) == ("bcd", {})


def test_another_way_or_another_ctf_makes_all_or_one_stale(here):
    examined(here)
    assert [each.is_current() for each in planned(here, "that way")] == [False] * 4
    chosen = micrographs(here)
    chosen[2] = replace(chosen[2], ctf=replace(chosen[2].ctf, defocus_u_A=13000.0))
    again = subjects(chosen, here / "evaluation", "this way", None)
    assert [each.is_current() for each in again] == [True, True, False, True]


def test_one_that_fails_is_noted_and_the_others_are_measured(here, caplog):
    (here / "mics/b_EVN.mrc").write_bytes((here / "mics/b_EVN.mrc").read_bytes()[:5000])
    done, failed = examined(here)
    assert done == "abcd" and failed.keys() == {"b"} and "b_EVN.mrc" in failed["b"]
    assert [each.is_current() for each in planned(here)] == [True, False, True, True]
    assert "mics/b_DW.mrc: " in caplog.text
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
        "".join(name for name, each in zip("abcd", planned(here), strict=True) if each.is_current())
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
    assert not covariance(load_measurement(alone.path).blocks, "M1", "M2").isnan().any()


def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("where", ["measurement", "previews"])
def test_a_full_disk_ends_it_and_leaves_nothing_half_written(here, monkeypatch, where):
    if where == "measurement":
        monkeypatch.setattr(np, "savez", full)
    else:
        monkeypatch.setattr("PIL.Image.Image.save", full)
    with pytest.raises(UserError, match=r"no room is left for the measurements. Free some"):
        examine(planned(here), METHOD, lambda count: None)
    assert not list(here.rglob("*.npz")) and not list(here.rglob("*.partial"))


def test_an_unknown_fault_is_not_swallowed(here, monkeypatch):
    monkeypatch.setattr(examination, "save_previews", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        examine(planned(here), METHOD, lambda count: None)


def test_two_of_one_name_in_two_folders_have_places_of_their_own():
    chosen = [
        replace(each, image=Path(f"grid{row}/same.mrc"))
        for row, each in enumerate(micrographs(Path()))
    ]
    found = subjects(chosen, Path("evaluation"), "", None)
    assert len({each.path for each in found}) == len({each.preview for each in found}) == 4
