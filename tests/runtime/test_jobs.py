"""Sets of jobs: what is current is left, what fails is noted and skipped, what ends them all ends
them at once, no output takes another's place.
"""

import errno
import os
import resource
import shutil
import signal

import pytest
from seen_bars import SeenBars

from restore.errors import UserError
from restore.io.atomic import write_bytes, write_text
from restore.runtime.jobs import (
    Job,
    SetResults,
    Steps,
    fingerprint,
    is_current,
    refuse_clashes,
    run_jobs,
    stale_jobs,
)


@pytest.fixture
def jobs(tmp_path):
    return [
        Job(name, f"{name}.mrc", (tmp_path / f"out/{name}",), f"as {name} was made")
        for name in "abc"
    ]


def bad_file():
    raise UserError("it is bad")


def steps(compute, read=lambda job: job.subject):
    return Steps(read, lambda job, data: compute(job, data.result()), "working", "files")


def writing(job, data):
    return lambda: write_text(job.outputs[0], job.fingerprint)


def text_of(path):
    return path.read_text()


def test_what_fails_in_reading_computing_or_writing_is_noted_and_the_rest_is_done(jobs):
    def read(job):
        return bad_file() if job.subject == "a" else job.subject

    def compute(job, data):
        return bad_file if data == "b" else writing(job, data)

    bars = SeenBars()
    results = run_jobs(jobs, steps(compute, read), bars)
    assert results.done == results.good == jobs[2:]
    assert results.failed == [(jobs[0], "it is bad."), (jobs[1], "it is bad.")]
    assert bars.calls == [(3, "files", "working")]
    assert len(bars.counts) == 4 and bars.counts[-1] == 3
    assert SetResults.of(results, {"z.mrc": "no"}) == SetResults(
        ("c.mrc",),
        (),
        {"z.mrc": "no", "a.mrc": "it is bad.", "b.mrc": "it is bad."},
        images=(jobs[2].outputs[0],),
    )


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS])
@pytest.mark.parametrize("wrapped", [True, False])
def test_a_full_disk_ends_it(jobs, number, wrapped):
    def full_disk():
        if wrapped:
            raise UserError("the disk is full") from OSError(number, "no room")
        raise OSError(number, "no room")

    with pytest.raises((UserError, OSError), match=r"the disk is full|no room"):
        run_jobs(jobs, steps(lambda job, data: full_disk))


def test_a_limit_on_the_size_of_files_ends_it_at_once_with_the_first_files_name(tmp_path):
    many = [Job(n, f"{n}", (tmp_path / f"{n}",), "") for n in range(50)]
    computed = []

    def compute(job, data):
        computed.append(data)
        return lambda: write_bytes(job.outputs[0], bytes(200_000))

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        with pytest.raises(UserError, match=r"/0: the file is larger than"):
            run_jobs(many, steps(compute))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(computed) < 10 and list(tmp_path.iterdir()) == []


def test_an_output_folder_that_is_removed_in_the_run_ends_it_with_its_name(tmp_path):
    many = [Job(n, f"{n}", (tmp_path / f"out/{n}",), "") for n in range(50)]

    def compute(job, data):
        def write():
            if data == 5:
                shutil.rmtree(tmp_path / "out")
            else:
                write_text(job.outputs[0], "x")

        return write

    with pytest.raises(UserError, match=r"out: the output folder was removed during the run"):
        run_jobs(many, steps(compute))
    assert not (tmp_path / "out").exists()


def test_what_is_current_is_left_and_what_is_missing_or_made_otherwise_is_done(jobs):
    run_jobs(jobs, steps(writing))
    assert stale_jobs(jobs, text_of) == []
    assert stale_jobs(jobs, text_of, overwrite=True) == jobs
    jobs[0].outputs[0].write_text("otherwise")
    jobs[2].outputs[0].unlink()
    assert stale_jobs(jobs, text_of) == [jobs[0], jobs[2]]


def test_a_job_with_several_outputs_is_current_only_with_all_of_them(tmp_path):
    job = Job("a", "a", (tmp_path / "1", tmp_path / "2"), "f")
    job.outputs[0].write_text("f")
    assert not is_current(job, text_of)
    job.outputs[1].write_text("f")
    assert is_current(job, text_of)
    job.outputs[0].write_text("g")
    assert not is_current(job, text_of)


def test_a_foreign_file_in_an_outputs_place_is_noticed_though_another_is_missing(tmp_path):
    job = Job("a", "a", (tmp_path / "1", tmp_path / "2"), "f")
    job.outputs[1].write_text("")
    with pytest.raises(UserError, match="it is bad"):
        is_current(job, lambda path: bad_file())


def test_the_fingerprint_tells_settings_paths_sizes_and_times_and_nothing_else(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("1")
    second.write_text("1")
    os.utime(second, ns=(0, first.stat().st_mtime_ns))
    base = fingerprint(["a", 1.5], [first])
    assert base == fingerprint(["a", 1.5], [first, tmp_path / "x" / ".." / "first"][:1] * 2)
    others = [fingerprint(["b", 1.5], [first]), fingerprint(["a", 1.5], [second]),
              fingerprint(["a", 1.5], [first, second]), fingerprint(["a", 1.5])]  # fmt: skip
    for time in (0, first.stat().st_mtime_ns + 1, 4 * 10**18):
        os.utime(first, ns=(0, time))
        others.append(fingerprint(["a", 1.5], [first]))
    first.write_text("12")
    os.utime(first, ns=(0, time))
    others.append(fingerprint(["a", 1.5], [first]))
    first.unlink()
    others.append(fingerprint(["a", 1.5], [first]))
    assert len({base, *others}) == len(others) + 1


def test_a_link_that_points_elsewhere_is_another_input(tmp_path):
    link, time = tmp_path / "link", 10**18
    for name in ("one", "two"):
        (tmp_path / name).write_text("same")
        os.utime(tmp_path / name, ns=(time, time))
    link.symlink_to("one")
    before = fingerprint([], [link])
    assert before == fingerprint([], [tmp_path / "one"])
    link.unlink()
    link.symlink_to("two")
    assert fingerprint([], [link]) != before


def test_an_output_takes_no_inputs_and_no_others_place(jobs, tmp_path):
    refuse_clashes(jobs, [tmp_path / "c.mrc"], "output for", "")
    with pytest.raises(UserError, match=r"the output for b\.mrc would replace an input image"):
        refuse_clashes(jobs, [tmp_path / "x/../out/b"], "output for", "")
    same = [Job(name, name, jobs[0].outputs, "") for name in ("a.mrc", "b.mrc")]
    with pytest.raises(UserError, match=r"a\.mrc and b\.mrc would both be written to this file"):
        refuse_clashes(same, [], "output for", "")


def test_a_project_that_is_moved_whole_is_current_and_an_input_that_is_moved_is_not(tmp_path):
    def project_in(root):
        return fingerprint([], [root / "raw" / "a"], root / "out")

    (tmp_path / "one" / "raw").mkdir(parents=True)
    (tmp_path / "one/raw/a").write_text("a")
    before = project_in(tmp_path / "one")
    (tmp_path / "one").rename(tmp_path / "two")
    assert project_in(tmp_path / "two") == before
    (tmp_path / "two/raw").rename(tmp_path / "two/raw2")
    assert fingerprint([], [tmp_path / "two/raw2/a"], tmp_path / "two/out") != before
