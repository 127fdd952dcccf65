"""When the next run is due, as the timer tells it."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from croniter import croniter
from croniter.croniter import CroniterError

DEFAULT_INTERVAL = timedelta(minutes=15)
"""Until the next run, where no timer says it."""

_FIELDS = 6
_LONGEST = 200
"""Characters of a schedule; every minute of an hour, written out, has 169."""

_EARLY = timedelta(seconds=5)
"""The host fires up to a second before the scheduled time; a next run that near is this one."""


MARGIN = timedelta(seconds=60)
"""What a tick may come late, and its run need to store the credentials, before somebody notices: a cold start takes as long."""


def lapses_before(next_run: datetime, expires_at: datetime, skew: timedelta = timedelta()) -> bool:
    """Whether a token ends before the next run has replaced it, which may come as late as `late_by` lets pass.

    Args:
        next_run: when that is due, by this machine's clock.
        expires_at: the token's end, by Microsoft Entra's clock.
        skew: how far this machine's clock is behind; negative if it is ahead.
    """
    return expires_at <= next_run + MARGIN + skew


def late_by(now: datetime, status: object) -> timedelta:
    """How much later than scheduled this run began; zero when that is within the margin, or not known.

    After a missed tick the token of the run before may have ended meanwhile, and nobody has said so.
    """
    due = _next(status, now)
    late = now - due if due is not None else timedelta()
    return late if late > MARGIN else timedelta()


def is_schedule(text: str) -> bool:
    """Whether this is a schedule that the timer takes: NCRONTAB's six fields, seconds first, that come true some day."""
    if len(text) > _LONGEST or len(text.split()) != _FIELDS:
        return False
    try:
        croniter(text, datetime.now(UTC), second_at_beginning=True).get_next(datetime)
    except (CroniterError, ValueError):
        return False
    return True


def next_run_after(now: datetime, status: object, schedule: str | None) -> datetime:
    """When the next run is due.

    Fact: while a function runs, the host's `ScheduleStatus` is what it stored after the *previous* run (azure-webjobs-sdk-extensions,
    `TimerListener.InvokeJobFunction`), so `Next` is mostly the occurrence that fires now; then the schedule itself tells the one after it.

    Args:
        now: the time.
        status: the timer's `ScheduleStatus`, of any type.
        schedule: `REFRESH_SCHEDULE`, six fields in UTC.
    """
    following = _next(status, now)
    if following is not None and following > now + _EARLY:
        return following
    if schedule is None or not is_schedule(schedule):
        return now + DEFAULT_INTERVAL
    found: datetime = croniter(schedule, now + _EARLY, second_at_beginning=True).get_next(datetime)
    return found


def longest_gap(schedule: str | None, now: datetime) -> timedelta:
    """The longest time between two runs in the next eight days, so that a pause overnight or at the weekend shows.

    Args:
        schedule: six fields of NCRONTAB, in UTC; without them the default interval.
        now: the time.
    """
    return max(_gaps(schedule, now))


def has_shorter_gap(schedule: str | None, now: datetime, least: timedelta) -> bool:
    """Whether two runs in the next eight days are less than `least` apart; see `longest_gap`."""
    return any(gap < least for gap in _gaps(schedule, now))


def _gaps(schedule: str | None, now: datetime) -> Iterator[timedelta]:
    """The times between runs in the next eight days; at least one."""
    if not schedule or not is_schedule(schedule):
        yield DEFAULT_INTERVAL
        return
    ticks = croniter(schedule, now, second_at_beginning=True)
    before: datetime = ticks.get_next(datetime)
    for _ in range(_TICKS):
        after: datetime = ticks.get_next(datetime)
        yield after - before
        before = after
        if after > now + timedelta(days=8):
            break


_TICKS = 12_000
"""One a minute for eight days; who ticks more often has no pause that matters."""


_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,7})?(Z|[+-]\d\d:\d\d)?", re.ASCII)
"""A time as the host writes it; without an offset it is UTC."""

_CREDIBLE = timedelta(days=3_653)
"""Ten years. The host writes the year 1 for a run that never was, and the year 9999 for one that never comes."""


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
