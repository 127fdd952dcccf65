"""The same work on many things at once, for as long as there is time and nobody interrupts it."""

from collections.abc import Callable, Sequence
from functools import partial
from queue import Empty, SimpleQueue

from git_refresh.model.clock import Deadline
from git_refresh.run.fleet import REPORT_GRACE_S
from git_refresh.run.pool import Limits, Pool


class Executor:
    """Works on each of many things, so many at once.

    Attributes:
        interrupted: whether somebody has pressed Ctrl-C; nothing is begun from then on.
    """

    def __init__(self, size: int, deadline: Deadline) -> None:
        self._size = size
        self._deadline = deadline
        self.interrupted = False

    def each[T, R](
        self,
        items: Sequence[T],
        work: Callable[[T], R],
        at_once: int | None = None,
        until: Deadline | None = None,
    ) -> list[tuple[T, R | None]]:
        """Each item with what the work on it gives; None where it was not finished.

        Args:
            items: the things.
            work: what is done with each; it must not raise.
            at_once: how many at once, where that is fewer.
            until: when it ends, where that is earlier.
        """
        deadline = until or self._deadline
        done: SimpleQueue[tuple[int, R | None]] = SimpleQueue()

        def do(index: int, item: T) -> None:
            result = None
            try:
                result = work(item)
            finally:  # whatever it raises, nobody waits for it in vain
                done.put((index, result))

        size = min(self._size, at_once or self._size)
        pool = Pool(Limits(size, size))
        results: dict[int, R | None] = {}
        try:
            for index, item in enumerate([] if self.interrupted else items):
                pool.submit(partial(do, index, item))
            pool.start()
            while not self.interrupted and len(results) < len(items):
                index, result = done.get(timeout=max(0.0, deadline.remaining() + REPORT_GRACE_S))
                results[index] = result
        except Empty:
            pass
        except KeyboardInterrupt:
            self.interrupted = True
        pool.close()
        return [(item, results.get(index)) for index, item in enumerate(items)]
