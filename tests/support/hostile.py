"""Hostile values as formulas: short to print and paste, even for large values.

A `Text` becomes a string: a header or a whole body. A `Value` becomes JSON text in place of a value, possibly
invalid. Every `Text` is also a `Value`.
"""

import base64
import json
from dataclasses import dataclass
from typing import Literal, Protocol
from urllib.parse import quote

Part = Literal["whole", "first half", "second half", "piece"]
Form = Literal["plain", "base64", "url", "upper", "lower"]

MINIMUM = 12
"""Characters: a shorter piece of a secret is harmless."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a response.

    `value`: its JSON text.
    `key`: its name in an object.
    `known`: the secrets that the host knows.
    """

    value: str = "null"
    key: str | None = None
    known: tuple[str, ...] = ()


class Value(Protocol):
    def json(self, place: Place) -> str: ...


class Text(Value, Protocol):
    def text(self, known: tuple[str, ...]) -> str: ...


@dataclass(frozen=True, slots=True)
class Raw:
    r"""JSON text, unchanged: `NaN`, `1e999`, an unpaired surrogate as `"\ud800"`, a raw control character."""

    source: str

    def json(self, _: Place) -> str:
        return self.source


@dataclass(frozen=True, slots=True)
class Digits:
    """An integer with this number of digits."""

    count: int

    def json(self, _: Place) -> str:
        return "7" * self.count


@dataclass(frozen=True, slots=True)
class Nested:
    """The value in this many arrays or objects; if `open`, they are not closed."""

    depth: int
    opening: Literal["[", '{"x":'] = "["
    open: bool = False

    def json(self, place: Place) -> str:
        closing = "" if self.open else ("]" if self.opening == "[" else "}") * self.depth
        return self.opening * self.depth + place.value + closing


@dataclass(frozen=True, slots=True)
class Doubled:
    """The value, and its key again with another value."""

    second: Value

    def json(self, place: Place) -> str:
        if place.key is None:
            return self.second.json(place)
        return f"{place.value}, {json.dumps(place.key)}: {self.second.json(place)}"


@dataclass(frozen=True, slots=True)
class Plain:
    content: str

    def text(self, _: tuple[str, ...]) -> str:
        return self.content

    def json(self, _: Place) -> str:
        return json.dumps(self.content)


@dataclass(frozen=True, slots=True)
class Long:
    """A text repeated this many times."""

    unit: str
    times: int
    before: str = ""

    def text(self, _: tuple[str, ...]) -> str:
        return self.before + self.unit * self.times

    def json(self, _: Place) -> str:
        return json.dumps(self.text(()))


@dataclass(frozen=True, slots=True)
class Token:
    """An unsigned JSON web token with one claim; without a name, the value is the payload."""

    claim: str
    value: Value

    def text(self, known: tuple[str, ...]) -> str:
        value = self.value.json(Place(key=self.claim or None, known=known))
        payload = f"{{{json.dumps(self.claim)}: {value}}}" if self.claim else value
        parts = ('{"alg": "none"}', payload, "signature")
        encoded = (base64.urlsafe_b64encode(part.encode(errors="surrogatepass")) for part in parts)
        return ".".join(part.decode().rstrip("=") for part in encoded)

    def json(self, place: Place) -> str:
        return json.dumps(self.text(place.known))


@dataclass(frozen=True, slots=True)
class Echo:
    """A secret that the caller has sent, or a piece of it, inside a text.

    `secret`: the index of the host's known secrets, modulo their number; negative: from the latest.
    `start` and `length`: of a `piece`, whose length is at least `MINIMUM`.
    """

    secret: int = 0
    part: Part = "whole"
    form: Form = "plain"
    before: str = ""
    after: str = ""
    start: int = 0
    length: int = MINIMUM

    def text(self, known: tuple[str, ...]) -> str:
        secret = known[self.secret % len(known)] if known else ""
        return self.before + _written(self._part(secret), self.form) + self.after

    def json(self, place: Place) -> str:
        return json.dumps(self.text(place.known))

    def _part(self, secret: str) -> str:
        middle = len(secret) // 2
        if self.part == "piece":
            length = max(self.length, MINIMUM)
            start = self.start % max(1, len(secret) - length + 1)
            return secret[start : start + length]
        return {"whole": secret, "first half": secret[:middle], "second half": secret[middle:]}[self.part]


def _written(text: str, form: Form) -> str:
    match form:
        case "base64":
            return base64.b64encode(text.encode(errors="surrogatepass")).decode()
        case "url":
            return quote(text, safe="", errors="surrogatepass")
        case "upper":
            return text.upper()
        case "lower":
            return text.lower()
        case "plain":
            return text
