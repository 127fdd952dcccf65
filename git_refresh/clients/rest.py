"""A client of a service's REST API: one origin, one token, each call bounded, retried and checked against a response model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import requests
from pydantic import SecretStr

from git_refresh.clients.responses import Response, UnexpectedAnswerError, read
from git_refresh.clients.retry import Retry, call
from git_refresh.clients.session import BoundedSession, Network
from git_refresh.failures.failure import Attempt, Service
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


@dataclass(frozen=True, slots=True)
class Page[M: Response]:
    """An answer, and where the next one begins; empty after the last."""

    answer: M
    following: str


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
        return self._call("GET", what, path, model, query=query, limit=limit, repeat=repeat).answer

    def page[M: Response](
        self, what: Attempt, path: str, model: type[M], query: Mapping[str, str] | None = None
    ) -> Page[M]:
        """The same of a list in pages, as Azure DevOps has them: where the next begins is in a header."""
        return self._call("GET", what, path, model, query=query)

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
        return self._call(method, what, path, model, query=query, body=body, repeat=repeat).answer

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
    ) -> Page[M]:
        kind = {"Content-Type": "application/json-patch+json"} if isinstance(body, list) else {}

        token = self.token().get_secret_value()

        def ask() -> Page[M]:
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
            return Page(found, answer.headers.get("x-ms-continuationtoken", ""))

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
