"""HTTP session that all SDKs and clients of the app use.

It sends requests only to the given origins, over verified TLS, without redirects, cookies or `~/.netrc`.
It enforces the operation's deadline and a maximum response size. SDKs receive only JSON objects.
It keeps the last response for the diagnosis, because SDK exceptions lose its status and headers.
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
"""Bytes of one decompressed response. A page of 20 Git folders has about 10,000."""

MAX_HEAD = 64 * 1024
"""Bytes before the body, including a proxy's headers and every `100 Continue`."""

_CHUNK = 64 * 1024


class RequestRefusedError(requests.RequestException):
    """A request was for another origin, so it was not sent."""


class RedirectedError(requests.RequestException):
    """The response is a redirect. SDKs would treat one without a body as a success."""


class NotJsonError(requests.RequestException):
    """The body of a successful response is not a JSON object."""


@dataclass(frozen=True, slots=True)
class LastResponse:
    """The last response, for the diagnosis. It might contain secrets, so it is never shown."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(slots=True)
class Network:
    """Objects that all clients of one run share."""

    tls: ssl.SSLContext
    deadline: Deadline
    secrets: SecretFilter
    """Secrets of the run so far. Responses must not repeat them."""
    skew: Skew = field(init=False)

    def __post_init__(self) -> None:
        self.skew = Skew(self.deadline.clock)


@dataclass(slots=True)
class ByteBudget:
    """Number of bytes that one service can still send in this run."""

    left: int

    def take(self, size: int) -> None:
        """Subtract the size of a response. Raise `AnswerTooLargeError` if the budget is exhausted."""
        self.left -= size
        if self.left < 0:
            raise AnswerTooLargeError("this service has sent more than a run takes from one")


def _no_netrc(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


class BoundedSession(requests.Session):
    """Session for the given origins (`https://host[:port]`)."""

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
        """Limit each response to `max_body`, and all to `allowance`. `skew` observes the service's time."""
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
        """Cache the environment's proxy for each origin, because the lookup takes half as long as a request."""
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
            raise RequestRefusedError("this session sends nothing to that host", request=request)
        operation.proxy = proxy_of(request.url or "", kwargs.get("proxies") or {})
        left = operation.seconds_left()
        kwargs.update(stream=True, timeout=(at_once(min(left, CONNECT_LIMIT)), left), verify=True, cert=None)
        operation.room = MAX_HEAD
        response = super().send(request, **kwargs)
        operation.room = self._max_body + MAX_HEAD  # includes the framing of chunks
        body = self._read(response)
        if self._skew is not None:
            self._skew.observe(response.headers.get("Date"))
        operation.answer = LastResponse(response.status_code, response.headers, body)
        if 300 <= response.status_code < 400:  # noqa: PLR2004  # HTTP's redirects
            raise RedirectedError("the response is a redirect", response=response)
        response.raw = BytesIO(_json_object(response, body))  # SDKs read the body from here
        return response

    def _read(self, response: requests.Response) -> bytes:
        body = bytearray()
        try:
            for chunk in response.raw.stream(_CHUNK, decode_content=True):
                body += chunk
                if len(body) > self._max_body:
                    body.clear()  # the exception keeps this frame alive
                    raise AnswerTooLargeError("the response is too large", response=response)
        finally:
            response.raw.close()
        if self._allowance is not None:
            self._allowance.take(len(body))
        return bytes(body)

    @override
    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return None. Security: without a target, no token follows a redirect."""


def proxy_of(url: str, proxies: Mapping[str, str]) -> str:
    """Return `host:port` of the proxy for a URL, or ""."""
    try:
        chosen = requests.utils.select_proxy(url, proxies) or ""
        parts = urlsplit(chosen if "://" in chosen else f"//{chosen}")
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        return ""
    host = parts.hostname or ""
    return f"[{host}]{port}" if ":" in host else f"{host}{port}"


def _json_object(response: requests.Response, body: bytes) -> bytes:
    """Return the body if it is a JSON object, without a byte-order mark, otherwise b"".

    Raises:
        NotJsonError: a successful response has another body, or none after a GET request.
    """
    if isinstance(read_json(body), dict):
        return without_mark(body)
    read = response.request.method == "GET"
    if response.ok and (body or read):
        raise NotJsonError("the response is not a JSON object", response=response)
    return b""


def _origin(url: str) -> str:
    """Return the origin of a URL without the default port. Key Vault adds it to the URL of a next page."""
    parts = urlsplit(url)
    address = parts.netloc.lower()
    if parts.scheme in _PORTS:
        address = address.removesuffix(_PORTS[parts.scheme])
    return f"{parts.scheme}://{address}"


_PORTS = {"https": ":443", "http": ":80"}
