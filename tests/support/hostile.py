"""Hostile values, as formulas: small to print and to type again, however large the values they produce.

A `Text` becomes a string: a header, or a whole body. A `Value` becomes JSON text in the place of a value of the answer; it need be no
valid JSON. Every `Text` is a `Value` too: a JSON string.
"""

import base64
import json
from dataclasses import dataclass
from typing import Literal, Protocol
from urllib.parse import quote

Part = Literal["whole", "first half", "second half", "piece"]
Form = Literal["plain", "base64", "url", "upper", "lower"]

MINIMUM = 12
"""Characters of a secret that are worth hiding: a shorter piece of one opens nothing."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in an answer a value goes.

    Attributes:
        value: the JSON text that is there now.
        key: its name, if it is in an object.
        known: the secrets that the answering host knows.
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
    r"""JSON text as it is: `NaN`, `1e999`, an unpaired surrogate as `"\ud800"`, a control character nobody has escaped."""

    source: str

    def json(self, _: Place) -> str:
        return self.source


@dataclass(frozen=True, slots=True)
class Digits:
    """An integer of so many digits."""

    count: int

    def json(self, _: Place) -> str:
        return "7" * self.count


@dataclass(frozen=True, slots=True)
class Nested:
    """The value that is there, so many arrays or objects deep; left `open`, they never end."""

    depth: int
    opening: Literal["[", '{"x":'] = "["
    open: bool = False

    def json(self, place: Place) -> str:
        closing = "" if self.open else ("]" if self.opening == "[" else "}") * self.depth
        return self.opening * self.depth + place.value + closing


@dataclass(frozen=True, slots=True)
class Doubled:
    """The value that is there, and its key once more with another."""

    second: Value

    def json(self, place: Place) -> str:
        if place.key is None:
            return self.second.json(place)
        return f"{place.value}, {json.dumps(place.key)}: {self.second.json(place)}"


@dataclass(frozen=True, slots=True)
class Plain:
    """Text as it is."""

    content: str

    def text(self, _: tuple[str, ...]) -> str:
        return self.content

    def json(self, _: Place) -> str:
        return json.dumps(self.content)


@dataclass(frozen=True, slots=True)
class Long:
    """One text, so many times."""

    unit: str
    times: int
    before: str = ""

    def text(self, _: tuple[str, ...]) -> str:
        return self.before + self.unit * self.times

    def json(self, _: Place) -> str:
        return json.dumps(self.text(()))


@dataclass(frozen=True, slots=True)
class Token:
    """A JSON web token that nobody has signed, with one claim; without a name for it, that value is all of the payload."""

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
    """A secret that the caller has sent, or a piece of it, in the middle of something.

    Attributes:
        secret: which of those that the host knows; counted on from the first after the last, so that any number is one. Negative:
            from the latest.
        start: where a `piece` begins.
        length: of a `piece`, at least `MINIMUM`.
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
