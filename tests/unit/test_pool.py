import threading

import pytest

from git_refresh.model.waiting import used_up, waiting
from git_refresh.run.pool import MAX_THREADS, Limits, Pool, Priority
from tests.support.virtual_time import VirtualTime


def wide(size: int) -> Pool:
    return Pool(Limits(size, size))


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "git-refresh"]


def test_tasks_run_in_the_order_they_were_queued() -> None:
    pool, order, done = wide(1), [], threading.Event()
    started = threading.Event()

    def first() -> None:
        started.wait(10)
        pool.submit(lambda: order.append("queued by a task, behind the others"))
        pool.submit(done.set)

    pool.submit(first)
    pool.submit(lambda: order.append("second"))
    pool.submit(lambda: order.append("third"))
    pool.start()
    started.set()
    assert done.wait(10)
    assert order == ["second", "third", "queued by a task, behind the others"]
    pool.close()


def test_no_more_tasks_run_at_once_than_the_pool_is_wide() -> None:
    pool, release, lock = wide(3), threading.Event(), threading.Lock()
    running, most, full, finished = 0, 0, threading.Event(), threading.Semaphore(0)

    def task() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            if running == 3:
                full.set()
        release.wait(10)
        with lock:
            running -= 1
        finished.release()

    for _ in range(10):
        pool.submit(task)
    pool.start()
    assert full.wait(10)
    release.set()
    for _ in range(10):
        assert finished.acquire(timeout=10)
    assert most == 3
    pool.close()


def test_a_pool_does_not_keep_the_process_alive() -> None:
    pool, entered = wide(1), threading.Event()
    daemon: list[bool] = []

    def task() -> None:
        daemon.append(threading.current_thread().daemon)
        entered.set()

    pool.submit(task)
    pool.start()
    assert entered.wait(10)
    assert daemon == [True]
    pool.close()


def test_what_is_queued_before_the_start_comes_before_what_its_tasks_queue() -> None:
    for _ in range(20):
        pool, done = wide(2), threading.Event()
        order: list[int] = []

        def task(order: list[int] = order, pool: Pool = pool, done: threading.Event = done) -> None:
            def queued_by_it() -> None:
                order.append(2)
                if order.count(2) == 8:
                    done.set()

            order.append(1)
            pool.submit(queued_by_it)

        for _ in range(8):
            pool.submit(task)
        pool.start()
        assert done.wait(10)
        pool.close()
        assert order[:7] == [1] * 7, "the eighth may be under way on the other thread"


def test_a_task_queued_later_gets_a_thread_of_its_own_when_all_others_wait() -> None:
    pool, release, waiting = wide(5), threading.Event(), threading.Semaphore(0)

    def task() -> None:
        waiting.release()
        release.wait(60)  # longer than any wait below

    def first() -> None:
        for _ in range(4):
            pool.submit(task)
        task()

    pool.submit(first)
    pool.start()
    for _ in range(5):
        assert waiting.acquire(timeout=10)
    release.set()
    pool.close()


def test_a_pool_that_is_closed_leaves_no_thread_behind() -> None:
    before = set(threads())
    pool, waiting = wide(4), threading.Barrier(5)
    for _ in range(4):
        pool.submit(lambda: bool(waiting.wait(10)))  # type: ignore[arg-type]
    pool.start()
    waiting.wait(10)
    found = [thread for thread in threads() if thread not in before]
    pool.close()
    for thread in found:
        thread.join(10)
    assert not any(thread.is_alive() for thread in found)


def test_what_is_queued_when_a_pool_is_closed_or_later_is_not_done() -> None:
    pool, release, entered = wide(1), threading.Event(), threading.Event()
    done: list[str] = []

    def first() -> None:
        entered.set()
        release.wait(10)

    pool.submit(first)
    pool.submit(lambda: done.append("queued before"))
    before = set(threads())
    pool.start()
    assert entered.wait(10)
    (thread,) = set(threads()) - before
    pool.close()
    pool.submit(lambda: done.append("queued later"))
    release.set()
    thread.join(10)
    assert not thread.is_alive()
    assert done == []


@pytest.mark.parametrize("error", [ZeroDivisionError, MemoryError, SystemExit, KeyboardInterrupt])
def test_a_task_that_raises_costs_no_other(error: type[BaseException]) -> None:
    pool, done = wide(1), threading.Event()

    def task() -> None:
        raise error

    pool.submit(task)
    pool.submit(done.set)
    pool.start()
    assert done.wait(10)
    pool.close()


def test_existing_threads_do_the_work_if_no_more_can_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start, finished = threading.Thread.start, threading.Semaphore(0)
    started: list[threading.Thread] = []

    def once(thread: threading.Thread) -> None:
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", once)
    pool = wide(4)
    for _ in range(8):
        pool.submit(finished.release)
    pool.start()
    for _ in range(8):
        assert finished.acquire(timeout=10)
    pool.close()


def test_a_machine_without_any_thread_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", never)
    pool = wide(4)
    pool.submit(lambda: None)
    with pytest.raises(RuntimeError):
        pool.start()


class Stage:
    """A pool in virtual time, polled like a run does, and the actions of its operations."""

    def __init__(
        self, concurrency: int, threads: int, patience_s: float = 1.0, share_s: float = 100.0
    ) -> None:
        self.time = VirtualTime()
        self.pool = Pool(Limits(concurrency, threads, patience_s, share_s), self.time, self.time.start)
        self.log: list[tuple[str, float]] = []

    def submit(self, name: str, *waits: float, priority: Priority = Priority.CREDENTIALS) -> None:
        """Queue an operation that waits this often and long, and needs no CPU time."""

        def task() -> None:
            self.log.append((name, self.time.at))
            for seconds in waits:
                with waiting():
                    self.time.sleep(seconds)
                self.time.sleep(0.0)

        self.pool.submit(task, priority)

    def play(self, seconds: float) -> None:
        def look() -> None:
            self.pool.start()
            while self.time.at < seconds:
                self.time.sleep(self.pool.tick_s)
                self.pool.look()
            self.pool.close()

        self.time.play(look)


def test_what_waits_for_longer_than_the_patience_makes_room_for_another() -> None:
    stage = Stage(1, 10)
    stage.submit("hangs", 50.0)
    stage.submit("next", 0.5)
    stage.submit("last")
    stage.play(10)
    assert stage.log == [("hangs", 0.0), ("next", 1.0), ("last", 1.5)]


def test_work_that_once_waited_too_long_makes_room_at_its_next_wait() -> None:
    stage = Stage(1, 10)
    stage.submit("hangs", 2.0, 2.0, 2.0)
    stage.submit("waits", 0.9, 0.9)
    for number in range(3):
        stage.submit(f"next {number}", 0.9)
    stage.play(10)
    assert [at for _, at in stage.log] == pytest.approx([0.0, 1.0, 2.8, 3.7, 4.6])


def test_all_that_is_under_way_is_on_no_more_threads_than_there_may_be() -> None:
    stage = Stage(2, 5)
    for number in range(20):
        stage.submit(str(number), 30.0)
    stage.play(25)
    assert stage.time.most == 5
    assert len(stage.log) == 5


def test_what_comes_first_begins_first_whenever_it_is_queued() -> None:
    stage = Stage(1, 10)
    for priority in (Priority.REST, Priority.FOLDERS, Priority.CREDENTIALS):
        for number in range(2):
            stage.submit(f"{priority.name} {number}", 0.5, priority=priority)
    stage.play(10)
    names = ["CREDENTIALS", "FOLDERS", "REST"]
    assert [name for name, _ in stage.log] == [f"{name} {number}" for name in names for number in range(2)]


def test_an_operation_knows_when_it_has_waited_for_longer_than_its_share() -> None:
    stage, found = Stage(1, 1, share_s=3.0), []

    def task() -> None:
        for _ in range(5):
            with waiting():
                stage.time.sleep(0.8)
            found.append(used_up())

    stage.pool.submit(task)
    stage.play(10)
    assert found == [False, False, False, True, True]


def test_a_machine_that_is_busy_lets_no_wait_seem_long() -> None:
    """Polls are as late as the threads that read responses."""
    stage = Stage(1, 10)
    stage.submit("waits", 4.0)
    stage.submit("next")

    def look() -> None:
        stage.pool.start()
        stage.time.sleep(3.5)
        stage.pool.look()
        assert [name for name, _ in stage.log] == ["waits"]

    stage.time.play(look)


@pytest.mark.parametrize(
    ("budget_s", "concurrency", "workspaces", "patience_s", "share_s"),
    [
        (540, 32, 1, 5.0, 32_400.0),
        (540, 32, 50, 5.0, 648.0),
        (540, 32, 1_000, 2.16, 32.4),
        (60, 1, 1_000, 0.0075, 3.8325),
        (60, 32, 0, 5.0, 3_600.0),
    ],
)
def test_patience_and_share_take_an_eighth_of_the_budget_each(
    budget_s: float, concurrency: int, workspaces: int, patience_s: float, share_s: float
) -> None:
    limits = Limits.of(budget_s, concurrency, MAX_THREADS, workspaces)
    assert (limits.patience_s, limits.share_s) == pytest.approx((patience_s, share_s))


def test_few_threads_are_more_than_the_operations_that_work() -> None:
    assert Limits.of(60, 8, 4, 10).threads == 9
