"""The files by which a job and RELION tell each other what happens."""

from pathlib import Path

import pytest

from restore.io.relion import job as relion_job
from restore.io.relion.job import (
    Ending,
    abort_is_asked,
    begin,
    end,
    names_within_job,
    write_output_node,
)
from restore.io.star import read_star

HEAD = (
    "\n# version {version}\n\ndata_pipeline_general\n\n_rlnPipeLineJobCounter 4\n\n# version "
    "{version}\n\n"
)
NUMBERS = HEAD.format(version="30001") + (
    "data_pipeline_processes\n\nloop_\n_rlnPipeLineProcessName\n_rlnPipeLineProcessAlias\n_rlnPipeLineProcessType\n"
    "_rlnPipeLineProcessStatus\nCtfFind/job003/ None 2 2\n\n"
    "data_pipeline_nodes\n\nloop_\n_rlnPipeLineNodeName\n_rlnPipeLineNodeType\n"
    "CtfFind/job003/micrographs_ctf.star 1\n"
)
LABELS = (
    "data_pipeline_processes\n\nloop_\n_rlnPipeLineProcessName\n_rlnPipeLineProcessAlias\n_rlnPipeLineProcessTypeLabel\n"
    "_rlnPipeLineProcessStatusLabel\nCtfFind/job003/ None relion.ctffind.ctffind4 Succeeded\n\n"
    "data_pipeline_nodes\n\nloop_\n_rlnPipeLineNodeName\n_rlnPipeLineNodeTypeLabel\n"
    "CtfFind/job003/micrographs_ctf.star {label}\nCtfFind/job003/logfile.pdf "
    "LogFile.pdf.relion.ctffind\n"
)
RELION_4 = HEAD.format(version="30001") + LABELS.format(label="MicrographsData.star.relion.ctf")
RELION_5 = HEAD.format(version="50001") + LABELS.format(
    label="MicrographGroupMetadata.star.relion.ctf"
)
TILTS = RELION_5.replace(
    "MicrographGroupMetadata.star.relion.ctf", "TomogramGroupMetadata.star.relion.tomo.ctf"
)
INPUT = "CtfFind/job003/micrographs_ctf.star"


@pytest.fixture
def job(tmp_path, monkeypatch):
    """The folder of a job, in a project that is the working directory."""
    monkeypatch.chdir(tmp_path)
    begin(Path("External/job004"))
    return Path("External/job004")


def node_of(job, source=INPUT):
    """The columns and the row with which RELION is told of the output."""
    write_output_node(job, job / "micrographs_ctf.star", source)
    block = read_star(job / "RELION_OUTPUT_NODES.star").block("output_nodes")
    return dict(zip(block.columns, block.rows[0], strict=True))


@pytest.mark.parametrize(
    ("pipeline", "source", "column", "kind"),
    [
        (NUMBERS, INPUT, "rlnPipeLineNodeType", "1"),
        (NUMBERS, "other.star", "rlnPipeLineNodeType", "1"),
        (RELION_4, INPUT, "rlnPipeLineNodeTypeLabel", "MicrographsData.star.relion.ctf"),
        (RELION_4, "other.star", "rlnPipeLineNodeTypeLabel", "MicrographsData.star.relion"),
        (RELION_5, INPUT, "rlnPipeLineNodeTypeLabel", "MicrographGroupMetadata.star.relion.ctf"),
        (TILTS, INPUT, "rlnPipeLineNodeTypeLabel", "TomogramGroupMetadata.star.relion.tomo.ctf"),
        (RELION_5, "other.star", "rlnPipeLineNodeTypeLabel", "MicrographGroupMetadata.star.relion"),
        (
            RELION_5,
            "CtfFind/job003/logfile.pdf",
            "rlnPipeLineNodeTypeLabel",
            "MicrographGroupMetadata.star.relion",
        ),
    ],
)
def test_the_output_is_of_the_kind_that_the_pipeline_has_for_the_input(
    job, pipeline, source, column, kind
):
    Path("default_pipeline.star").write_text(pipeline)
    assert node_of(job, source) == {
        "rlnPipeLineNodeName": "External/job004/micrographs_ctf.star",
        column: kind,
    }


def test_the_jobs_own_pipeline_counts_before_the_projects_and_a_broken_one_not_at_all(
    job,
):
    Path("default_pipeline.star").write_text(RELION_5)
    (job / "job_pipeline.star").write_text(NUMBERS)
    assert node_of(job)["rlnPipeLineNodeType"] == "1"
    (job / "job_pipeline.star").write_text(NUMBERS[:-1] + " 2 3\n")
    assert "rlnPipeLineNodeTypeLabel" in node_of(job)


def test_without_a_pipeline_the_output_has_the_name_of_relion_5(job):
    assert node_of(job)["rlnPipeLineNodeTypeLabel"] == "MicrographGroupMetadata.star.relion"


@pytest.mark.parametrize("ending", Ending)
def test_what_an_earlier_try_said_is_removed_and_how_this_one_ended_is_said(job, ending):
    for name in (*Ending, relion_job.OUTPUT_NODES):
        (job / name).touch()
    (job / "run.out").write_text("kept")
    begin(job)
    assert [path.name for path in job.iterdir()] == ["run.out"]
    end(job, ending)
    assert {path.name for path in job.iterdir()} == {"run.out", f"RELION_JOB_EXIT_{ending.name}"}


def test_a_job_that_is_asked_to_stop_before_it_begins_knows_of_it_and_obeys_once(job):
    (job / "RELION_JOB_ABORT_NOW").touch()
    begin(job)
    assert abort_is_asked(job)
    end(job, Ending.ABORTED)
    assert not abort_is_asked(job)


@pytest.mark.parametrize(
    ("names", "within"),
    [
        (["MotionCorr/job002/Movies/a.mrc"], ["Movies/a.mrc"]),
        (["External/job012/MotionCorr/job002/a.mrc"], ["MotionCorr/job002/a.mrc"]),
        (["MotionCorr/job1234/a.mrc"], ["a.mrc"]),
        (
            ["Movies/a.mrc", "job002/b.mrc", "../MotionCorr/job02/c.mrc"],
            ["Movies/a.mrc", "job002/b.mrc", "../MotionCorr/job02/c.mrc"],
        ),
        (
            ["A/job002/a.mrc", "B/job003/a.mrc", "B/job003/b.mrc"],
            ["A/job002/a.mrc", "B/job003/a.mrc", "B/job003/b.mrc"],
        ),
    ],
)
def test_the_names_within_a_job_are_without_the_job_before_if_they_remain_distinct(names, within):
    assert names_within_job(names) == within
