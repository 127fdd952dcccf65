"""One form for every finding, whichever command it comes from: sign, place, what happened, code; and below it cause and remedy."""

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
MARK: dict[Status, str] = {"ok": "✓", "warning": "!", "failed": "✗", "skipped": "–"}  # noqa: RUF001  # a dash that is seen
UNFOLDED = 10_000
_ALIKE = PLACES
"""Places that are named where one message holds for more."""
_WORD = re.compile(r"\S+\s*")

Places = Mapping[str, str]
"""Where in the settings a workspace is, by its name."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding; with an error, its code stands behind the message, and cause and remedy below."""

    status: Status
    location: str
    message: str
    error: Diagnosis | None = None
    kind: str = ""
    """The same for findings that differ in a value alone; empty: that of the error, or the message."""
    in_general: str = ""
    """What is said of many that differ in ids and values alone; empty: the first's message."""
    place: str = ""
    """Where in the settings it is, shown where it is told alone."""
    commands: tuple[str, ...] = ()
    """The commands in the message: none of them is folded."""


def of_problem(problem: Problem, place: str = "") -> Finding:
    """Return a problem as a finding: what the table of failures has of it, with cause and remedy."""
    status: Status = "failed" if problem.severity == "error" else "warning"
    if isinstance(problem.diagnosis, Diagnosis):
        return Finding(status, problem.location, problem.diagnosis.message, problem.diagnosis, place=place)
    return Finding(status, problem.location, problem.message, kind=problem.kind, commands=problem.commands)


def show_finding(
    findings: Sequence[Finding], out: Console, indent: int = 0, *, with_hint: bool = True
) -> None:
    """One line for all findings that are alike; cause and remedy once for all in a row that share them."""
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
    """Cause and remedy, each in a paragraph of its own; the cause behind the code, where that is given."""
    fold(mark, Text.assemble(code or "", ": " if code else "", error.cause), out, error.commands)
    fold(Text(" " * 6), Text.assemble(("→ ", "bold"), error.remedy), out, error.commands)


def alike(findings: Iterable[Finding]) -> Callable[[Finding], Hashable]:
    """What tells findings apart: code and kind, never names and values.

    Where more than a few kinds have one code, each at a place of its own, the code alone.
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
    """Sign, place, what happened, code."""
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
    """Each item with its place; but where more than a few say the same, the first of them alone, with the first places and a count."""
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
    """What was not looked at is told together: there is nothing to be done at its place."""
    return 1 if item.status == "skipped" else _ALIKE


def _code(item: Finding) -> tuple[Status, str]:
    return item.status, item.error.code if item.error else ""


def _kind(item: Finding) -> Hashable:
    """Of an error the code with its kind; else the kind that is given, or what is said."""
    if item.error is not None:
        return _code(item), item.error.kind
    return item.status, item.kind or item.message


def fold(mark: Text, text: Text, out: Console, commands: Sequence[str] = ()) -> None:
    """Print between words, indented by the mark; but what somebody copies, a path or a command, in one piece. Styles are kept.

    Where it all does not fit in one line, each of the commands has a line of its own.
    """
    if cell_len(mark.plain) + cell_len(text.plain) <= out.width:
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


def wrapped(text: str, width: int) -> list[str]:
    """The lines of a text, which end at blanks alone."""
    ends = [0, *_ends(text, width)]
    return [text[start:end].rstrip() for start, end in pairwise(ends)]


def _parts(text: Text, commands: Sequence[str]) -> Iterator[tuple[Text, bool]]:
    """The text in pieces, each with whether it is a command, which stays whole; what only joins sentence and command is left out."""
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
    """Where each line ends, behind its blanks: at the last blank before the width, or at the first after it."""
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
    """How many there are of each: "2 ok, 1 warning"."""
    counted = {status: statuses.count(status) for status in MARK}
    return ", ".join(
        count(number, status) if status == "warning" else f"{number} {status}"
        for status, number in counted.items()
        if number
    )


TROUBLESHOOTING = Path(__file__).parents[2] / "docs/troubleshooting.md"
"""In a checkout alone."""


def place_of(code: str) -> str:
    """The page and its section, from the top of the checkout."""
    return f"docs/{TROUBLESHOOTING.name}#{code}"


def code_style(code: str, out: Console) -> Style:
    """How a code is shown: dim, and where the terminal can follow links, as one to its section.

    In a checkout, the link leads to the very page that was made from its table, without a network.
    """
    follows = out.is_terminal and not out.is_dumb_terminal and not out.no_color and TROUBLESHOOTING.exists()
    return Style(dim=True, link=f"{TROUBLESHOOTING.as_uri()}#{code}" if follows else None)


def code_text(code: str, out: Console) -> Text:
    """A code behind what happened."""
    return Text.assemble("  ", (f"({code})", code_style(code, out)))
