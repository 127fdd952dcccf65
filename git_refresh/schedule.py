"""When the next run is due, as the timer tells it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

DEFAULT_INTERVAL = timedelta(minutes=15)
"""Until the next run, where no timer says it."""

_EARLY = timedelta(seconds=5)
"""The host fires up to a second before the scheduled time; a next run that near is this one."""


def next_run_after(now: datetime, status: Mapping[str, object] | None) -> datetime:
    """The next run's time, from the `ScheduleStatus` that a timer function is given.

    Fact: the host hands over the status that it stored after the *previous* run (azure-webjobs-sdk-extensions, `TimerListener`), so `Next`
    is mostly the occurrence that fires now. The one after it is taken to be as far away as the two that are known are from each other.
    """
    last, following = _moment(status, "Last"), _moment(status, "Next")
    if following is None:
        return now + DEFAULT_INTERVAL
    if following > now + _EARLY:
        return following
    interval = following - last if last is not None and last < following else DEFAULT_INTERVAL
    # A host that was away for a while has missed occurrences; and the very first status has no last run.
    interval = (
        min(max(interval, timedelta(seconds=1)), timedelta(days=1))
        if interval < timedelta(days=31)
        else DEFAULT_INTERVAL
    )
    missed = (now + _EARLY - following) // interval
    return following + (missed + 1) * interval


def _moment(status: Mapping[str, object] | None, key: str) -> datetime | None:
    value = status.get(key) if status else None
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC) if moment else None
