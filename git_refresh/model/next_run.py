"""When the next run is due, as the timer's status and its schedule show."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from git_refresh.model.schedule import Schedule

DEFAULT_INTERVAL = timedelta(minutes=15)
"""Time until the next run, where neither the timer nor a schedule shows it."""

_EARLY = timedelta(seconds=5)
"""The host can fire up to a second before the scheduled time; a next run that near is this one."""


MARGIN = timedelta(seconds=60)
"""How late a run can come, the storing of its credentials included: a cold start takes as long."""


def expires_before(next_run: datetime, expires_at: datetime, skew: timedelta = timedelta()) -> bool:
    """Whether a token expires before the next run has replaced it, which can be as late as `late_by` lets pass.

    Args:
        next_run: when that is due, by this machine's clock.
        expires_at: the token's end, by Microsoft Entra's clock.
        skew: how far this machine's clock is behind; negative if it is ahead.
    """
    return expires_at <= next_run + MARGIN + skew


def late_by(now: datetime, status: object) -> timedelta:
    """How much later than scheduled this run began; zero when that is within the margin, or not known."""
    due = _next(status, now)
    late = now - due if due is not None else timedelta()
    return late if late > MARGIN else timedelta()


def next_run_after(now: datetime, status: object, schedule: str | None) -> datetime:
    """When the next run is due.

    While a function runs, the host's `ScheduleStatus` is what it stored after the *previous* run, so `Next` is mostly the occurrence that
    fires now. Then the schedule shows the one after it.

    Args:
        now: the time.
        status: the timer's `ScheduleStatus`, of any type.
        schedule: `REFRESH_SCHEDULE`. If the host refuses it, or it never comes, the default interval counts.
    """
    following = _next(status, now)
    if following is not None and following > now + _EARLY:
        return following
    read = _read(schedule)
    found = read and read.next_after(now if read.read_as == "time span" else now + _EARLY)
    return min(max(now, found), now + _CREDIBLE) if found else now + DEFAULT_INTERVAL


def gaps(schedule: str | None, now: datetime) -> list[timedelta]:
    """Which lengths of time pass between two runs, nights and weekends included; at least one.

    Args:
        schedule: `REFRESH_SCHEDULE`. If the host refuses it, or it never comes, the default interval counts.
        now: the time.
    """
    read = _read(schedule)
    found = list(read.gaps(now.date())) if read else []
    return [min(gap, _CREDIBLE) for gap in found] or [DEFAULT_INTERVAL]


def _read(schedule: str | None) -> Schedule | None:
    try:
        return Schedule.read(schedule or "")
    except ValueError:
        return None


_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,7})?(Z|[+-]\d\d:\d\d)?", re.ASCII)
"""A time as the host writes it; without an offset it is UTC."""

_CREDIBLE = timedelta(days=3_653)
"""Ten years, the furthest next run. The host writes the year 1 for a run that never was, and the year 9999 for one that never comes."""


def _next(status: object, now: datetime) -> datetime | None:
    """The status's `Next`; None where it is missing, no time, or no credible one."""
    value = status.get("Next") if isinstance(status, Mapping) else None
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    moment = moment.replace(tzinfo=moment.tzinfo or UTC)
    return moment if abs(moment - now) <= _CREDIBLE else None
