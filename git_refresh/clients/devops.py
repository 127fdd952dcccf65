"""Azure DevOps: where a branch or tag is, and whether the token is taken at all."""

import ssl
import threading
from collections.abc import Mapping
from dataclasses import replace

import requests

from git_refresh.clients import responses
from git_refresh.clients.responses import UnexpectedAnswerError, read
from git_refresh.clients.retry import Retry, call
from git_refresh.clients.session import BoundedSession
from git_refresh.clients.single_flight import SingleFlight
from git_refresh.failures.failure import Service, ServiceError, ServiceFailure
from git_refresh.model.clock import Deadline, Skew, current_operation, cut_short
from git_refresh.model.repository import BUILT_IN, Repository
from git_refresh.model.values import Ref, RefKind, ResolvedRef, Token
from git_refresh.output.mask import SecretFilter

LIMIT = 15.0
"""Seconds for one look-up, further attempts included. Without an answer the pull is done without the comparison."""

MAX_BODY = 4 * 1024 * 1024
"""Bytes of one answer: the refs of a large repository that begin alike, some 900 each. With more, folders are pulled without comparing."""

HINT_LIMIT = 5.0
"""Seconds for the names of a repository's branches or tags, which are only asked for to suggest one."""

HINT_NAMES = 1_000
"""Of these names that are looked at; what is further down the alphabet is not suggested."""

_CONNECTIONS = 8
"""That are kept open: a fleet asks for few refs."""

_NO_ANSWER = frozenset({"dns", "tls", "refused", "connect_timeout", "timeout", "proxy", "proxy_auth"})
"""Failures to reach the host, which the next look-up there would only meet again."""


class AzureDevOps:
    """Azure DevOps as the stored token sees it; each ref is looked up once per run."""

    def __init__(
        self,
        token: Token,
        tls: ssl.SSLContext,
        deadline: Deadline,
        *,
        skew: Skew,
        secrets: SecretFilter,
    ) -> None:
        self._token = token
        self._secrets = secrets
        self._tls = tls
        self._deadline = deadline
        self._skew = skew
        self._heads: SingleFlight[tuple[Repository, Ref | None], ResolvedRef] = SingleFlight(deadline)
        self._names: SingleFlight[tuple[Repository, RefKind], tuple[str, ...] | None] = SingleFlight(deadline)
        self._servers: SingleFlight[str, bool] = SingleFlight(deadline)
        self._lock = threading.Lock()
        self._unreachable: dict[str, ServiceFailure] = {}
        self._sessions: dict[str, BoundedSession] = {}

    def head(self, repository: Repository, ref: Ref | None) -> ResolvedRef:
        """Where a branch or tag is. Without a ref: whether the repository can be read (of any branch).

        Fact: Git - Refs - List, api-version 7.1; `filter` is a prefix, and an annotated tag carries its commit as `peeledObjectId`.

        Raises:
            ServiceError: it cannot be told; see `is_rejection`.
        """
        return self._heads.get((repository, ref), lambda: self._fetch(repository, ref))

    def head_now(self, repository: Repository, ref: Ref | None) -> ResolvedRef:
        """Where a branch or tag is now, whatever was looked up before.

        Raises:
            ServiceError: it cannot be told.
        """
        return self._fetch(repository, ref)

    def has_commit(self, repository: Repository, commit: str) -> bool:
        """Whether a repository has a commit. Fact: Git - Commits - Get, api-version 7.1.

        Raises:
            ServiceError: it cannot be told.
        """
        what = f"look up a commit of {repository}"
        try:
            found = call(
                Service.AZURE_DEVOPS,
                what,
                lambda: read(
                    responses.GitCommit,
                    self._get(repository, f"commits/{commit}", {}).json(),
                    self._secrets,
                ),
                deadline=self._deadline.within(LIMIT),
                secrets=self._secrets,
            )
        except ServiceError as error:
            if error.failure.status != requests.codes.not_found:
                raise
            return False
        if found.commitId.lower() != commit.lower():
            raise ServiceError(ServiceFailure(Service.AZURE_DEVOPS, what, "unexpected"))
        return True

    def follows(self, repository: Repository, head: str, commit: str) -> bool:
        """Whether a head has a commit in its history. Fact: Git - Diffs - Get, api-version 7.1.

        Raises:
            ServiceError: it cannot be told.
        """
        query = {"baseVersion": commit, "targetVersion": head, "$top": "1"}
        query |= {"baseVersionType": "commit", "targetVersionType": "commit"}
        try:
            found = call(
                Service.AZURE_DEVOPS,
                f"compare commits of {repository}",
                lambda: read(
                    responses.Diffs, self._get(repository, "diffs/commits", query).json(), self._secrets
                ),
                deadline=self._deadline.within(LIMIT),
                secrets=self._secrets,
            )
        except ServiceError as error:
            if error.failure.status != requests.codes.not_found:
                raise
            return False
        return found.commonCommit == commit

    def names(self, repository: Repository, kind: RefKind) -> tuple[str, ...] | None:
        """The branches or tags that there are: for a suggestion, which is worth one request and no failure.

        Empty: the repository has none. None: that is not known.
        """
        try:
            return self._names.get((repository, kind), lambda: self._fetch_names(repository, kind))
        except (ServiceError, TimeoutError):
            return None

    def _fetch_names(self, repository: Repository, kind: RefKind) -> tuple[str, ...] | None:
        start = f"refs/{_FILTERS[kind]}"

        def ask() -> tuple[str, ...] | None:
            listed = self._list(repository, {"filter": _FILTERS[kind], "$top": str(HINT_NAMES)}).value
            found = tuple(
                name.removeprefix(start)
                for name in (_name(each, self._secrets) for each in listed[:HINT_NAMES])
                if name.startswith(start)
            )
            return found if found or not listed else None

        return call(
            Service.AZURE_DEVOPS,
            f"list the {'branches' if kind == 'branch' else 'tags'} of {repository}",
            ask,
            deadline=self._deadline.within(HINT_LIMIT),
            secrets=self._secrets,
            repeat=Retry.NEVER,
        )

    def _fetch(self, repository: Repository, ref: Ref | None) -> ResolvedRef:
        name = None if ref is None else f"refs/{_FILTERS[ref.kind]}{ref.name}"
        what = f"look up {ref} of {repository}" if ref else f"look up {repository}"
        if (known := self._unreachable.get(repository.origin)) is not None:
            raise ServiceError(replace(known, operation=what))
        deadline = self._deadline.within(LIMIT)
        try:
            return call(
                Service.AZURE_DEVOPS,
                what,
                lambda: self._ask(repository, name),
                deadline=deadline,
                secrets=self._secrets,
            )
        except ServiceError as error:
            # Waiting as long for each further ref would delay a large fleet's folders.
            if error.failure.status is None and error.failure.kind in _NO_ANSWER and not cut_short():
                self._unreachable[repository.origin] = error.failure
            raise

    def _ask(self, repository: Repository, name: str | None) -> ResolvedRef:
        query = {"peelTags": "true", "filter": name.removeprefix("refs/") if name else "heads/"}
        if name is None:
            query["$top"] = "1"
        return _head(self._list(repository, query), name, self._secrets)

    def _list(self, repository: Repository, query: Mapping[str, str]) -> responses.Refs:
        return read(responses.Refs, self._get(repository, "refs", query).json(), self._secrets)

    def _get(self, repository: Repository, what: str, query: Mapping[str, str]) -> requests.Response:
        if repository.origin != BUILT_IN and self._servers.get(
            repository.origin, lambda: self._is_server(repository)
        ):
            raise ServiceError(ServiceFailure(Service.AZURE_DEVOPS, f"look up {repository}", "server"))
        answer = self._session(repository.origin).get(
            f"{repository.api_url}/{what}",
            params={"api-version": "7.1", **query},
            headers={"Authorization": f"Bearer {self._token.value.get_secret_value()}", **_HEADERS},
        )
        if answer.status_code != requests.codes.ok:
            raise UnexpectedAnswerError
        return answer

    def _is_server(self, repository: Repository) -> bool:
        """Whether a host that only TRUSTED_HOSTS trusts is Azure DevOps Server, asked without a token: that must not get one.

        Azure DevOps Services ask for a Bearer token, and the server for a Windows sign-in.
        """
        try:
            self._session(repository.origin).get(f"{repository.api_url}/refs", headers=_HEADERS)
        except requests.RequestException:
            if current_operation().answer is None:
                raise
        answer = current_operation().answer
        challenge = answer.headers.get("WWW-Authenticate", "").lower() if answer is not None else ""
        return "bearer" not in challenge and ("ntlm" in challenge or "negotiate" in challenge)

    def _session(self, origin: str) -> BoundedSession:
        with self._lock:
            if origin not in self._sessions:
                self._sessions[origin] = BoundedSession(
                    [origin],
                    self._tls,
                    connections=_CONNECTIONS,
                    max_body=MAX_BODY,
                    skew=self._skew,
                )
            return self._sessions[origin]

    def close(self) -> None:
        """Let go of its connections."""
        with self._lock:
            for session in self._sessions.values():
                session.close()


_HEADERS = {
    "Accept": "application/json",
    "X-TFS-FedAuthRedirect": "Suppress",  # asks for 401 where a browser would be sent to sign in
}
_FILTERS: Mapping[RefKind, str] = {"branch": "heads/", "tag": "tags/"}


def _name(found: object, secrets: SecretFilter) -> str:
    """The full name of a ref; empty where it is none that may be shown."""
    try:
        return read(responses.RefName, found, secrets).name
    except UnexpectedAnswerError:
        return ""


def _head(answer: responses.Refs, name: str | None, secrets: SecretFilter) -> ResolvedRef:
    for found in answer.value:
        if found.get("name") == name:
            ref = read(responses.Ref, found, secrets)
            return ResolvedRef(ref.peeledObjectId or ref.objectId)
    return ResolvedRef(None, empty=name is None and not answer.value)
