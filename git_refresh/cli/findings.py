"""One form for every finding, whichever command it comes from: sign, place, what happened, code; and below it cause and remedy."""

import re
import shlex
import textwrap
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

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
    r"(?:(?<=\s)\.venv/bin/|\b)(?:DATABRICKS_\w+=\S+ )*(?:(?:az|databricks|git|func|azd|ulimit|python) [a-z-]|read -rs )"
)
_BEFORE_COMMAND = re.compile(rf": (?={_COMMAND.pattern})")
_AFTER_COMMAND = re.compile(rf" (?=(?:Or|Then)[ ,].*: {_COMMAND.pattern})")
_VALUE = re.compile(
    r'^".*?" (?=must )|; write .*$'  # in the settings: the value, and what to write instead
    r"|https?://[^\s,;)]+|\(request id [^)]*\)"
    r"|\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"
)
"""What differs in a text that is about another value."""
_CODE = re.compile(r"([a-z]+(?:_[a-z]+)+): ")

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
    """A line for each finding, but one for many that are alike; and once for all in a row that share them, cause and remedy."""
    said = alike(told)
    remedies: dict[Hashable, set[str]] = {}
    for item in told:
        remedies.setdefault(said(item), set()).add(_VALUE.sub("", item.error.remedy) if item.error else "")
    lines = once(told, said, lambda item: item.where, _few)
    following = [*(item for item, _ in lines[1:]), None]
    for (item, where), after in zip(lines, following, strict=False):
        show_line(replace(item, where=where), out, indent)
        if item.error and not _same(item.error, after.error if after else None):
            explain(item.error, out, Text(" " * 6))
            if len(remedies[said(item)]) > 1:
                fold(Text(" " * 8), Text("--json shows the remedy of each place.", "dim"), out)


def explain(error: Diagnosis, out: Console, mark: Text, code: Text | None = None) -> None:
    """Cause and remedy, each in a paragraph of its own; the cause behind the code, where that is given."""
    fold(mark, Text.assemble(code or "", ": " if code else "", error.cause), out)
    fold(Text(" " * 6), Text.assemble(("→ ", "bold"), error.remedy), out)


def alike(told: Iterable[Told]) -> Callable[[Told], Hashable]:
    """What tells findings apart: code, message, cause and remedy without host, ids and values.

    Where more than a few of one code differ even so, each at a place of its own, the code alone: as where each names a path.
    """
    kinds: dict[Hashable, set[Hashable]] = {}
    places: dict[Hashable, set[Hashable]] = {}
    said: dict[int, Hashable] = {}
    for item in told:
        kinds.setdefault(_kind(item), set()).add(_said(item))
        places.setdefault(_kind(item), set()).add(item.where or id(item))
        said[id(item)] = _said(item)

    def tells_apart(item: Told) -> Hashable:
        kind = _kind(item)
        grouped = _code(item) and min(len(kinds[kind]), len(places[kind])) > _ALIKE
        return kind if grouped else said[id(item)]

    return tells_apart


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


def _kind(item: Told) -> Hashable:
    return item.status, _code(item)


def _code(item: Told) -> str:
    """The code of a finding, also of one that is told as the report has it: as a text that begins with its code."""
    if item.error:
        return item.error.code
    found = _CODE.match(item.message)
    return found[1] if found else ""


def _said(item: Told) -> Hashable:
    texts = (item.message, item.error.cause, item.error.remedy) if item.error else (item.message,)
    return item.status, _code(item), tuple(_VALUE.sub("", text) for text in texts)


def fold(mark: Text, text: Text, out: Console) -> None:
    """Print between words, indented by the mark; but what somebody copies, a path or a command, in one piece. Styles are kept.

    Commands have a line of their own, where it all does not fit in one.
    """
    ends = _ends_of_parts(text.plain) if len(mark) + len(text) > out.width else ()
    for begin, end in pairwise([0, *ends, len(text)]):
        _wrap(mark, text[begin:end], out)
        mark = Text(" " * len(mark))


def _wrap(mark: Text, text: Text, out: Console) -> None:
    width = max(20, out.width - len(mark)) if not _COMMAND.search(text.plain) else UNFOLDED
    start = 0
    for line in textwrap.wrap(text.plain, width, break_long_words=False, break_on_hyphens=False):
        start = text.plain.index(line, start)
        out.print(Text.assemble(mark, text[start : start + len(line)]), soft_wrap=True)
        start += len(line)
        mark = Text(" " * len(mark))


def _ends_of_parts(text: str) -> Iterator[int]:
    """Where a command begins, and where it ends, if another one follows it."""
    said = 0
    for found in _BEFORE_COMMAND.finditer(text):
        begins = found.end()
        if said > begins:  # in the command before
            continue
        yield begins
        ends = (after.end() for after in _AFTER_COMMAND.finditer(text, begins))
        said = next((end for end in ends if _is_whole(text[begins:end])), len(text))
        if said < len(text):
            yield said


def _is_whole(command: str) -> bool:
    try:
        shlex.split(command)
    except ValueError:
        return False
    return True


def placed(where: str, places: Places) -> str:
    """The same with the workspace's place in the settings, where it is one's."""
    ends = [found.start() for found in re.finditer(r"[ ,]|$", where)]
    name = next((where[:end] for end in reversed(ends) if where[:end] in places), None)
    return f"{where} ({places[name]})" if name is not None else where


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
