"""The caller's secrets that each host has seen, which a hostile host can send back.

Off by default: the observer keeps only the names of a body's fields.
"""

import base64
import binascii
import json
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import parse_qs

from aiohttp import web

# The secrets that the called host has seen; the observer leaves them with a request for the faults.
KNOWN = web.RequestKey("KNOWN", tuple)

_SENT = ("personal_access_token", "client_assertion", "subject_token", "client_secret")
_GIVEN = ("access_token", "secret")


class Memory:
    """Every secret that a host has received or issued, in the order of first sight."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, None]] = {}
        self._given: dict[str, None] = {}

    def of(self, host: str) -> tuple[str, ...]:
        return tuple(self._known.get(host, ()))

    def all(self) -> list[str]:
        return list(dict.fromkeys(secret for known in self._known.values() for secret in known))

    def given(self) -> list[str]:
        """Return the secrets that a service has issued, without those that a hostile one invented."""
        return list(self._given)

    def note_request(self, host: str, request: web.Request, body: bytes) -> None:
        """Remember the tokens, passwords, assertions and identity header of a request."""
        self._add(host, _in_headers(request.headers))
        self._add(host, _in_fields(_fields(request.content_type, body), _names(_SENT, host)))

    def note_answer(self, host: str, response: web.StreamResponse) -> None:
        """Remember the token, or the vault's secret, of a response."""
        if isinstance(response, web.Response) and isinstance(response.body, bytes):
            given = list(_in_fields(_fields(response.content_type, response.body), _names(_GIVEN, host)))
            self._add(host, given)
            self._given.update(dict.fromkeys(given))

    def _add(self, host: str, secrets: Iterable[str]) -> None:
        self._known.setdefault(host, {}).update(dict.fromkeys(secrets))


def _names(names: tuple[str, ...], host: str) -> tuple[str, ...]:
    """Return the names of secret fields; `value` is one only in a vault."""
    return (*names, "value") if host.endswith(".vault.azure.net") else names


def _in_headers(headers: Mapping[str, str]) -> Iterator[str]:
    scheme, _, value = headers.get("Authorization", "").partition(" ")
    if scheme == "Basic":
        try:
            yield base64.b64decode(value).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return
    elif value:
        yield value
    if "X-IDENTITY-HEADER" in headers:
        yield headers["X-IDENTITY-HEADER"]


def _in_fields(fields: Mapping[str, object], names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        value = fields.get(name)
        if isinstance(value, str) and value:
            yield value


def _fields(content_type: str, body: bytes) -> Mapping[str, object]:
    if content_type == "application/x-www-form-urlencoded":
        return {name: values[0] for name, values in parse_qs(body.decode(errors="replace")).items()}
    try:
        content = json.loads(body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
