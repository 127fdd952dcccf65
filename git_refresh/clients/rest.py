"""Client of a REST API, with time limits, retries and validated responses."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import requests
from pydantic import SecretStr

from git_refresh.clients.responses import Page, Response, UnexpectedAnswerError, read
from git_refresh.clients.retry import Retry, call
from git_refresh.clients.session import BoundedSession, Network
from git_refresh.failures.failure import Attempt, FailureKind, Service, ServiceError, ServiceFailure
from git_refresh.model.clock import ServiceTime, Skew
from git_refresh.output.mask import SecretFilter

HEADERS = {
    "Accept": "application/json",
    "X-TFS-FedAuthRedirect": "Suppress",  # Azure DevOps: 401 instead of a redirect to the sign-in page
}

CALL_LIMIT_S = 30.0
"""Includes retries. Azure DevOps can take ten seconds to add a member to an organization."""

MAX_RESPONSE_BYTES = 4 * 1024 * 1024
"""Enough for a page of members, or for refs with a common prefix (900 bytes each)."""


class Nothing(Response):
    """A response whose fields the app ignores."""


class Rest:
    """Client of one origin with one token. Methods raise `ServiceError` on failure.

    Attributes:
        time: the service's time, by the dates of its responses.
    """

    def __init__(
        self,
        service: Service,
        origin: str,
        token: SecretStr | Callable[[], SecretStr],
        network: Network,
        *,
        connections: int = 1,
        skew: Skew | None = None,
    ) -> None:
        """Use a token, or a function that returns one for each call, for commands that outlast a token.

        If `skew` is set, it observes the service's time instead of `time`.
        """
        self._service = service
        self.origin = origin
        self.token = token if callable(token) else lambda: token
        self.network = network
        self._secrets = SecretFilter(
            [] if callable(token) else [token.get_secret_value()], beside=network.secrets
        )
        self.time = ServiceTime(network.deadline.clock)
        self.session = BoundedSession(
            [origin],
            network.tls,
            connections=connections,
            max_body=MAX_RESPONSE_BYTES,
            skew=skew or self.time,
        )

    def close(self) -> None:
        self.session.close()

    def get[M: Response](
        self,
        what: Attempt,
        path: str,
        model: type[M],
        query: Mapping[str, str] | None = None,
        *,
        limit: float | None = None,
        repeat: Retry = Retry.IDEMPOTENT,
    ) -> M:
        """Read a resource. The path must be percent-encoded."""
        return self._call("GET", what, path, model, query=query, limit=limit, repeat=repeat)[0]

    def pages[M: Page](
        self, what: Attempt, path: str, model: type[M], query: Mapping[str, str] | None = None, *, most: int
    ) -> Iterator[M]:
        """Yield the pages of a list. Databricks has the next token in the body, Azure DevOps in a header.

        Raises:
            ServiceError: the service failed, or the list has more than `most` pages.
        """
        query = dict(query or {})
        for _ in range(most):
            page, following = self._call("GET", what, path, model, query=query)
            yield page
            if page.next_page_token:
                query["page_token"] = page.next_page_token
            elif following:
                query["continuationToken"] = following
            else:
                return
        raise self.unexpected(what)

    def unexpected(self, what: Attempt) -> ServiceError:
        return ServiceError(ServiceFailure(self._service, what, FailureKind.UNEXPECTED))

    def send[M: Response](
        self,
        method: str,
        what: Attempt,
        path: str,
        model: type[M],
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        repeat: Retry = Retry.IF_THROTTLED,
    ) -> M:
        """Change a resource.

        By default, retried only if throttled. After another failure, the change might be complete.
        """
        return self._call(method, what, path, model, query=query, body=body, repeat=repeat)[0]

    def _call[M: Response](  # noqa: PLR0913  # one for each part of a request
        self,
        method: str,
        what: Attempt,
        path: str,
        model: type[M],
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        limit: float | None = None,
        repeat: Retry = Retry.IDEMPOTENT,
    ) -> tuple[M, str]:
        """Return the response, and the continuation token of Azure DevOps or ""."""
        kind = {"Content-Type": "application/json-patch+json"} if isinstance(body, list) else {}

        token = self.token().get_secret_value()

        def ask() -> tuple[M, str]:
            answer = self.session.request(
                method,
                f"{self.origin}{path}",
                params=dict(query or {}),
                json=body,
                headers={
                    "Authorization": f"Bearer {token}",
                    **HEADERS,
                    **kind,
                },
            )
            found = read_response(answer, model, self._secrets)
            return found, answer.headers.get("x-ms-continuationtoken", "")

        return call(
            self._service,
            what,
            ask,
            deadline=self.network.deadline.within(CALL_LIMIT_S if limit is None else limit),
            secrets=self._secrets,
            repeat=repeat,
        )


def read_response[M: Response](answer: requests.Response, model: type[M], secrets: SecretFilter) -> M:
    """Return a response as `model`.

    Raises:
        UnexpectedAnswerError: the response is a failure, or does not fit the model.
    """
    # Azure DevOps sends 203 with its sign-in page.
    if not answer.ok or answer.status_code == requests.codes.non_authoritative_info:
        raise UnexpectedAnswerError
    value: Any = answer.json() if answer.content else {}
    return read(model, value, secrets)
