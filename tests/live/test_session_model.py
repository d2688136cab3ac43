"""A session trains a model of its own, goes over to it, and shows how it is."""

import logging
import re
import shutil
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from arriving import assert_same_images, meanwhile, pixels, wait_for

import restore
from restore.errors import UserError
from restore.io.star import parse_star, write_star
from restore.live.denoised import SessionImages
from restore.live.page import SessionPage, SessionState
from restore.live.session import watch
from restore.live.settings import WatchSettings
from restore.model.general import load_general_model
from restore.preprocessing import Recipe

TINY = {"steps": 2, "batch_size": 1, "patch_px": 32}
QUICK = WatchSettings(until_idle=1.0, poll=0.1, settle=0.2, train_after=2, evaluate=False)
STAR = "micrographs_ctf.star"
MODEL = Path("Out/Models/session.safetensors")
FIRST, _, LAST = NAMES = [f"mic_000{number}_DW.mrc" for number in (1, 2, 3)]


def let_come(recorded, *names, folder="Micrographs"):
    """Micrographs and their halves."""
    Path(folder).mkdir(exist_ok=True)
    for name in names:
        for part in ("EVN", "ODD", "DW"):
            shutil.copy(recorded / "Micrographs" / name.replace("DW", part), folder)


def in_steps(work):
    """What shows a training, and calls ``work`` with the number of each step."""

    @contextmanager
    def show():
        yield lambda progress: work(progress.step)

    return show


def test_a_model_is_trained_and_what_is_denoised_is_denoised_again(recorded, live, flipping):
    shutil.copy(recorded / STAR, STAR)
    let_come(recorded, FIRST)
    output = live / "Out/Micrographs" / FIRST
    before = []

    def collect():
        wait_for(output.exists)
        before.append(pixels(output))
        assert not MODEL.exists()
        let_come(recorded, *NAMES[1:])

    with meanwhile(collect):
        session = watch(STAR, "Out", flipping, settings=QUICK, training=TINY)
    assert len(session.denoised) == 3 and not session.failed
    assert not (pixels(output) == before[0]).all()
    once = restore.OutputSettings(output_directory=Path("Once"))
    restore.denoise_set(STAR, MODEL, output=once)
    shutil.rmtree("Out/Models")
    assert_same_images(live / "Out", live / "Once")


def test_what_comes_during_the_training_is_denoised_meanwhile(recorded, live, plain):
    let_come(recorded, *NAMES[:2], folder="Raw")
    late = live / "Out/Raw" / LAST
    there = []

    def work(step):
        if step == 1:
            let_come(recorded, LAST, folder="Raw")
        time.sleep(0.05)
        there.append(late.exists())

    watch("Raw", "Out", plain, settings=QUICK, training=TINY | {"steps": 40},
          show_training=in_steps(work))  # fmt: skip
    assert not there[0] and there[-1]
    model = restore.load_model(MODEL)
    assert {*model.training["trained_on"], *model.training["held_out"]} == {
        f"Raw/{name}" for name in NAMES[:2]
    }


def test_a_training_that_was_killed_goes_on(recorded, live, plain, caplog):
    class KilledError(BaseException):
        """What no handler takes for a failure."""

    def kill(step):
        raise KilledError

    let_come(recorded, *NAMES, folder="Raw")
    with pytest.raises(KilledError):
        watch("Raw", "Out", plain, settings=QUICK, training=TINY, show_training=in_steps(kill))
    assert not MODEL.exists() and len(list(Path("Out/Raw").glob("*.mrc"))) == 3
    stamp = Path("Out/training_data.hdf").stat().st_mtime_ns
    caplog.set_level(logging.INFO, "restore")
    caplog.clear()
    watch("Raw", "Out", plain, settings=QUICK, training=TINY)
    assert "the interrupted training continues" in caplog.text
    assert "the run continues after step" in caplog.text
    assert restore.load_model(MODEL).training["steps"] == 2
    assert Path("Out/training_data.hdf").stat().st_mtime_ns == stamp
    assert "training starts from" not in caplog.text


def test_an_error_of_the_denoising_meanwhile_ends_the_session_and_not_the_training(
    recorded, live, plain, caplog, monkeypatch
):
    """The disk may be full: neither is the training at fault, nor is its progress lost."""
    denoise, steps = SessionImages.denoise, []

    def work(step):
        steps.append(step)
        if len(steps) == 2:
            monkeypatch.setattr(SessionImages, "denoise", fail)
            let_come(recorded, LAST, folder="Raw")
        time.sleep(0.05)

    def fail(*_):
        raise UserError("the disk is full", where=f"Raw/{FIRST}")

    let_come(recorded, *NAMES[:2], folder="Raw")
    training = TINY | {"steps": 60}
    caplog.set_level(logging.INFO, "restore")
    for _ in range(2):  # the second training is a resumed one
        steps.clear()
        for path in Path("Raw").glob(LAST.replace("DW", "*")):
            path.unlink()
        monkeypatch.setattr(SessionImages, "denoise", denoise)
        with pytest.raises(UserError, match="the disk is full"):
            watch(
                "Raw", "Out", plain, settings=QUICK, training=training, show_training=in_steps(work)
            )
        assert len(steps) >= 2 and Path("Out/Models").is_dir() and not MODEL.exists()
    stamp = Path("Out/training_data.hdf").stat().st_mtime_ns
    monkeypatch.setattr(SessionImages, "denoise", denoise)
    session = watch("Raw", "Out", plain, settings=QUICK, training=training)
    assert "is left out of the training" not in caplog.text
    assert "the training begins again" not in caplog.text
    assert Path("Out/training_data.hdf").stat().st_mtime_ns == stamp
    assert MODEL.exists() and len(session.denoised) == 3


def test_a_training_whose_patches_are_lost_begins_again(recorded, live, plain, caplog):
    def kill(step):
        raise KeyboardInterrupt

    let_come(recorded, *NAMES, folder="Raw")
    with pytest.raises(KeyboardInterrupt):
        watch("Raw", "Out", plain, settings=QUICK, training=TINY, show_training=in_steps(kill))
    page = Path("Out/session.html").read_text()
    assert re.search(r"stopped at \d\d:\d\d", page) and "waiting for micrographs" not in page
    Path("Out/training_data.hdf").unlink()
    watch("Raw", "Out", plain, settings=QUICK, training=TINY)
    assert "the training begins again" in caplog.text and MODEL.exists()


def test_a_session_that_has_a_model_takes_it_at_once(recorded, live, plain, caplog):
    let_come(recorded, *NAMES[:2], folder="Raw")
    watch("Raw", "Out", plain, settings=QUICK, training=TINY)
    stamp = MODEL.stat().st_mtime_ns
    let_come(recorded, LAST, folder="Raw")
    caplog.set_level(logging.INFO, "restore")
    watch("Raw", "Out", plain, settings=QUICK, training=TINY)
    assert "2 of 3 micrographs are already denoised" in caplog.text
    assert "1 denoised with session.safetensors, 3 in all" in caplog.text
    assert MODEL.stat().st_mtime_ns == stamp
    with pytest.raises(UserError, match=r"trained for 9 Å.* for 8 Å"):
        watch("Raw", "Out", load_general_model(Recipe(8.0, phase_flip=False)), settings=QUICK)


def test_halves_that_cannot_be_learned_from_leave_the_general_model(recorded, live, plain, caplog):
    let_come(recorded, *NAMES, folder="Raw")
    for name in NAMES:
        shutil.copy(f"Raw/{name.replace('DW', 'EVN')}", f"Raw/{name.replace('DW', 'ODD')}")
    session = watch("Raw", "Out", plain, settings=QUICK, training=TINY)
    assert "continues without a model of its own" in caplog.text
    assert "the halves of Raw/mic_0001_DW.mrc are identical" in caplog.text
    assert len(session.denoised) == 3 and not MODEL.exists()


def constant(path):
    """Give an image one value everywhere."""
    with mrcfile.open(path, mode="r+") as file:
        file.set_data(np.full_like(file.data, 3))


@pytest.mark.parametrize("parts", [("DW", "EVN", "ODD"), ("ODD",)])
def test_one_micrograph_without_an_image_does_not_prevent_the_training(
    recorded, live, plain, caplog, parts
):
    let_come(recorded, *NAMES, folder="Raw")
    for part in parts:
        constant(f"Raw/{FIRST.replace('DW', part)}")
    watch("Raw", "Out", plain, settings=QUICK, training=TINY)
    model = restore.load_model(MODEL)
    assert {*model.training["trained_on"], *model.training["held_out"]} == {
        f"Raw/{name}" for name in NAMES[1:]
    }


def test_a_row_without_defocus_and_a_row_twice_do_not_prevent_the_training(
    recorded, live, flipping, caplog
):
    let_come(recorded, *NAMES)
    shutil.copy(f"Micrographs/{LAST.replace('DW', 'EVN')}", "Micrographs/other_EVN.mrc")
    for part in ("DW", "ODD"):
        Path(f"Micrographs/other_{part}.mrc").hardlink_to(f"Micrographs/{LAST.replace('DW', part)}")
    text = (recorded / STAR).read_text().rstrip()
    last = text.splitlines()[-1].replace("mic_0003", "other")
    star = parse_star(f"{text}\n{last}\n")
    block = star.block("micrographs")
    defoci = ["nan", *block.column("rlnDefocusU")[1:]]
    write_star(Path(STAR), star.with_block(block.with_column("rlnDefocusU", defoci)))
    watch(STAR, "Out", flipping, settings=QUICK, training=TINY)
    model = restore.load_model(MODEL)
    assert {*model.training["trained_on"], *model.training["held_out"]} == {
        f"Micrographs/{name}" for name in NAMES[1:]
    }
    assert "Micrographs/other_DW.mrc is left out of the training" in caplog.text


def test_nothing_is_trained_where_that_is_not_wanted(recorded, live, plain):
    let_come(recorded, *NAMES, folder="Raw")
    watch("Raw", "Out", plain, settings=replace(QUICK, train_after=0), training=TINY)
    assert not Path("Out/Models").exists()


def test_the_page_shows_the_latest_image_curves_and_the_report(recorded, live, flipping):
    shutil.copy(recorded / STAR, STAR)
    let_come(recorded, *NAMES)
    watch(STAR, "Out", flipping, settings=replace(QUICK, evaluate=True), training=TINY)
    text = Path("Out/session.html").read_text()
    assert "refresh" not in text and "<script" not in text
    assert "3 micrographs denoised. Model: Out/Models/session.safetensors. Now: ended." in text
    assert text.count("data:image/jpeg") == 1 and text.count("data:image/png") == 2
    assert "3 micrographs measured" in text and "<h2>Outliers</h2>" in text
    (report,) = re.findall(r'href="([^"]+)"', text)
    assert (Path("Out") / report).is_file()
    evaluation = restore.evaluate(STAR, MODEL, output_directory="Once").evaluation
    for sentence in evaluation.summary:
        assert sentence.split(",")[0].replace("'", "&#x27;") in text


def test_the_page_is_safe_whatever_a_file_is_called(tmp_path):
    name = "<script>alert(1)</script>.mrc"
    state = SessionState("general", "waiting", 0, None, 2, {name: "it is <b>bad</b>."})
    page = tmp_path / "session.html"
    SessionPage(page, "<i>Raw</i>").write(state, None, tmp_path / "evaluation")
    text = page.read_text()
    assert "<script" not in text and "<b>" not in text and "<i>" not in text
    assert "0 micrographs denoised, 2 waiting, 1 failed." in text
    assert '<meta http-equiv="refresh" content="20">' in text


@pytest.mark.parametrize("wrong", [{"train_after": -1}, {"minutes": 0.0}])
def test_settings_of_the_training_out_of_range_are_rejected(wrong):
    with pytest.raises(UserError, match=f"^{next(iter(wrong))} is "):
        WatchSettings(**wrong)
