from datetime import UTC, datetime, timedelta

import pytest

from git_refresh.model.schedule import gaps, next_run_after

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
    ("schedule", "expected"),
    [
        ("*/15 * * * *", NOW.replace(minute=15, microsecond=0)),
        ("00:20:00", NOW + timedelta(minutes=20)),
        ("24:00:00", NOW + timedelta(days=24)),
        ("-1", NOW),
        ("0 0 0 30 2 *", NOW + timedelta(minutes=15)),
        ("0 0 0 ? * *", NOW + timedelta(minutes=15)),
        ("0 0 22-6 * * *", NOW.replace(hour=13, microsecond=0)),
        ("0 0 0 29 2 1", NOW + timedelta(days=3653)),
    ],
    ids=[
        "five fields",
        "a time span counts from this run",
        "24 hours are 24 days",
        "zero or less: at once",
        "never: the default",
        "refused: the default",
        "a reversed range is swapped",
        "further away than ten years",
    ],
)
def test_the_next_run_is_due_by_the_host_s_reading_of_the_schedule(schedule: str, expected: datetime) -> None:
    assert next_run_after(NOW, None, schedule) == expected


@pytest.mark.parametrize("schedule", [None, "", "nonsense", "0 0 0 30 2 *"])
def test_without_a_usable_schedule_the_gap_is_the_default(schedule: str | None) -> None:
    assert gaps(schedule, NOW) == [timedelta(minutes=15)]


def test_no_gap_is_longer_than_ten_years() -> None:
    assert gaps("10675199", NOW) == [timedelta(days=3653)]
