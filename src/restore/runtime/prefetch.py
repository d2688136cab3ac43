"""Reading ahead and writing behind, so that the network never waits for a disk."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

Job = TypeVar("Job")
Got = TypeVar("Got")


def read_ahead(
    jobs: Iterable[Job], read: Callable[[Job], Got], depth: int = 2
) -> Iterator[tuple[Job, Future[Got]]]:
    """Each job with the finished future of ``read(job)``, in order, while the next ``depth`` jobs
    are read in a thread.
    """
    waiting: deque[tuple[Job, Future[Got]]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="read") as pool:
        try:
            for job in jobs:
                waiting.append((job, pool.submit(read, job)))
                if len(waiting) > depth:
                    yield _finished(waiting.popleft())
            while waiting:
                yield _finished(waiting.popleft())
        finally:
            for _, future in waiting:
                future.cancel()


def _finished(entry: tuple[Job, Future[Got]]) -> tuple[Job, Future[Got]]:
    entry[1].exception()
    return entry


class WriteBehind:
    """Runs writes in one thread, at most ``depth`` of them waiting; leaving the block waits for
    them all.
    """

    def __init__(self, depth: int = 2) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="write")
        self._waiting: deque[Future[None]] = deque()
        self._depth = depth

    def submit(self, write: Callable[[], None]) -> None:
        """Queue a write; an unhandled error of an earlier one is raised here."""
        self._waiting.append(self._pool.submit(write))
        while self._waiting and (len(self._waiting) > self._depth or self._waiting[0].done()):
            self._waiting.popleft().result()

    def __enter__(self) -> "WriteBehind":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        try:
            while self._waiting and error is None:
                self._waiting.popleft().result()
        # a thread that ^C finds being joined is not joined again, and dies in the middle of its
        # write
        finally:
            self._pool.shutdown(wait=True, cancel_futures=True)
