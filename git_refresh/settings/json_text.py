"""Parses the JSON of an app setting, or reports its first mistake with location and fix.

The standard library finds the position of a mistake. This module finds its place in the structure and its row in
`json_mistakes`. Security: the excerpt in the message contains no possible secret.
"""

import json
import re
import unicodedata
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from git_refresh.output.redact import redact
from git_refresh.settings.json_mistakes import (
    CURLY,
    KEY,
    MISTAKES,
    NEXT,
    NO_CLOSING_QUOTE,
    OUTER_QUOTES,
    REFERENCE,
    VALUE,
)
from git_refresh.settings.models import Folder, Workspace


class JsonError(ValueError):
    """A text is not JSON. The message continues a sentence that begins with the setting's name."""


class JsonObject(dict[str, Any]):
    """JSON object. `twice` has its duplicate keys, whose last value is used."""

    def __init__(self, pairs: Iterable[tuple[str, Any]] = ()) -> None:
        pairs = list(pairs)
        super().__init__(pairs)
        times = Counter(key for key, _ in pairs) if len(self) < len(pairs) else {}
        self.twice = tuple(key for key, count in times.items() if count > 1)


def parse(text: str) -> Any:  # noqa: ANN401  # any JSON value
    """Return the value of a JSON text, with `JsonObject` for objects.

    Raises:
        JsonError: the text is not JSON, or a JSON string that contains JSON.
    """
    text = text.removeprefix("\ufeff")
    stop = len(text)
    try:
        value = json.loads(text, object_pairs_hook=JsonObject, parse_constant=_refuse)
        quoted = isinstance(value, str) and value.lstrip().startswith(("[", "{", '"'))
        if not quoted and not _too_deep(value, _MAX_NESTING):
            return value
    except json.JSONDecodeError as error:
        stop = error.pos
    except (ValueError, RecursionError):
        pass  # `_Mistake` finds the position of NaN, too many digits or brackets.
    # Security: outside of every `except`, because the library's error contains the text.
    raise JsonError(_Mistake(text, stop).message())


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)  # NaN and Infinity are not JSON


def _too_deep(value: object, levels: int) -> bool:
    """Return whether a value has more than `levels` nested arrays and objects."""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_too_deep(item, levels - 1) for item in inner)


_CLOSING = {"[": "]", "{": "}"}
_MAX_NESTING = 100
_PART = re.compile(r'([\[\]{},:]|"(?:[^"\\]++|\\.)*+"|[\w.+-]++)[ \t\r\n]*+', re.DOTALL)
_REFUSED = re.compile(r"-?(?:NaN|Infinity|[0-9]{300})")
_WRONGLY_CLOSED = re.compile(
    rf"""\"(?:[^'`{CURLY}]|['’‘´′](?=\w))*+(['`{CURLY}])\s*(?:[,:\]}}]|$)"""  # noqa: RUF001
)
_CLOSING_ESCAPED = re.compile(r'\\(?="\s*[,:}\]])')
_SWALLOWED = re.compile(r'[,:{\[]\s*"$')
_SECOND_QUOTE = re.compile(r'"(?=\s*(?:[,:}\]]|$))')
_QUOTE_INSIDE = re.compile(r'\w[^",:{}\[\]\n]*"')
_NEXT_LINE = re.compile(r'\s*+(?:[{}\[\],]|"(?!\s*(?:[,:}\]]|$))|$)')


@dataclass(slots=True)
class _Bracket:
    opening: str
    at: int
    item: int = 0
    key: str = ""


@dataclass(slots=True)
class _Mistake:
    """Parser that finds the first mistake in a text. The text before `at` is valid."""

    text: str
    stop: int
    """Position at which the standard library stopped, at most a few characters after the mistake's start."""
    at: int = 0
    due: str = "start"
    """Expected token, as in `json_mistakes`."""
    open: list[_Bracket] = field(default_factory=list)
    last: tuple[int, int] = (0, 0)
    """Start and end of the last token."""

    def message(self) -> str:
        self.at = len(self.text) - len(self.text.lstrip(" \t\r\n"))
        reference, advice = REFERENCE
        if re.compile(reference).match(self.text, self.at):
            return self._message_at(advice, self.at, None)
        if whole := self._listed("whole", self.at):
            return whole
        while (part := _PART.match(self.text, self.at)) and part.end(1) <= self.stop and self._valid(part[1]):
            self._track(part[1])
            self.last = part.span(1)
            self.at = part.end()
        if self.at == len(self.text):
            return self._ended()
        return self._ran_on() or self._broken_string() or self._misplaced()

    def _is_due(self, any_of: str) -> bool:
        return self.due in any_of.split()

    def _valid(self, part: str) -> bool:
        """Return False for NaN, Infinity, too many digits and too deep nesting, which have no position."""
        return not _REFUSED.match(part) and (part not in _CLOSING or len(self.open) < _MAX_NESTING)

    def _track(self, part: str) -> None:
        inside = self.open[-1] if self.open else _Bracket("", 0)
        if part in _CLOSING:
            self.open.append(_Bracket(part, self.at))
            self.due = "first-item" if part == "[" else "first-key"
        elif part == ",":
            inside.item += 1
            self.due = "item" if inside.opening == "[" else "key"
        elif part == ":":
            self.due = "value"
        elif self._is_due(KEY) and part != "}":
            inside.key = part[1:-1]
            self.due = "colon"
        else:
            if part in "]}" and self.open:
                self.open.pop()
            end = {"]": "end-array", "}": "end-object"}.get(part, "end-text")
            self.due = {"[": "next-item", "{": "next-pair"}[self.open[-1].opening] if self.open else end

    def _ended(self) -> str:
        if self.due == "start":
            return self._message_at(
                "there is nothing here; write the value, which starts with [ or {", self.at, None
            )
        if not self.open:
            is_text = self.text[self.last[0]] == '"'
            return self._message_at(
                OUTER_QUOTES if is_text else "it cannot be parsed; write it again", 0, None
            )
        missing = "".join(_CLOSING[bracket.opening] for bracket in reversed(self.open))
        either = f"write {missing} at the end, or " if self._is_due(f"first-item first-key {NEXT}") else ""
        bracket = self.open.pop()
        advice = f"this {bracket.opening} is never closed, the text ends too early; {either}paste the whole text again"
        return self._message_at(advice, bracket.at, bracket.at + 1, "value")

    def _ran_on(self) -> str | None:
        """Return the message if the last string has no closing quote or ended too early, otherwise None."""
        start, end = self.last
        text = self.text[start:end]
        if self.at != end or not text.startswith('"'):
            return None
        due = "key" if self.due == "colon" else "value"
        if closed := _WRONGLY_CLOSED.match(text):
            return self._listed(due, start + closed.start(1))
        if escaped := _CLOSING_ESCAPED.search(text):
            advice = "there is a \\ before the closing quote; remove it, or write / instead"
            return self._message_at(advice, start + escaped.start(), start + escaped.end(), due)
        if _SWALLOWED.search(text):
            return self._message_at(NO_CLOSING_QUOTE, start, start + 1, due)
        if text == '""' or _SECOND_QUOTE.match(self.text, end):
            at = start if text == '""' else end - 1
            return self._message_at("there are two quotes in a row; remove one", at, at + 2, due)
        if self._is_due(NEXT) and _QUOTE_INSIDE.match(self.text, end):
            advice = 'this quote ends the string too early; write \\" for a quote inside a string'
            return self._message_at(advice, end - 1, end, due)
        return None

    def _broken_string(self) -> str | None:
        """Return the message if an invalid string starts here, otherwise None."""
        if self.text[self.at] != '"' or not self._is_due(f"start {VALUE} {KEY}"):
            return None
        stop = self.stop if self.stop > self.at else len(self.text)
        stop -= self.text.startswith("u", stop)  # after an invalid \u escape, `stop` is the u
        char = self.text[stop : stop + 1]
        if char == "\\":
            advice = "a single \\ is not allowed in a string; write / instead, or \\\\ if it must be a \\"
            return self._message_at(advice, stop, stop + 1)
        if closed := _WRONGLY_CLOSED.match(self.text, self.at, stop):
            return self._listed(self.due, closed.start(1))
        if not char or (char in "\r\n" and _NEXT_LINE.match(self.text, stop)):
            return self._message_at(NO_CLOSING_QUOTE, self.at, self.at + 1)
        name = {"\n": "a line break", "\r": "a line break", "\t": "a tab"}.get(char, "an invisible character")
        return self._message_at(f"there is {name} inside a string; remove it", stop, stop)

    def _misplaced(self) -> str:
        char = self.text[self.at]
        if not char.isprintable():
            name = unicodedata.name(char, "control character").lower()
            advice = (
                f"there is an invisible character here ({name}); delete it, and type a plain space if needed"
            )
            return self._message_at(advice, self.at, self.at + 1)
        bracket = self.open[-1] if self.open and not self._is_due("value colon") else None
        if bracket and char in "]}" and char != (closing := _CLOSING[bracket.opening]):
            line, column = self._line_and_column(bracket.at)
            opened = f"the {bracket.opening} at line {line}, column {column}"
            advice = f"there is a {char} here, but {opened} is still open; write {closing} before it or instead of it, or remove it"
            return self._message_at(advice, self.at, self.at + 1)
        return self._listed(self.due, self.at) or ""

    def _listed(self, due: str, at: int) -> str | None:
        for dues, pattern, advice in MISTAKES:
            if due in dues.split() and (found := re.compile(pattern).match(self.text, at)):
                start, end = found.span()
                if start == end:
                    start, end = self.last if pattern else (self.last[1], self.last[1])
                return self._message_at(advice.replace("FOUND", found[0]), start, end, due)
        return None

    def _message_at(self, advice: str, at: int, mark: int | None, due: str | None = None) -> str:
        """Return the message for a mistake at `at`, with an excerpt around `mark` if set."""
        due = due or self.due
        in_item = due in {"colon", "value"} or (due in VALUE.split() and self.text[at] not in ",]}")
        place = _place(self.open if in_item else self.open[:-1])
        line, column = self._line_and_column(at)
        shown = "" if mark is None else excerpt(self.text, mark)
        return f"is not valid JSON: line {line}, column {column}{place}: {advice}{shown}"

    def _line_and_column(self, at: int) -> tuple[int, int]:
        return self.text.count("\n", 0, at) + 1, at - self.text.rfind("\n", 0, at)


def _place(brackets: list[_Bracket]) -> str:
    parts = [
        f"[{one.item}]" if one.opening == "[" else f".{one.key if one.key in HARMLESS else '…'}"
        for one in brackets
    ]
    place = "".join(parts[:6]).removeprefix(".").removesuffix(".…") + "…" * (len(parts) > 6)  # noqa: PLR2004  # deeper than any setting
    return f", in {place}" if place.strip("…") else ""


HARMLESS = {*Workspace.model_fields, *Folder.model_fields, "WORKSPACES", "WORKSPACE_DEFAULTS"}
HARMLESS |= {"oauth_secret", "managed_identity", "fail", "discard"}
HARMLESS |= {"true", "false", "null", "None", "True", "False"}
_NO_WORD = rf"\s{{}}\[\],\"'`\\;()<>…{CURLY}"
_PIECE = re.compile(rf"\s+|https?://[^{_NO_WORD}]*|[^{_NO_WORD}:=]+|.")
_RUN = re.compile(r"\S*")
_ADDRESS = re.compile(r"https?://(?:[\w-]+\.)+[a-zA-Z]{2,}(?:[/?#].*)?", re.ASCII)
_PATH = re.compile(r"/(?:Repos|Shared|Users|Workspace)(?:/.*)?")
_LONGEST = 200
_BEFORE, _AFTER = 40, 20


def excerpt(text: str, mark: int) -> str:
    """Return the text around a position, with … for each word that is not known to be harmless."""
    before: deque[re.Match[str]] = deque(maxlen=_BEFORE)
    after: list[re.Match[str]] = []
    for piece in _PIECE.finditer(text):
        (before if piece.start() < mark else after).append(piece)
        if len(after) == _AFTER:
            break
    left = "".join(reversed(_within(_BEFORE, reversed(before))))
    right = "".join(_within(_AFTER, after))
    line = re.sub(r"…(?:\s*…)+", "…", f"{left} <-- HERE {right}")
    return "" if line.strip("… ") == "<-- HERE" else f". At: {' '.join(line.split())}"


def _within(length: int, pieces: Iterable[re.Match[str]]) -> list[str]:
    words: list[str] = []
    for piece in pieces:
        if length <= 0 and (piece[0].isspace() or piece[0] == ","):
            return [*words, " … "]
        words.append(_shown(piece))
        length -= len(words[-1])
    return words


def _shown(piece: re.Match[str]) -> str:
    word = piece[0]
    if word.isspace():
        return " "
    if not word.isprintable() or len(word) > _LONGEST:
        return "…"
    if word in HARMLESS or (len(word) <= 2 and not any(map(str.isalnum, word))):  # noqa: PLR2004  # , or //
        return word
    # A host before @ could be a user name with a password.
    run = _RUN.match(piece.string, piece.start())
    address = _ADDRESS.fullmatch(word) and run and "@" not in run[0]
    return redact(word) if address or _PATH.fullmatch(word) else "…"
