import threading

import pytest

from git_refresh.run.pool import Limits, Pool


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
        release.wait(60)  # longer than anybody waits below

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


def test_a_machine_without_more_threads_has_the_work_done_by_those_there_are(
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
