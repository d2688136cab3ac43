"""Reading ahead and writing behind: order, bounds, errors."""

import threading
import time

import pytest

from restore.runtime.prefetch import WriteBehind, read_ahead


def test_jobs_come_in_order_each_with_its_own_result():
    got = [(job, future.result()) for job, future in read_ahead(range(20), lambda job: job * job)]
    assert got == [(job, job * job) for job in range(20)]


def test_no_job_is_no_result():
    assert list(read_ahead([], lambda job: job)) == []


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_at_most_so_many_are_read_ahead_however_slow_the_rest_is(depth):
    started = []

    def read(job):
        started.append(job)
        return job

    for count, _ in enumerate(read_ahead(range(30), read, depth)):
        time.sleep(0.003)
        assert len(started) <= count + 1 + depth
    assert started == list(range(30))


def test_the_next_is_read_while_this_one_is_computed():
    second = threading.Event()

    def read(job):
        if job == 1:
            second.set()
        return job

    for job, _ in read_ahead(range(3), read):
        if job == 0:
            assert second.wait(5)


def test_a_failed_read_is_that_jobs_alone():
    def read(job):
        if job % 2:
            raise OSError(f"no {job}")
        return job

    for job, future in read_ahead(range(6), read):
        assert future.done()
        if job % 2:
            with pytest.raises(OSError, match=f"no {job}"):
                future.result()
        else:
            assert future.result() == job


def test_leaving_early_reads_no_more():
    started = []
    reading = read_ahead(range(100), started.append)
    next(reading)
    reading.close()
    assert len(started) <= 4


def test_writes_happen_in_order_and_are_all_done_when_the_block_ends():
    written = []

    def write(index):
        time.sleep(0.005)
        written.append(index)

    with WriteBehind() as writer:
        for index in range(8):
            writer.submit(lambda index=index: write(index))
    assert written == list(range(8))


def test_no_more_than_the_depth_wait_to_be_written():
    release, done = threading.Event(), []

    def submit_all(writer):
        for index in range(6):
            writer.submit(lambda: release.wait(5) and None)
            done.append(index)

    with WriteBehind(depth=2) as writer:
        thread = threading.Thread(target=submit_all, args=(writer,))
        thread.start()
        time.sleep(0.1)
        assert len(done) == 2  # the third waits for the first to be written
        release.set()
        thread.join()
    assert len(done) == 6


def test_a_write_that_fails_unexpectedly_is_not_lost():
    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), WriteBehind() as writer:
        writer.submit(fail)


def test_an_error_inside_the_block_wins():
    with pytest.raises(KeyError), WriteBehind() as writer:
        writer.submit(lambda: None)
        raise KeyError
