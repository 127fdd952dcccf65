"""A schedule has the recorded meaning of the Functions host's own code."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import groupby

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from git_refresh.model.schedule import Field, RefusedScheduleError, Schedule
from tests.support.recorded import CASES, SCHEDULES

BASES = [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in SCHEDULES["bases"]]
NOW = datetime(2026, 11, 23, 12, 0, 0, 200_000, tzinfo=UTC)


def printed(fields: tuple[Field, ...]) -> str:
    """Return the fields as NCrontab prints them."""
    return " ".join(",".join(_runs(field.values)) if field.restricts else "*" for field in fields)


def _runs(values: tuple[int, ...]) -> list[str]:
    runs = [
        [value for _, value in run] for _, run in groupby(enumerate(values), lambda pair: pair[1] - pair[0])
    ]
    return [f"{run[0]}" if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]


def seconds_until(schedule: Schedule, base: datetime) -> list[int | None]:
    """Return seconds to the first occurrence after a time, and from there to the second."""
    found: list[int | None] = []
    for _ in range(2):
        following = schedule.next_after(base)
        if following is None:
            return [*found, None]
        found.append(int((following - base).total_seconds()))
        base = following
    return found


def as_recorded(text: str) -> list[object]:
    """Return a case in the recording's format; for a refused one, only that."""
    try:
        schedule = Schedule.read(text)
    except ValueError:
        return [text, "refused"]
    if schedule.read_as == "time span":
        return [text, schedule.read_as, schedule.span.total_seconds()]
    fields = schedule.fields if schedule.read_as == "six fields" else schedule.fields[1:]
    return [text, schedule.read_as, printed(fields), [seconds_until(schedule, base) for base in BASES]]


def test_every_recorded_schedule_is_read_as_the_host_reads_it() -> None:
    assert len(CASES) == 3775
    others = []
    for case in CASES:
        expected = case[:2] if case[1] == "refused" else case
        if case[1] == "time span":
            expected = [*case[:2], pytest.approx(case[2], abs=1e-6)]
        if as_recorded(case[0]) != expected:
            others.append(case)
    assert others == []


HOST_NAMES = {
    "second": "seconds",
    "minute": "minutes",
    "hour": "hours",
    "day of the month": "days",
    "month": "months",
    "day of the week": "days of the week",
}


def test_a_refusal_names_the_field_that_the_host_names() -> None:
    others = []
    for text, *_, field in (case for case in CASES if case[1] == "refused" and case[3]):
        with pytest.raises(RefusedScheduleError) as caught:
            Schedule.read(text)
        if caught.value.kind is None or HOST_NAMES[caught.value.kind.name] != field:
            others.append(text)
    assert others == []


BEYOND_THE_RECORDING = {
    "0 5/2147483642 * * * *": "six fields",
    "0 5/2147483643 * * * *": "refused",  # 32-bit overflow after the last value
    "0 0/2147483647 * * * *": "six fields",
    "0 */-2147483648 * * * *": "six fields",
    "0 */-2147483649 * * * *": "refused",
    f"0 {'0' * 5000}5 * * * *": "six fields",
    f"0 {'9' * 5000} * * * *": "refused",
    "0 5\0\0 * * * *": "six fields",
    "0 */\v5 * * * *": "six fields",
    "0 60/5 * * * *": "refused",
    "0 0 0 0-5 * *": "refused",
    "0 0 0 * Ju-Ja *": "six fields",
    "\u00a000:15:00\u2003": "time span",
    "\u00a0 \u00a0 00:15:00 \u00a0 \u00a0": "time span",
    "\u200b00:15:00": "refused",
    "00:15:00.00000005": "time span",
    "00:15:00.12345678": "refused",
    "00:15:.5": "time span",
    "1.00:15:.5": "time span",
    "1:00:15:.5": "time span",
    "1:2:3:4:5": "refused",
    "268435456": "refused",
    "00000000000000001": "time span",
    "10675199.02:48:05.4775808": "refused",
    "-10675199.02:48:05.4775808": "time span",
    "-10675199.02:48:05.4775809": "refused",
    "--00:15:00": "refused",
    "\uff10\uff10:15:00": "refused",
}
"""From the source of NCrontab and .NET."""


@pytest.mark.parametrize(("text", "read_as"), BEYOND_THE_RECORDING.items(), ids=lambda text: text[:30])
def test_a_schedule_that_was_not_recorded_is_read_by_the_same_rules(text: str, read_as: str) -> None:
    assert as_recorded(text)[1] == read_as


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("24:00:00", timedelta(days=24)),
        ("15", timedelta(days=15)),
        ("00:00:00.05", timedelta(milliseconds=50)),
        ("00:00:00.099999999", timedelta(milliseconds=100)),
        ("00:00:00.000001", timedelta(microseconds=1)),
        ("-1.2:3:4.5", -timedelta(days=1, hours=2, minutes=3, seconds=4.5)),
        ("0:15:.25", timedelta(minutes=15, seconds=0.25)),
        ("2.03:04", timedelta(days=2, hours=3, minutes=4)),
    ],
)
def test_a_time_span_is_counted_from_the_moment(text: str, span: timedelta) -> None:
    schedule = Schedule.read(text)
    assert (schedule.read_as, schedule.next_after(NOW)) == ("time span", NOW + span)


def test_the_next_occurrence_is_in_utc_and_later_than_the_moment() -> None:
    schedule = Schedule.read("0 */15 * * * *")
    quarter = datetime(2026, 11, 23, 12, 15, tzinfo=UTC)
    there = timezone(timedelta(hours=-9, minutes=-30))
    assert schedule.next_after(NOW.astimezone(there)) == quarter
    assert schedule.next_after(NOW.replace(tzinfo=None)) == quarter
    assert schedule.next_after(quarter - timedelta(microseconds=1)) == quarter
    following = schedule.next_after(quarter)
    assert following == quarter + timedelta(minutes=15)
    assert following.tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("59 59 23 31 12 *", "9999-12-31T23:59:59"),
        ("* * * * * *", "9999-12-31T23:59:59.999999"),
        ("0 0 0 29 2 *", "9996-02-29T00:00:00"),
        ("10675199", "2026-11-23T12:00:00"),
        ("-10675199", "2026-11-23T12:00:00"),
        ("* * * * * *", "9999-12-31T23:59:59-05:00"),
    ],
)
def test_beyond_the_year_9999_nothing_comes(text: str, moment: str) -> None:
    assert Schedule.read(text).next_after(datetime.fromisoformat(moment)) is None


def test_what_comes_rarely_or_never_is_found() -> None:
    assert Schedule.read("0 0 0 30 2 *").next_after(NOW) is None
    assert Schedule.read("0 0 0 31 4,6,9,11 1").next_after(NOW) is None
    assert Schedule.read("0 0 0 29 2 1").next_after(NOW) == datetime(2044, 2, 29, tzinfo=UTC)


@given(
    st.integers(0, 2**32).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    st.lists(st.sampled_from(["*", "*/7", "3", "1-5", "5-1/2", "2,*/11"]), min_size=6, max_size=6),
)
@example(datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), ["*"] * 6)
def test_no_occurrence_is_left_out(moment: datetime, fields: list[str]) -> None:
    schedule = Schedule.read(" ".join(fields))
    following = schedule.next_after(moment)
    assert following is not None

    def comes(at: datetime) -> bool:
        values = (at.second, at.minute, at.hour, at.day, at.month, at.isoweekday() % 7)
        return all(value in field.values for value, field in zip(values, schedule.fields, strict=True))

    assert comes(following)
    assert following > moment
    at = moment.replace(microsecond=0)
    for _ in range(5_000):
        at += timedelta(seconds=1)
        if at >= following:
            break
        assert not comes(at)


@pytest.mark.parametrize(
    ("text", "shortest", "longest"),
    [
        ("0 */15 * * * *", timedelta(minutes=15), timedelta(minutes=15)),
        ("0 0,10 * * * *", timedelta(minutes=10), timedelta(minutes=50)),
        ("0 */15 7-19 * * *", timedelta(minutes=15), timedelta(hours=11, minutes=15)),
        ("0 0 8-18 * * 1-5", timedelta(hours=1), timedelta(days=2, hours=14)),
        ("0 */15 * 1-7 * *", timedelta(minutes=15), timedelta(days=24, minutes=15)),
        ("*/5 * * * * *", timedelta(seconds=5), timedelta(seconds=5)),
        ("0 0 0 1 1 *", timedelta(days=365), timedelta(days=365)),
        ("0 0 0 29 2 *", timedelta(days=1461), timedelta(days=1461)),
        ("0 0 0 * 3 *", timedelta(days=1), timedelta(days=336)),
        ("00:20:00", timedelta(minutes=20), timedelta(minutes=20)),
    ],
)
def test_the_gaps_count_nights_weekends_and_months(
    text: str, shortest: timedelta, longest: timedelta
) -> None:
    gaps = list(Schedule.read(text).gaps(NOW.date()))
    assert (min(gaps), max(gaps)) == (shortest, longest)


def test_a_schedule_that_never_comes_has_no_gaps() -> None:
    assert list(Schedule.read("0 */15 * 30 2 *").gaps(NOW.date())) == []
