"""Sets of jobs: what fails is noted and skipped, a full disk ends them, no output takes another's
place.
"""

import errno
from dataclasses import dataclass
from pathlib import Path

import pytest

from restore.errors import UserError
from restore.micrograph import Micrograph
from restore.runtime.jobs import Outcome, do_all, refuse_clashes


@dataclass(frozen=True)
class Job:
    micrograph: Micrograph


JOBS = [
    Job(Micrograph(name, Path(name), 1.0, row))
    for row, name in enumerate(("a.mrc", "b.mrc", "c.mrc"))
]


def nothing():
    """A write that succeeds."""


def full_disk():
    raise UserError("the disk is full") from OSError(errno.ENOSPC, "no room")


def bad_file():
    raise UserError("it is bad")


def test_what_fails_in_computing_or_writing_is_noted_and_the_rest_is_done():
    outcome, told = Outcome(), []
    work = [(JOBS[0], bad_file), (JOBS[1], lambda: bad_file), (JOBS[2], lambda: nothing)]
    do_all(work, outcome, lambda so_far: told.append(len(so_far.failed)))
    assert outcome.done == outcome.good == JOBS[2:]
    assert outcome.failed == [(JOBS[0], "it is bad."), (JOBS[1], "it is bad.")]
    assert len(told) == 4 and told[-1] == 2


def test_a_full_disk_ends_it():
    with pytest.raises(UserError, match="the disk is full"):
        do_all([(job, lambda: full_disk) for job in JOBS], Outcome(), lambda _: None)


def test_an_output_takes_no_inputs_and_no_others_place(tmp_path):
    places = [tmp_path / "a.mrc", tmp_path / "b.mrc"]
    refuse_clashes(list(zip(JOBS, places, strict=False)), [tmp_path / "c.mrc"], "output for", "")
    with pytest.raises(UserError, match=r"the output for b\.mrc would replace an input image"):
        refuse_clashes(
            list(zip(JOBS, places, strict=False)), [tmp_path / "x/../b.mrc"], "output for", ""
        )
    with pytest.raises(UserError, match=r"a\.mrc and b\.mrc would both be written here"):
        refuse_clashes([(JOBS[0], places[0]), (JOBS[1], places[0])], [], "output for", "")
