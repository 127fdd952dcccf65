"""Output of findings, the same in all commands: mark, location, message, code, cause, and remedy."""

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.style import Style
from rich.text import Text

from git_refresh.cli.checks import Status
from git_refresh.failures.diagnosis import Diagnosis
from git_refresh.model.values import Problem
from git_refresh.output.text import count, first_of
from git_refresh.run.report import PLACES

STYLE = {
    "ok": "green",
    "created": "green",
    "updated": "green",
    "unchanged": "dim",
    "token_rejected": "yellow",
    "warning": "yellow",
    "skipped": "yellow",
    "failed": "red",
    "rejected": "red",
}
MARK: dict[Status, str] = {"ok": "✓", "warning": "!", "failed": "✗", "skipped": "–"}  # noqa: RUF001  # a visible dash
UNFOLDED = 10_000
_ALIKE = PLACES
"""Similar findings that have lines of their own. More share a line."""
_WORD = re.compile(r"\S+\s*")

Places = Mapping[str, str]
"""Location of each workspace in the settings, by name."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding, with code, cause, and remedy if it has an error."""

    status: Status
    location: str
    message: str
    error: Diagnosis | None = None
    kind: str = ""
    """Equal for findings that differ only in values. Empty: the kind of the error, or the message."""
    in_general: str = ""
    """Message for a group that differs only in IDs and values. Empty: the first message."""
    place: str = ""
    """Location in the settings. A group does not show it."""
    commands: tuple[str, ...] = ()
    """Commands in the message. Each stays on one line."""


def of_problem(problem: Problem, place: str = "") -> Finding:
    status: Status = "failed" if problem.severity == "error" else "warning"
    if isinstance(problem.diagnosis, Diagnosis):
        return Finding(status, problem.location, problem.diagnosis.message, problem.diagnosis, place=place)
    return Finding(status, problem.location, problem.message, kind=problem.kind, commands=problem.commands)


def show_finding(
    findings: Sequence[Finding], out: Console, indent: int = 0, *, with_hint: bool = True
) -> None:
    """Print one line per group of similar findings. Equal causes and remedies in a row are printed once."""
    key = alike(findings)
    groups: dict[Hashable, list[Finding]] = {}
    for item in findings:
        groups.setdefault(key(item), []).append(item)
    lines = [line for group in groups.values() for line in once(group, key, lambda item: item.location, _few)]
    following = [*(item for item, _ in lines[1:]), None]
    for (item, where), after in zip(lines, following, strict=False):
        group = groups[key(item)]
        show_line(item if where == item.location else _of_many(item, where, group), out, indent)
        if item.error and not _same(item.error, after.error if after else None):
            explain(item.error, out, Text(" " * 6))
            if (
                with_hint
                and where != item.location
                and len({each.error.remedy for each in group if each.error}) > 1
            ):
                fold(Text(" " * 8), Text("--json shows the remedy of each place.", "dim"), out)


def _of_many(item: Finding, where: str, group: Sequence[Finding]) -> Finding:
    alike = len({each.message for each in group}) == 1
    message = item.message if alike else item.in_general or item.message
    return replace(item, location=where, message=message, place="")


def explain(error: Diagnosis, out: Console, mark: Text, code: Text | None = None) -> None:
    """Print cause and remedy as separate paragraphs. If given, the code precedes the cause."""
    fold(mark, Text.assemble(code or "", ": " if code else "", error.cause), out, error.commands)
    fold(Text(" " * 6), Text.assemble(("→ ", "bold"), error.remedy), out, error.commands)


def alike(findings: Iterable[Finding]) -> Callable[[Finding], Hashable]:
    """Return a function for the grouping key of a finding: code and kind, without names and values.

    If a code has many kinds at different locations, the key is only the code.
    """
    kinds: dict[Hashable, set[Hashable]] = {}
    places: dict[Hashable, set[Hashable]] = {}
    for item in findings:
        kinds.setdefault(_code(item), set()).add(_kind(item))
        places.setdefault(_code(item), set()).add(item.location or id(item))

    def tells_apart(item: Finding) -> Hashable:
        code = _code(item)
        many = item.error is not None and min(len(kinds[code]), len(places[code])) > _ALIKE
        return code if many else _kind(item)

    return tells_apart


def show_line(item: Finding, out: Console, indent: int) -> None:
    code = code_text(item.error.code, out) if item.error else Text()
    mark = Text.assemble(" " * indent, (f"{MARK[item.status]} ", STYLE[item.status]))
    place = f" ({item.place})" if item.place else ""
    where = (f"{item.location}{place}", "bold"), ": " if item.location else ""
    commands = item.error.commands if item.error else item.commands
    fold(mark, Text.assemble(*where, item.message, code), out, commands)


def once[T](
    items: Sequence[T],
    key: Callable[[T], Hashable],
    where: Callable[[T], str],
    few: Callable[[T], int] = lambda _: _ALIKE,
) -> list[tuple[T, str]]:
    """Return each item with its location.

    A large group becomes its first item, with the first locations and a count.
    """
    alike: dict[Hashable, list[T]] = {}
    for item in items:
        alike.setdefault(key(item), []).append(item)
    found = []
    for item in items:
        same = alike[key(item)]
        if len(same) <= few(item):
            found.append((item, where(item)))
        elif same[0] is item:
            found.append((item, first_of([where(each) for each in same], PLACES)))
    return found


def _few(item: Finding) -> int:
    """Return how many similar findings have lines of their own. Skipped checks share one."""
    return 1 if item.status == "skipped" else _ALIKE


def _code(item: Finding) -> tuple[Status, str]:
    return item.status, item.error.code if item.error else ""


def _kind(item: Finding) -> Hashable:
    if item.error is not None:
        return _code(item), item.error.kind
    return item.status, item.kind or item.message


def fold(mark: Text, text: Text, out: Console, commands: Sequence[str] = ()) -> None:
    """Print text in lines of the terminal's width, indented by the mark.

    Words such as paths stay whole. Each command has a line of its own if the text needs several lines or contains several commands.
    """
    fits = cell_len(mark.plain) + cell_len(text.plain) <= out.width
    if fits and (len(commands) < _SEVERAL or not out.is_terminal):
        out.print(Text.assemble(mark, text), soft_wrap=True)
        return
    width = max(20, out.width - cell_len(mark.plain))
    for part, whole in _parts(text, commands):
        ends = [len(part)] if whole else _ends(part.plain, width)
        start = 0
        for end in ends:
            line = part[start:end]
            line.rstrip()
            out.print(Text.assemble(mark, line), soft_wrap=True)
            start = end
            mark = Text(" " * cell_len(mark.plain))


_SEVERAL = 2


def wrapped(text: str, width: int) -> list[str]:
    """Return the lines of a text, broken only at blanks."""
    ends = [0, *_ends(text, width)]
    return [text[start:end].rstrip() for start, end in pairwise(ends)]


def _parts(text: Text, commands: Sequence[str]) -> Iterator[tuple[Text, bool]]:
    """Yield texts and commands, each with True for a command. Drops the punctuation between them."""
    start = 0
    for command in (each for each in commands if each):
        at = text.plain.find(command, start)
        if at < 0:
            continue
        if before := text[start:at].plain.strip(_JOINTS):
            begins = text.plain.index(before, start)
            yield text[begins:at], False
        yield text[at : at + len(command)], True
        start = at + len(command)
    rest = text[start:]
    if start:
        plain = rest.plain.lstrip(_JOINTS)
        rest = rest[len(rest) - len(plain) :]
    if rest.plain:
        yield rest, False


_JOINTS = " .,;"


def _ends(plain: str, width: int) -> Iterator[int]:
    """Yield the index after each line and its blanks."""
    taken, last = len(plain) - len(plain.lstrip()), 0
    for word in _WORD.finditer(plain):
        if last and taken + cell_len(word[0].rstrip()) > width:
            yield last
            taken = 0
        taken += cell_len(word[0])
        last = word.end()
    yield len(plain)


def _same(error: Diagnosis, other: Diagnosis | None) -> bool:
    return other is not None and (error.code, error.cause, error.remedy) == (
        other.code,
        other.cause,
        other.remedy,
    )


def tally(statuses: Sequence[Status]) -> str:
    """Return a count per status, such as "2 ok, 1 warning"."""
    counted = {status: statuses.count(status) for status in MARK}
    return ", ".join(
        count(number, status) if status == "warning" else f"{number} {status}"
        for status, number in counted.items()
        if number
    )


TROUBLESHOOTING = Path(__file__).parents[2] / "docs/troubleshooting.md"
"""The page with all codes. It exists only in a checkout."""


def place_of(code: str) -> str:
    """Return the page and section of a code, relative to the checkout."""
    return f"docs/{TROUBLESHOOTING.name}#{code}"


def code_style(code: str, out: Console) -> Style:
    """Return the style of a code, with a link to its section if the terminal supports links."""
    follows = out.is_terminal and not out.is_dumb_terminal and not out.no_color and TROUBLESHOOTING.exists()
    return Style(dim=True, link=f"{TROUBLESHOOTING.as_uri()}#{code}" if follows else None)


def code_text(code: str, out: Console) -> Text:
    """Return a code in parentheses, to append to a message."""
    return Text.assemble("  ", (f"({code})", code_style(code, out)))
