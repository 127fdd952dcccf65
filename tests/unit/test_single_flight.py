import threading

import pytest

from git_refresh.clients.single_flight import NeverComputedError, SingleFlight
from git_refresh.failures.failure import ServiceError
from git_refresh.model.clock import Deadline, cut_short, operation
from tests.support.fakes import FakeClock, deadline, failure
from tests.support.virtual_time import VirtualTime


def test_a_value_is_computed_once_for_everybody_who_asks_at_the_same_time() -> None:
    once: SingleFlight[str, int] = SingleFlight(deadline())
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
    once: SingleFlight[str, int] = SingleFlight(deadline())
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
    assert caught[0].failure is caught[1].failure


def test_that_time_is_over_is_raised_anew_for_everybody() -> None:
    once: SingleFlight[str, int] = SingleFlight(deadline())

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
    once: SingleFlight[str, int] = SingleFlight(deadline(0))
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


def test_a_later_caller_gets_only_the_name_of_an_internal_error() -> None:
    once: SingleFlight[str, int] = SingleFlight(deadline())

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


def test_a_failure_at_a_brief_bound_of_the_caller_is_not_remembered() -> None:
    clock = FakeClock()
    run = Deadline.after(60, clock)
    once: SingleFlight[str, int] = SingleFlight(run)

    def compute() -> int:
        clock.at += 10
        if cut_short():
            raise failure(status=None)
        return 42

    with operation(run.within(10), brief=True), pytest.raises(ServiceError):
        once.get("key", compute)
    assert once.get("key", compute) == 42


def test_a_failure_within_a_brief_bound_is_remembered() -> None:
    run = deadline(60)
    once: SingleFlight[str, int] = SingleFlight(run)

    def compute() -> int:
        raise failure(status=404)

    with operation(run.within(10), brief=True), pytest.raises(ServiceError):
        once.get("key", compute)
    with pytest.raises(ServiceError):
        once.get("key", lambda: 42)


def test_who_waits_for_another_s_look_up_has_time_of_its_own() -> None:
    """The first caller times out, the second waits on, and the third retries after the first."""
    time = VirtualTime()
    run = Deadline.after(60, time)
    once: SingleFlight[str, int] = SingleFlight(run)
    told: list[tuple[str, float]] = []

    def compute() -> int:
        time.sleep(4)
        if cut_short():
            raise failure(status=None)
        return 42

    def ask(name: str, seconds: float) -> None:
        try:
            with operation(run.within(seconds), brief=True):
                once.get("key", compute)
        except (ServiceError, TimeoutError) as error:
            told.append((type(error).__name__, time.at))
        else:
            told.append((name, time.at))

    def ask_all() -> None:
        for name, seconds in (("first", 4.0), ("second", 3.0), ("third", 20.0)):
            time.start(lambda name=name, seconds=seconds: ask(name, seconds))  # type: ignore[misc]

    time.play(ask_all)
    assert told == [("TimeoutError", 3.0), ("ServiceError", 4.0), ("third", 8.0)]
