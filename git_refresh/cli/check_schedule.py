"""Whether the Functions host takes REFRESH_SCHEDULE."""

import re

from git_refresh.model.schedule import KINDS, WEEKDAY, RefusedScheduleError, Schedule
from git_refresh.redact import shown
from git_refresh.values import Problem

NAME = "REFRESH_SCHEDULE"
EXAMPLE = 'write "0 */15 * * * *" for every 15 minutes'


def schedule_problem(text: str) -> Problem | None:
    """Return why the host refuses a schedule, and what to write instead; None if it accepts it."""
    try:
        Schedule.read(text)
    except RefusedScheduleError as error:
        return Problem(NAME, f'"{shown(text)}" {_refused(error)}; {_instead(text, error)}')
    return None


def _refused(error: RefusedScheduleError) -> str:
    if error.kind is None:
        return "is neither NCRONTAB with six fields nor a time span"
    return f'has "{shown(error.found)}" as its {error.kind.name}'


def _instead(text: str, error: RefusedScheduleError) -> str:
    corrected = _corrected(text)
    if corrected is not None:
        return f'write "{shown(corrected)}"'
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
    """The same in six fields without the mistakes that are known; None if the host refuses that too."""
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
