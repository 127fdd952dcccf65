"""One Azure Databricks workspace: the only module that imports `databricks.sdk`.

The SDK is used for what it knows of the API, and kept from what it does on its own: it reads no ambient configuration, makes no
look-ups, does not retry (`service.call` does, within the operation's time), and its HTTP goes through a `BoundedSession`.
"""

import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, override

import requests
from databricks.sdk import WorkspaceClient
from databricks.sdk.clock import Clock as SdkClock
from databricks.sdk.core import Config
from databricks.sdk.credentials_provider import CredentialsStrategy
from databricks.sdk.service.workspace import ObjectType, SparseCheckout
from pydantic import SecretStr

from git_refresh import __version__
from git_refresh.clock import Deadline, Skew
from git_refresh.decide import PROVIDER, GitFolder, OtherObject, StoredCredential
from git_refresh.models import Ref, folder_key
from git_refresh.service import Repeat, Service, UnexpectedAnswerError, call
from git_refresh.transport import BoundedSession

SIGN_IN_LIMIT = 20.0
CREDENTIAL_LIMIT = 30.0
LOOKUP_LIMIT = 30.0
"""Seconds, further attempts included. A Git operation may take the rest of the run: a clone can need ten minutes."""

_PAGES = 200
"""Pages of 20 Git folders: twice what a workspace may hold. A list that goes on after that is no list."""


class _NoRetries(SdkClock):
    """The SDK's retry loop sleeps between attempts: here that ends it, with the failure it was about to retry."""

    @override
    def time(self) -> float:
        return 0.0

    @override
    def sleep(self, seconds: float) -> None:
        raise  # noqa: PLE0704  # called inside the loop's `except`


Config.attributes()  # fills the table of settings that a subclass would otherwise make from its own names: none


class _SealedConfig(Config):
    """Built from its arguments alone: not from DATABRICKS_*, ARM_* or ~/.databrickscfg, and without asking the host."""

    @override
    def _load_from_env(self) -> None: ...

    @override
    def _resolve_host_metadata(self) -> None: ...


class _Bearer(CredentialsStrategy):
    def __init__(self, token: SecretStr) -> None:
        self._token = token

    @override
    def auth_type(self) -> str:
        return "git-refresh"

    @override
    def __call__(self, cfg: Config) -> Callable[[], dict[str, str]]:
        return lambda: {"Authorization": f"Bearer {self._token.get_secret_value()}"}


def sign_in(
    host: str,
    client_id: str,
    secret: SecretStr,
    *,
    tls: ssl.SSLContext,
    deadline: Deadline,
    skew: Skew | None = None,
) -> SecretStr:
    """A workspace access token for a service principal's OAuth secret (OAuth M2M), good for an hour.

    Raises:
        ServiceError: the workspace does not give one.
    """

    def ask() -> SecretStr:
        with BoundedSession([host], tls, skew=skew) as session:
            answer = session.post(
                f"{host}/oidc/v1/token",
                data={"grant_type": "client_credentials", "scope": "all-apis"},
                auth=(client_id, secret.get_secret_value()),
            )
        token = answer.json().get("access_token") if answer.status_code == requests.codes.ok else None
        if not isinstance(token, str) or not token:
            raise UnexpectedAnswerError
        return SecretStr(token)

    return call(Service.DATABRICKS, "sign in", ask, deadline=deadline.within(SIGN_IN_LIMIT))


class WorkspaceApi:
    """Git credentials and Git folders of one workspace. Every method raises `ServiceError` when the workspace fails it."""

    def __init__(self, host: str, token: SecretStr, *, tls: ssl.SSLContext, deadline: Deadline) -> None:
        self._deadline = deadline
        config = _SealedConfig(
            host=host,
            credentials_strategy=_Bearer(token),
            clock=_NoRetries(),
            product="databricks-git-refresh",
            product_version=__version__,
        )
        self._client = WorkspaceClient(config=config)
        session = BoundedSession([host], tls)
        inner: Any = self._client.api_client._api_client  # noqa: SLF001  # the SDK has no public way to give it a session
        session.auth = inner._authenticate  # noqa: SLF001
        inner._session = session  # noqa: SLF001

    def credentials(self, principal_id: int | None) -> list[StoredCredential]:
        """The Git credentials of the caller, or of another service principal that the caller manages."""
        return self._call(
            "list the Git credentials", CREDENTIAL_LIMIT, lambda: self._credentials(principal_id)
        )

    def _credentials(self, principal_id: int | None) -> list[StoredCredential]:
        return [
            StoredCredential(
                _number(found.credential_id),
                _text(found.git_provider),
                found.git_username or "",
                bool(found.is_default_for_provider),
            )
            for found in self._client.git_credentials.list(principal_id=principal_id)
        ]

    def update_credential(self, id_: int, username: str, token: SecretStr, principal_id: int | None) -> None:
        """Store a token in a Git credential. Doing it twice changes nothing."""
        self._call(
            "store the Git credential",
            CREDENTIAL_LIMIT,
            lambda: self._client.git_credentials.update(
                id_,
                PROVIDER,
                git_username=username,
                personal_access_token=token.get_secret_value(),
                principal_id=principal_id,
            ),
        )

    def create_credential(self, username: str, token: SecretStr, principal_id: int | None) -> int:
        """Create a Git credential and return its id. Not sent twice: look at `credentials` after a failure."""
        return self._call(
            "create the Git credential",
            CREDENTIAL_LIMIT,
            lambda: _number(
                self._client.git_credentials.create(
                    PROVIDER,
                    git_username=username,
                    personal_access_token=token.get_secret_value(),
                    principal_id=principal_id,
                ).credential_id
            ),
            Repeat.IF_REFUSED,
        )

    def folders(self, prefix: str) -> Iterator[list[GitFolder]]:
        """The Git folders below a path, page by page.

        Fact: GET /api/2.0/repos leaves out Git-CLI folders and those without Manage permission; see `find`.
        """
        query = {"path_prefix": prefix}
        for _ in range(_PAGES):
            page, token = self._call("list the Git folders", LOOKUP_LIMIT, lambda: self._page(dict(query)))
            yield page
            if not token:
                return
            query["next_page_token"] = token
        self._call("list the Git folders", LOOKUP_LIMIT, _endless)

    def _page(self, query: dict[str, str]) -> tuple[list[GitFolder], str]:
        answer = self._client.api_client.do("GET", "/api/2.0/repos", query=query)
        if not isinstance(answer, dict) or not isinstance(answer.get("repos", []), list):
            raise UnexpectedAnswerError
        token = answer.get("next_page_token") or ""
        return [_folder(found) for found in answer.get("repos", [])], _text(token)

    def find(self, path: str) -> GitFolder | OtherObject | None:
        """What stands at a path: also a Git-CLI folder, or one that `folders` leaves out. None: nothing that we may see."""
        found = self._call("look at the path", LOOKUP_LIMIT, lambda: self._status(path))
        if isinstance(found, OtherObject | None):
            return found
        id_, git_cli = found
        return replace(self.folder(id_), git_cli=git_cli)

    def _status(self, path: str) -> tuple[int, bool] | OtherObject | None:
        try:
            found = self._client.workspace.get_status(path)
        except Exception as error:
            if getattr(error, "error_code", None) == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        cli = found.directory_info is not None and found.directory_info.is_git_folder is True
        if found.object_type is ObjectType.REPO or cli:
            return _number(found.object_id), cli
        return OtherObject(found.object_type.value if found.object_type else "")

    def folder(self, id_: int) -> GitFolder:
        """A Git folder as it is now."""
        return self._call(
            "read the Git folder", LOOKUP_LIMIT, lambda: _folder(self._client.repos.get(id_).as_dict())
        )

    def make_parent(self, path: str) -> None:
        """Create the folders above a path, as far as they are missing."""
        parent = path.rpartition("/")[0]
        self._call("create the parent folder", LOOKUP_LIMIT, lambda: self._client.workspace.mkdirs(parent))

    def create_folder(
        self, path: str, url: str, sparse: tuple[str, ...] | None, credential_id: int | None
    ) -> GitFolder:
        """Clone a repository. Not sent twice: look with `find` after a failure, which may have left the folder behind."""
        return self._call(
            "create the Git folder",
            None,
            lambda: _folder(
                self._client.repos.create(
                    url,
                    PROVIDER,
                    path=path,
                    sparse_checkout=SparseCheckout(patterns=list(sparse)) if sparse else None,
                    git_credential_id=credential_id,
                ).as_dict()
            ),
            Repeat.IF_REFUSED,
        )

    def move_folder(self, id_: int, ref: Ref, *, discard: bool, credential_id: int | None) -> None:
        """Bring a Git folder to a branch's latest commit, or to a tag.

        Not sent twice: after a lost answer the workspace may still be at work on it, and two operations on one folder fight.
        """
        kind, name = ref
        self._call(
            f"move the Git folder to {kind} {name}",
            None,
            lambda: self._client.repos.update(
                id_,
                branch=name if kind == "branch" else None,
                tag=name if kind == "tag" else None,
                dangerously_force_discard_all=True if discard else None,
                git_credential_id=credential_id,
            ),
            Repeat.IF_REFUSED,
        )

    def _call[T](
        self, what: str, limit: float | None, request: Callable[[], T], repeat: Repeat = Repeat.SAFE
    ) -> T:
        deadline = self._deadline if limit is None else self._deadline.within(limit)
        return call(Service.DATABRICKS, what, request, deadline=deadline, repeat=repeat)


def _folder(found: object) -> GitFolder:
    if not isinstance(found, dict):
        raise UnexpectedAnswerError
    branch, commit = found.get("branch"), found.get("head_commit_id")
    return GitFolder(
        _number(found.get("id")),
        folder_key(_text(found.get("path"))),
        _text(found.get("url")),
        _text(branch) if branch else None,
        _text(commit) if commit else None,
    )


def _endless() -> None:
    raise UnexpectedAnswerError


def _number(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise UnexpectedAnswerError


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise UnexpectedAnswerError
