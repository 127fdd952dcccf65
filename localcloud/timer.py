"""The Functions host's timer: the times of its calls, and their argument.

Facts: https://github.com/Azure/azure-webjobs-sdk-extensions, src/WebJobs.Extensions/Extensions/Timers:
Listeners/TimerListener.cs (the status stored after a call), Scheduling/ScheduleMonitor.cs (its use on start)
and Scheduling/TimerSchedule.cs (schedules without a status).
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from git_refresh.model.schedule import Schedule

NEVER = datetime(1, 1, 1, tzinfo=UTC)
"""The start of the last run before the first one."""
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Status:
    """The host's stored status: last start, next occurrence, and the time that this was computed from."""

    last: datetime
    following: datetime
    updated: datetime


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a timer's function.

    `due`: the time of the call.
    `status`: stored after the previous run; None for a schedule without a status.
    `past_due`: an occurrence was missed, or a run was stopped, before the process started.
    """

    due: datetime
    status: Status | None
    past_due: bool = False

    @property
    def info(self) -> dict[str, object]:
        """The argument of the function."""
        status = self.status and {
            "Last": _written(self.status.last),
            "Next": _written(self.status.following),
            "LastUpdated": _written(self.status.updated),
        }
        return {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": status, "IsPastDue": self.past_due}


class Timer:
    """The timer of one function. Its stored status survives restarts by `start`."""

    def __init__(self, schedule: str, now: datetime) -> None:
        """Start it for the first time."""
        self._stored: Status | None = None
        self.start(now, schedule)

    def start(self, now: datetime, schedule: str | None = None) -> None:
        """Start the host's process, initially or after a kill or a pause, with a new schedule if given."""
        if schedule is not None:
            self._schedule = Schedule.read(schedule)
        self._now, self._past_due = now, False
        stored = self._stored
        if stored is None:
            self._status = Status(NEVER, self._after(now), NEVER)
            self._stored = Status(NEVER, self._after(now), now)
        else:
            counted_from = stored.updated if stored.last == NEVER else stored.last
            expected = self._after(counted_from)
            if expected != stored.following:  # a new schedule: its missed occurrences are not made up
                counted_from = now if now > expected else counted_from
                stored = Status(NEVER, self._after(counted_from), counted_from)
            self._status = self._stored = stored
            self._past_due = self._keeps_status and now > stored.following

    @property
    def call(self) -> Call:
        """The next call; several missed occurrences lead to one call."""
        due = self._now if self._past_due else max(self._now, self._status.following)
        return Call(due, self._status if self._keeps_status else None, self._past_due)

    def ended(self, began: datetime, now: datetime) -> None:
        """Record the end of a call, failed or not.

        `began`: the start of the function, which can be slightly before the due time.
        """
        counted_from = began if self._past_due else max(began, self._status.following)
        self._status = self._stored = Status(counted_from, self._after(counted_from), counted_from)
        self._now, self._past_due = now, False

    @property
    def _keeps_status(self) -> bool:
        if self._schedule.read_as == "time span":
            return self._schedule.span >= _MINUTE
        seconds, *others = self._schedule.fields
        return len(seconds.values) == 1 or any(field.restricts for field in others)

    def _after(self, moment: datetime) -> datetime:
        return self._schedule.next_after(moment) or datetime.max.replace(tzinfo=UTC)


def _written(moment: datetime) -> str:
    """Return ISO 8601 in UTC, with seven decimals unless whole."""
    if not moment.microsecond:
        return moment.isoformat()
    return f"{moment.replace(tzinfo=None).isoformat(timespec='microseconds')}0+00:00"
