"""The layer between proxy and services: records requests, and injects latency and faults."""

import asyncio
import functools
import json
import socket
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import parse_qs

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from localcloud.answers import PRINCIPAL, ApiError
from localcloud.faults import Action, Connect, Fault, Proceed
from localcloud.memory import KNOWN, Memory


class Site(Protocol):
    """The services under one host name."""

    @property
    def service(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def request_id_header(self) -> str: ...
    def routes(self) -> Iterable[web.RouteDef]: ...


@dataclass(slots=True)
class Request:
    """A recorded request.

    `authorization`: the scheme only.
    `started`: Unix seconds.
    `body_keys`: the field names of a JSON object or form.
    `client_id`: the identity or application in this field of the query or form.
    `principal`: the caller's object ID, or client ID in a workspace; None without authentication.
    `status`: None until the response, or if that is lost.
    """

    index: int
    service: str
    host: str
    method: str
    path: str
    query: dict[str, str]
    authorization: str | None
    started: float
    body_keys: tuple[str, ...] = ()
    client_id: str | None = None
    principal: str | None = None
    status: int | None = None


@dataclass(slots=True)
class Observer:
    """The requests so far, and the faults of the next ones.

    `latency`: seconds added to every response.
    `on_request`: called, in the cloud's thread, with each request before it is handled.
    `memory`: the secrets that each host has seen; None: they are not remembered.
    """

    latency: float = 0.0
    on_request: Callable[[Request], None] | None = None
    memory: Memory | None = None
    requests: list[Request] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def application(self, site: Site) -> web.Application:
        """Return the site's handlers with the observer around them."""
        app = web.Application(middlewares=[self._middleware(site)], client_max_size=64 * 2**20)
        app.add_routes(site.routes())
        return app

    def connect_fault(self, service: str, host: str) -> Connect | None:
        """Return the fault of a connection to this host."""
        for fault in list(self.faults):
            if isinstance(fault.action, Connect) and fault.hits(service, host, "CONNECT", ""):
                return fault.action
        return None

    def _middleware(self, site: Site) -> Middleware:
        @web.middleware
        async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
            record = self._record(site, request)
            _acknowledge(request)
            body = await request.read()
            record.body_keys = _keys(request.content_type, body)
            record.client_id = request.query.get("client_id") or _form(request.content_type, body).get(
                "client_id"
            )
            self._remember(site, request, body)
            if self.on_request:
                self.on_request(record)
            await asyncio.sleep(self.latency)

            async def answer() -> web.StreamResponse:
                response = await _answer(request, handler)
                record.principal = request.get(PRINCIPAL)
                response.headers[site.request_id_header] = str(uuid.uuid4())
                if self.memory is not None:
                    self.memory.note_answer(site.host, response)
                return response

            response = await self._act(record, request, answer)
            if request.transport is not None and not request.transport.is_closing():
                record.status = response.status
            return response

        return middleware

    def _record(self, site: Site, request: web.Request) -> Request:
        scheme, space, _ = request.headers.get("Authorization", "").partition(" ")
        record = Request(
            index=len(self.requests),
            service=site.service,
            host=site.host,
            method=request.method,
            path=request.path,
            query=dict(request.query),
            authorization=scheme if space else None,
            started=time.time(),
        )
        self.requests.append(record)
        return record

    def _remember(self, site: Site, request: web.Request, body: bytes) -> None:
        """Remember the secrets of a request, if enabled, for the faults."""
        if self.memory is not None:
            self.memory.note_request(site.host, request, body)
            request[KNOWN] = self.memory.of(site.host)

    async def _act(self, record: Request, request: web.Request, answer: Proceed) -> web.StreamResponse:
        """Return the response with every matching fault applied; the first injected one is outermost."""
        for fault in reversed(list(self.faults)):
            if isinstance(fault.action, Connect):
                continue
            told = (record.service, record.host, record.method, record.path, record.client_id, record.query)
            if fault.hits(*told):
                answer = _around(fault.action, request, answer)
        return await answer()


def _acknowledge(request: web.Request) -> None:
    """Acknowledge the head of a request at once.

    Towards a proxy, urllib3 keeps Nagle's algorithm on, so the body waits for this acknowledgment. Linux
    delays it by 40 ms, which does not happen in production without a proxy.
    """
    connection = request.transport and request.transport.get_extra_info("socket")
    if connection and hasattr(socket, "TCP_QUICKACK"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def _around(action: Action, request: web.Request, proceed: Proceed) -> Proceed:
    return functools.partial(action, request, proceed)


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ApiError as error:
        return error.response()
    except web.HTTPException as error:
        return web.Response(status=error.status, headers=error.headers, body=error.body)


def _form(content_type: str, body: bytes) -> dict[str, str]:
    if content_type != "application/x-www-form-urlencoded":
        return {}
    fields = parse_qs(body.decode(errors="replace"), keep_blank_values=True)
    return {name: values[0] for name, values in fields.items()}


def _keys(content_type: str, body: bytes) -> tuple[str, ...]:
    if form := _form(content_type, body):
        return tuple(form)
    try:
        content = json.loads(body)
    except ValueError:
        return ()
    return tuple(content) if isinstance(content, dict) else ()
