"""Client for the Git credentials and Git folders of an Azure Databricks workspace."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from http import HTTPStatus

from pydantic import SecretStr

from git_refresh.clients import responses
from git_refresh.clients.databricks_sdk import SparseCheckout, WorkspaceClient
from git_refresh.clients.responses import UnexpectedAnswerError, read
from git_refresh.clients.rest import Rest
from git_refresh.clients.retry import Retry, call
from git_refresh.clients.session import BoundedSession, ByteBudget, Network
from git_refresh.failures.failure import (
    Attempt,
    FailureKind,
    Operation,
    Service,
    ServiceError,
    ServiceFailure,
)
from git_refresh.model.quota import Quota
from git_refresh.model.values import (
    CREDENTIAL_NAME,
    FILES,
    PROVIDER,
    REPO,
    GitFolder,
    ListedObject,
    OtherObject,
    Ref,
    StoredCredential,
    folder_key,
)
from git_refresh.output.mask import SecretFilter
from git_refresh.output.redact import redact

CREDENTIAL_LIMIT = 30.0
LOOKUP_LIMIT = 30.0
"""Includes retries. Git operations have no limit of their own, because a clone can need ten minutes."""

LISTING_LIMIT = 15.0
"""Seconds for listing one directory, including retries. Other requests can find the same objects."""

MAX_BODIES = 32 * 1024 * 1024
"""Bytes of all responses of one workspace in a run: ten times as many as 2,000 Git folders need."""

MAX_REPOS_PAGES = 200
"""With 20 Git folders each: twice as many folders as a workspace can have."""

_INVALID_FIELD = frozenset({"INVALID_PARAMETER_VALUE", "MALFORMED_REQUEST"})

ENTRIES = 5_000
"""Maximum Git folders in the list: more than twice as many as a workspace can have."""

FOLDER_SIZE = 200
"""Approximate bytes for a Git folder in the list, in addition to its texts."""

LIST_SIZE = 2_000_000
"""Bytes for one workspace's list: 5,000 Git folders with 200 characters each."""

LISTS_SIZE = 100_000_000
"""Bytes for all lists of a run (`Quota`). 1,000 workspaces with 200 Git folders each need less."""


def folder_lists(workspaces: int) -> Quota:
    return Quota(LISTS_SIZE, workspaces, LIST_SIZE)


def workspace_session(host: str, network: Network) -> BoundedSession:
    """Return a session for the sign-in and all later requests of one workspace."""
    return BoundedSession([host], network.tls, allowance=ByteBudget(MAX_BODIES), skew=network.skew)


class DatabricksWorkspaceApi:
    """Git credentials and Git folders of one workspace. Methods raise `ServiceError` on failure."""

    def __init__(
        self,
        session: BoundedSession,
        host: str,
        token: SecretStr | Callable[[], SecretStr],
        network: Network,
        *,
        lists: Quota | None = None,
        keeps_connections: bool = True,
    ) -> None:
        """Use a session until `close` closes it, and a token or a function that returns one for each call.

        Set `keeps_connections` to False if the process has too few file descriptors for idle connections.
        """
        self._network = network
        self._token = token if callable(token) else lambda: token
        self._host = host
        self._lists = lists or folder_lists(1)
        self._keeps_connections = keeps_connections
        self._session = session
        self._client = WorkspaceClient(host, self._token, session)

    @classmethod
    def over(cls, rest: Rest) -> "DatabricksWorkspaceApi":
        """Return a client with the session and the token of `rest`."""
        return cls(rest.session, rest.origin, rest.token, rest.network)

    def release_idle_connections(self) -> None:
        """Close idle connections, unless the process has enough file descriptors for all workspaces."""
        if not self._keeps_connections:
            self._session.close()

    def close(self) -> None:
        self._session.close()

    def credentials(self, principal_id: int | None) -> list[StoredCredential]:
        """Return the Git credentials of the caller, or of a service principal that the caller manages."""
        return self._call(
            Operation.LIST_CREDENTIALS.of(), CREDENTIAL_LIMIT, lambda: self._credentials(principal_id)
        )

    def _credentials(self, principal_id: int | None) -> list[StoredCredential]:
        listed = [found.as_dict() for found in self._client.git_credentials.list(principal_id=principal_id)]
        return [
            StoredCredential(
                found.credential_id,
                found.git_provider,
                found.git_username or "",
                bool(found.is_default_for_provider),
                found.name or "",
            )
            for found in self._read(responses.Credentials, {"credentials": listed}).credentials
        ]

    def update_credential(self, id_: int, username: str, token: SecretStr, principal_id: int | None) -> None:
        """Store a token in a Git credential, and keep the credential's name. Idempotent."""
        self._call(
            Operation.STORE_CREDENTIAL.of(),
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
        """Create a Git credential with this app's name, and return its ID.

        If the workspace does not accept a name, the credential has none.
        Retried only if throttled. After another failure, the credential might exist (`credentials`).
        """
        try:
            return self._create_credential(username, token, principal_id, CREDENTIAL_NAME)
        except ServiceError as error:
            failure = error.failure
            if failure.status != HTTPStatus.BAD_REQUEST or failure.error_code not in _INVALID_FIELD:
                raise
        return self._create_credential(username, token, principal_id, None)

    def _create_credential(
        self, username: str, token: SecretStr, principal_id: int | None, name: str | None
    ) -> int:
        return self._call(
            Operation.CREATE_CREDENTIAL.of(),
            CREDENTIAL_LIMIT,
            lambda: (
                self._read(
                    responses.MadeCredential,
                    self._client.git_credentials.create(
                        PROVIDER,
                        name=name,
                        git_username=username,
                        personal_access_token=token.get_secret_value(),
                        principal_id=principal_id,
                    ).as_dict(),
                ).credential_id
            ),
            Retry.IF_THROTTLED,
        )

    def folders(self, prefix: str) -> Iterator[list[GitFolder | None]]:
        """Yield the Git folders below a path, page by page, with None for an invalid item.

        Facts: GET /api/2.0/repos is deprecated, and omits Git folders with Git CLI access.
        It also omits Git folders on which the caller lacks the permission CAN MANAGE.
        """
        query = {"path_prefix": prefix}
        entries = 0
        for _ in range(MAX_REPOS_PAGES):
            page, token = self._call(
                Operation.LIST_FOLDERS.of(), LOOKUP_LIMIT, lambda: self._page(dict(query))
            )
            entries += len(page)
            if entries > ENTRIES or not self._lists.take(self._host, sum(map(_size, page))):
                break
            yield page
            if not token:
                return
            query["next_page_token"] = token
        endless = ServiceFailure(Service.DATABRICKS, Operation.LIST_FOLDERS.of(), FailureKind.UNEXPECTED)
        raise ServiceError(endless)

    def _page(self, query: dict[str, str]) -> tuple[list[GitFolder | None], str | None]:
        answer = self._client.api_client.do("GET", "/api/2.0/repos", query=query)
        secrets = self._secrets()
        page = read(responses.Repos, answer, secrets)
        if len(page.repos) > ENTRIES:
            raise UnexpectedAnswerError
        return [_listed(found, secrets) for found in page.repos], page.next_page_token

    def children(self, path: str) -> list[ListedObject | None]:
        """Return the subdirectories and Git folders of a directory, with None for an invalid object."""
        what = Operation.LIST_DIRECTORY.of(redact(path))
        return self._call(what, LISTING_LIMIT, lambda: self._children(path))

    def _children(self, path: str) -> list[ListedObject | None]:
        answer = self._client.api_client.do("GET", "/api/2.0/workspace/list", query={"path": path})
        secrets, inside = self._secrets(), f"{folder_key(path).rstrip('/')}/"
        listed = [
            _child(found, secrets)
            for found in self._read(responses.Objects, answer).objects
            if not (isinstance(found, Mapping) and found.get("object_type") in FILES)
        ]
        found = [
            each
            for each in listed
            if each is None or (each.path.startswith(inside) and "/" not in each.path[len(inside) :])
        ]
        texts = sum(len(each.path) for each in found if each)
        if not self._lists.take(self._host, FOLDER_SIZE * len(found) + texts):
            raise UnexpectedAnswerError
        return found

    def find(self, path: str) -> GitFolder | OtherObject | None:
        """Return the object at a path, or None if the caller sees none."""
        try:
            found = self._call(Operation.READ_PATH.of(), LOOKUP_LIMIT, lambda: self._status(path))
        except ServiceError as error:
            if error.failure.status == HTTPStatus.NOT_FOUND:
                return None
            raise
        return found if isinstance(found, OtherObject) else self.examine(found)

    def _status(self, path: str) -> ListedObject | OtherObject:
        query = {"path": path, "return_git_info": "true"}
        answer = self._client.api_client.do("GET", "/api/2.0/workspace/get-status", query=query)
        found = self._read(responses.Status, answer)
        id_, kind = found.object_id or 0, found.object_type or ""
        directory, git = found.directory_info, found.git_info
        if git is not None and git.id != found.object_id and path.startswith(f"{folder_key(git.path)}/"):
            return OtherObject(kind, id_, inside=folder_key(git.path))
        is_root = True if git is not None and git.id == found.object_id else None
        here = ListedObject(path, id_, kind, is_root or (directory.is_git_folder if directory else None))
        if not here.may_be_git_folder:
            return OtherObject(kind, id_)
        if not id_:
            raise UnexpectedAnswerError
        return here

    def examine(self, found: ListedObject) -> GitFolder | OtherObject:
        """Return an object as the Repos API shows it. Only this API identifies Git folders reliably."""
        try:
            folder = self.folder(found.id)
        except ServiceError as error:
            if not _is_no_repository(error.failure):
                raise
            return OtherObject(found.type, found.id, broken=found.is_git_folder)
        return replace(folder, git_cli=folder.git_cli or found.type != REPO)

    def folder(self, id_: int) -> GitFolder:
        return self._call(
            Operation.READ_FOLDER.of(),
            LOOKUP_LIMIT,
            lambda: _folder(self._client.repos.get(id_).as_dict(), self._secrets()),
        )

    def make_parent(self, path: str) -> None:
        self.make_directory(path.rpartition("/")[0])

    def make_directory(self, path: str) -> None:
        self._call(Operation.CREATE_PARENT.of(), LOOKUP_LIMIT, lambda: self._client.workspace.mkdirs(path))

    def create_folder(
        self, path: str, url: str, sparse: tuple[str, ...] | None, credential_id: int | None
    ) -> GitFolder:
        """Clone a repository.

        Retried only if throttled. After another failure, the folder might exist (`find`).
        """
        return self._call(
            Operation.CREATE_FOLDER.of(),
            None,
            lambda: _folder(
                self._client.repos.create(
                    url,
                    PROVIDER,
                    path=path,
                    sparse_checkout=SparseCheckout(patterns=list(sparse)) if sparse else None,
                    git_credential_id=credential_id,
                ).as_dict(),
                self._secrets(),
            ),
            Retry.IF_THROTTLED,
        )

    def move_folder(self, id_: int, ref: Ref, *, discard: bool, credential_id: int | None) -> None:
        """Update a Git folder to a branch's latest commit, or to a tag.

        Retried only if throttled. After a lost response, the update might continue, and two updates conflict.
        """
        self._call(
            Operation.MOVE_FOLDER.of(ref),
            None,
            lambda: self._client.repos.update(
                id_,
                branch=ref.branch,
                tag=ref.tag,
                dangerously_force_discard_all=True if discard else None,
                git_credential_id=credential_id,
            ),
            Retry.IF_THROTTLED,
        )

    def _call[T](
        self, what: Attempt, limit: float | None, request: Callable[[], T], repeat: Retry = Retry.IDEMPOTENT
    ) -> T:
        deadline = self._network.deadline if limit is None else self._network.deadline.within(limit)
        secrets = self._secrets()
        return call(Service.DATABRICKS, what, request, deadline=deadline, secrets=secrets, repeat=repeat)

    def _read[M: responses.Response](self, model: type[M], value: object) -> M:
        return read(model, value, self._secrets())

    def _secrets(self) -> SecretFilter:
        """Return a new filter for each use, because keeping one for each workspace would need much memory."""
        return SecretFilter([self._token().get_secret_value()], beside=self._network.secrets)


def _folder(found: object, secrets: SecretFilter) -> GitFolder:
    folder = read(responses.Repo, found, secrets)
    return GitFolder(
        folder.id,
        folder_key(folder.path),
        folder.url,
        folder.branch,
        folder.head_commit_id,
        folder.git_cli_enabled is True,
    )


def _child(found: object, secrets: SecretFilter) -> ListedObject | None:
    try:
        item = read(responses.Object, found, secrets)
    except UnexpectedAnswerError:
        return None
    directory = item.directory_info
    return ListedObject(
        folder_key(item.path),
        item.object_id,
        item.object_type,
        directory.is_git_folder if directory else None,
    )


def _is_no_repository(failure: ServiceFailure) -> bool:
    """Return whether an object is not a Git folder, or is left over from a failed creation of one."""
    refused = failure.status == HTTPStatus.BAD_REQUEST and _NO_URL.search(failure.message) is not None
    return refused or failure.status == HTTPStatus.NOT_FOUND


_NO_URL = re.compile("Git repository URL missing")
"""Fact: https://github.com/databrickslabs/dbx/issues/413"""


def _listed(found: object, secrets: SecretFilter) -> GitFolder | None:
    try:
        return _folder(found, secrets)
    except UnexpectedAnswerError:
        return None


def _size(folder: GitFolder | None) -> int:
    texts = (folder.path, folder.url, folder.branch, folder.commit) if folder else ()
    return FOLDER_SIZE + sum(len(text) for text in texts if text)
