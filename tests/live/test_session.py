"""A session is followed: every file that comes ends up as ``restore denoise`` would leave it."""

import logging
import shutil
import threading
import time
from contextlib import chdir
from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from arriving import assert_same_images, copy_slowly, meanwhile, pixels, wait_for
from cryosparc_files import job, of_star

import restore
from restore.errors import UserError
from restore.io.images.image import write_image
from restore.io.star import read_star, write_star
from restore.live.session import watch
from restore.live.settings import WatchSettings

QUICK = WatchSettings(until_idle=1.5, poll=0.1, settle=0.4, train_after=0, evaluate=False)
STAR = "micrographs_ctf.star"


def rows_only(star, rows, path):
    """A table with some of another's rows."""
    table = read_star(star)
    write_star(path, table.with_block(table.block("micrographs").keeping(rows)))


def test_a_table_that_grows_ends_as_denoise_leaves_it(recorded, live, flipping):
    whole = (recorded / STAR).read_text()

    def collect():
        shutil.copytree(recorded / "Micrographs", "Micrographs")
        last = Path("Micrographs/mic_0003_DW.mrc")
        last.unlink()
        rows_only(recorded / STAR, [0], Path(STAR))
        wait_for(Path("Out/Micrographs/mic_0001_DW.mrc").exists)
        Path(STAR).write_text(whole[: whole.rfind("mic_0003_DW") + 20])
        time.sleep(0.7)
        Path(STAR).write_text(whole)
        wait_for(Path("Out/Micrographs/mic_0002_DW.mrc").exists)
        copy_slowly(recorded / last, last, 1.0)

    with meanwhile(collect):
        session = watch(STAR, "Out", flipping, settings=QUICK)
    assert session.failed == {} and len(session.denoised) == 3 == session.total
    output = restore.OutputSettings(output_directory=Path("Once"))
    restore.denoise_set(STAR, flipping, output=output)
    assert_same_images(live / "Out", live / "Once")
    text = (live / "Once" / STAR).read_text()
    assert (live / "Out" / STAR).read_text() == text.replace("Once/", "Out/")
    assert session.table == Path("Out") / STAR


def test_a_half_written_table_is_no_error_and_is_read_again(recorded, live, flipping, caplog):
    shutil.copytree(recorded / "Micrographs", "Micrographs")
    whole = (recorded / STAR).read_text()
    Path(STAR).write_text(whole[: whole.rstrip().rfind(" ")])

    def finish():
        wait_for(lambda: "It is read again when it has changed." in caplog.text)
        Path(STAR).write_text(whole)

    with meanwhile(finish):
        session = watch(STAR, "Out", flipping, settings=QUICK)
    assert len(session.denoised) == 3 and not session.failed
    assert len([line for line in caplog.messages if "values" in line and "read again" in line]) == 1


def test_a_table_need_not_be_there_yet(recorded, live, flipping, caplog):
    shutil.copytree(recorded / "Micrographs", "Micrographs")

    def finish():
        wait_for(lambda: "is not there yet" in caplog.text)
        shutil.copy(recorded / STAR, STAR)

    with meanwhile(finish):
        assert len(watch(STAR, "Out", flipping, settings=QUICK).denoised) == 3


def test_a_table_that_never_comes_is_an_error_in_the_end(live, flipping):
    with pytest.raises(UserError, match=r"micrographs_ctf\.star: it is not there yet"):
        watch(STAR, "Out", flipping, settings=QUICK)


def test_a_folder_ends_as_denoise_leaves_it(recorded, live, plain):
    def collect():
        for name in ("mic_0001", "mic_0002", "mic_0003"):
            for part in ("EVN", "DW", "ODD"):
                source = recorded / f"Micrographs/{name}_{part}.mrc"
                copy_slowly(source, live / "Raw" / source.name, 0.5 if part == "DW" else 0.0)
        (live / "Raw/mic_0001_DW_PS.mrc").write_bytes(b"x" * 3000)
        (live / "Raw/notes.txt").write_text("nothing")

    Path("Raw").mkdir()
    with meanwhile(collect):
        session = watch("Raw", "Out", plain, settings=QUICK)
    assert session.failed == {} and len(session.denoised) == 3
    output = restore.OutputSettings(output_directory=Path("Once"))
    restore.denoise_set("Raw/*.mrc", plain, output=output, suffixes="DW,EVN,ODD")
    for name in ("mic_0001", "mic_0002", "mic_0003"):
        path = f"Raw/{name}_DW.mrc"
        assert np.array_equal(pixels(live / "Out" / path), pixels(live / "Once" / path))
    table = read_star(live / "Out/micrographs.star").block("micrographs")
    assert sorted(table.column("rlnMicrographName")) == [
        f"Out/Raw/mic_000{number}_DW.mrc" for number in (1, 2, 3)
    ]


def test_a_group_of_cryosparc_ends_as_denoise_leaves_it(recorded, live, flipping):
    shutil.copytree(recorded / "Micrographs", "Micrographs")
    shutil.copy(recorded / STAR, STAR)
    Path("cs.lock").touch()
    job(live / "J12", of_star(STAR, live))
    session = watch("J12/exposures.csg", "Out", flipping, settings=QUICK)
    assert len(session.denoised) == 3 and session.table == Path("Out/exposures.csg")
    once = restore.OutputSettings(output_directory=Path("Once"))
    restore.denoise_set("J12/exposures.csg", flipping, output=once)
    assert_same_images(live / "Out", live / "Once")
    assert len(restore.read_micrographs("Out/exposures.csg", ctf=False).micrographs) == 3


def test_output_inside_the_folder_is_not_taken_for_input(recorded, live, plain):
    shutil.copytree(recorded / "Micrographs", "Raw")
    for _ in range(2):
        settings = replace(QUICK, pattern="**/*", until_idle=0.5)
        session = watch("Raw", "Raw/Out", plain, settings=settings)
        assert len(session.denoised) == 3 == session.total


def test_a_second_run_does_nothing_again(recorded, live, flipping, caplog):
    shutil.copytree(recorded / "Micrographs", "Micrographs")
    shutil.copy(recorded / STAR, STAR)
    watch(STAR, "Out", flipping, settings=QUICK)
    before = {path: path.stat().st_mtime_ns for path in Path("Out").rglob("*.mrc")}
    caplog.set_level(logging.INFO, "restore")
    watch(STAR, "Out", flipping, settings=QUICK)
    assert "3 of 3 micrographs are already denoised" in caplog.text
    assert {path: path.stat().st_mtime_ns for path in Path("Out").rglob("*.mrc")} == before


def test_an_image_that_changes_is_denoised_again(recorded, live, plain):
    Path("Raw").mkdir()
    first, other = (recorded / f"Micrographs/mic_000{number}_DW.mrc" for number in (1, 2))
    target, output = live / "Raw/a.mrc", live / "Out/Raw/a.mrc"
    shutil.copy(first, target)

    def exchange():
        wait_for(output.exists)
        target.write_bytes(other.read_bytes())

    with meanwhile(exchange):
        watch("Raw", "Out", plain, settings=QUICK)
    changed = pixels(output)
    (live / "Raw2").mkdir()
    shutil.copy(other, "Raw2/a.mrc")
    watch("Raw2", "Out2", plain, settings=QUICK)
    assert np.array_equal(changed, pixels(live / "Out2/Raw2/a.mrc"))


def test_a_file_that_stays_half_copied_or_is_useless_is_named_in_the_end(recorded, live, plain):
    Path("Raw").mkdir()
    content = (recorded / "Micrographs/mic_0001_DW.mrc").read_bytes()
    Path("Raw/good.mrc").write_bytes(content)
    Path("Raw/half.mrc").write_bytes(content[: len(content) // 2])
    with mrcfile.new("Raw/constant.mrc") as file:
        file.set_data(np.ones((64, 64), np.float32))
        file.voxel_size = 3.0
    with mrcfile.new("Raw/movie.mrcs") as file:
        file.set_data(np.random.default_rng(0).normal(size=(4, 32, 32)).astype(np.float32))
        file.set_image_stack()
    session = watch("Raw", "Out", plain, settings=QUICK)
    assert session.denoised == ("Raw/good.mrc",)
    assert "cut short" in session.failed["Raw/half.mrc"]
    assert "all of its pixels are 1" in session.failed["Raw/constant.mrc"]
    assert session.failed.keys() == {"Raw/half.mrc", "Raw/constant.mrc"} and session.total == 3


def test_a_micrograph_that_never_comes_is_named_in_the_end(recorded, live, flipping):
    shutil.copytree(recorded / "Micrographs", "Micrographs")
    shutil.copy(recorded / STAR, STAR)
    Path("Micrographs/mic_0002_DW.mrc").unlink()
    session = watch(STAR, "Out", flipping, settings=QUICK)
    assert len(session.denoised) == 2
    assert "it has not arrived" in session.failed["Micrographs/mic_0002_DW.mrc"]


@pytest.mark.parametrize("start", ["mic_0001", "mic_0001_DW"])
def test_halves_that_come_late_calibrate_the_image(recorded, live, plain, start):
    Path("Raw").mkdir()
    parts = {part: recorded / f"Micrographs/mic_0001_{part}.mrc" for part in ("DW", "EVN", "ODD")}
    shutil.copy(parts["DW"], "Raw")
    output = live / "Out/Raw/mic_0001_DW.mrc"
    without = []

    def add_halves():
        wait_for(output.exists)
        without.append(pixels(output))
        shutil.copy(parts["EVN"], f"Raw/{start}_EVN.mrc")
        shutil.copy(parts["ODD"], f"Raw/{start}_ODD.mrc")

    with meanwhile(add_halves):
        watch("Raw", "Out", plain, settings=QUICK)
    assert not np.array_equal(pixels(output), without[0])
    restore.denoise_set(
        "Raw/*_DW.mrc",
        plain,
        suffixes="DW,EVN,ODD",
        output=restore.OutputSettings(output_directory=Path("Once")),
    )
    assert np.array_equal(pixels(output), pixels(live / "Once/Raw/mic_0001_DW.mrc"))


def test_a_file_of_another_program_is_never_replaced(recorded, live, plain):
    Path("Raw").mkdir()
    shutil.copy(recorded / "Micrographs/mic_0001_DW.mrc", "Raw/a.mrc")
    write_image(Path("Out/Raw/a.mrc"), np.random.default_rng(0).normal(size=(8, 8)), 1.0)
    with pytest.raises(UserError, match="restore did not write"):
        watch("Raw", "Out", plain, settings=QUICK)


def test_the_table_of_another_session_is_never_replaced(recorded, live, plain):
    for number, folder in enumerate(("Raw", "Raw2"), 1):
        Path(folder).mkdir()
        shutil.copy(recorded / f"Micrographs/mic_000{number}_DW.mrc", folder)
    watch("Raw", "Out", plain, settings=QUICK)
    before = Path("Out/micrographs.star").read_bytes()
    with pytest.raises(UserError, match=r"lists 1 image that is not in Raw2/\*"):
        watch("Raw2", "Out", plain, settings=QUICK)
    assert Path("Out/micrographs.star").read_bytes() == before
    assert not Path("Out/Raw2").exists()
    # The same session, called by another name.
    watch(live / "Raw", live / "Out", plain, settings=QUICK)


def test_one_process_follows_a_session(recorded, live, plain):
    Path("Raw").mkdir()
    shutil.copy(recorded / "Micrographs/mic_0001_DW.mrc", "Raw/a.mrc")
    errors = []

    def follow():
        try:
            watch("Raw", "Out", plain, settings=QUICK)
        except UserError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=follow) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    assert len(errors) == 1 and "is following this session" in errors[0]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("nothing", "there is no such folder"),
        ("nothing/micrographs.star", "nothing: there is no such folder"),
        ("a.mrc", "it is a file"),
    ],
)
def test_what_cannot_be_watched_is_named_at_once(source, words, live, plain):
    Path("a.mrc").write_bytes(b"")
    with pytest.raises(UserError, match=words):
        watch(source, "Out", plain)


def test_a_folder_has_no_ctf(live, flipping):
    Path("Raw").mkdir()
    with pytest.raises(UserError, match="have no CTF"), chdir(live):
        watch("Raw", "Out", flipping)


@pytest.mark.parametrize(
    "wrong", [{"poll": 0.0}, {"settle": -1.0}, {"until_idle": -0.1}, {"pattern": ""}]
)
def test_settings_out_of_range_are_rejected(wrong):
    with pytest.raises(UserError, match=f"^{next(iter(wrong))} is "):
        WatchSettings(**wrong)


def test_without_a_model_the_general_one_denoises_a_folder_as_it_stands(recorded, live, caplog):
    Path("Raw").mkdir()
    image = restore.read_image(recorded / "Micrographs/mic_0001_DW.mrc").data
    restore.write_image("Raw/fine.mrc", image, 1.5)
    caplog.set_level(logging.INFO, "restore")
    session = restore.watch("Raw", "Out", settings=QUICK)
    assert session.denoised == ("Raw/fine.mrc",) and not session.failed
    assert "1 denoised with general.safetensors, 1 in all" in caplog.text


def test_a_model_may_be_named_by_its_file(recorded, live, plain):
    shutil.copytree(recorded / "Micrographs", "Raw")
    restore.save_model("own.safetensors", plain)
    by_file = restore.watch("Raw", "Out", "own.safetensors", settings=QUICK)
    restore.watch("Raw", "Other", plain, settings=QUICK)
    assert len(by_file.denoised) == 3
    assert_same_images(live / "Out", live / "Other")
