"""Bounds and retries every call to a service, and turns SDK exceptions into `ServiceFailure`.

Security: an SDK's exception might contain the request with its token, so it is never logged or chained.
`ServiceError` is raised after the `except` block has ended, without context.
"""

import errno
import os
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any
from urllib.parse import unquote

import requests
import urllib3

from git_refresh.clients.connections import AnswerTooLargeError, bundle_variable, openssl_reason
from git_refresh.clients.proxies import proxy_flaw, proxy_variable
from git_refresh.clients.responses import read_json, without_mark
from git_refresh.clients.session import LastResponse, RequestRefusedError
from git_refresh.failures.failure import NETWORK, Attempt, FailureKind, Service, ServiceError, ServiceFailure
from git_refresh.model.clock import Deadline, OperationBounds, enclosed, give_up_for, operation
from git_refresh.model.waiting import pause, waiting
from git_refresh.output.mask import SecretFilter


class Retry(StrEnum):
    """When an operation can be sent again."""

    IDEMPOTENT = "safe"
    """It reads, or a second request changes nothing: also after a lost response."""
    IF_THROTTLED = "if_refused"
    """It creates something: only if the service did not begin (too many requests)."""
    NEVER = "never"
    """It is not worth a second attempt."""


_ATTEMPTS = 3
_READ_OF_ERROR = 16 * 1024
"""Characters of an error's message to read."""
_FINE = frozenset({*range(200, 203), *range(204, 300)})
"""Statuses of success. Azure DevOps sends 203 with its sign-in page."""
LONGEST_WAIT = 20.0
"""Seconds to wait at most before a retry. A longer Retry-After is left to the next run."""
_TRANSIENT_STATUS = frozenset({429, 500, 502, 503, 504})
_TRANSIENT_KIND = frozenset(
    {FailureKind.REFUSED, FailureKind.RESET, FailureKind.CONNECT_TIMEOUT, FailureKind.LOST}
)
_UNREACHED = frozenset({*NETWORK, FailureKind.PROXY_AUTH})
_REQUEST_ID_HEADERS = (
    "x-request-id",
    "x-ms-request-id",
    "x-databricks-request-id",
    "x-vss-e2eid",
    "activityid",
)


def call[T](
    service: Service,
    what: Attempt,
    request: Callable[[], T],
    *,
    deadline: Deadline,
    secrets: SecretFilter,
    repeat: Retry = Retry.IDEMPOTENT,
) -> T:
    """Call a service until `deadline`, with retries as `repeat` allows.

    `request` is one call of an SDK whose HTTP uses a `BoundedSession`. `deadline` includes retries and waits.
    An earlier deadline of the enclosing operation wins. The response must not repeat `secrets`.

    Raises:
        ServiceError: the call failed. The error has no cause or context.
    """
    bare = ServiceFailure(service, what, FailureKind.UNEXPECTED)
    failure = replace(bare, kind=FailureKind.OUT_OF_TIME)
    deadline = enclosed(deadline)
    with waiting():
        for attempt in range(1, _ATTEMPTS + 1):
            if deadline.remaining() <= 0:
                break
            with operation(deadline) as under_way:
                try:
                    return request()
                except ServiceError as error:  # of an inner operation, which is more precise
                    failure = error.failure
                    break
                except Exception as error:  # noqa: BLE001  # SDKs raise anything, and this handles all
                    failure = _read(bare, error, under_way, secrets)
            wait = _pause(failure, repeat, attempt)
            if wait is None:
                break
            if wait >= deadline.remaining():
                give_up_for(deadline)
                break
            try:
                pause(deadline.clock, wait)
            except TimeoutError:
                break
    raise ServiceError(failure)


def _pause(failure: ServiceFailure, repeat: Retry, attempt: int) -> float | None:
    """Return the seconds to wait before the next attempt; None to give up."""
    if attempt == _ATTEMPTS or repeat is Retry.NEVER:
        return None
    passing = failure.status in _TRANSIENT_STATUS or failure.kind in _TRANSIENT_KIND
    if not (failure.throttled or (passing and repeat is Retry.IDEMPOTENT)):
        return None
    wanted = failure.retry_after_s if failure.retry_after_s is not None else 0.5 * attempt
    return wanted if wanted <= LONGEST_WAIT else None


def _read(
    bare: ServiceFailure, error: Exception, under_way: OperationBounds[LastResponse], secrets: SecretFilter
) -> ServiceFailure:
    """Return the failure that a response shows, without secrets. Counterpart of `responses` for errors."""
    kind, answer = _network_kind(error), under_way.answer
    if answer is None or kind in {FailureKind.TOO_LARGE, FailureKind.TIMEOUT, FailureKind.DESCRIPTORS}:
        return _unanswered(bare, kind or FailureKind.UNEXPECTED, error, under_way.proxy)
    headers = {key.lower(): value for key, value in answer.headers.items()}
    code, message = _error_of(answer.body)
    code = code or _safe(headers.get("x-ms-error-code"))  # Azure Storage: its bodies are XML
    # Azure DevOps has the same text in the body, or only here.
    message = message or unquote(headers.get("x-tfs-serviceerror", "")[:_READ_OF_ERROR], errors="replace")
    # The target of a redirect shows the reason: a sign-in page, or Private Link only.
    message = f"{headers['location'][:_READ_OF_ERROR]} {message}" if "location" in headers else message
    request_id = next((_safe(headers[name]) for name in _REQUEST_ID_HEADERS if name in headers), "")
    return replace(
        bare,
        kind=_kind(answer.status, message),
        status=answer.status,
        error_code="" if secrets.contains(code) else code,
        message=secrets.mask(message),
        request_id="" if secrets.contains(request_id) else request_id,
        retry_after_s=_seconds(headers.get("retry-after")),
    )


def _unanswered(bare: ServiceFailure, kind: FailureKind, error: Exception, proxy: str) -> ServiceFailure:
    found = replace(bare, kind=kind, message=_text_of(error))
    if kind is FailureKind.TLS:
        found = replace(found, detail=openssl_reason(_chain(error)), bundle=bundle_variable(os.environ))
    if kind is FailureKind.PROXY_UNUSABLE:
        return replace(found, detail=proxy_flaw(), proxy_variable=proxy_variable())
    if proxy and kind in _UNREACHED:
        return replace(found, proxy=proxy, proxy_variable=proxy_variable())
    return found


def _kind(status: int, message: str) -> FailureKind:
    if status in _FINE:
        return FailureKind.UNEXPECTED
    lost = status == requests.codes.request_timeout or _LOST.search(message) is not None
    return FailureKind.LOST if lost and 400 <= status < 500 else FailureKind.ANSWER  # noqa: PLR2004  # HTTP's client errors


_LOST = re.compile(r"Timed out after |deadline exceeded")
"""Databricks' texts after a timeout of its backend, usually with 400. Fact: databricks-sdk-go, apierr."""


def _text_of(error: BaseException) -> str:
    try:
        return str(error)[:4096]
    except Exception:  # noqa: BLE001  # str() of any exception can raise
        return ""


_ASKS_TO_SIGN_IN = re.compile(r"Tunnel connection failed: 407\b")
"""Text of http.client after a proxy's response to CONNECT."""


def _chain(error: BaseException) -> list[BaseException]:
    """Return the exception and those that it wraps in `args`, `reason` and causes."""
    found: list[BaseException] = []
    queue: list[Any] = [error]
    while queue and len(found) < _LONGEST_CHAIN:
        item = queue.pop(0)
        if isinstance(item, BaseException) and not any(item is known for known in found):
            found.append(item)
            hidden = [getattr(item, name, None) for name in ("reason", "inner_exception")]
            queue += [*item.args, *hidden, item.__cause__, item.__context__]
    return found


_LONGEST_CHAIN = 50

_KINDS: tuple[tuple[type[BaseException], FailureKind], ...] = (
    (AnswerTooLargeError, FailureKind.TOO_LARGE),
    (RequestRefusedError, FailureKind.NOT_SENT),
    # Only a proxy's URL can be invalid: the services' URLs are checked with the settings.
    (requests.exceptions.InvalidURL, FailureKind.PROXY_UNUSABLE),
    (requests.exceptions.InvalidSchema, FailureKind.PROXY_UNUSABLE),
    (urllib3.exceptions.LocationValueError, FailureKind.PROXY_UNUSABLE),
    (socket.gaierror, FailureKind.DNS),
    (urllib3.exceptions.NameResolutionError, FailureKind.DNS),
    (requests.exceptions.SSLError, FailureKind.TLS),
    (urllib3.exceptions.SSLError, FailureKind.TLS),
    (ConnectionRefusedError, FailureKind.REFUSED),
    (urllib3.exceptions.ConnectTimeoutError, FailureKind.CONNECT_TIMEOUT),
    (requests.exceptions.ConnectTimeout, FailureKind.CONNECT_TIMEOUT),
    (TimeoutError, FailureKind.TIMEOUT),
    (requests.exceptions.Timeout, FailureKind.TIMEOUT),
    (urllib3.exceptions.TimeoutError, FailureKind.TIMEOUT),
    # Before ProxyError: urllib3 reports every failed connection through a proxy as one.
    (ConnectionError, FailureKind.RESET),
    (requests.exceptions.ProxyError, FailureKind.PROXY),
    (urllib3.exceptions.ProtocolError, FailureKind.RESET),
    (requests.exceptions.ConnectionError, FailureKind.RESET),
)


def _network_kind(error: Exception) -> FailureKind | None:
    """Return how the network failed, or None if it did not."""
    chain = _chain(error)
    if any(isinstance(item, OSError) and item.errno in {errno.EMFILE, errno.ENFILE} for item in chain):
        return FailureKind.DESCRIPTORS
    kind = next((kind for type_, kind in _KINDS if any(isinstance(item, type_) for item in chain)), None)
    if any(isinstance(item, OSError) and _ASKS_TO_SIGN_IN.search(_text_of(item)) for item in chain):
        return FailureKind.PROXY_AUTH
    # Without file descriptors, the resolver finds no name.
    return FailureKind.DESCRIPTORS if kind is FailureKind.DNS and not _descriptor_left() else kind


def _descriptor_left() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        return False
    return True


def _error_of(body: bytes) -> tuple[str, str]:
    """Return the error code and message of a response.

    Databricks returns `{"error_code", "message"}`. Its sign-in returns `{"error", "error_description"}`,
    and its SCIM API `{"schemas", "detail", "status"}`.

    Key Vault returns `{"error": {"code", "message", "innererror": {"code"}}}`, with the more precise inner code.

    Azure DevOps returns `{"typeKey", "message"}`, or `{"count", "value": {"Message"}}`.
    """
    answer = read_json(body)
    if answer is None:
        text = without_mark(body)[:_READ_OF_ERROR].decode(errors="replace")
        plain = re.match(r"([A-Z_]{1,80}): ", text)
        return (plain[1] if plain else "", text)
    if not isinstance(answer, Mapping):
        return "", ""
    error = answer.get("error")
    if isinstance(error, Mapping):
        inner = error.get("innererror")
        telling = inner.get("code") if isinstance(inner, Mapping) else None
        return _safe(telling or error.get("code")), _text(error.get("message"))
    code = answer.get("error_code") or error or answer.get("typeKey")
    wrapped = answer.get("value")
    improper = wrapped.get("Message") if isinstance(wrapped, Mapping) else None
    texts = (answer.get("message"), answer.get("error_description"), answer.get("detail"), improper)
    return _safe(code), next(filter(None, map(_text, texts)), "")


def _text(value: object) -> str:
    return value[:_READ_OF_ERROR] if isinstance(value, str) else ""


def _safe(value: object) -> str:
    """Return the text if it looks like an error code or request ID, otherwise "". It will be displayed."""
    return value if isinstance(value, str) and re.fullmatch(r"[\w.:/|-]{1,80}", value, re.ASCII) else ""


def _seconds(value: str | None) -> float | None:
    return float(value) if value and re.fullmatch(r"[0-9]{1,9}", value) else None
