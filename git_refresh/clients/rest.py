"""A client of a service's REST API: one origin, one token, each call bounded, retried and checked against a response model."""

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
    "X-TFS-FedAuthRedirect": "Suppress",  # Azure DevOps: 401 where a browser would be sent to sign in
}

CALL_LIMIT_S = 30.0
"""Seconds for one call, further attempts included. Adding a member to an Azure DevOps organization can take ten."""

MAX_RESPONSE_BYTES = 4 * 1024 * 1024
"""Bytes of one response: a page of an organization's members, or a repository's refs that begin alike, some 900 each."""


class Nothing(Response):
    """A response of which nothing is needed."""


class Rest:
    """One origin, called with one token. Every call raises `ServiceError` if the service fails it.

    Its `time` is that of the service, by its responses.
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
        """Take a token; or how to get one, before each call: an admin's work may outlast the first.

        `skew` is told the time there, in place of `time`.
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
        """Let go of its connection."""
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
        """Read something. The path is percent-encoded."""
        return self._call("GET", what, path, model, query=query, limit=limit, repeat=repeat)[0]

    def pages[M: Page](
        self, what: Attempt, path: str, model: type[M], query: Mapping[str, str] | None = None, *, most: int
    ) -> Iterator[M]:
        """Read a list page by page. Databricks has the next page's token in the body, Azure DevOps in a header.

        Raises:
            ServiceError: the service fails it, or the list has more than `most` pages.
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
        """Return the error of a response that is not what the service promises."""
        return ServiceError(ServiceFailure(self._service, what, FailureKind.UNEXPECTED))

    def send[M: Response](  # one for each part of a request
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
        """Change something. Unless told otherwise it is not sent twice: look what is there after a failure."""
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
        """Return the response, and where the next page of Azure DevOps begins."""
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
    """Return a response as what the service promises.

    Raises:
        UnexpectedAnswerError: it is a failure, or something else.
    """
    # With 203 Azure DevOps asks to sign in.
    if not answer.ok or answer.status_code == requests.codes.non_authoritative_info:
        raise UnexpectedAnswerError
    value: Any = answer.json() if answer.content else {}
    return read(model, value, secrets)
