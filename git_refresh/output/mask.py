"""Recognizes the secrets of a run in any text: in parts, base64, URL-encoded, in any letter case.

Used for responses, which must not repeat what a service received (`responses`), and for all output (`log`).
"""

import re
import threading
from binascii import a2b_base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import override
from urllib.parse import unquote

PIECE = 12
"""Letters and digits in a row that count as a piece of a secret. Fewer also occur by chance."""

_GRAM = 6
_STEP = PIECE - _GRAM + 1
"""Every `PIECE` characters in a row contain a whole gram that starts at a multiple of this."""

_DISTINCT = 5
"""Minimum of different characters in a piece: a row of zeros might be part of a workspace ID."""

_SHORTEST = 8
"""Minimum of letters and digits in a secret. Shorter values would match ordinary words everywhere.

For the same reason, values of only letters or only digits are ignored. No service issues such secrets.
"""

_RUN = re.compile(r"[^\s\"'<>]+")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{16,}")
_SEPARATORS = bytes(set(range(256)) - set(b"abcdefghijklmnopqrstuvwxyz0123456789"))
_URL_SAFE = str.maketrans("-_", "+/")
_REMEMBERED = 4096


class _Windows:
    """All rows of one length in some values, cut once when first needed, and found in constant time."""

    def __init__(self, length: int, distinct: int = 1) -> None:
        """Ignore rows with fewer than `distinct` different characters."""
        self._length = length
        self._distinct = distinct
        self._lock = threading.Lock()
        self._uncut: list[str] = []
        self._rows: set[str] = set()

    def add(self, value: str) -> None:
        with self._lock:
            self._uncut.append(value)

    def has_any(self, rows: Iterable[str]) -> bool:
        if self._uncut:
            with self._lock:
                for value in self._uncut:
                    cut = self.of(value)
                    telling = (row for row in cut if len(set(row)) >= self._distinct)
                    self._rows.update(telling if self._distinct > 1 else cut)
                self._uncut.clear()  # last: until then, other threads wait for the lock
        return not self._rows.isdisjoint(rows)

    def of(self, text: str, step: int = 1) -> list[str]:
        """Return the rows of a text that begin at multiples of `step`."""
        return [text[at : at + self._length] for at in range(0, len(text) - self._length + 1, step)]


@dataclass(slots=True)
class _Known:
    """Folded secrets, and the means to find them, or pieces of them, in linear time."""

    values: set[str] = field(default_factory=set)
    grams: _Windows = field(default_factory=lambda: _Windows(_GRAM))
    pieces: _Windows = field(default_factory=lambda: _Windows(PIECE, _DISTINCT))
    """Cut only after a gram matched, which is rare in other texts."""
    short: dict[int, _Windows] = field(default_factory=dict)
    clean: set[str] = field(default_factory=set)
    """Texts without any of these secrets. A new secret replaces this set."""

    def add(self, value: str) -> None:
        self.values.add(value)
        if len(value) < PIECE:
            self.short = {**self.short, len(value): self.short.get(len(value)) or _Windows(len(value))}
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
    """The secrets that must not leave the app. All threads of a run use one filter."""

    def __init__(self, values: Iterable[str] = (), *, beside: "SecretFilter | None" = None) -> None:
        """Start with `values`, in addition to those of another filter."""
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
                len(folded) < _SHORTEST
                or folded.isalpha()
                or folded.isdecimal()
                or folded in self._own.values
            ):
                return
            self._own.add(folded)

    def contains(self, text: str) -> bool:
        """Return whether a text contains a secret or a piece of one, whatever its encoding."""
        # Take the set first: `add` replaces it, so an outdated result is never remembered.
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
        """Return the text with *** for every word that contains a secret."""
        if not self.contains(text):
            return text
        hidden = _RUN.sub(lambda run: "***" if self.contains(run[0]) else run[0], text)
        return "***" if self.contains(hidden) else hidden  # a secret spread over several words


def _forms(text: str) -> Iterator[str]:
    """Yield the letters and digits of a text, and of what it might encode as URL or base64."""
    plain = {text, unquote(text, errors="replace")} if "%" in text else {text}
    for form in plain:
        yield _folded(form)
        coded = _BASE64.findall(form.translate(_URL_SAFE))
        for shift in range(4) if coded else ():  # the start of a group of four is unknown
            decoded = (a2b_base64(part[shift : shift + (len(part) - shift) // 4 * 4]) for part in coded)
            yield _letters_and_digits(b"".join(decoded))


def _folded(text: str) -> str:
    return _letters_and_digits(text.lower().encode("ascii", "ignore"))


def _letters_and_digits(text: bytes) -> str:
    return text.lower().translate(None, _SEPARATORS).decode()
