"""Sanitizes all output: log lines, exceptions, reports, terminal.

Security: all output of the app passes a `RedactingLogger`, which masks secrets, escapes control characters, and limits lengths.
A test verifies that nothing else in the package uses Python's logger.
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
"""Twice the length of the app's longest text, a remedy with its command."""

MAX_LINE_CHARS = 30_000
"""Application Insights truncates after 32,768, which would break the JSON."""

MAX_TEXT_CHARS_WHEN_TRUNCATING = 1_000
"""As JSON, which can use twelve characters for one. Applies only to lines that would be too long."""

_BATCH_CHARS = 16_000

EXPLAINED = 3
"""Number of failure records of one code that have cause and remedy. Later ones in the run are short."""

_log = logging.getLogger("git_refresh")


class RedactingLogger:
    """Redacts and logs the output of one run."""

    def __init__(self) -> None:
        self.secrets = SecretFilter()
        self._explained: Counter[str] = Counter()

    def redact_text(self, text: str, longest: int = MAX_TEXT_CHARS) -> str:
        """Return a text on one line, with secrets masked, invisible characters escaped, and limited length."""
        # Escaping can replace one character by ten, so the text is cut again.
        return _cut(escape_unprintable(self.secrets.mask(_cut(text, longest))), longest)

    def redact[T](self, value: T) -> T:
        """Redact every text in a value: in dataclasses, lists, tuples, and values of dictionaries."""
        changed = self._changed(_texts(value))
        return cast("T", _replaced(value, changed)) if changed else value

    def _changed(self, texts: Collection[str]) -> dict[str, str]:
        """Return the redacted form of each text that redaction changes. For speed, it searches in batches."""
        changed: dict[str, str] = {}
        for some in _batches(texts):
            # If a batch contains no secret, none of its texts does. The space separates base64 texts and escapes.
            together = " ".join(some)
            if (
                escape_unprintable(together) != together
                or max(map(len, some)) > MAX_TEXT_CHARS
                or self.secrets.contains(together)
            ):
                changed |= {text: gone for text in some if (gone := self.redact_text(text)) != text}
        return changed

    def json(self, value: Mapping[str, Any], *, indent: int | None = None) -> str:
        """Return a redacted object as JSON in ASCII, which every stream can encode."""
        return json.dumps(self.redact(value), indent=indent)

    def log(self, event: Mapping[str, Any], *many: str, ok: bool) -> None:
        """Write one JSON object as a log line. The Functions host keeps only the message of a log record.

        `many` are the keys of lists in the event, most important first. If the line is too long, their texts are shortened,
        then items are omitted. `KEY_omitted` is the number of omitted items.
        The level is INFO if `ok`, otherwise ERROR. Exceptions of handlers are ignored.
        """
        line = dict(self.redact(event))
        lists = {key: line[key] for key in many}
        for key, items in lists.items():
            line[key], line[f"{key}_omitted"] = [], len(items)
        room = MAX_LINE_CHARS - len(json.dumps(line))
        for number, (key, items) in enumerate(lists.items()):
            share = room // (len(lists) - number)
            if len(json.dumps(items)) > share:
                items = [_with_short_texts(item) for item in items]  # noqa: PLW2901  # the same, shorter
            sizes = accumulate(len(json.dumps(item)) + len(", ") for item in items)
            written = [size for size in sizes if size <= share]
            room -= written[-1] if written else 0
            line[key], line[f"{key}_omitted"] = items[: len(written)], len(items) - len(written)
        with suppress(Exception):
            _log.log(logging.INFO if ok else logging.ERROR, json.dumps(line))

    def explains(self, code: str) -> bool:
        """Count a failure record, and return whether it is among the first `EXPLAINED` of its code."""
        self._explained[code] += 1
        return self._explained[code] <= EXPLAINED


def _texts(value: Any) -> dict[str, None]:  # noqa: ANN401  # any value, as in `redact`
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
        elif item is not None and (values := _field_getter(type(item))) and id(item) not in seen:  # type: ignore[arg-type]  # a type is hashable
            seen.add(id(item))  # many folders can share one diagnosis
            waiting += values(item)
    return found


def _replaced(value: Any, changed: Mapping[str, str]) -> Any:  # noqa: ANN401  # any value, as in `redact`
    match value:
        case str():
            return changed.get(value, value)
        case dict():
            return {key: _replaced(item, changed) for key, item in value.items()}
        case list():
            return [_replaced(item, changed) for item in value]
        case tuple():
            return tuple(_replaced(item, changed) for item in value)
        case _ if values := _field_getter(type(value)):  # type: ignore[arg-type]  # a type is hashable
            return type(value)(*(_replaced(item, changed) for item in values(value)))
        case _:
            return value


@cache
def _field_getter(kind: type) -> Callable[[Any], tuple[Any, ...]] | None:
    names = [item.name for item in fields(kind)] if is_dataclass(kind) else []
    return attrgetter(*names) if names[1:] else (lambda value: (getattr(value, names[0]),)) if names else None


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    some: list[str] = []
    size = 0
    for text in texts:
        some.append(text)
        size += len(text)
        if size >= _BATCH_CHARS:
            yield some
            some, size = [], 0
    if some:
        yield some


def _with_short_texts(item: Any) -> Any:  # noqa: ANN401  # a text, or lists and objects of texts
    if isinstance(item, dict):
        return {key: _with_short_texts(value) for key, value in item.items()}
    if isinstance(item, list):
        return [_with_short_texts(value) for value in item]
    return shorten(item, MAX_TEXT_CHARS_WHEN_TRUNCATING) if isinstance(item, str) else item


def shorten(item: str, longest: int) -> str:
    """Return a text, truncated to `longest` characters as JSON."""
    if _length(item) <= longest:
        return item
    room = longest - _length("…")
    return item[: sum(length <= room for length in accumulate(map(_length, item)))] + "…"


def _length(text: str) -> int:
    return len(json.dumps(text)) - len('""')


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def log_to_platform() -> None:
    """Send the log lines to the platform's handlers."""
    _log.setLevel(logging.INFO)


def log_to_stderr(*, quiet: bool = False) -> None:
    """Send the log lines only to stderr; nowhere if `quiet`."""
    _log.setLevel(logging.INFO)
    _log.propagate = False
    _log.addHandler(logging.NullHandler() if quiet else logging.StreamHandler())
