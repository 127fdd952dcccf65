"""The secrets of a run, recognised in any text: whole, a piece of one, in base64, URL-encoded, in other letter case.

Both edges ask here. What a service answers must not contain what it was sent (`answers`), and nothing that goes out may (`outlet`).
"""

import base64
import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import override
from urllib.parse import unquote

PIECE = 12
"""Letters and digits in a row that count as a piece of a secret. Fewer give nothing away, and occur by chance."""

_GRAM = 6
_STEP = PIECE - _GRAM + 1
"""Of every `PIECE` characters in a row, one gram that starts at a multiple of this is wholly inside: so these are enough to keep."""

_DISTINCT = 5
"""Different characters that a piece has to have: a row of zeros may be the workspace's own number."""

_SHORTEST = 8
"""A secret with fewer letters and digits is not looked for, nor is one of letters or digits alone: one of our own words, or a
workspace's number, would be found everywhere, and no service hands out such a secret in earnest."""

_RUN = re.compile(r"[^\s\"'<>]+")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}")
_SEPARATORS = bytes(set(range(256)) - set(b"abcdefghijklmnopqrstuvwxyz0123456789"))
_URL_SAFE = str.maketrans("-_", "+/")
_REMEMBERED = 4096


@dataclass(slots=True)
class _Known:
    """Some secrets, folded, and what shows quickly that a text holds none of them."""

    values: dict[str, None] = field(default_factory=dict)
    grams: set[str] = field(default_factory=set)
    short: tuple[str, ...] = ()
    clean: set[str] = field(default_factory=set)
    """Texts that have been looked through; not one that was begun before the latest secret was learnt."""

    def are_in(self, folded: str, grams: set[str]) -> bool:
        if any(short in folded for short in self.short):
            return True
        if self.grams.isdisjoint(grams):
            return False
        pieces = {folded[start : start + PIECE] for start in range(len(folded) - PIECE + 1)}
        telling = [piece for piece in pieces if len(set(piece)) >= _DISTINCT]
        return any(piece in value for value in list(self.values) for piece in telling)


class Secrets:
    """What must not get out. Used by all threads of a run."""

    def __init__(self, values: Iterable[str] = (), *, beside: "Secrets | None" = None) -> None:
        """Begin with some, in addition to those of another."""
        self._lock = threading.Lock()
        self._own = _Known()
        self._all: tuple[_Known, ...] = (self._own, *(beside._all if beside else ()))  # noqa: SLF001  # its own class
        for value in values:
            self.learn(value)

    @override
    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self._own.values)} values)"

    def learn(self, value: str) -> None:
        """From now on this is a secret too."""
        folded = _folded(value)
        own = self._own
        with self._lock:
            if len(folded) < _SHORTEST or folded.isalpha() or folded.isdecimal() or folded in own.values:
                return
            own.values[folded] = None
            if len(folded) < PIECE:
                own.short = (*own.short, folded)
            own.grams |= _grams(folded, _STEP)
            own.clean = set()

    def are_in(self, text: str) -> bool:
        """Whether a text contains a secret, or a piece of one, however it is written and whatever is in between."""
        # Where it will be remembered is settled first: a secret that is learnt meanwhile leaves that behind.
        asked = [(known, known.clean) for known in self._all if known.values]
        asked = [(known, clean) for known, clean in asked if text not in clean]
        if not asked:
            return False
        for form in _forms(text):
            grams = _grams(form, 1)
            if any(known.are_in(form, grams) for known, _ in asked):
                return True
        if len(text) < _REMEMBERED:
            for _, clean in asked:
                if len(clean) >= _REMEMBERED:
                    clean.clear()
                clean.add(text)
        return False

    def hidden(self, text: str) -> str:
        """The text, with *** for every word in which there is something secret."""
        if not self.are_in(text):
            return text
        hidden = _RUN.sub(lambda run: "***" if self.are_in(run[0]) else run[0], text)
        return "***" if self.are_in(hidden) else hidden  # spread over several words


def _forms(text: str) -> Iterator[str]:
    """The letters and digits of a text, and of what it may be the URL-encoding or base64 of."""
    plain = {text, unquote(text, errors="replace")}
    for form in plain:
        yield _folded(form)
        for match in _BASE64.finditer(form):
            coded = match[0].translate(_URL_SAFE)
            for shift in range(4):  # where a group of four begins is not known
                whole = coded[shift : shift + (len(coded) - shift) // 4 * 4]
                yield _letters_and_digits(base64.b64decode(whole))


def _folded(text: str) -> str:
    return _letters_and_digits(text.lower().encode("ascii", "ignore"))


def _letters_and_digits(text: bytes) -> str:
    return text.lower().translate(None, _SEPARATORS).decode()


def _grams(text: str, step: int) -> set[str]:
    return {text[start : start + _GRAM] for start in range(0, len(text) - _GRAM + 1, step)}
