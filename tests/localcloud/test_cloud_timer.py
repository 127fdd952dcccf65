"""The timer compared with recorded statuses of the host's own code."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from localcloud.timer import Timer

NOON = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
MINUTES = "0 * * * * *"
FIVES = "0 */5 * * * *"


def at(minutes: float, seconds: float = 0) -> datetime:
    return NOON + timedelta(minutes=minutes, seconds=seconds)


def told(timer: Timer) -> tuple[Any, ...]:
    """Return the next call: its time and argument."""
    info = timer.call.info
    status: Any = info["ScheduleStatus"]
    values = status and (status["Last"], status["Next"], status["LastUpdated"])
    return timer.call.due, values, info["IsPastDue"]


def written(moment: datetime) -> str:
    return moment.isoformat()


YEAR_1 = "0001-01-01T00:00:00+00:00"


def test_before_the_first_run_there_is_no_last_one() -> None:
    timer = Timer(FIVES, at(1))
    assert told(timer) == (at(5), (YEAR_1, written(at(5)), YEAR_1), False)


def test_after_a_restart_the_status_has_the_time_of_its_schedule() -> None:
    timer = Timer(FIVES, at(1))
    timer.start(at(2))
    assert told(timer) == (at(5), (YEAR_1, written(at(5)), written(at(1))), False)


def test_the_status_is_that_of_the_run_before_and_next_is_what_fires() -> None:
    timer = Timer(FIVES, at(1))
    timer.ended(at(5, 0.004740), at(5, 20))
    assert told(timer) == (
        at(10),
        ("2026-11-30T12:05:00.0047400+00:00", written(at(10)), "2026-11-30T12:05:00.0047400+00:00"),
        False,
    )


def test_a_call_before_its_time_counts_from_its_time() -> None:
    timer = Timer(FIVES, at(1))
    timer.ended(at(4, 59.998), at(5, 20))
    assert told(timer) == (at(10), (written(at(5)), written(at(10)), written(at(5))), False)


def test_after_a_run_of_80_s_the_next_begins_at_once_and_once() -> None:
    timer = Timer(MINUTES, at(0, 30))
    began = timer.call.due
    for _ in range(4):
        timer.ended(began, began + timedelta(seconds=80))
        due, status, past_due = told(timer)
        assert (due, past_due) == (began + timedelta(seconds=80), False)
        following = datetime.fromisoformat(status[1])
        assert status[0] == written(began)
        assert began < following <= began + timedelta(seconds=60)
        assert timedelta(seconds=20) <= due - following <= timedelta(seconds=60)
        began = due


def test_many_occurrences_that_pass_during_a_run_are_made_up_once() -> None:
    timer = Timer(MINUTES, at(0, 30))
    timer.ended(at(1), at(8, 30))
    assert told(timer) == (at(8, 30), (written(at(1)), written(at(2)), written(at(1))), False)
    timer.ended(at(8, 30), at(8, 31))
    assert timer.call.due == at(9)


def test_a_run_that_was_cut_off_is_made_again_at_once() -> None:
    timer = Timer(FIVES, at(1))
    timer.ended(at(5), at(5, 20))
    assert timer.call.due == at(10)
    timer.start(at(10, 40))  # killed at 10:20, so nothing was stored
    assert told(timer) == (at(10, 40), (written(at(5)), written(at(10)), written(at(5))), True)
    timer.start(at(11))  # killed again
    assert told(timer) == (at(11), (written(at(5)), written(at(10)), written(at(5))), True)
    timer.ended(at(11), at(11, 20))
    assert told(timer) == (at(15), (written(at(11)), written(at(15)), written(at(11))), False)


def test_a_first_run_that_was_cut_off_is_made_again_too() -> None:
    timer = Timer(FIVES, at(1))
    timer.start(at(5, 40))
    assert told(timer) == (at(5, 40), (YEAR_1, written(at(5)), written(at(1))), True)


def test_after_an_outage_one_run_makes_up_for_all() -> None:
    timer = Timer(FIVES, at(1))
    timer.ended(at(5), at(5, 20))
    timer.start(at(127))
    assert told(timer) == (at(127), (written(at(5)), written(at(10)), written(at(5))), True)
    timer.ended(at(127), at(127, 20))
    assert told(timer)[::2] == (at(130), False)


def test_a_start_with_nothing_missed_runs_nothing() -> None:
    timer = Timer(FIVES, at(1))
    timer.ended(at(5), at(5, 20))
    timer.start(at(7))
    assert told(timer) == (at(10), (written(at(5)), written(at(10)), written(at(5))), False)


def test_what_another_schedule_would_have_missed_is_not_made_up() -> None:
    timer = Timer(FIVES, at(1))
    timer.ended(at(5), at(5, 20))
    timer.start(at(127), MINUTES)
    assert told(timer) == (at(128), (YEAR_1, written(at(128)), written(at(127))), False)


@pytest.mark.parametrize(
    ("schedule", "kept"),
    [
        ("*/30 * * * * *", False),
        ("0,1 * * * * *", False),
        ("*/30 0-58 * * * *", True),
        (MINUTES, True),
        ("* * * * *", True),
        ("00:00:59", False),
        ("00:01:00", True),
    ],
)
def test_no_status_is_kept_of_what_comes_several_times_a_minute(schedule: str, *, kept: bool) -> None:
    timer = Timer(schedule, at(1))
    timer.ended(timer.call.due, timer.call.due)
    assert (timer.call.info["ScheduleStatus"] is not None) is kept
    timer.start(at(500))
    assert timer.call.past_due is kept
