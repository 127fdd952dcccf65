from datetime import UTC, datetime, timedelta

import pytest

from git_refresh.schedule import is_schedule, longest_gap, next_run_after

NOW = datetime(2026, 11, 23, 12, 0, 0, 200_000, tzinfo=UTC)
QUARTERS = "0 */15 * * * *"


def at(text: str) -> str:
    return f"2026-11-23T{text}+00:00"


@pytest.mark.parametrize(
    ("status", "schedule", "expected"),
    [
        ({"Last": at("11:45:00"), "Next": at("12:00:00")}, QUARTERS, "12:15:00"),
        ({"Last": at("11:45:00.1"), "Next": at("12:00:00.9")}, QUARTERS, "12:15:00"),
        ({"Last": at("11:55:00"), "Next": at("12:05:00")}, QUARTERS, "12:05:00"),
        ({"Last": at("11:59:30"), "Next": at("12:00:30")}, "*/30 * * * * *", "12:00:30"),
        ({"Last": "0001-01-01T00:00:00", "Next": at("12:00:00")}, "0 */30 * * * *", "12:30:00"),
        ({"Last": at("06:00:00"), "Next": at("06:15:00")}, QUARTERS, "12:15:00"),
        ({"Last": at("11:59:00"), "Next": "2026-11-23T12:00:00"}, "0 * * * * *", "12:01:00"),
        ({"Last": "yesterday", "Next": "tomorrow"}, QUARTERS, "12:15:00"),
        ({"Last": 5, "Next": None}, "0 0 * * * *", "13:00:00"),
        (None, "0 0 6-11 * * 1-5", "06:00:00"),
        (None, None, "12:15:00"),
        (None, "nonsense", "12:15:00"),
    ],
    ids=[
        "the status says when this run was due: the schedule knows the next",
        "the host fires a little early",
        "a next run in the future is taken as it is",
        "however near it is",
        "the very first run has no last one",
        "after hours away the rhythm is kept",
        "a time without zone is UTC",
        "what is no time",
        "what is no text",
        "after the last tick of a day comes tomorrow's first",
        "no schedule",
        "what is no schedule",
    ],
)
def test_the_next_run(status: dict[str, object] | None, schedule: str | None, expected: str) -> None:
    following = next_run_after(NOW, status, schedule)
    assert f"{following:%H:%M:%S}" == expected
    assert following > NOW


@pytest.mark.parametrize(
    ("schedule", "gap"),
    [
        (QUARTERS, timedelta(minutes=15)),
        ("0 0,10 * * * *", timedelta(minutes=50)),
        ("0 */15 7-19 * * *", timedelta(hours=11, minutes=15)),
        ("0 0 8-18 * * 1-5", timedelta(days=2, hours=14)),
        ("*/5 * * * * *", timedelta(seconds=5)),
        ("0 0 0 1 1 *", timedelta(days=365)),
        (None, timedelta(minutes=15)),
        ("nonsense", timedelta(minutes=15)),
    ],
)
def test_the_longest_time_between_two_runs_counts_nights_and_weekends(
    schedule: str | None, gap: timedelta
) -> None:
    assert longest_gap(schedule, NOW) == gap


@pytest.mark.parametrize(
    "text", [QUARTERS, "*/30 * * * * *", "0 0 7-19 * * 1-5", "0 0 0 1 Jan *", "0 5,35 * * * Mon-Fri"]
)
def test_what_the_timer_takes_is_a_schedule(text: str) -> None:
    assert is_schedule(text)


def test_a_schedule_may_name_every_minute_and_is_no_longer_than_that() -> None:
    text = f"0 {','.join(map(str, range(60)))} * * * *"
    assert is_schedule(text)
    assert not is_schedule(text.replace(" ", " " * 8))


@pytest.mark.parametrize(
    "text",
    ["*/15 * * * *", "0 61 * * * *", "0 0 0 31 2 *", "every 15 minutes or so ok", "@hourly", "00:15:00", ""],
)
def test_what_the_timer_does_not_take_is_none(text: str) -> None:
    assert not is_schedule(text)
