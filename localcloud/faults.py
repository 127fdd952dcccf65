"""Faults to inject, with their place and number.

An action is built by the functions below and changes the handling of a request. A `Connect` member changes a
connection before its first request.
"""

import asyncio
import enum
import json
import re
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

type Proceed = Callable[[], Awaitable[web.StreamResponse]]
type Action = Callable[[web.Request, Proceed], Awaitable[web.StreamResponse]]


class Connect(enum.Enum):
    """Faults before a request: at the proxy or in the TLS handshake."""

    REFUSE = "the proxy answers 502, as for a host that cannot be reached"
    WRONG_NAME = "the certificate is for another host"
    UNTRUSTED = "the certificate is from an authority nobody trusts"
    HANG = "the TLS handshake is never answered"
    DRIP = "the proxy answers a byte at a time, and never to the end"


@dataclass(slots=True)
class Fault:
    """One fault. A criterion of None matches everything.

    `route` is a regular expression, searched in the decoded path. `asks` are required query parameters, such
    as the path of a listed directory. With a `client_id`, only requests with this identity or application, in
    the query or a form, match. `nth` skips matches before the n-th; it hits only that one unless `times` is
    given. `times` limits the number of hits.
    """

    action: Action | Connect
    service: str | None = None
    host: str | None = None
    method: str | None = None
    route: str | None = None
    nth: int | None = None
    times: int | None = None
    client_id: str | None = None
    asks: Mapping[str, str] = field(default_factory=dict)
    _seen: int = field(default=0, init=False)

    def hits(  # a request's properties
        self,
        service: str,
        host: str,
        method: str,
        path: str,
        client_id: str | None = None,
        query: Mapping[str, str] | None = None,
    ) -> bool:
        """Count a matching request, and return whether the fault hits it."""
        matches = (
            self.service in (None, service)
            and self.host in (None, host)
            and self.method in (None, method)
            and self.client_id in (None, client_id)
            and self.asks.items() <= (query or {}).items()
            and (self.route is None or re.search(self.route, path) is not None)
        )
        if not matches:
            return False
        self._seen += 1
        first = self.nth or 1
        times = self.times or (1 if self.nth else None)
        return self._seen >= first and (times is None or self._seen < first + times)


def delay(seconds: float) -> Action:
    """Respond as always, after a delay."""

    async def act(_: web.Request, proceed: Proceed) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await proceed()

    return act


def hang() -> Action:
    """Accept the request and never respond."""

    async def act(_: web.Request, __: Proceed) -> web.StreamResponse:
        never: asyncio.Future[web.StreamResponse] = asyncio.get_running_loop().create_future()
        return await never

    return act


def reset() -> Action:
    """Drop the connection with a TCP reset."""

    async def act(request: web.Request, _: Proceed) -> web.StreamResponse:
        if request.transport is not None:
            linger_zero = struct.pack("ii", 1, 0)
            connection = request.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_zero)
            request.transport.abort()
        return web.Response()

    return act


def status(
    code: int,
    body: str | bytes | Mapping[str, object] = b"",
    headers: Mapping[str, str] | None = None,
    content_type: str | None = None,
) -> Action:
    """Respond with this instead; a mapping is sent as JSON, another body unchanged."""
    raw = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    kind = content_type or ("application/json" if isinstance(body, Mapping) else "text/html; charset=utf-8")

    async def act(_: web.Request, __: Proceed) -> web.StreamResponse:
        return web.Response(status=code, body=raw, headers={"Content-Type": kind, **(headers or {})})

    return act


def replace_body(body: bytes | Callable[[bytes], bytes]) -> Action:
    """Handle the request, and replace only the body of the response."""

    async def act(_: web.Request, proceed: Proceed) -> web.StreamResponse:
        response = await proceed()
        if isinstance(response, web.Response):
            response.body = body if isinstance(body, bytes) else body(_body(response))
        return response

    return act


def dated(date: str) -> Action:
    """Handle the request, and respond with this `Date`."""

    async def act(_: web.Request, proceed: Proceed) -> web.StreamResponse:
        response = await proceed()
        response.headers["Date"] = date
        return response

    return act


def huge(size: int = 10_000_000) -> Action:
    """Respond 200 with this many bytes of JSON."""
    return status(200, b'{"x":"' + b"x" * size + b'"}', content_type="application/json")


def endless_pages() -> Action:
    """Let every page of a list name the first page as its next one."""

    def another(body: bytes) -> bytes:
        return json.dumps({**json.loads(body), "next_page_token": "0"}).encode()

    return replace_body(another)


def drip(part: str = "body", interval: float = 1.0) -> Action:
    """Send one byte per `interval` seconds until the client gives up."""

    async def act(request: web.Request, _: Proceed) -> web.StreamResponse:
        transport = request.transport
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        head += b"X-Slow: " if part == "headers" else b"Content-Length: 1000000\r\n\r\n"
        while transport is not None and not transport.is_closing():
            transport.write(head)
            head = b" "
            await asyncio.sleep(interval)
        return web.Response()

    return act


def before(work: Callable[[], object]) -> Action:
    """Run `work` before the request is handled, like another admin between a read and a write."""

    async def act(_: web.Request, proceed: Proceed) -> web.StreamResponse:
        work()
        return await proceed()

    return act


def act_then(loss: Action) -> Action:
    """Handle the request, then lose the response by another action, such as `reset()` or `hang()`."""

    async def act(request: web.Request, proceed: Proceed) -> web.StreamResponse:
        await proceed()
        return await loss(request, proceed)

    return act


def _body(response: web.Response) -> bytes:
    return response.body if isinstance(response.body, bytes) else b""


_HTML = "<html><body><h1>Bad Gateway</h1></body></html>"
NAMED: Mapping[str, Callable[[], Action | Connect]] = {
    "accepts and hangs": hang,
    "drips its body": lambda: drip("body", 0.05),
    "drips its headers": lambda: drip("headers", 0.05),
    "resets the connection": reset,
    "refuses the connection": lambda: Connect.REFUSE,
    "has another host's certificate": lambda: Connect.WRONG_NAME,
    "has nobody's certificate": lambda: Connect.UNTRUSTED,
    "hangs in the handshake": lambda: Connect.HANG,
    "throttles for an hour": lambda: status(
        429, {"error_code": "REQUEST_LIMIT_EXCEEDED"}, {"Retry-After": "3600"}
    ),
    "answers 500 in JSON": lambda: status(500, {"error_code": "INTERNAL_ERROR", "message": "oops"}),
    "answers 502 in HTML": lambda: status(502, _HTML),
    "answers 503 in plain text": lambda: status(503, "try later", content_type="text/plain"),
    "answers 400 with a JSON list": lambda: status(400, "[1, 2]", content_type="application/json"),
    "answers 200 and nothing": lambda: status(200),
    "answers 200 in HTML": lambda: status(200, _HTML),
    "answers 200 with a JSON list": lambda: status(200, "[1, 2]", content_type="application/json"),
    "answers 200 with null": lambda: status(200, "null", content_type="application/json"),
    "answers 200 with wrong types": lambda: status(
        200,
        {
            "access_token": 5,
            "expires_in": "x",
            "credentials": {"a": 1},
            "repos": "x",
            "objects": {"path": 1},
            "value": 7,
            "id": [],
            "credential_id": {},
            "object_id": "1",
        },
    ),
    "answers 200 in no encoding": lambda: status(200, b'\xff\xfe{"a"', content_type="application/json"),
    "answers 10 MB": huge,
    "redirects elsewhere": lambda: status(307, headers={"Location": "https://evil.example/steal"}),
}
"""Faults by a name that completes "a service that …"; each use creates a new action."""
