"""Computes when the timer of the Functions host fires for a schedule.

The host parses NCRONTAB with NCrontab 3.3.3, and other texts as time spans with .NET's `TimeSpan.TryParse`.
Differences from other cron: both day of the month and day of the week must match. Reversed ranges are swapped. Sunday is only 0.

Facts: https://github.com/Azure/azure-webjobs-sdk-extensions, TimerSchedule.cs and CronSchedule.cs (kind of a text);
https://github.com/atifaziz/NCrontab/tree/v3.3.3, CrontabFieldImpl.cs and CrontabField.cs;
https://github.com/dotnet/runtime, TimeSpanParse.cs.

`tests/recorded/functions_host/schedules.json` has recorded results of the host's code.
"""

import re
from calendar import monthrange
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, date, datetime, time, timedelta
from itertools import pairwise, takewhile
from typing import Final, Literal

type ReadAs = Literal["six fields", "five fields", "time span"]

_MAX_INT = 2**31 - 1
_INTEGER = re.compile(r"[\t-\r ]*+([+-]?)(?=[0-9])0*+([0-9]*+)[\t-\r ]*+\0*+")
"""Syntax of .NET's `int.Parse`, without its limits."""


@dataclass(frozen=True, slots=True)
class FieldRange:
    """Name and possible values of one of the six fields."""

    name: str
    lowest: int
    highest: int
    names: tuple[str, ...] = ()

    @property
    def every(self) -> range:
        return range(self.lowest, self.highest + 1)

    def named(self, text: str) -> list[int]:
        """Return the values whose name begins with this text. The host uses the first."""
        beginning = text.lower()
        return [self.lowest + at for at, name in enumerate(self.names) if name.lower().startswith(beginning)]


SECOND = FieldRange("second", 0, 59)
MINUTE = FieldRange("minute", 0, 59)
HOUR = FieldRange("hour", 0, 23)
DAY = FieldRange("day of the month", 1, 31)
MONTH = FieldRange(
    "month",
    1,
    12,
    (
        *("January", "February", "March", "April", "May", "June"),
        *("July", "August", "September", "October", "November", "December"),
    ),
)
WEEKDAY = FieldRange(
    "day of the week",
    0,
    6,
    ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"),
)
KINDS = (SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY)


class RefusedScheduleError(ValueError):
    """The host rejects the schedule, so it never calls the function.

    Attributes:
        kind: the field with the invalid part; None if the number of fields is wrong.
        found: the invalid part of the text.
    """

    def __init__(self, found: str, kind: FieldRange | None = None) -> None:
        super().__init__(f'"{found}" is not a {kind.name}' if kind else f'"{found}" is not a schedule')
        self.kind = kind
        self.found = found


@dataclass(frozen=True, slots=True)
class Element:
    """Part of a field between commas: a value or a range, possibly with a step. `*` has no `first`."""

    text: str
    first: int | None
    last: int | None
    step: int | None


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a schedule, with its values in ascending order."""

    kind: FieldRange
    elements: tuple[Element, ...]
    values: tuple[int, ...]

    @property
    def restricts(self) -> bool:
        """True if the field excludes any value."""
        return len(self.values) < len(self.kind.every)

    @classmethod
    def read(cls, kind: FieldRange, text: str) -> "Field":
        parts = text.split(",") if text.find(",") > 0 else [text]
        elements = tuple(_element(kind, part) for part in parts)
        values = {value for element in elements for value in _values(kind, element)}
        return cls(kind, elements, tuple(sorted(values)))


def _fields(*texts: str) -> tuple[Field, ...]:
    return tuple(Field.read(kind, text) for kind, text in zip(KINDS, texts, strict=True))


def _element(kind: FieldRange, text: str) -> Element:
    refused = RefusedScheduleError(text, kind)
    slash = text.find("/")
    step = None if slash <= 0 else _integer(text[slash + 1 :], refused)
    values = text if slash <= 0 else text[:slash]
    if values == "*":
        return Element(text, None, None, step)
    dash = values.find("-")
    if dash > 0:
        return Element(
            text, _value(kind, values[:dash], refused), _value(kind, values[dash + 1 :], refused), step
        )
    return Element(text, _value(kind, values, refused), None, step)


def _values(kind: FieldRange, element: Element) -> range:
    first, last = element.first, element.last
    if first is None:
        first, last = kind.lowest, kind.highest
    elif last is None:
        last = first if element.step is None else kind.highest
    first, last = min(first, last), max(first, last)
    step = max(element.step or 1, 1)
    found = range(first, last + 1, step)
    # NCrontab counts from the lowest value to one past the last, in 32 bits.
    overflows = found[-1] - kind.lowest + step > _MAX_INT
    if first < kind.lowest or last > kind.highest or overflows:
        raise RefusedScheduleError(element.text, kind)
    return found


def _value(kind: FieldRange, text: str, refused: RefusedScheduleError) -> int:
    if text[:1] in {*"0123456789"}:
        return _integer(text, refused)
    named = kind.named(text) if text else []
    if not named:
        raise refused
    return named[0]


def _integer(text: str, refused: RefusedScheduleError) -> int:
    found = _INTEGER.fullmatch(text)
    digits = found[2] if found else ""
    if found is None or len(digits) > len(str(_MAX_INT)):
        raise refused
    value = int(f"{found[1]}{digits or 0}")
    if not -_MAX_INT - 1 <= value <= _MAX_INT:
        raise refused
    return value


def accepts(text: str) -> bool:
    return _read(text) is not None


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule as the host interprets it."""

    read_as: ReadAs
    fields: tuple[Field, ...] = ()
    """Six fields, seconds first. Five written fields have the seconds 0. Empty for a time span."""
    span: timedelta = timedelta()
    """Time from the start of a run to the next: immediately if zero or negative. Zero for fields."""

    @classmethod
    def read(cls, text: str) -> "Schedule":
        """Parse a schedule.

        Raises:
            RefusedScheduleError: the host rejects it.
        """
        span = _time_span(text)
        if span is not None:  # no text is both a time span and fields
            return cls("time span", span=span)
        tokens = [token for token in text.split(" ") if token]
        if len(tokens) == len(KINDS) - 1:
            return cls("five fields", _fields("0", *tokens))
        if len(tokens) == len(KINDS):
            return cls("six fields", _fields(*tokens))
        raise RefusedScheduleError(text)

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the next time at which the timer fires; None if never or beyond the year 9999.

        A moment without offset is in UTC. For a time span, the moment is the start of a run.
        """
        try:
            moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
            if self.read_as == "time span":
                return moment + self.span
            earliest = moment.replace(microsecond=0) + timedelta(seconds=1)
        except OverflowError:
            return None
        for day in self._days(earliest.date()):
            at = self._time(earliest.time() if day == earliest.date() else time.min)
            if at is not None:
                return datetime.combine(day, at, UTC)
        return None

    def gaps(self, since: date) -> Iterator[timedelta]:
        """Yield the intervals between runs from a day on, for a year and until the next run after that.

        Yield nothing if the schedule never fires.
        """
        if self.read_as == "time span":
            yield self.span
            return
        if next(self._days(since), None) is None:
            return
        covered = 0  # seconds from the first to the last run in a minute, then in an hour, then in a day
        for field, unit in zip(self.fields, (1, 60, 3600), strict=False):
            for before, after in pairwise(field.values):
                yield timedelta(seconds=unit * (after - before) - covered)
            covered += unit * (field.values[-1] - field.values[0])
        until = since + timedelta(days=_YEAR)
        for day, later in pairwise(self._days(since)):
            yield later - day - timedelta(seconds=covered)
            if later > until:
                return

    def _days(self, since: date) -> Iterator[date]:
        days, months, weekdays = (field.values for field in self.fields[3:])
        if not any(days[0] <= _DAYS_OF_MONTH[month] for month in months):
            return
        for year in range(since.year, MAXYEAR + 1):
            for month in months:
                if (year, month) < (since.year, since.month):
                    continue
                for day in takewhile(monthrange(year, month)[1].__ge__, days):
                    found = date(year, month, day)
                    if found >= since and found.isoweekday() % 7 in weekdays:
                        yield found

    def _time(self, since: time) -> time | None:
        seconds, minutes, hours, *_ = (field.values for field in self.fields)
        found = (
            time(hour, minute, second)
            for hour in hours
            if hour >= since.hour
            for minute in minutes
            if (hour, minute) >= (since.hour, since.minute)
            for second in seconds
            if (hour, minute, second) >= (since.hour, since.minute, since.second)
        )
        return next(found, None)


_YEAR = 366
_DAYS_OF_MONTH = {month: monthrange(2028, month)[1] for month in MONTH.every}
"""Days of each month, in a leap year."""

_SPANS = [
    re.compile(re.sub("[dhmsf]", r"(?P<\g<0>>[0-9]+)", re.escape(form)))
    for form in (
        *("d", "h:m", "h:m:s", "d.h:m", "h:m:.f", "d:h:m"),
        *("h:m:s.f", "d.h:m:s", "d.h:m:.f", "d:h:m:s", "d:h:m:.f"),
        *("d.h:m:s.f", "d:h:m:s.f"),
    )
]
"""Forms of a time span in .NET's order. If a part is too large, .NET tries the next form."""
_BLANKS = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
"""Characters that .NET's `Trim` removes."""
_MAX_NUMBER = 0x0FFFFFFF
_PARTS = {"d": (86_400, 10_675_199), "h": (3_600, 23), "m": (60, 59), "s": (1, 59)}
"""Seconds and maximum number of each part."""
_DECIMALS: Final = 7
_MAX_TICKS = 2**63 - 1


def _time_span(text: str) -> timedelta | None:
    """Parse a time span as .NET does with the invariant culture. Return None for another text."""
    text = text.strip(_BLANKS)
    negative = text.startswith("-")
    for form in _SPANS:
        found = form.fullmatch(text.removeprefix("-"))
        ticks = found and _ticks(found.groupdict())
        if ticks is not None and ticks <= _MAX_TICKS + negative:
            return timedelta(microseconds=(-ticks if negative else ticks) // 10)
    return None


def _ticks(parts: dict[str, str]) -> int | None:
    """Return tenths of a microsecond, as in .NET; None if a part is too large."""
    numbers = {name: part.lstrip("0")[:10] for name, part in parts.items()}  # ten digits are too many
    values = {name: int(number or 0) for name, number in numbers.items()}
    fraction = values.pop("f", 0)
    if fraction > _MAX_NUMBER or any(value > _PARTS[name][1] for name, value in values.items()):
        return None
    ticks = sum(value * _PARTS[name][0] for name, value in values.items()) * 10**_DECIMALS
    if not fraction:
        return ticks
    scale: int = 10 ** abs(len(parts["f"]) - _DECIMALS)
    if len(parts["f"]) <= _DECIMALS:
        return ticks + fraction * scale
    if not parts["f"].startswith("0"):
        return None
    return ticks + (2 * fraction + scale) // (2 * scale)


DEFAULT_INTERVAL = timedelta(minutes=15)
"""Time until the next run, if neither the timer nor a schedule shows it."""

_EARLY = timedelta(seconds=5)
"""The host can fire a second early, so a next run in less time is the current one."""


MARGIN = timedelta(seconds=60)
"""Maximum delay of a run and of storing its credentials, for a cold start."""


def expires_before(next_run: datetime, expires_at: datetime, skew: timedelta = timedelta()) -> bool:
    """Return whether a token expires before the next run has replaced it.

    `next_run` is the time of this machine's clock, `expires_at` that of Microsoft Entra's.
    `skew` is how far this machine's clock is behind.
    """
    return expires_at <= next_run + MARGIN + skew


def late_by(now: datetime, status: object) -> timedelta:
    """Return the delay of this run from the timer's status; zero within `MARGIN` or if unknown."""
    due = _next(status, now)
    late = now - due if due is not None else timedelta()
    return late if late > MARGIN else timedelta()


def next_run_after(now: datetime, status: object, schedule: str | None) -> datetime:
    """Return when the next run is due: from `status` if that is later than now, otherwise from `schedule`.

    During a run, the host's `ScheduleStatus` is from the end of the previous run, so its `Next` is usually the current run.

    `status` can have any type. Without a valid schedule, the next run is due after `DEFAULT_INTERVAL`.
    """
    following = _next(status, now)
    if following is not None and following > now + _EARLY:
        return following
    read = _read(schedule)
    found = read and read.next_after(now if read.read_as == "time span" else now + _EARLY)
    return min(max(now, found), now + _CREDIBLE) if found else now + DEFAULT_INTERVAL


def interval(now: datetime, due: datetime, schedule: str | None) -> timedelta:
    """Return the longer of the next two intervals between runs."""
    return max(due - now, next_run_after(due, None, schedule) - due)


def gaps(schedule: str | None, now: datetime) -> list[timedelta]:
    """Return all intervals between runs, including nights and weekends. Never empty."""
    read = _read(schedule)
    found = list(read.gaps(now.date())) if read else []
    return [min(gap, _CREDIBLE) for gap in found] or [DEFAULT_INTERVAL]


def _read(schedule: str | None) -> Schedule | None:
    try:
        return Schedule.read(schedule or "")
    except ValueError:
        return None


_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,7})?(Z|[+-]\d\d:\d\d)?", re.ASCII)
"""Format of the host's times. A time without an offset is in UTC."""

_CREDIBLE = timedelta(days=3_653)
"""Maximum distance of a next run. The host writes year 1 or 9999 if a timer never ran or never fires."""


def _next(status: object, now: datetime) -> datetime | None:
    """Return the status's `Next`; None if missing, invalid or not credible."""
    value = status.get("Next") if isinstance(status, Mapping) else None
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    moment = moment.replace(tzinfo=moment.tzinfo or UTC)
    return moment if abs(moment - now) <= _CREDIBLE else None
