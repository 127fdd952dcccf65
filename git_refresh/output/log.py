"""Sanitizes all output: log lines, exceptions, reports, terminal.

Security: everything that leaves the app passes a `RedactingLogger`. It masks the run's secrets, escapes control characters,
and limits each text. A test ensures that nothing else in the package has the logger.
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
"""Characters of one text. The longest of the app's, a remedy with its command, has half as many."""

MAX_LINE_CHARS = 30_000
"""Characters of a log line. Application Insights cuts after 32,768, which would break the JSON."""

MAX_TEXT_CHARS_WHEN_TRUNCATING = 1_000
"""Characters of a text, as JSON, in a line without room for all. JSON can use twelve for one."""

_BATCH = 16_000
"""Characters of texts that are searched at once."""

EXPLAINED = 3
"""Workspaces of a run whose lines explain a code, with cause, remedy and first locations.

Later lines have only the code.
"""

_log = logging.getLogger("git_refresh")


class RedactingLogger:
    """The output of one run, with the secrets of this run only."""

    def __init__(self) -> None:
        self.secrets = SecretFilter()
        self._explained: Counter[str] = Counter()

    def redact_text(self, text: str, longest: int = MAX_TEXT_CHARS) -> str:
        """Return a text on one line: masked, escaped, of limited length."""
        # Escaping an invisible character can add up to ten characters, so the text is cut again.
        return _cut(escape_unprintable(self.secrets.mask(_cut(text, longest))), longest)

    def redact[T](self, value: T) -> T:
        """Return a value with every text redacted: in dataclasses, lists, tuples, and values of mappings."""
        changed = self._changed(_texts(value))
        return cast("T", _replaced(value, changed)) if changed else value

    def _changed(self, texts: Collection[str]) -> dict[str, str]:
        """Return the texts that change when redacted, with their new form. Searches many at once for speed."""
        changed: dict[str, str] = {}
        for some in _batches(texts):
            # A batch without a secret has none in its parts. The space ends base64 runs and escapes.
            together = " ".join(some)
            if (
                escape_unprintable(together) != together
                or max(map(len, some)) > MAX_TEXT_CHARS
                or self.secrets.contains(together)
            ):
                changed |= {text: gone for text in some if (gone := self.redact_text(text)) != text}
        return changed

    def json(self, value: Mapping[str, Any], *, indent: int | None = None) -> str:
        """Return an object as JSON in ASCII, which every stream can encode."""
        return json.dumps(self.redact(value), indent=indent)

    def log(self, event: Mapping[str, Any], *many: str, ok: bool) -> None:
        """Write a log line: one JSON object, because the Functions host keeps only a record's message.

        A handler that fails does not end the run.

        `many` are the keys of lists in the event, most important first. If they do not fit, their texts and then the lists are cut.
        `KEY_omitted` is the number of omitted items. The level is INFO if `ok`, otherwise ERROR.
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
        with suppress(Exception):  # the platform's handler might raise
            _log.log(logging.INFO if ok else logging.ERROR, json.dumps(line))

    def explains(self, code: str) -> bool:
        """Return whether a failure is among the first of its code, which log lines explain in full."""
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
        if size >= _BATCH:
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
    """Return the start of a text, up to `longest` characters as JSON."""
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
