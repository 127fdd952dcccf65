from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

import pytest

from git_refresh.model.values import Problem, json_of, utc_text

NOON = datetime(2026, 11, 30, 12, 0, 0, 987_654, UTC)


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=-5)), timezone(timedelta(hours=14))])
def test_a_time_in_json_is_utc_in_whole_seconds(zone: timezone) -> None:
    assert utc_text(NOON.astimezone(zone)) == "2026-11-30T12:00:00Z"


def test_the_last_hours_that_exist_are_a_time_too() -> None:
    last = datetime.max.replace(tzinfo=timezone(timedelta(hours=-14)))
    assert utc_text(last) == "9999-12-31T23:59:59-14:00"


@dataclass
class _Report:
    at: datetime
    problems: tuple[Problem, ...]


def test_json_has_times_as_text_and_no_fields_for_people_alone() -> None:
    found = json_of(_Report(NOON, (Problem("a", "b", kind="c"),)))
    assert found == {
        "at": "2026-11-30T12:00:00Z",
        "problems": ({"location": "a", "message": "b", "severity": "error"},),
    }
