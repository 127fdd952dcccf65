"""The one HTTP session that every SDK of the app is given.

Whatever an SDK's own settings say, here a request goes to the one origin it is meant for, over TLS that was verified, is never
redirected, and ends when its operation's deadline has come: through a proxy or not, connecting, a byte at a time, or endless. No more
of an answer is read than an honest one has, no cookie is kept, and an SDK is handed a body only if that is JSON. `~/.netrc` is not
read. The answer is noted for the diagnosis, since SDK exceptions lose its status and headers, and carry text that must not get out.
"""

import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from io import BytesIO
from typing import Any, override
from urllib.parse import urlsplit

import requests

from git_refresh.clients.connections import CONNECT_LIMIT, Adapter, AnswerTooLargeError
from git_refresh.clients.responses import read_json, without_mark
from git_refresh.model.clock import Deadline, ServiceTime, Skew, current_operation
from git_refresh.model.waiting import at_once
from git_refresh.output.mask import SecretFilter

MAX_BODY = 1024 * 1024
"""Bytes of one answer, unpacked. A page of 20 Git folders has some 10,000, a token fewer."""

MAX_HEAD = 64 * 1024
"""Bytes before an answer's body: its status and headers, those of a proxy, and of every `100 Continue`."""

_CHUNK = 64 * 1024


class RequestRefusedError(requests.RequestException):
    """A request to somewhere else than the session's origin: it was not sent."""


class RedirectedError(requests.RequestException):
    """A redirect: it is not followed, and never a success (an SDK takes one without a body for that)."""


class NotJsonError(requests.RequestException):
    """The service said that all is well, with something else than a JSON object."""


@dataclass(frozen=True, slots=True)
class LastResponse:
    """What came back last, kept for the diagnosis. It may hold secrets: it is read, never shown."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(slots=True)
class Network:
    """What all clients of one run share."""

    tls: ssl.SSLContext
    """What certificates are verified against."""
    deadline: Deadline
    """When every wait ends."""
    secrets: SecretFilter
    """Learns what is secret. Answers must not repeat it."""
    skew: Skew = field(init=False)
    """Learns the time at the services."""

    def __post_init__(self) -> None:
        self.skew = Skew(self.deadline.clock)


@dataclass(slots=True)
class ByteBudget:
    """Bytes of answers that one party may still send us in this run, so that it cannot use up what all need."""

    left: int

    def take(self, size: int) -> None:
        """Count an answer, which is too large if it has sent enough."""
        self.left -= size
        if self.left < 0:
            raise AnswerTooLargeError("this service has sent more than a run takes from one")


def _no_netrc(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


class BoundedSession(requests.Session):
    """A session for the given origins (`https://host[:port]`) and no others."""

    def __init__(
        self,
        origins: Iterable[str],
        tls: ssl.SSLContext,
        *,
        connections: int = 4,
        max_body: int = MAX_BODY,
        allowance: ByteBudget | None = None,
        skew: Skew | ServiceTime | None = None,
    ) -> None:
        """Bound each answer to `max_body` bytes, and all of them to the allowance; `skew` is told what time it is over there."""
        super().__init__()
        self._skew = skew
        self._origins = frozenset(_origin(origin) for origin in origins)
        self._proxies: dict[str, Mapping[str, str]] = {}
        self._max_body = max_body
        self._allowance = allowance
        self.auth: Callable[[requests.PreparedRequest], requests.PreparedRequest] = _no_netrc
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        adapter = Adapter(tls, connections)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    @override
    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """The proxy that the environment names for an origin, looked up once: that takes as long as half a request."""
        origin = _origin(url)
        if self.trust_env and origin not in self._proxies:
            self._proxies[origin] = requests.utils.get_environ_proxies(url)
        chosen = {**self._proxies.get(origin, {}), **(proxies or {})}
        return {"proxies": chosen, "stream": stream, "verify": verify, "cert": cert}

    @override
    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        operation = current_operation()
        operation.answer = None
        if _origin(request.url or "") not in self._origins:
            raise RequestRefusedError("this session does not talk to that host", request=request)
        operation.proxy = proxy_of(request.url or "", kwargs.get("proxies") or {})
        left = operation.seconds_left()
        kwargs.update(stream=True, timeout=(at_once(min(left, CONNECT_LIMIT)), left), verify=True, cert=None)
        operation.room = MAX_HEAD
        response = super().send(request, **kwargs)
        operation.room = self._max_body + MAX_HEAD  # what frames the chunks of a body counts too
        body = self._read(response)
        if self._skew is not None:
            self._skew.observe(response.headers.get("Date"))
        operation.answer = LastResponse(response.status_code, response.headers, body)
        if 300 <= response.status_code < 400:  # noqa: PLR2004  # HTTP's redirects
            raise RedirectedError("the answer is a redirect", response=response)
        response.raw = BytesIO(_json_object(response, body))  # where an SDK reads on
        return response

    def _read(self, response: requests.Response) -> bytes:
        """The body, read here so that it too is bounded."""
        body = bytearray()
        try:
            for chunk in response.raw.stream(_CHUNK, decode_content=True):
                body += chunk
                if len(body) > self._max_body:
                    body.clear()  # the exception holds on to this frame until it is collected
                    raise AnswerTooLargeError("the answer is too large", response=response)
        finally:
            response.raw.close()
        if self._allowance is not None:
            self._allowance.take(len(body))
        return bytes(body)

    @override
    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: a redirect is an answer like any other, and a token never follows one."""


def proxy_of(url: str, proxies: Mapping[str, str]) -> str:
    """`host:port` of the proxy for a URL, without the user name and password that stand before it; empty where there is none."""
    try:
        chosen = requests.utils.select_proxy(url, proxies) or ""
        parts = urlsplit(chosen if "://" in chosen else f"//{chosen}")
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        return ""
    host = parts.hostname or ""
    return f"[{host}]{port}" if ":" in host else f"{host}{port}"


def _json_object(response: requests.Response, body: bytes) -> bytes:
    """The body as an SDK may see it: a JSON object without a byte-order mark, or nothing at all.

    Raises:
        NotJsonError: all is well, the service says, and sends something else.
    """
    if isinstance(read_json(body), dict):
        return without_mark(body)
    read = response.request.method == "GET"
    if response.ok and (body or read):
        raise NotJsonError("the answer is no JSON object", response=response)
    return b""


def _origin(url: str) -> str:
    """Without the port that goes without saying: Key Vault writes it into the address of a list's next page."""
    parts = urlsplit(url)
    address = parts.netloc.lower()
    if parts.scheme in _PORTS:
        address = address.removesuffix(_PORTS[parts.scheme])
    return f"{parts.scheme}://{address}"


_PORTS = {"https": ":443", "http": ":80"}
