"""Finds the secrets of a run in any text: pieces, base64, URL encoding, any letter case.

`responses` rejects responses that contain one, and `log` masks them in all output.
"""

import re
import threading
from binascii import a2b_base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import override
from urllib.parse import unquote

PIECE = 12
"""Consecutive letters and digits that count as a piece of a secret. Fewer also occur by chance."""

_GRAM = 6
_STEP = PIECE - _GRAM + 1
"""Each piece contains a gram that starts at a multiple of this, so a text needs few lookups."""

_MIN_DISTINCT_CHARS = 5
"""In a piece, because zeros in a row might be part of a workspace ID."""

_MIN_SECRET_CHARS = 8
"""Letters and digits. Shorter values would match ordinary words, so the filter ignores them.

It also ignores values of only letters or only digits. No service issues such secrets.
"""

_RUN = re.compile(r"[^\s\"'<>]+")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{16,}")
_SEPARATORS = bytes(set(range(256)) - set(b"abcdefghijklmnopqrstuvwxyz0123456789"))
_URL_SAFE = str.maketrans("-_", "+/")
_REMEMBERED = 4096


class _Substrings:
    """Index of all substrings of one length in some values. Values are indexed at the first lookup."""

    def __init__(self, length: int, distinct: int = 1) -> None:
        """Ignore substrings with fewer than `distinct` different characters."""
        self._length = length
        self._distinct = distinct
        self._lock = threading.Lock()
        self._pending: list[str] = []
        self._index: set[str] = set()

    def add(self, value: str) -> None:
        with self._lock:
            self._pending.append(value)

    def has_any(self, substrings: Iterable[str]) -> bool:
        if self._pending:
            with self._lock:
                for value in self._pending:
                    found = self.of(value)
                    varied = (each for each in found if len(set(each)) >= self._distinct)
                    self._index.update(varied if self._distinct > 1 else found)
                self._pending.clear()  # last, because other threads wait for the lock until then
        return not self._index.isdisjoint(substrings)

    def of(self, text: str, step: int = 1) -> list[str]:
        """Return the substrings of a text that begin at multiples of `step`."""
        return [text[at : at + self._length] for at in range(0, len(text) - self._length + 1, step)]


@dataclass(slots=True)
class _Known:
    """Secrets in folded form (see `_folded`), with indexes that find them in linear time."""

    values: set[str] = field(default_factory=set)
    grams: _Substrings = field(default_factory=lambda: _Substrings(_GRAM))
    pieces: _Substrings = field(default_factory=lambda: _Substrings(PIECE, _MIN_DISTINCT_CHARS))
    """Searched only if a gram matches, which is rare in texts without a secret."""
    short: dict[int, _Substrings] = field(default_factory=dict)
    """Secrets that are shorter than a piece, by length."""
    clean: set[str] = field(default_factory=set)
    """Cache of texts without any of these secrets. `add` replaces it."""

    def add(self, value: str) -> None:
        self.values.add(value)
        if len(value) < PIECE:
            self.short = {**self.short, len(value): self.short.get(len(value)) or _Substrings(len(value))}
            self.short[len(value)].add(value)
        else:
            self.grams.add(value)
            self.pieces.add(value)
        self.clean = set()

    def are_in(self, folded: str) -> bool:
        if any(whole.has_any(whole.of(folded)) for whole in self.short.values()):
            return True
        return self.grams.has_any(self.grams.of(folded, _STEP)) and self.pieces.has_any(
            self.pieces.of(folded)
        )


class SecretFilter:
    """Secrets that must not leave the app. Thread-safe."""

    def __init__(self, values: Iterable[str] = (), *, beside: "SecretFilter | None" = None) -> None:
        """Start with `values`, and include all present and future secrets of another filter."""
        self._lock = threading.Lock()
        self._own = _Known()
        self._all: tuple[_Known, ...] = (self._own, *(beside._all if beside else ()))  # noqa: SLF001  # the same class
        for value in values:
            self.add(value)

    @override
    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self._own.values)} values)"

    def add(self, value: str) -> None:
        folded = _folded(value)
        with self._lock:
            if (
                len(folded) < _MIN_SECRET_CHARS
                or folded.isalpha()
                or folded.isdecimal()
                or folded in self._own.values
            ):
                return
            self._own.add(folded)

    def contains(self, text: str) -> bool:
        """Return whether a text contains a secret or a piece of one, whatever its encoding."""
        # Get the cache before the search: `add` replaces it, so no outdated result is cached.
        asked = [(known, known.clean) for known in self._all if known.values]
        asked = [(known, clean) for known, clean in asked if text not in clean]
        if not asked:
            return False
        if any(known.are_in(form) for form in _forms(text) for known, _ in asked):
            return True
        if len(text) < _REMEMBERED:
            for _, clean in asked:
                if len(clean) >= _REMEMBERED:
                    clean.clear()
                clean.add(text)
        return False

    def mask(self, text: str) -> str:
        """Replace each word that contains a secret by ***."""
        if not self.contains(text):
            return text
        hidden = _RUN.sub(lambda run: "***" if self.contains(run[0]) else run[0], text)
        return "***" if self.contains(hidden) else hidden  # a secret extends over several words


def _forms(text: str) -> Iterator[str]:
    """Yield the folded forms of a text, and of the texts that it might encode with URL encoding or base64."""
    plain = {text, unquote(text, errors="replace")} if "%" in text else {text}
    for form in plain:
        yield _folded(form)
        coded = _BASE64.findall(form.translate(_URL_SAFE))
        for shift in range(4) if coded else ():  # the start of a group of four is unknown
            decoded = (a2b_base64(part[shift : shift + (len(part) - shift) // 4 * 4]) for part in coded)
            yield _letters_and_digits(b"".join(decoded))


def _folded(text: str) -> str:
    """Return the ASCII letters and digits of a text in lower case."""
    return _letters_and_digits(text.lower().encode("ascii", "ignore"))


def _letters_and_digits(text: bytes) -> str:
    return text.lower().translate(None, _SEPARATORS).decode()
