"""What the Functions host's timer tells a function, and when it calls it.

Facts: https://github.com/Azure/azure-webjobs-sdk-extensions, src/WebJobs.Extensions/Extensions/Timers: Listeners/TimerListener.cs (what is
stored after a call), Scheduling/ScheduleMonitor.cs (what a start makes of it) and Scheduling/TimerSchedule.cs (what keeps no status).
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from git_refresh.model.schedule import Schedule

NEVER = datetime(1, 1, 1, tzinfo=UTC)
"""The start of the run before the first one."""
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Status:
    """What the host has stored: the start of the last run, the occurrence after it, and the time from which this one was counted."""

    last: datetime
    following: datetime
    updated: datetime


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a timer's function.

    Attributes:
        due: when the host makes it.
        status: what was stored after the run before; None where the host keeps none.
        past_due: whether an occurrence was missed, or a run was cut off, before the process started.
    """

    due: datetime
    status: Status | None
    past_due: bool = False

    @property
    def info(self) -> dict[str, object]:
        """The call as the function is given it."""
        status = self.status and {
            "Last": _written(self.status.last),
            "Next": _written(self.status.following),
            "LastUpdated": _written(self.status.updated),
        }
        return {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": status, "IsPastDue": self.past_due}


class Timer:
    """The timer of one function. What it has stored outlives the host's process, which `start` begins again."""

    def __init__(self, schedule: str, now: datetime) -> None:
        """Start it for the first time."""
        self._stored: Status | None = None
        self.start(now, schedule)

    def start(self, now: datetime, schedule: str | None = None) -> None:
        """Start the host's process, with another schedule if one is given: at first, after a kill, or after a pause."""
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
            if expected != stored.following:  # another schedule: what it would have missed is not made up
                counted_from = now if now > expected else counted_from
                stored = Status(NEVER, self._after(counted_from), counted_from)
            self._status = self._stored = stored
            self._past_due = self._keeps_status and now > stored.following

    @property
    def call(self) -> Call:
        """The next call. It is made once, however many occurrences have passed."""
        due = self._now if self._past_due else max(self._now, self._status.following)
        return Call(due, self._status if self._keeps_status else None, self._past_due)

    def ended(self, began: datetime, now: datetime) -> None:
        """Note that the call has ended, whether or not the function has failed.

        Args:
            began: when the function was called, which can be somewhat before its time.
            now: when it has ended.
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
    """ISO 8601 in UTC, with seven decimals where it is not whole."""
    if not moment.microsecond:
        return moment.isoformat()
    return f"{moment.replace(tzinfo=None).isoformat(timespec='microseconds')}0+00:00"
