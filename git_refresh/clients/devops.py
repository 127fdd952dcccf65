"""Client for branches, tags and commits in Azure DevOps."""

import threading
from collections.abc import Mapping
from dataclasses import replace

import requests

from git_refresh.clients import responses
from git_refresh.clients.responses import UnexpectedAnswerError, read
from git_refresh.clients.rest import HEADERS, Rest
from git_refresh.clients.retry import Retry, call
from git_refresh.clients.session import Network
from git_refresh.clients.single_flight import SingleFlight
from git_refresh.failures.failure import (
    NETWORK,
    Attempt,
    FailureKind,
    Operation,
    Service,
    ServiceError,
    ServiceFailure,
    none_if_missing,
)
from git_refresh.model.clock import Deadline, current_operation, cut_short
from git_refresh.model.repository import BUILT_IN, Repository
from git_refresh.model.values import Ref, RefKind, ResolvedRef, Token
from git_refresh.output.mask import SecretFilter

REF_LIMIT_S = 15.0
"""Includes retries. Without a response, folders are pulled without comparing commits."""

SUGGESTION_LIMIT_S = 5.0
"""For the names of branches or tags, because only a suggestion needs them."""

MAX_SUGGESTION_NAMES = 1_000
"""Names in alphabetical order. Later ones are never suggested."""

_MAX_CONNECTIONS = 8
"""Few, because a run looks up few refs."""

_UNREACHABLE = frozenset({*NETWORK, FailureKind.PROXY_AUTH}) - {FailureKind.RESET}
"""Failures that every lookup on the same host would repeat."""


class AzureDevOps:
    """Lookups with the token that the run stores. Each ref is looked up once per run.

    Methods raise `ServiceError` on failure. `is_rejection` shows whether Azure DevOps rejected the token.
    """

    def __init__(self, token: Token, network: Network) -> None:
        deadline = network.deadline
        self._token = token
        self._network = network
        self._heads: SingleFlight[tuple[Repository, Ref | None], ResolvedRef] = SingleFlight(deadline)
        self._names: SingleFlight[tuple[Repository, RefKind], tuple[str, ...] | None] = SingleFlight(deadline)
        self._servers: SingleFlight[str, bool] = SingleFlight(deadline)
        self._lock = threading.Lock()
        self._unreachable: dict[str, ServiceFailure] = {}
        self._rests: dict[str, Rest] = {}

    def head(self, repository: Repository, ref: Ref | None) -> ResolvedRef:
        """Return the commit of a branch or tag. Without a ref, only verify that the repository can be read.

        Facts: Git - Refs - List, api-version 7.1. `filter` is a prefix. An annotated tag has its commit in `peeledObjectId`.
        """
        return self._heads.get((repository, ref), lambda: self._fetch(repository, ref))

    def head_now(self, repository: Repository, ref: Ref | None) -> ResolvedRef:
        return self._fetch(repository, ref)

    def has_commit(self, repository: Repository, commit: str) -> bool:
        """Return whether a repository has a commit. Fact: Git - Commits - Get, api-version 7.1."""
        what = Operation.LOOK_UP_COMMIT.of(repository)
        found = none_if_missing(
            lambda: self._get(repository, what, f"commits/{commit}", responses.GitCommit, {})
        )
        if found is None:
            return False
        if found.commitId.lower() != commit.lower():
            raise ServiceError(ServiceFailure(Service.AZURE_DEVOPS, what, FailureKind.UNEXPECTED))
        return True

    def follows(self, repository: Repository, head: str, commit: str) -> bool:
        """Return whether `commit` is in the history of `head`. Fact: Git - Diffs - Get, api-version 7.1."""
        query = {"baseVersion": commit, "targetVersion": head, "$top": "1"}
        query |= {"baseVersionType": "commit", "targetVersionType": "commit"}
        what = Operation.COMPARE_COMMITS.of(repository)
        found = none_if_missing(lambda: self._get(repository, what, "diffs/commits", responses.Diffs, query))
        return found is not None and found.commonCommit == commit

    def names(self, repository: Repository, kind: RefKind) -> tuple[str, ...] | None:
        """Return the names of branches or tags for a suggestion. Never raises or retries.

        Empty if the repository has none, None if unknown.
        """
        try:
            return self._names.get((repository, kind), lambda: self._fetch_names(repository, kind))
        except (ServiceError, TimeoutError):
            return None

    def _fetch_names(self, repository: Repository, kind: RefKind) -> tuple[str, ...] | None:
        start = f"refs/{_FILTERS[kind]}"
        what = (Operation.LIST_BRANCHES if kind == "branch" else Operation.LIST_TAGS).of(repository)
        query = {"filter": _FILTERS[kind], "$top": str(MAX_SUGGESTION_NAMES)}
        listed = self._get(
            repository, what, "refs", responses.GitRefs, query, limit=SUGGESTION_LIMIT_S, repeat=Retry.NEVER
        ).value
        found = tuple(
            name.removeprefix(start)
            for name in (_name(each, self._network.secrets) for each in listed[:MAX_SUGGESTION_NAMES])
            if name.startswith(start)
        )
        return found if found or not listed else None

    def _fetch(self, repository: Repository, ref: Ref | None) -> ResolvedRef:
        name = None if ref is None else f"refs/{_FILTERS[ref.kind]}{ref.name}"
        what = Operation.LOOK_UP_REF.of(f"{ref} of {repository}" if ref else repository)
        if (known := self._unreachable.get(repository.origin)) is not None:
            raise ServiceError(replace(known, attempt=what))
        query = {"peelTags": "true", "filter": name.removeprefix("refs/") if name else "heads/"}
        if name is None:
            query["$top"] = "1"
        try:
            listed = self._get(repository, what, "refs", responses.GitRefs, query)
        except ServiceError as error:
            # Without this cache, each further ref would wait as long, and delay the folders of all workspaces.
            if error.failure.status is None and error.failure.kind in _UNREACHABLE and not cut_short():
                self._unreachable[repository.origin] = error.failure
            raise
        try:
            return _head(listed, name, self._network.secrets)
        except UnexpectedAnswerError:
            failure = ServiceFailure(Service.AZURE_DEVOPS, what, FailureKind.UNEXPECTED, requests.codes.ok)
        raise ServiceError(failure)

    def _get[M: responses.Response](
        self,
        repository: Repository,
        what: Attempt,
        resource: str,
        model: type[M],
        query: Mapping[str, str],
        *,
        limit: float | None = None,
        repeat: Retry = Retry.IDEMPOTENT,
    ) -> M:
        rest = self._rest(repository.origin)
        deadline = self._network.deadline.within(REF_LIMIT_S if limit is None else limit)
        if repository.origin != BUILT_IN and self._servers.get(
            repository.origin, lambda: self._is_server(rest, repository, deadline)
        ):
            raise ServiceError(ServiceFailure(Service.AZURE_DEVOPS, what, FailureKind.SERVER))
        path = f"{repository.api_url.removeprefix(repository.origin)}/{resource}"
        query = {"api-version": "7.1", **query}
        return rest.get(what, path, model, query, limit=deadline.remaining(), repeat=repeat)

    def _is_server(self, rest: Rest, repository: Repository, deadline: Deadline) -> bool:
        """Return whether a trusted host is Azure DevOps Server. Security: a server must not receive a token.

        The request has no token. Azure DevOps Services requires Bearer authentication, a server NTLM or Negotiate.
        """

        def ask() -> bool:
            try:
                rest.session.get(f"{repository.api_url}/refs", headers=HEADERS)
            except requests.RequestException:
                if current_operation().answer is None:
                    raise
            answer = current_operation().answer
            challenge = answer.headers.get("WWW-Authenticate", "").lower() if answer is not None else ""
            return "bearer" not in challenge and ("ntlm" in challenge or "negotiate" in challenge)

        what = Operation.LOOK_UP_REF.of(repository)
        return call(Service.AZURE_DEVOPS, what, ask, deadline=deadline, secrets=self._network.secrets)

    def _rest(self, origin: str) -> Rest:
        with self._lock:
            if origin not in self._rests:
                self._rests[origin] = Rest(
                    Service.AZURE_DEVOPS,
                    origin,
                    self._token.value,
                    self._network,
                    connections=_MAX_CONNECTIONS,
                    skew=self._network.skew,
                )
            return self._rests[origin]

    def close(self) -> None:
        with self._lock:
            for rest in self._rests.values():
                rest.close()


_FILTERS: Mapping[RefKind, str] = {"branch": "heads/", "tag": "tags/"}


def _name(found: object, secrets: SecretFilter) -> str:
    """Return the full name of a ref, or "" if it must not be displayed."""
    try:
        return read(responses.RefName, found, secrets).name
    except UnexpectedAnswerError:
        return ""


def _head(answer: responses.GitRefs, name: str | None, secrets: SecretFilter) -> ResolvedRef:
    for found in answer.value:
        if found.get("name") == name:
            ref = read(responses.GitRef, found, secrets)
            return ResolvedRef(ref.peeledObjectId or ref.objectId)
    return ResolvedRef(None, empty=name is None and not answer.value)
