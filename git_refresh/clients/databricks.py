"""One Azure Databricks workspace: its Git credentials, its Git folders."""

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
"""Seconds, further attempts included. A Git operation may take the rest of the run: a clone can need ten minutes."""

LISTING_LIMIT = 15.0
"""Seconds for what is in one directory, further attempts included: what it would show can be found otherwise."""

MAX_BODIES = 32 * 1024 * 1024
"""Bytes of all answers of one workspace in a run: some ten times what 2,000 Git folders need when all of them move."""

MAX_REPOS_PAGES = 200
"""Pages of 20 Git folders: twice what a workspace may have. A list that goes on after that is no list."""

_ODD_FIELD = frozenset({"INVALID_PARAMETER_VALUE", "MALFORMED_REQUEST"})
"""The codes of an answer that complains of something in the request."""

ENTRIES = 5_000
"""Git folders in the list, however many are on a page: more than twice what a workspace may have."""

FOLDER_SIZE = 200
"""What a Git folder in the list counts beside the characters of its texts."""

LIST_SIZE = 2_000_000
"""What the Git folders in one workspace's list may count together: 5,000 with 200 characters each."""

LISTS_SIZE = 100_000_000
"""What those of all workspaces may count in a run; see `Shares`. A thousand workspaces with 200 Git folders each have less."""


def folder_lists(workspaces: int) -> Quota:
    """The room of a run for the lists of so many workspaces."""
    return Quota(LISTS_SIZE, workspaces, LIST_SIZE)


def workspace_session(host: str, network: Network) -> BoundedSession:
    """A session for one workspace: to sign in, and for all that is asked of it then."""
    return BoundedSession([host], network.tls, allowance=ByteBudget(MAX_BODIES), skew=network.skew)


class DatabricksWorkspaceApi:
    """Git credentials and Git folders of one workspace. Every method raises `ServiceError` when the workspace fails it."""

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
        """Take a session, which is closed with this, and the access token, or what returns it before each call.

        Without `keeps_connections`, there are not descriptors enough to keep connections open while nothing is asked.
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
        """Return a client that shares the connections and the token of another."""
        return cls(rest.session, rest.origin, rest.token, rest.network)

    def release_idle_connections(self) -> None:
        """Nothing is asked for a while: the other workspaces come first."""
        if not self._keeps_connections:
            self._session.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._session.close()

    def credentials(self, principal_id: int | None) -> list[StoredCredential]:
        """The Git credentials of the caller, or of another service principal that the caller manages."""
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
        """Store a token in a Git credential, whose name stays as it is. Doing it twice changes nothing."""
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
        """Create a Git credential with this app's name on it, and return its id.

        A workspace that may not know the field yet is asked once more without: it must not be left without a credential for that.
        Not sent twice otherwise: look at `credentials` after a failure.
        """
        try:
            return self._create_credential(username, token, principal_id, CREDENTIAL_NAME)
        except ServiceError as error:
            if error.failure.status != HTTPStatus.BAD_REQUEST or error.failure.error_code not in _ODD_FIELD:
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
        """The Git folders below a path, page by page; None for one that is not what the API promises.

        Facts: GET /api/2.0/repos is deprecated, since it leaves out Git folders with Git CLI access. It also leaves out those without
        Manage permission.
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
        """The directories and Git folders directly in a directory; None for an object that is not what the API promises."""
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
        """What is at a path. None: nothing that we may see."""
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
        """What the Repos API says of an object: it alone knows what is a Git folder."""
        try:
            folder = self.folder(found.id)
        except ServiceError as error:
            if not _is_no_repository(error.failure):
                raise
            return OtherObject(found.type, found.id, broken=found.is_git_folder)
        return replace(folder, git_cli=folder.git_cli or found.type != REPO)

    def folder(self, id_: int) -> GitFolder:
        """A Git folder as it is now."""
        return self._call(
            Operation.READ_FOLDER.of(),
            LOOKUP_LIMIT,
            lambda: _folder(self._client.repos.get(id_).as_dict(), self._secrets()),
        )

    def make_parent(self, path: str) -> None:
        """Create the folders above a path, as far as they are missing."""
        self.make_directory(path.rpartition("/")[0])

    def make_directory(self, path: str) -> None:
        """Create a directory, and those above it, as far as they are missing."""
        self._call(Operation.CREATE_PARENT.of(), LOOKUP_LIMIT, lambda: self._client.workspace.mkdirs(path))

    def create_folder(
        self, path: str, url: str, sparse: tuple[str, ...] | None, credential_id: int | None
    ) -> GitFolder:
        """Clone a repository. Not sent twice: look with `find` after a failure, which may have left the folder behind."""
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
        """Bring a Git folder to a branch's latest commit, or to a tag.

        Not sent twice: after a lost answer the workspace may still be at work on it, and two operations on one folder fight.
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
        """Made anew where it is needed: kept for each of a thousand workspaces, it would be larger than their tokens."""
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
    """Whether there is no repository behind an object: an ordinary directory, or what a failed create has left behind."""
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
