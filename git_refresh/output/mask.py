"""The secrets of a run, recognised in any text: whole, a piece of one, in base64, URL-encoded, in other letter case.

Both edges ask here. What a service answers must not contain what it was sent (`responses`), and nothing that goes out may (`log`).
"""

import re
import threading
from binascii import a2b_base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import override
from urllib.parse import unquote

PIECE = 12
"""Letters and digits in a row that count as a piece of a secret. Fewer give nothing away, and occur by chance."""

_GRAM = 6
_STEP = PIECE - _GRAM + 1
"""Of every `PIECE` characters in a row, one gram that starts at a multiple of this is wholly inside."""

_DISTINCT = 5
"""Different characters that a piece has to have: a row of zeros may be the workspace's own number."""

_SHORTEST = 8
"""A secret with fewer letters and digits is not looked for, nor is one of letters or digits alone: one of our own words, or a
workspace's number, would be found everywhere, and no service hands out such a secret in earnest."""

_RUN = re.compile(r"[^\s\"'<>]+")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{16,}")
_SEPARATORS = bytes(set(range(256)) - set(b"abcdefghijklmnopqrstuvwxyz0123456789"))
_URL_SAFE = str.maketrans("-_", "+/")
_REMEMBERED = 4096


class _Windows:
    """All the rows of a length in some values: cut once, when first needed, and looked up in constant time."""

    def __init__(self, length: int, distinct: int = 1) -> None:
        """Begin with no value. A row counts if it has so many different characters."""
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
                self._uncut.clear()  # last: until then other threads wait for the lock
        return not self._rows.isdisjoint(rows)

    def of(self, text: str, step: int = 1) -> list[str]:
        """The rows of a text that begin at multiples of `step`."""
        return [text[at : at + self._length] for at in range(0, len(text) - self._length + 1, step)]


@dataclass(slots=True)
class _Known:
    """Some secrets, folded, and what shows in time linear in a text whether one of them, or a piece of one, is in it."""

    values: set[str] = field(default_factory=set)
    grams: _Windows = field(default_factory=lambda: _Windows(_GRAM))
    pieces: _Windows = field(default_factory=lambda: _Windows(PIECE, _DISTINCT))
    """Cut only when a gram occurs in a text: honest texts hardly ever contain one."""
    short: dict[int, _Windows] = field(default_factory=dict)
    """Secrets shorter than a piece, by their length."""
    clean: set[str] = field(default_factory=set)
    """Texts without any of these secrets. A text that was begun before the latest secret was learnt is not among them."""

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
    """What must not get out. Used by all threads of a run."""

    def __init__(self, values: Iterable[str] = (), *, beside: "SecretFilter | None" = None) -> None:
        """Begin with some, in addition to those of another."""
        self._lock = threading.Lock()
        self._own = _Known()
        self._all: tuple[_Known, ...] = (self._own, *(beside._all if beside else ()))  # noqa: SLF001  # its own class
        for value in values:
            self.add(value)

    @override
    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self._own.values)} values)"

    def add(self, value: str) -> None:
        """From now on this is a secret too."""
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
        """Whether a text contains a secret, or a piece of one, however it is written and whatever is in between."""
        # Where it will be remembered is settled first: a secret that is learnt meanwhile leaves that behind.
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
        """The text, with *** for every word in which there is something secret."""
        if not self.contains(text):
            return text
        hidden = _RUN.sub(lambda run: "***" if self.contains(run[0]) else run[0], text)
        return "***" if self.contains(hidden) else hidden  # spread over several words


def _forms(text: str) -> Iterator[str]:
    """The letters and digits of a text, and of what it, or each row in it, may be the URL-encoding or base64 of."""
    plain = {text, unquote(text, errors="replace")} if "%" in text else {text}
    for form in plain:
        yield _folded(form)
        coded = _BASE64.findall(form.translate(_URL_SAFE))
        for shift in range(4) if coded else ():  # where a group of four begins is not known
            decoded = (a2b_base64(part[shift : shift + (len(part) - shift) // 4 * 4]) for part in coded)
            yield _letters_and_digits(b"".join(decoded))


def _folded(text: str) -> str:
    return _letters_and_digits(text.lower().encode("ascii", "ignore"))


def _letters_and_digits(text: bytes) -> str:
    return text.lower().translate(None, _SEPARATORS).decode()
