"""Gaps between credentials are reported for all schedules, token lifetimes and delays."""

import base64
import itertools
import json
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from azure.core.credentials import AccessToken
from hypothesis import example, given
from hypothesis import strategies as st

from git_refresh.clients.identity import Identity
from git_refresh.clients.session import Network
from git_refresh.failures.failure import ServiceError
from git_refresh.model.clock import ServiceTime, Skew
from git_refresh.model.schedule import MARGIN, expires_before, late_by, next_run_after
from git_refresh.model.values import AZURE_DEVOPS, Token
from git_refresh.output.mask import SecretFilter
from tests.support.fakes import NOW, FakeClock, deadline
from tests.support.timer_statuses import ODD_STATUSES

START = datetime(2026, 11, 23, tzinfo=UTC)


@dataclass(frozen=True)
class Ran:
    """One run: its start, its token's storage and expiration, and whether it reported a problem."""

    stored: datetime
    ends: datetime
    said_short: bool
    said_late: bool


EVERY = {
    60: "0 * * * * *",
    300: "0 */5 * * * *",
    900: "0 */15 * * * *",
    1800: "0 */30 * * * *",
    3600: "0 0 * * * *",
}
"""Seconds → the schedule."""


def simulate(
    interval: timedelta, jitters: list[float], lives: list[timedelta], missed: int | None
) -> list[Ran]:
    """Simulate calls like the Functions host's, each with the status stored after the previous run."""
    status: dict[str, object] = {"Last": "0001-01-01T00:00:00", "Next": START.isoformat()}
    ran, due = [], START
    for number, (jitter, life) in enumerate(zip(jitters, lives, strict=True)):
        if number == missed:
            due += interval
            continue
        began = due + MARGIN * jitter  # late by up to the granted margin, including the storing
        next_run = next_run_after(began, status, EVERY[int(interval.total_seconds())])
        ran.append(
            Ran(
                began,
                began + life,
                expires_before(next_run, began + life),
                bool(late_by(began, status)),
            )
        )
        due += interval
        status = {"Last": began.isoformat(), "Next": due.isoformat()}
    return ran


schedules = st.integers(2, 12).flatmap(
    lambda count: st.tuples(
        st.sampled_from(sorted(EVERY)).map(lambda seconds: timedelta(seconds=seconds)),
        st.lists(st.floats(0, 0.99), min_size=count, max_size=count),
        st.lists(
            st.integers(5 * 60, 25 * 3600).map(lambda seconds: timedelta(seconds=seconds)),
            min_size=count,
            max_size=count,
        ),
        st.none() | st.integers(1, count - 1),
    )
)


@given(schedules)
@example((timedelta(minutes=5), [0, 0.9], [timedelta(seconds=301)] * 2, None))
def test_no_gap_goes_unreported(
    schedule: tuple[timedelta, list[float], list[timedelta], int | None],
) -> None:
    ran = simulate(*schedule)
    for before, after in itertools.pairwise(ran):
        gap = before.ends < after.stored
        assert not gap or before.said_short or after.said_late, (before, after)


@given(schedules)
def test_without_a_missed_tick_no_run_is_called_late(
    schedule: tuple[timedelta, list[float], list[timedelta], int | None],
) -> None:
    interval, jitters, lives, _ = schedule
    assert not any(run.said_late for run in simulate(interval, jitters, lives, None))


@pytest.mark.parametrize(
    ("remaining", "expected"),
    [(timedelta(minutes=15), True), (timedelta(minutes=16), True), (timedelta(minutes=16, seconds=1), False)],
)
def test_a_token_has_to_outlast_the_next_run_and_what_that_may_come_late(
    remaining: timedelta, *, expected: bool
) -> None:
    assert expires_before(NOW + timedelta(minutes=15), NOW + remaining) is expected


LATE = {
    "on time": (NOW, 0),
    "a little early": (NOW + timedelta(seconds=1), 0),
    "by as much as is granted": (NOW - MARGIN, 0),
    "by more than is granted": (NOW - MARGIN - timedelta(seconds=1), 61),
    "after hours away": (NOW - timedelta(hours=6), 6 * 3600),
}


@pytest.mark.parametrize(("due", "seconds"), LATE.values(), ids=LATE)
def test_a_run_is_late_when_it_begins_after_what_is_granted_to_it(due: datetime, seconds: int) -> None:
    assert late_by(NOW, {"Next": due.isoformat()}) == timedelta(seconds=seconds)


@pytest.mark.parametrize("status", ODD_STATUSES, ids=repr)
def test_a_status_that_means_no_time_is_as_good_as_none(status: object) -> None:
    assert late_by(NOW, status) == timedelta()
    assert next_run_after(NOW, status, "0 */15 * * * *") == NOW + timedelta(minutes=15)


@pytest.mark.parametrize("decimals", ["", ".0", ".5047404", ".123456"])
@pytest.mark.parametrize("zone", ["", "Z", "+00:00"])
def test_a_moment_is_read_in_each_form_that_the_host_writes(decimals: str, zone: str) -> None:
    assert late_by(NOW, {"Next": f"2026-11-23T11:00:00{decimals}{zone}"}) > timedelta(minutes=59)
    ahead = next_run_after(NOW, {"Next": f"2026-11-23T12:05:00{decimals}{zone}"}, "0 */15 * * * *")
    assert timedelta(minutes=5) <= ahead - NOW < timedelta(minutes=5, seconds=1)


def test_a_moment_in_another_zone_is_the_same_moment() -> None:
    assert late_by(NOW, {"Next": "2026-11-23T13:00:00+02:00"}) == timedelta(hours=1)


@given(st.recursive(st.none() | st.text() | st.integers() | st.floats(), st.lists))
def test_whatever_the_status_holds_lateness_and_the_next_run_are_credible(value: object) -> None:
    for status in (value, {"Next": value}):
        assert late_by(NOW, status) == timedelta()
        assert next_run_after(NOW, status, None) == NOW + timedelta(minutes=15)


@given(st.datetimes(), st.sampled_from(["", "Z", "+14:00", "-14:00"]))
def test_whatever_moment_the_host_writes_no_run_is_ten_years_away(moment: datetime, zone: str) -> None:
    status = {"Next": f"{moment.isoformat()}{zone}"}
    assert timedelta() <= late_by(NOW, status) < timedelta(days=3_700)
    following = next_run_after(NOW, status, "0 */15 * * * *")
    assert timedelta() < following - NOW < timedelta(days=3_700)
    assert not expires_before(following, datetime.max.replace(tzinfo=UTC))


def test_a_clock_that_is_behind_makes_tokens_look_valid_for_longer() -> None:
    next_run, ends = NOW + timedelta(minutes=15), NOW + timedelta(minutes=25)
    assert not expires_before(next_run, ends)
    assert expires_before(next_run, ends, skew=timedelta(minutes=10))


@pytest.mark.parametrize(
    ("dates", "minutes"),
    [
        (["Mon, 23 Nov 2026 12:10:00 GMT"], 10),
        (["Mon, 23 Nov 2026 11:50:00 GMT"], -10),
        (["Mon, 23 Nov 2026 12:00:20 GMT"], 0),
        (["Mon, 23 Nov 2026 12:10:00 GMT", "Mon, 23 Nov 2026 12:09:00 GMT"], 9),
        ([None, "", "nonsense", "Mon, 99 Nov 2026 12:10:00 GMT"], 0),
        ([], 0),
    ],
)
def test_response_dates_show_how_far_the_local_clock_is_off(dates: list[str | None], minutes: int) -> None:
    skew = Skew(FakeClock())
    for date in dates:
        skew.observe(date)
    assert skew.behind() == timedelta(minutes=minutes)


@pytest.mark.parametrize(
    "date",
    [
        None,
        "",
        "soon",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Wed, 25 Nov 2026 12:00:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Fri, 31 Dec 9999 23:59:59 -2359",
        "Sat, 01 Jan 0001 00:00:00 +2359",
        "Tue, 14 Nov 2023 22:13:20 +99999999999",
        "Tue, 14 Nov 999999999999999999999 22:13:20 GMT",
        "Mon, 23 Nov 2026 12:00:00",
        "Mon, 23 Nov 2026 14:00:00 GMT" + " " * 100_000 + "x",
    ],
)
def test_a_date_that_no_clock_shows_says_nothing_of_this_machine_s(date: str | None) -> None:
    skew = Skew(FakeClock())
    skew.observe(date)
    expected = timedelta(hours=2) if date and "14:00:00" in date else timedelta()
    assert skew.behind() == expected


NOON = "Mon, 23 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("dates", "minutes"),
    [
        ([NOON], 10),
        ([NOON, "Mon, 23 Nov 2026 13:00:00 GMT"], 10),
        (["Mon, 23 Nov 2026 13:00:00 GMT", NOON], 10),
        ([None, "", "soon", "Mon, 23 Nov 2026 12:00:00", NOON], 10),
    ],
)
def test_the_time_at_a_service_is_the_earliest_it_shows_and_goes_on(
    dates: list[str | None], minutes: int
) -> None:
    clock = FakeClock()
    time = ServiceTime(clock)
    assert time.now() is None
    for date in dates:
        time.observe(date)
    clock.sleep(600)
    clock.now = lambda: NOW + timedelta(days=800)  # type: ignore[method-assign]
    assert time.now() == NOW + timedelta(minutes=minutes)


OFFSETS = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(date=st.none() | st.text() | st.datetimes(timezones=OFFSETS | st.none()).map(format_datetime))
@example(date="Fri, 31 Dec 9999 23:59:59 -2359")
@example(date="Sat, 01 Jan 0001 00:00:00 +2359")
def test_no_date_breaks_the_time_at_a_service(date: str | None) -> None:
    clock = FakeClock(at=600)
    time = ServiceTime(clock)
    time.observe(date)
    time.observe(NOON)
    clock.sleep(600)
    assert (time.now() or NOW) <= NOW + timedelta(minutes=10)


def jwt(payload: object) -> str:
    return f"e30.{base64.urlsafe_b64encode(json.dumps(payload).encode()).decode().rstrip('=')}.c2ln"


def given_token(monkeypatch: pytest.MonkeyPatch, token: str, expires_on: object) -> Token:
    """Return the result for a token from the identity endpoint."""
    monkeypatch.setattr(Identity, "_ask", lambda *_: AccessToken(token, expires_on))  # type: ignore[arg-type]
    environ = {"IDENTITY_ENDPOINT": "http://127.0.0.1:1/token", "IDENTITY_HEADER": "header-0f-this-machine-7"}
    identity = Identity(None, Network(ssl.create_default_context(), deadline(), SecretFilter()), environ)
    return identity.token(AZURE_DEVOPS)


IN_AN_HOUR = int(NOW.timestamp()) + 3600


@pytest.mark.parametrize("says", [600, 3600, 7200])
def test_a_token_ends_when_it_or_the_endpoint_says_so_whichever_is_earlier(
    monkeypatch: pytest.MonkeyPatch, says: int
) -> None:
    token = given_token(monkeypatch, jwt({"exp": IN_AN_HOUR - 3600 + says}), IN_AN_HOUR)
    assert token.expires_at - NOW == timedelta(seconds=min(says, 3600))


@pytest.mark.parametrize(
    ("token", "expires_on", "kind"),
    [
        (jwt({}), IN_AN_HOUR - 3600, "lapsed"),
        (jwt({"exp": IN_AN_HOUR - 3601}), IN_AN_HOUR, "lapsed"),
        (jwt({}), IN_AN_HOUR * 1000, "unexpected"),
        (jwt({}), None, "unexpected"),
        ("two words", IN_AN_HOUR, "unexpected"),
        ("two\nlines", IN_AN_HOUR, "unexpected"),
        ("", IN_AN_HOUR, "unexpected"),
        ("header-0f-this-machine-7", IN_AN_HOUR, "unexpected"),
    ],
)
def test_a_token_that_has_lapsed_or_is_none_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, token: str, expires_on: object, kind: str
) -> None:
    with pytest.raises(ServiceError) as caught:
        given_token(monkeypatch, token, expires_on)
    assert caught.value.failure.kind == kind
