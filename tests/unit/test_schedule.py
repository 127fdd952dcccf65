from datetime import UTC, datetime, timedelta

import pytest

from git_refresh.schedule import next_run_after

NOW = datetime(2026, 11, 23, 12, 0, 0, 200_000, tzinfo=UTC)


def at(text: str) -> str:
    return f"2026-11-23T{text}+00:00"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"Last": at("11:45:00"), "Next": at("12:00:00")}, "12:15:00"),
        ({"Last": at("11:45:00.1"), "Next": at("12:00:00.9")}, "12:15"),
        ({"Last": at("11:55:00"), "Next": at("12:05:00")}, "12:05:00"),
        ({"Last": "0001-01-01T00:00:00", "Next": at("12:00:00")}, "12:15:00"),
        ({"Last": at("06:00:00"), "Next": at("06:15:00")}, "12:15:00"),
        ({"Last": at("12:00:00"), "Next": at("11:00:00")}, "12:15:00"),
        ({"Last": at("11:59:00"), "Next": "2026-11-23T12:00:00"}, "12:01:00"),
        ({"Last": "yesterday", "Next": "tomorrow"}, "12:15:00"),
        ({"Last": 5, "Next": None}, "12:15:00"),
        ({}, "12:15:00"),
        (None, "12:15:00"),
    ],
    ids=[
        "the status says when this run was due: the next is an interval later",
        "the host fires a little early",
        "a next run in the future is taken as it is",
        "the very first run has no last one",
        "after hours away the rhythm is kept",
        "a last run after the next one is no rhythm",
        "a time without zone is UTC",
        "what is no time",
        "what is no text",
        "an empty status",
        "no status",
    ],
)
def test_the_next_run(status: dict[str, object] | None, expected: str) -> None:
    assert f"{next_run_after(NOW, status):%H:%M:%S}".startswith(expected)


@pytest.mark.parametrize("last", ["2026-11-23T12:00:00", "2026-11-23T11:59:59.999999", "1999-01-01T00:00:00"])
def test_the_next_run_is_in_the_future_whatever_the_status(last: str) -> None:
    following = next_run_after(NOW, {"Last": last, "Next": at("12:00:00")})
    assert NOW < following <= NOW + timedelta(days=1)
