"""A RELION 3.1 project in small, for tests: micrographs where its jobs leave them, and
relion_pipeliner to go on with.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import restore
from restore.cli.main import main
from restore.io.star import Block, StarFile, read_star, write_star

STATUS = {"0": "running", "1": "scheduled", "2": "finished", "3": "failed", "4": "aborted"}
EXTERNAL, EXTRACT = "99", "5"
CTF_STAR = "CtfFind/job003/micrographs_ctf.star"
TINY = {
    "max_resolution": "9",
    "filters": "4",
    "blocks": "1",
    "batch_size": "2",
    "patch_px": "32",
    "device": "cpu",
}


def needs(*programs):
    """Skip where one of RELION's programs is not installed."""
    absent = [program for program in programs if shutil.which(program) is None]
    if absent:
        pytest.skip(f"RELION is not installed: there is no {', '.join(absent)}")


def table(name, columns, *rows):
    return Block(name, columns, rows)


def make_project(folder):
    """A project whose micrographs (two of 256², 1.5 Å) have been motion-corrected in job002, their
    CTF found in job003.
    """
    session = folder / "session"
    assert (
        main(["simulate", str(session), "--micrographs=2", "--size_px=256", "--pixel_size_A=1.5"])
        == 0
    )
    shutil.move(session / "Micrographs", folder / "MotionCorr/job002/Movies")
    text = (
        (session / "micrographs_ctf.star")
        .read_text()
        .replace("Micrographs/", "MotionCorr/job002/Movies/")
    )
    (folder / CTF_STAR).parent.mkdir(parents=True)
    (folder / CTF_STAR).write_text(text)
    shutil.rmtree(session)
    processes = (
        "rlnPipeLineProcessName",
        "rlnPipeLineProcessAlias",
        "rlnPipeLineProcessType",
        "rlnPipeLineProcessStatus",
    )
    blocks = (
        Block("pipeline_general", ("rlnPipeLineJobCounter",), (("4",),), is_loop=False),
        table("pipeline_processes", processes, ("MotionCorr/job002/", "None", "1", "2"),
              ("CtfFind/job003/", "None", "2", "2")),
        table("pipeline_nodes", ("rlnPipeLineNodeName", "rlnPipeLineNodeType"), (CTF_STAR, "1")),
        table("pipeline_output_edges", ("rlnPipeLineEdgeProcess", "rlnPipeLineEdgeToNode"),
              ("CtfFind/job003/", CTF_STAR)),
    )  # fmt: skip
    write_star(folder / "default_pipeline.star", StarFile(blocks))


class Project:
    """The project in a folder, and its pipeline."""

    def __init__(self, folder):
        self.folder = folder

    def start(self, *command):
        """Start one of RELION's programs in the project's folder."""
        environment = os.environ | {
            "PYTHONPATH": str(Path(restore.__file__).parents[1]),
            "OMP_NUM_THREADS": "1",
        }
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, cwd=self.folder, env=environment, stdout=pipe, stderr=pipe, text=True
        )

    def relion(self, *command):
        """Run one of RELION's programs in the project's folder to its end; returns its output."""
        program = self.start(*command)
        try:
            output, complained = program.communicate(timeout=50)
        finally:
            program.kill()
        assert program.returncode == 0 and "ERROR" not in complained, output + complained
        return output

    def add(self, kind, **options):
        """Schedule a job of a type and with options as in the GUI; its name comes back."""
        job = Block("job", ("rlnJobType", "rlnJobIsContinue"), ((kind, "0"),), is_loop=False)
        rows = tuple((name, value) for name, value in ({"do_queue": "No"} | options).items())
        values = table("joboptions_values", ("rlnJobOptionVariable", "rlnJobOptionValue"), *rows)
        write_star(self.folder / "new_job.star", StarFile((job, values)))
        self.relion("relion_pipeliner", "--addJobFromStar", "new_job.star")
        return self.pipeline.block("pipeline_processes").column("rlnPipeLineProcessName")[-1]

    def add_restore(self, command, parameters, star=CTF_STAR):
        """Schedule a command of ours as an External job, as its tabs are filled in; its name comes
        back.
        """
        labels = {f"param{n}_label": label for n, label in enumerate(parameters, 1)}
        values = {f"param{n}_value": value for n, value in enumerate(parameters.values(), 1)}
        program = f"{sys.executable} -m restore {command}"
        return self.add(EXTERNAL, fn_exe=program, in_mic=star, nr_threads="1", **labels, **values)

    def run(self, job):
        """Run a scheduled job, or go on with one; how it ended comes back, in RELION's words."""
        self.relion(*self.running(job))
        return self.status(job)

    def running(self, job):
        """The command that runs a scheduled job, or goes on with one."""
        return "relion_pipeliner", "--schedule", "test", "--RunJobs", job, "--sec_wait_after", "1"

    @property
    def pipeline(self):
        return read_star(self.folder / "default_pipeline.star")

    def status(self, job):
        processes = self.pipeline.block("pipeline_processes")
        names, numbers = (
            processes.column("rlnPipeLineProcessName"),
            processes.column("rlnPipeLineProcessStatus"),
        )
        return STATUS[dict(zip(names, numbers, strict=True))[job]]

    def outputs(self, job):
        """The nodes that a job has given the pipeline, with the numbers of their kinds."""
        nodes, edges = (
            self.pipeline.block("pipeline_nodes"),
            self.pipeline.block("pipeline_output_edges"),
        )
        kinds = dict(
            zip(
                nodes.column("rlnPipeLineNodeName"),
                nodes.column("rlnPipeLineNodeType"),
                strict=True,
            )
        )
        return {node: kinds[node] for process, node in edges.rows if process == job}

    def messages(self, job):
        return (self.folder / job / "run.out").read_text() + (
            self.folder / job / "run.err"
        ).read_text()
