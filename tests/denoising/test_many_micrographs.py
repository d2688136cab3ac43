"""Five hundred micrographs in one STAR file: memory and open files stay what they are for a
hundred.
"""

import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from restore.cli.main import main
from restore.io.micrographs import read_micrographs
from restore.io.star import read_star, write_star

FEW, MANY = 100, 500
SIZE = (
    "--filters=2",
    "--blocks=1",
    "--patch_px=32",
    "--batch_size=1",
    "--steps=20",
    "--device=cpu",
)


@dataclass(frozen=True)
class Peak:
    """The most memory and the most open files that a command had at any time."""

    memory_MB: float
    files: int


def listing(folder, count):
    """A STAR file of ``count`` micrographs and their halves, all of them copies of one."""
    star = read_star(folder / "micrographs_ctf.star")
    block = star.block("micrographs")
    names = [f"Micrographs/copy_{index:04d}_DW.mrc" for index in range(count)]
    for name in names:
        for suffix in ("DW", "EVN", "ODD"):
            link = folder / name.replace("_DW", f"_{suffix}")
            if not link.exists():
                shutil.copyfile(folder / "Micrographs" / f"mic_0001_{suffix}.mrc", link)
    path = folder / f"{count}.star"
    write_star(
        path, star.with_block(block.keeping([0] * count).with_column("rlnMicrographName", names))
    )
    return path


def peak_of(*arguments, cwd):
    """Run a command of restore to its good end, looking at it every 20 ms."""
    log, memory, files = Path(cwd) / "log.txt", 0, 0
    command = [sys.executable, "-m", "restore", *map(str, arguments)]
    with (
        log.open("w") as output,
        psutil.Popen(command, cwd=cwd, stdout=output, stderr=subprocess.STDOUT) as process,
    ):
        while process.poll() is None:
            try:
                memory, files = (
                    max(memory, process.memory_info().rss),
                    max(files, process.num_fds()),
                )
            except psutil.Error:
                break
            time.sleep(0.02)
        assert process.wait() == 0, log.read_text()
    return Peak(memory / 1e6, files)


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """One simulated micrograph under a hundred and five hundred names, and a model."""
    folder = tmp_path_factory.mktemp("many")
    assert main(["simulate", str(folder), "--micrographs=1", "--size_px=256"]) == 0
    star = listing(folder, FEW)
    listing(folder, MANY)
    names = [
        "-m",
        str(star),
        "-f",
        str(folder / "some.hdf"),
        "-d",
        str(folder / "Models"),
        "-x",
        "some",
    ]
    assert main(["train", *names, *SIZE]) == 0
    yield folder
    shutil.rmtree(folder)  # 400 MB


COMMANDS = {
    "train": lambda count: ("-f", f"{count}.hdf", "-x", count, *SIZE),
    "denoise": lambda count: ("-p", "Models/some.safetensors", "-o", f"denoised{count}"),
    "evaluate": lambda count: ("-p", "Models/some.safetensors", "-o", f"evaluation{count}"),
}


@pytest.mark.timeout(200)
@pytest.mark.parametrize("command", COMMANDS)
def test_memory_and_open_files_do_not_grow_with_the_number_of_micrographs(session, command):
    few, many = (
        peak_of(command, "-m", f"{count}.star", *COMMANDS[command](count), cwd=session)
        for count in (FEW, MANY)
    )
    # What is kept of each is a row, its curves and an index: an image of 256² that is not let go is
    # 0.26 MB.
    assert many.memory_MB < few.memory_MB + 0.2 * (MANY - FEW), (few, many)
    assert many.files <= few.files + 8, (few, many)
    if command == "denoise":
        assert len(list((session / f"denoised{MANY}").rglob("*.mrc"))) == MANY
        assert len(read_micrographs(session / f"denoised{MANY}/{MANY}.star").micrographs) == MANY
