"""Limits the time of each call to a service, retries it, and turns exceptions into `ServiceFailure`.

Security: an SDK's exception might contain the request with its token, so it is never logged or chained.
`ServiceError` is raised outside of every `except`, so it has no context.
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
    """Failures after which an operation is retried."""

    IDEMPOTENT = "safe"
    """Any temporary failure, because a second request changes nothing."""
    IF_THROTTLED = "if_refused"
    """Only a refusal of too many requests, because otherwise the service might have done the work."""
    NEVER = "never"


_ATTEMPTS = 3
_MAX_MESSAGE_CHARS = 16 * 1024
_SUCCESS = frozenset({*range(200, 203), *range(204, 300)})
"""Without 203, which Azure DevOps sends with its sign-in page."""
LONGEST_WAIT = 20.0
"""Maximum seconds before a retry. After a longer Retry-After, the call fails."""
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
    """Call `request` until it succeeds, `deadline` is over, or `repeat` forbids a retry.

    `request` must use a `BoundedSession`. An earlier deadline of the enclosing operation has precedence.
    The error contains none of the `secrets`.

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
                    failure = _failure_of(bare, error, under_way, secrets)
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


def _failure_of(
    bare: ServiceFailure, error: Exception, under_way: OperationBounds[LastResponse], secrets: SecretFilter
) -> ServiceFailure:
    """Return the failure with the details of an exception and of the last response, without secrets."""
    kind, answer = _network_kind(error), under_way.answer
    if answer is None or kind in {FailureKind.TOO_LARGE, FailureKind.TIMEOUT, FailureKind.DESCRIPTORS}:
        return _failure_without_response(bare, kind or FailureKind.UNEXPECTED, error, under_way.proxy)
    headers = {key.lower(): value for key, value in answer.headers.items()}
    code, message = _error_of(answer.body)
    code = code or _safe(headers.get("x-ms-error-code"))  # the bodies of Azure Storage are XML
    # Azure DevOps has the message in the body, or only in this header.
    message = message or unquote(headers.get("x-tfs-serviceerror", "")[:_MAX_MESSAGE_CHARS], errors="replace")
    # The target of a redirect shows the reason, such as a sign-in page or Private Link.
    message = f"{headers['location'][:_MAX_MESSAGE_CHARS]} {message}" if "location" in headers else message
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


def _failure_without_response(
    bare: ServiceFailure, kind: FailureKind, error: Exception, proxy: str
) -> ServiceFailure:
    found = replace(bare, kind=kind, message=_text_of(error))
    if kind is FailureKind.TLS:
        found = replace(found, detail=openssl_reason(_chain(error)), bundle=bundle_variable(os.environ))
    if kind is FailureKind.PROXY_UNUSABLE:
        return replace(found, detail=proxy_flaw(), proxy_variable=proxy_variable())
    if proxy and kind in _UNREACHED:
        return replace(found, proxy=proxy, proxy_variable=proxy_variable())
    return found


def _kind(status: int, message: str) -> FailureKind:
    if status in _SUCCESS:
        return FailureKind.UNEXPECTED
    lost = status == requests.codes.request_timeout or _LOST.search(message) is not None
    return FailureKind.LOST if lost and 400 <= status < 500 else FailureKind.ANSWER  # noqa: PLR2004  # HTTP's client errors


_LOST = re.compile(r"Timed out after |deadline exceeded")
"""Databricks' messages after a timeout of its backend, usually with 400 (databricks-sdk-go, apierr)."""


def _text_of(error: BaseException) -> str:
    try:
        return str(error)[:4096]
    except Exception:  # noqa: BLE001  # str() of any exception can raise
        return ""


_PROXY_AUTH = re.compile(r"Tunnel connection failed: 407\b")
"""Exception text of http.client if a proxy rejects CONNECT."""


def _chain(error: BaseException) -> list[BaseException]:
    """Return the exception, and all exceptions that it contains as argument, reason, cause or context."""
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
    # Only a proxy's URL can be invalid, because the services' URLs are validated with the settings.
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
    # Before ProxyError, because urllib3 raises it for every failed connection through a proxy.
    (ConnectionError, FailureKind.RESET),
    (requests.exceptions.ProxyError, FailureKind.PROXY),
    (urllib3.exceptions.ProtocolError, FailureKind.RESET),
    (requests.exceptions.ConnectionError, FailureKind.RESET),
)


def _network_kind(error: Exception) -> FailureKind | None:
    """Return the kind of a network failure, or None for another exception."""
    chain = _chain(error)
    if any(isinstance(item, OSError) and item.errno in {errno.EMFILE, errno.ENFILE} for item in chain):
        return FailureKind.DESCRIPTORS
    kind = next((kind for type_, kind in _KINDS if any(isinstance(item, type_) for item in chain)), None)
    if any(isinstance(item, OSError) and _PROXY_AUTH.search(_text_of(item)) for item in chain):
        return FailureKind.PROXY_AUTH
    # Name resolution also fails if the process has no file descriptor left.
    return FailureKind.DESCRIPTORS if kind is FailureKind.DNS and not _descriptor_left() else kind


def _descriptor_left() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        return False
    return True


def _error_of(body: bytes) -> tuple[str, str]:
    """Return the error code and message of a response.

    Databricks: `{"error_code", "message"}`, for a sign-in `{"error", "error_description"}`,
    for SCIM `{"schemas", "detail", "status"}`.

    Key Vault: `{"error": {"code", "message", "innererror": {"code"}}}`. The inner code is more precise.

    Azure DevOps: `{"typeKey", "message"}`, or `{"count", "value": {"Message"}}`.
    """
    answer = read_json(body)
    if answer is None:
        text = without_mark(body)[:_MAX_MESSAGE_CHARS].decode(errors="replace")
        plain = re.match(r"([A-Z_]{1,80}): ", text)
        return (plain[1] if plain else "", text)
    if not isinstance(answer, Mapping):
        return "", ""
    error = answer.get("error")
    if isinstance(error, Mapping):
        inner = error.get("innererror")
        precise = inner.get("code") if isinstance(inner, Mapping) else None
        return _safe(precise or error.get("code")), _text(error.get("message"))
    code = answer.get("error_code") or error or answer.get("typeKey")
    wrapped = answer.get("value")
    wrapped_text = wrapped.get("Message") if isinstance(wrapped, Mapping) else None
    texts = (answer.get("message"), answer.get("error_description"), answer.get("detail"), wrapped_text)
    return _safe(code), next(filter(None, map(_text, texts)), "")


def _text(value: object) -> str:
    return value[:_MAX_MESSAGE_CHARS] if isinstance(value, str) else ""


def _safe(value: object) -> str:
    """Return an error code or request ID that is safe to display, otherwise ""."""
    return value if isinstance(value, str) and re.fullmatch(r"[\w.:/|-]{1,80}", value, re.ASCII) else ""


def _seconds(value: str | None) -> float | None:
    return float(value) if value and re.fullmatch(r"[0-9]{1,9}", value) else None
