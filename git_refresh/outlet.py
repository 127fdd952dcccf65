"""The one edge where texts go out: log lines, the exception, the report, the terminal.

Whatever leaves the app has passed an `Outlet`: without the secrets of its run, without characters that a log or a terminal would act on,
each text of bounded length, and encodable everywhere. Nothing else in the package has the logger; a test sees to it.
"""

import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from itertools import accumulate
from typing import Any, cast

from git_refresh.masking import Secrets
from git_refresh.redact import visible

LONGEST_TEXT = 2_000
"""Characters of one text. The longest of ours, a remedy with its command, has half as many."""

LONGEST_LINE = 30_000
"""Characters of a log line. Application Insights cuts a message after 32,768, and what is cut is no JSON any more."""

LONGEST_OF_MANY = 1_000
"""Characters of a text, as JSON, in a log line that has no room for all. JSON has up to twelve for one of a path's."""

_log = logging.getLogger("git_refresh")


class Outlet:
    """The way out for one run, which knows the secrets of that run alone."""

    def __init__(self) -> None:
        self.secrets = Secrets()

    def text(self, text: str, longest: int = LONGEST_TEXT) -> str:
        """One text as it may go out, in one line."""
        # What is not seen is written with up to ten characters, so the length is held once more.
        return _cut(visible(self.secrets.hidden(_cut(text, longest))), longest)

    def clean[T](self, value: T) -> T:
        """A value with every text in it as it may go out: in dataclasses, lists, tuples and mappings, whose keys are ours."""
        return cast("T", self._clean(value))

    def _clean(self, value: Any) -> Any:  # noqa: ANN401  # any value, as `clean` says
        match value:
            case str():
                return self.text(value)
            case dict():
                return {key: self._clean(item) for key, item in value.items()}
            case list():
                return [self._clean(item) for item in value]
            case tuple():
                return tuple(self._clean(item) for item in value)
            case _ if is_dataclass(value) and not isinstance(value, type):
                return type(value)(
                    **{item.name: self._clean(getattr(value, item.name)) for item in fields(value)}
                )
            case _:
                return value

    def json(self, value: Mapping[str, Any], *, indent: int | None = None) -> str:
        """An object as JSON, in ASCII: no stream or handler fails to encode it."""
        return json.dumps(self.clean(value), indent=indent)

    def log(self, event: Mapping[str, Any], many: str, *, fine: bool) -> None:
        """Write a log line: one JSON object, since the Functions host keeps only a record's message.

        A handler that fails does not end the run.

        Args:
            event: what happened, by name.
            many: the key of a list in it, whose texts are cut when it does not fit. As much of it is written as fits then; how many are
                left out is written beside it.
            fine: at INFO; else at ERROR.
        """
        event = self.clean(event)
        items = event[many]
        room = LONGEST_LINE - len(json.dumps({**event, many: [], f"{many}_left_out": len(items)}))
        if len(json.dumps(items)) > room:
            items = [_brief(item) for item in items]
        kept = 0
        for item in items:
            room -= len(json.dumps(item)) + 2
            if room < 0:
                break
            kept += 1
        line = json.dumps({**event, many: items[:kept], f"{many}_left_out": len(items) - kept})
        with suppress(Exception):  # the platform's handler may raise, and then there is nowhere to say so
            _log.log(logging.INFO if fine else logging.ERROR, line)


def _brief(item: Any) -> Any:  # noqa: ANN401  # a text, or an object of texts
    """Without what would crowd out the others in its list."""
    if isinstance(item, dict):
        return {key: _brief(value) for key, value in item.items()}
    if not isinstance(item, str) or _length(item) <= LONGEST_OF_MANY:
        return item
    room = LONGEST_OF_MANY - _length("…")
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
