"""The one edge where texts go out: log lines, the exception, the report, the terminal.

Whatever leaves the app has passed a `RedactingLogger`: without the secrets of its run, without characters that a log or a terminal would
act on, each text of bounded length, and encodable everywhere. Nothing else in the package has the logger; a test sees to it.
"""

import json
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from functools import cache
from itertools import accumulate
from operator import attrgetter
from typing import Any, cast

from git_refresh.output.mask import SecretFilter
from git_refresh.output.redact import escape_unprintable

MAX_TEXT_CHARS = 2_000
"""Characters of one text. The longest of ours, a remedy with its command, has half as many."""

MAX_LINE_CHARS = 30_000
"""Characters of a log line. Application Insights cuts a message after 32,768, and what is cut is no JSON any more."""

MAX_TEXT_CHARS_WHEN_TRUNCATING = 1_000
"""Characters of a text, as JSON, in a log line that has no room for all. JSON has up to twelve for one of a path's."""

_BATCH = 16_000
"""Characters of texts that are looked through at once."""

EXPLAINED = 3
"""Workspaces of a run whose log lines explain a code: with its cause, remedy and first places. The lines after them have the code alone."""

_log = logging.getLogger("git_refresh")


class RedactingLogger:
    """The way out for one run, which knows the secrets of that run alone."""

    def __init__(self) -> None:
        self.secrets = SecretFilter()
        self._explained: Counter[str] = Counter()

    def redact_text(self, text: str, longest: int = MAX_TEXT_CHARS) -> str:
        """One text as it may go out, in one line."""
        # What is not seen is written with up to ten characters, so the length is held once more.
        return _cut(escape_unprintable(self.secrets.mask(_cut(text, longest))), longest)

    def redact[T](self, value: T) -> T:
        """A value with every text in it as it may go out: in dataclasses, lists, tuples and mappings, whose keys are ours."""
        changed = self._changed(_texts(value))
        return cast("T", _replaced(value, changed)) if changed else value

    def _changed(self, texts: Collection[str]) -> dict[str, str]:
        """Those of the texts that must not go out as they are, with how they may. Many are looked through at once: a fleet has many."""
        changed: dict[str, str] = {}
        for some in _batches(texts):
            # What contains no secret contains none in its parts either. A space ends a run of base64 and an escape.
            together = " ".join(some)
            if (
                escape_unprintable(together) != together
                or max(map(len, some)) > MAX_TEXT_CHARS
                or self.secrets.contains(together)
            ):
                changed |= {text: gone for text in some if (gone := self.redact_text(text)) != text}
        return changed

    def json(self, value: Mapping[str, Any], *, indent: int | None = None) -> str:
        """An object as JSON, in ASCII: no stream or handler fails to encode it."""
        return json.dumps(self.redact(value), indent=indent)

    def log(self, event: Mapping[str, Any], *many: str, ok: bool) -> None:
        """Write a log line: one JSON object, since the Functions host keeps only a record's message.

        A handler that fails does not end the run.

        Args:
            event: what happened, by name.
            many: the keys of lists in it, the most important first. Their texts are cut when they do not fit, and as many of a list are
                written as fit then; how many are left out is written beside it.
            ok: at INFO; else at ERROR.
        """
        line = dict(self.redact(event))
        lists = {key: line[key] for key in many}
        for key, items in lists.items():
            line[key], line[f"{key}_omitted"] = [], len(items)
        room = MAX_LINE_CHARS - len(json.dumps(line))
        for number, (key, items) in enumerate(lists.items()):
            share = room // (len(lists) - number)
            if len(json.dumps(items)) > share:
                items = [_brief(item) for item in items]  # noqa: PLW2901  # the same, shorter
            sizes = accumulate(len(json.dumps(item)) + len(", ") for item in items)
            written = [size for size in sizes if size <= share]
            room -= written[-1] if written else 0
            line[key], line[f"{key}_omitted"] = items[: len(written)], len(items) - len(written)
        with suppress(Exception):  # the platform's handler may raise, and then there is nowhere to say so
            _log.log(logging.INFO if ok else logging.ERROR, json.dumps(line))

    def explains(self, code: str) -> bool:
        """Whether a failure is among the first of its code, which log lines explain in full; the run's line explains each code."""
        self._explained[code] += 1
        return self._explained[code] <= EXPLAINED


def _texts(value: Any) -> dict[str, None]:  # noqa: ANN401  # any value, as `Outlet.clean` says
    """The different texts in a value, each once."""
    found: dict[str, None] = {}
    waiting, seen = [value], set[int]()
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            found[item] = None
        elif isinstance(item, list | tuple):
            waiting += item
        elif isinstance(item, dict):
            waiting += item.values()
        elif item is not None and (values := _values(type(item))) and id(item) not in seen:  # type: ignore[arg-type]  # a type is hashable
            seen.add(id(item))  # one diagnosis may be that of many folders
            waiting += values(item)
    return found


def _replaced(value: Any, changed: Mapping[str, str]) -> Any:  # noqa: ANN401  # any value, as `Outlet.clean` says
    match value:
        case str():
            return changed.get(value, value)
        case dict():
            return {key: _replaced(item, changed) for key, item in value.items()}
        case list():
            return [_replaced(item, changed) for item in value]
        case tuple():
            return tuple(_replaced(item, changed) for item in value)
        case _ if values := _values(type(value)):  # type: ignore[arg-type]  # a type is hashable
            return type(value)(*(_replaced(item, changed) for item in values(value)))
        case _:
            return value


@cache
def _values(kind: type) -> Callable[[Any], tuple[Any, ...]] | None:
    """How to get the values of a dataclass's fields, in order; of any other type, None."""
    names = [item.name for item in fields(kind)] if is_dataclass(kind) else []
    return attrgetter(*names) if names[1:] else (lambda value: (getattr(value, names[0]),)) if names else None


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    some: list[str] = []
    size = 0
    for text in texts:
        some.append(text)
        size += len(text)
        if size >= _BATCH:
            yield some
            some, size = [], 0
    if some:
        yield some


def _brief(item: Any) -> Any:  # noqa: ANN401  # a text, or lists and objects of texts
    """Without what would crowd out the others in its list."""
    if isinstance(item, dict):
        return {key: _brief(value) for key, value in item.items()}
    if isinstance(item, list):
        return [_brief(value) for value in item]
    return shorten(item, MAX_TEXT_CHARS_WHEN_TRUNCATING) if isinstance(item, str) else item


def shorten(item: str, longest: int) -> str:
    """The beginning of a text that has so many characters as JSON."""
    if _length(item) <= longest:
        return item
    room = longest - _length("…")
    return item[: sum(length <= room for length in accumulate(map(_length, item)))] + "…"


def _length(text: str) -> int:
    return len(json.dumps(text)) - len('""')


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def log_to_platform() -> None:
    """Let the log lines through to whatever handlers the platform has."""
    _log.setLevel(logging.INFO)


def log_to_stderr(*, quiet: bool = False) -> None:
    """Send the log lines to stderr alone; or nowhere."""
    _log.setLevel(logging.INFO)
    _log.propagate = False
    _log.addHandler(logging.NullHandler() if quiet else logging.StreamHandler())
