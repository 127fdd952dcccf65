import threading

import pytest

from git_refresh.clouds.once import NeverComputedError, Once
from git_refresh.symptom import ServiceError
from tests.unit.fakes import deadline, failure


def test_a_value_is_computed_once_for_everybody_who_asks_at_the_same_time() -> None:
    once: Once[str, int] = Once(deadline())
    entered, release, found, computed = threading.Event(), threading.Event(), [], []

    def compute() -> int:
        computed.append(1)
        entered.set()
        release.wait(10)
        return 42

    threads = [threading.Thread(target=lambda: found.append(once.get("key", compute))) for _ in range(8)]
    for thread in threads:
        thread.start()
    entered.wait(10)
    release.set()
    for thread in threads:
        thread.join(10)
    assert (found, computed) == ([42] * 8, [1])


def test_a_failure_is_remembered_and_raised_anew() -> None:
    once: Once[str, int] = Once(deadline())
    tried = []

    def compute() -> int:
        tried.append(1)
        raise failure(status=404)

    caught = []
    for _ in range(2):
        with pytest.raises(ServiceError) as error:
            once.get("key", compute)
        caught.append(error.value)
    assert len(tried) == 1
    assert caught[0] is not caught[1]
    assert caught[0].symptom is caught[1].symptom


def test_that_time_is_over_is_raised_anew_for_everybody() -> None:
    once: Once[str, int] = Once(deadline())

    def compute() -> int:
        raise TimeoutError("secret")

    caught = []
    for _ in range(3):
        with pytest.raises(TimeoutError) as error:
            once.get("key", compute)
        caught.append(error.value)
        assert (str(error.value), error.value.__cause__, error.value.__context__) == ("", None, None)
    assert len({id(error) for error in caught}) == 3


def test_who_waits_for_another_s_look_up_gives_up_when_the_run_is_over() -> None:
    once: Once[str, int] = Once(deadline(0))
    release, entered = threading.Event(), threading.Event()

    def compute() -> int:
        entered.set()
        release.wait(10)
        return 1

    thread = threading.Thread(target=lambda: once.get("key", compute))
    thread.start()
    entered.wait(10)
    with pytest.raises(TimeoutError):
        once.get("key", compute)
    release.set()
    thread.join(10)


def test_who_comes_after_a_mistake_of_ours_is_told_its_name_and_nothing_else() -> None:
    once: Once[str, int] = Once(deadline())

    def compute() -> int:
        raise SystemExit("secret")

    with pytest.raises(SystemExit):
        once.get("key", compute)
    raised = []
    for _ in range(2):
        with pytest.raises(NeverComputedError, match=r"^SystemExit$") as caught:
            once.get("key", compute)
        assert (caught.value.__cause__, caught.value.__context__) == (None, None)
        raised.append(caught.value)
    assert raised[0] is not raised[1]
