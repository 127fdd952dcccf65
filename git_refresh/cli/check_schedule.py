"""The check of REFRESH_SCHEDULE: values that the host rejects, or reads differently than intended."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import chain, islice

from git_refresh.cli.checks import Check, warning
from git_refresh.failures.diagnosis import DiagnosisContext, finding
from git_refresh.model.schedule import (
    DAY,
    HOUR,
    KINDS,
    MONTH,
    WEEKDAY,
    Element,
    Field,
    FieldRange,
    RefusedScheduleError,
    Schedule,
)
from git_refresh.model.values import Problem
from git_refresh.output.redact import redact
from git_refresh.output.text import count

NAME = "REFRESH_SCHEDULE"
EXAMPLE = 'write "0 */15 * * * *" for every 15 minutes'
MAX_WARNINGS = 10
MAX_TOKEN_LIFETIME = timedelta(hours=24)
"""Lifetime of managed identity tokens, the longest that Microsoft Entra issues."""


def schedule_problem(text: str) -> Problem | None:
    """Return the problem of a schedule that the host rejects, with a correction; None if it accepts it."""
    try:
        Schedule.read(text)
    except RefusedScheduleError as error:
        return Problem(NAME, f'"{redact(text)}" {_refused(error)}; {_instead(text, error)}')
    return None


def schedule_warnings(text: str, now: datetime) -> list[Check]:
    """Return a warning for each part of a valid schedule whose meaning is probably not intended."""
    try:
        schedule = Schedule.read(text)
    except ValueError:
        return []
    found = dict.fromkeys(chain(_unexpected_times(schedule, now), _misreadings(text, schedule)))
    return [
        warning(
            "settings", NAME, finding("schedule_surprising", DiagnosisContext(), found=what, advice=advice)
        )
        for what, advice in islice(found, MAX_WARNINGS)
    ]


def _refused(error: RefusedScheduleError) -> str:
    if error.kind is None:
        return "is neither NCRONTAB with six fields nor a time span"
    return f'has "{redact(error.found)}" as its {error.kind.name}'


def _instead(text: str, error: RefusedScheduleError) -> str:
    corrected = _corrected(text)
    if corrected is not None:
        return f'write "{redact(corrected)}"'
    if error.kind is None:
        return EXAMPLE
    kind = error.kind
    values = f"{kind.lowest} to {kind.highest}"
    if kind is WEEKDAY:
        values = "0 (Sunday) to 6 (Saturday)"
    if re.search("[LW#]", error.found) and not kind.named(error.found):
        return f"NCRONTAB has no L, W or #: write numbers, {values}"
    return f"write {values}, or * for all"


def _corrected(text: str) -> str | None:
    """Return the schedule in six fields without known mistakes; None if the host would still reject it."""
    printable = "".join(char if char.isprintable() else " " for char in text)
    fields = ["*" if field == "?" else field for field in printable.strip("\"' ;").split()][: len(KINDS)]
    if fields:
        fields[-1] = re.sub(r"(?<![^,])7(?![^,])", "0", fields[-1])
    for candidate in (fields, [*fields, "*"]):
        joined = " ".join(candidate)
        try:
            read_as = Schedule.read(joined).read_as
        except ValueError:
            continue
        return f"0 {joined}" if read_as == "five fields" else joined
    return None


def _misreadings(text: str, schedule: Schedule) -> Iterator[tuple[str, str]]:
    if schedule.read_as == "time span":
        yield _about_span(text, schedule.span)
        return
    if schedule.read_as == "five fields":
        yield _about_five(" ".join(text.split()), schedule)
    elif not schedule.fields[0].restricts:
        yield "it runs every second of each minute", "write 0 as the second"
    for field in schedule.fields:
        for element in field.elements:
            yield from _about_element(field, element)
    day, weekday = (field for field in schedule.fields if field.kind in {DAY, WEEKDAY})
    if day.restricts and weekday.restricts:
        yield f"its {DAY.name} and its {WEEKDAY.name} must both match", "write * for one of them"


def _about_span(text: str, span: timedelta) -> tuple[str, str]:
    found = f'"{redact(text)}" is a time span of {_length(span)}'
    if span <= timedelta():
        return f"{found}, so the host starts runs without a pause", EXAMPLE
    found += ", and time spans are documented for App Service plans only"
    minutes = int(text) if re.fullmatch("[1-5]?[0-9]", text) else span // timedelta(minutes=1)
    if text == "24:00:00" or span == timedelta(days=1):
        return found, 'write "0 0 0 * * *" for every day'
    if timedelta(minutes=minutes) in {span, span / 1440} and 60 % minutes == 0:
        return found, f'write "0 */{minutes} * * * *" for every {count(minutes, "minute")}'
    hours = minutes // 60
    if span == timedelta(hours=hours) and hours and 24 % hours == 0:
        return found, f'write "0 0 */{hours} * * *" for every {count(hours, "hour")}'
    return found, "write six fields"


def _about_five(text: str, schedule: Schedule) -> tuple[str, str]:
    found, seconds_first = "it has five fields, and the host takes 0 as its second", f'"0 {text}"'
    minute, hour = text.split()[:2]
    step = schedule.fields[2].elements[0].step
    if minute != "0" or step is None or step < 1 or len(schedule.fields[2].elements) > 1:
        return found, f"write {seconds_first}"
    every = f'"{text} *" for every {count(step, "minute")}'
    found = f'it has five fields, so "{redact(hour)}" is its {HOUR.name}'
    hours = len(HOUR.every)
    hourly = step < hours and hours % step == 0
    return found, f"write {seconds_first}, or {every}" if hourly else f"write {every}"


def _about_element(field: Field, element: Element) -> Iterator[tuple[str, str]]:
    kind = field.kind
    place = f'"{redact(element.text)}" as its {kind.name}'
    if element.step is not None and element.step < 1:
        yield f"{place} counts as a step of 1", "write a step of 1 or more"
    elif element.step is not None and element.step > len(kind.every):
        yield f"{place} is only one value", f"write a step of at most {len(kind.every)}"
    if element.first is not None and element.last is not None and element.first > element.last:
        first, last = _name(kind, element.first), _name(kind, element.last)
        around = f"{_span(element.first, kind.highest)},{_span(kind.lowest, element.last)}"
        yield f"{place} is {last} to {first}", f'write "{around}" for {first} to {last}'
    for name in re.findall("[A-Za-z]+", element.text):
        named = kind.named(name)
        if len(named) > 1:
            others = " or ".join(_name(kind, value) for value in named[1:])
            yield f'"{name}" is {_name(kind, named[0])}, not {others}', "write three letters"


def _unexpected_times(schedule: Schedule, now: datetime) -> Iterator[tuple[str, str]]:
    if schedule.next_after(now) is None:
        dated = f"write a {DAY.name} that the {MONTH.name} has"
        yield "it never runs", EXAMPLE if schedule.read_as == "time span" else dated
        return
    longest = max(schedule.gaps(now.date()), default=timedelta())
    if longest > MAX_TOKEN_LIFETIME:
        found = f"{_length(longest)} pass between two runs, longer than the lifetime of any token"
        yield found, "write a schedule that runs at least once an hour"


def _span(first: int, last: int) -> str:
    return f"{first}" if first == last else f"{first}-{last}"


def _name(kind: FieldRange, value: int) -> str:
    return kind.names[value - kind.lowest] if kind.names else str(value)


def _length(span: timedelta) -> str:
    for unit, seconds in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if span and span % timedelta(seconds=seconds) == timedelta():
            return count(span // timedelta(seconds=seconds), unit)
    return f"{span.total_seconds():g} seconds"
