"""A session inside RELION, as docs/relion.md prints it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from arriving import wait_for
from relion_project import Project, make_project, needs

import restore as package
from restore.io.images.mrc import mrc_labels
from restore.io.star import read_star


def commands_of(heading):
    """The commands of a section of the page, one text for each block."""
    page = Path(package.__file__).parents[2] / "docs/relion.md"
    text = page.read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of two micrographs, in which ``restore`` is a command."""
    needs("relion_scheduler", "relion_pipeliner")
    program = tmp_path / "bin/restore"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m restore "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(Path(package.__file__).parents[1]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    folder = tmp_path / "project"
    folder.mkdir()
    make_project(folder)
    return Project(folder)


def bash(folder, text):
    done = subprocess.run(
        ["bash", "-ec", text], cwd=folder, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0 and "ERROR" not in done.stderr, done.stdout + done.stderr


@pytest.mark.slow
def test_a_schedule_denoises_trains_and_goes_over_to_the_model(project):
    _, jobs, schedule, run, abort = commands_of("During a session")
    jobs = jobs.replace("minutes 30", "minutes 0.05").replace("nr_threads    4", "nr_threads    1")
    schedule = schedule.replace("wanted --value 8", "wanted --value 2").replace("120", "1")
    bash(project.folder, jobs)
    bash(project.folder, schedule)
    first, again = (project.folder / f"External/job00{number}" for number in (4, 6))
    done = again / "micrographs_ctf.star"
    scheduler = subprocess.Popen(
        ["bash", "-c", f"exec {run.strip().removesuffix('&')}"], cwd=project.folder
    )
    try:
        wait_for(done.exists, timeout_s=100)
        bash(project.folder, abort)
    finally:  # RELION takes minutes to notice
        scheduler.kill()
        scheduler.wait(20)
    assert "ERROR" not in (project.folder / "live.log").read_text()
    for job, model in ((first, "general"), (again, "session")):
        rows = read_star(job / "micrographs_ctf.star").block("micrographs")
        names = rows.column("rlnMicrographName")
        assert len(names) == 2
        assert f"denoised with {model}.safetensors" in mrc_labels(project.folder / names[0])[0]
    assert (project.folder / "External/job005/session.safetensors").is_file()
    assert project.status("External/job004/") == "finished"
