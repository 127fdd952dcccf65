"""One form for every finding, whichever command it comes from: sign, place, what happened, code; and below it cause and remedy."""

import re
import textwrap
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from rich.console import Console
from rich.text import Text

from git_refresh.cli.checks import Status, count
from git_refresh.cli.pages import code_text
from git_refresh.diagnosis.explain import Diagnosis

STYLE = {
    "ok": "green",
    "created": "green",
    "updated": "green",
    "unchanged": "dim",
    "kept": "yellow",
    "warning": "yellow",
    "skipped": "yellow",
    "failed": "red",
    "rejected": "red",
}
MARK: dict[Status, str] = {"ok": "✓", "warning": "!", "failed": "✗", "skipped": "–"}  # noqa: RUF001  # a dash that is seen
UNFOLDED = 10_000
_ALIKE = 3
"""Places that are named where one message holds for more."""
_COMMAND = re.compile(
    r"(?:(?<=\s)\.venv/bin/|\b)(?:DATABRICKS_\w+=\S+ )*(?:az|databricks|git|func|azd|ulimit|python) [a-z-]"
)
_BEFORE_COMMAND = re.compile(rf": (?={_COMMAND.pattern})")
_VALUE = re.compile(r'^".*?" (?=must )|; write .*$')
"""What differs in a message that is about another value: the value, and what to write instead."""

Places = Mapping[str, str]
"""Where in the settings a workspace is, by its name."""


@dataclass(frozen=True, slots=True)
class Told:
    """One finding; with an error, its code stands behind the message, and cause and remedy below."""

    status: Status
    where: str
    message: str
    error: Diagnosis | None = None


def tell(told: Sequence[Told], out: Console, indent: int = 0) -> None:
    """A line for each finding, but one for many that say the same; and once for all in a row that share them, cause and remedy."""
    lines = [replace(first, where=where) for first, where in once(told, _said, lambda item: item.where, _few)]
    for item, following in zip_longest(lines, lines[1:]):
        show_line(item, out, indent)
        if item.error and not _same(item.error, following.error if following else None):
            fold(Text(" " * 6), Text(item.error.cause), out)
            fold(Text(" " * 6), Text.assemble(("→ ", "bold"), item.error.remedy), out)


def show_line(item: Told, out: Console, indent: int) -> None:
    """Sign, place, what happened, code."""
    code = code_text(item.error.code, out) if item.error else Text()
    mark = Text.assemble(" " * indent, (f"{MARK[item.status]} ", STYLE[item.status]))
    where = (item.where, "bold"), ": " if item.where else ""
    fold(mark, Text.assemble(*where, item.message, code), out)


def once[T](
    items: Sequence[T],
    said: Callable[[T], Hashable],
    where: Callable[[T], str],
    few: Callable[[T], int] = lambda _: _ALIKE,
) -> list[tuple[T, str]]:
    """Each item with its place; but where more than a few say the same, the first of them alone, with the first places and a count."""
    alike: dict[Hashable, list[T]] = {}
    for item in items:
        alike.setdefault(said(item), []).append(item)
    found = []
    for item in items:
        same = alike[said(item)]
        if len(same) <= few(item):
            found.append((item, where(item)))
        elif same[0] is item:
            found.append((item, _first(same, where)))
    return found


def _first[T](same: Sequence[T], where: Callable[[T], str]) -> str:
    places = [where(item) for item in same[:_ALIKE]]
    more = f" and {len(same) - _ALIKE:,} more" if same[_ALIKE:] else ""
    return ("; " if any("," in place for place in places) else ", ").join(places) + more


def _few(item: Told) -> int:
    """What was not looked at is told together: there is nothing to be done at its place."""
    return 1 if item.status == "skipped" else _ALIKE


def _said(item: Told) -> Hashable:
    return item.status, _VALUE.sub("", item.message)


def fold(mark: Text, text: Text, out: Console) -> None:
    """Print between words, indented by the mark; but what somebody copies, a path or a command, in one piece. Styles are kept.

    A command at the end has a line of its own, where it all does not fit in one.
    """
    *_, begins = 0, *(found.end() for found in _BEFORE_COMMAND.finditer(text.plain))
    if begins and len(mark) + len(text) > out.width:
        fold(mark, text[:begins], out)
        mark, text = Text(" " * len(mark)), text[begins:]
        if ". " not in text.plain:
            text = text[
                : len(text.plain.removesuffix("."))
            ]  # the sentence's, which is no part of the command
    width = max(20, out.width - len(mark)) if not _COMMAND.search(text.plain) else UNFOLDED
    start = 0
    for line in textwrap.wrap(text.plain, width, break_long_words=False, break_on_hyphens=False):
        start = text.plain.index(line, start)
        out.print(Text.assemble(mark, text[start : start + len(line)]), soft_wrap=True)
        start += len(line)
        mark = Text(" " * len(mark))


def placed(where: str, places: Places) -> str:
    """The same with the workspace's place in the settings, where it is one's."""
    for name, place in places.items():
        if where == name or where.startswith((f"{name} ", f"{name},")):
            return f"{where} ({place})"
    return where


def _same(error: Diagnosis, other: Diagnosis | None) -> bool:
    return other is not None and (error.code, error.cause, error.remedy) == (
        other.code,
        other.cause,
        other.remedy,
    )


def tally(statuses: Sequence[Status]) -> str:
    """How many there are of each: "2 ok, 1 warning"."""
    counted = {status: statuses.count(status) for status in MARK}
    return ", ".join(
        count(number, status) if status == "warning" else f"{number} {status}"
        for status, number in counted.items()
        if number
    )
