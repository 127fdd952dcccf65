"""A workspace's Git folders API (`/api/2.0/repos`).

Facts: https://docs.databricks.com/api/azure/workspace/repos
"""

import asyncio
import itertools
import re
from collections import defaultdict
from collections.abc import Awaitable, Iterable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from localcloud.answers import ApiError
from localcloud.databricks import errors
from localcloud.databricks.errors import error, fields, identifier, invalid, not_found, required
from localcloud.databricks.folder import Access, Folder, FolderError, signed_in
from localcloud.databricks.git_credentials import DEVOPS, PROVIDERS, GitCredentials
from localcloud.databricks.permissions import CAN_MANAGE
from localcloud.databricks.sign_in import ServicePrincipal, SignIn
from localcloud.databricks.tree import Tree, normal, protected
from localcloud.databricks.variant import Variant

PATH = "/api/2.0/repos"
PAGE = 20
NO_URL = "Git repository URL missing for project"
_NOT_A_DIRECTORY = re.compile(r"[*?\[\\]|^[!/]")
"""Not allowed in cone patterns: https://git-scm.com/docs/git-sparse-checkout#_internalscone_mode_handling"""


class GitFolders:
    """The API that creates, shows and updates Git folders, with the caller's Git credential."""

    def __init__(
        self,
        sign_in: SignIn,
        tree: Tree,
        credentials: GitCredentials,
        directory: Path,
        network: Mapping[str, str],
        variant: Variant,
    ) -> None:
        self._sign_in = sign_in
        self._variant = variant
        self._every_second = itertools.cycle((True, False))
        self._tree = tree
        self._credentials = credentials
        self._directory = directory
        self._network = network
        self._creating: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def routes(self) -> Iterable[web.RouteDef]:
        one = PATH + "/{id}"
        return [
            web.get(PATH, self._list),
            web.post(PATH, self._create),
            web.get(one, self._get),
            web.patch(one, self._update),
            web.delete(one, self._delete),
        ]

    def new(self, path: str, url: str, sparse: Iterable[str] = (), *, git_cli: bool | None = None) -> Folder:
        """Return a folder that is neither cloned nor in the tree yet, by default of the workspace's kind."""
        number = self._tree.next_id()
        kind = self._makes_git_cli(path) if git_cli is None else git_cli
        return Folder(number, path, url, self._directory / str(number), tuple(sparse), kind)

    def _makes_git_cli(self, path: str) -> bool:
        if path.startswith("/Repos/") and self._variant.below_repos == "legacy":
            return False
        if self._variant.git_folders == "mixed":
            return next(self._every_second)
        return self._variant.git_folders == "git-cli"

    async def _list(self, request: web.Request) -> web.Response:
        principal = self._sign_in.authenticate(request)
        prefix = normal(request.query.get("path_prefix") or "/")
        prefix = "/Repos" if prefix == "/" else prefix
        found = [
            folder
            for folder in self._tree.visible(principal)
            if folder.path.startswith(prefix) and self._manages(principal, folder)
            if not folder.git_cli and not folder.broken  # unrecorded: whether a broken one is listed
        ]
        start = identifier(request.query.get("next_page_token") or "0")
        page = (
            {"repos": [self._public(folder) for folder in found[start : start + PAGE]]}
            if found[start:]
            else {}
        )
        more = {"next_page_token": str(start + PAGE)} if found[start + PAGE :] else {}
        return web.json_response(page | more)

    async def _get(self, request: web.Request) -> web.Response:
        principal = self._sign_in.authenticate(request)
        folder = self._one(request, principal)
        former, folder.former_head = folder.former_head, None
        shown = self._public(folder) | ({"head_commit_id": former} if former else {})
        return web.json_response(shown | {"git_cli_enabled": folder.git_cli})

    async def _create(self, request: web.Request) -> web.Response:
        principal = self._sign_in.authenticate(request)
        content = await fields(request)
        provider = required(content, "provider")
        if provider.lower() not in PROVIDERS:
            raise invalid(f"Invalid Git provider {provider}.")
        url = str(content.get("url") or "")
        default = f"/Repos/{principal.client_id}/{url.rstrip('/').rpartition('/')[2]}"
        path = normal(content.get("path") or default)
        patterns = (content.get("sparse_checkout") or {}).get("patterns") or ()
        if any(_NOT_A_DIRECTORY.search(str(pattern)) for pattern in patterns):
            raise invalid("Invalid sparse-checkout cone pattern")  # unrecorded: the code
        async with self._creating[path]:
            self._check_place(path, principal)
            folder = self.new(path, url, patterns)
            if not url:  # https://github.com/databrickslabs/dbx/issues/413
                self._leave_broken(folder, principal)
                raise invalid(NO_URL)
            access = self._access(principal, content)
            try:
                await self._git(folder.clone(access), folder)
            except ApiError:
                if self._variant.failed_create == "broken":
                    self._leave_broken(folder, principal)
                raise
            self._add(folder, principal)
        return web.json_response(self._public(folder))

    def _add(self, folder: Folder, principal: ServicePrincipal) -> None:
        self._tree.folders[folder.path] = folder
        self._tree.rights.own(folder.path, principal)

    def _leave_broken(self, folder: Folder, principal: ServicePrincipal) -> None:
        folder.broken = True
        self._add(folder, principal)

    async def _update(self, request: web.Request) -> web.Response:
        principal = self._sign_in.authenticate(request)
        content = await fields(request)
        folder = self._one(request, principal)
        if not self._manages(principal, folder):
            raise error(403, "PERMISSION_DENIED", f"You do not have permission to update {folder.path}.")
        branch, tag = content.get("branch"), content.get("tag")
        if bool(branch) == bool(tag):
            raise invalid("Exactly one of branch and tag must be specified.")
        discard = bool(content.get("dangerously_force_discard_all"))
        access = self._access(principal, content)
        async with folder.lock:
            before = folder.head
            if branch:
                work = folder.switch(access, branch=branch, discard=discard, diverged=self._variant.diverged)
            else:
                work = folder.detach(access, tag=str(tag), discard=discard)
            await self._git(work, folder, str(branch or tag))
            if self._variant.head_after_update == "stale":
                folder.former_head = before
        return web.json_response({})

    async def _delete(self, request: web.Request) -> web.Response:
        principal = self._sign_in.authenticate(request)
        folder = self._one(request, principal)
        self._tree.check_manage(principal, folder.path)
        async with folder.lock:
            del self._tree.folders[folder.path]
            self._tree.rights.forget(folder.path)
        return web.json_response({})

    def _manages(self, principal: ServicePrincipal, folder: Folder) -> bool:
        return self._tree.level(principal, folder.path) == CAN_MANAGE

    def _one(self, request: web.Request, principal: ServicePrincipal) -> Folder:
        number = identifier(request.match_info["id"])
        for folder in self._tree.visible(principal):
            if folder.id == number and folder.broken and self._variant.broken_folder == "400":
                raise invalid(NO_URL)
            if folder.id == number and not folder.broken:
                return folder
        raise self._variant.no_such(f"Repo with id {number} could not be found.")

    def _check_place(self, path: str, principal: ServicePrincipal) -> None:
        parent = path.rpartition("/")[0] or "/"
        if self._tree.has(path):
            raise error(
                400,
                "RESOURCE_ALREADY_EXISTS",
                f"Repo {path} already exists. If you would like to create two repos from the same remote "
                "Git repo, rename the first repo before creating the second.",
            )
        if path.startswith("/Repos/") and path.count("/") != "/Repos/folder/name".count("/"):
            raise protected()
        if not self._tree.has(parent):
            raise not_found(f"Parent directory {parent} does not exist.")
        if self._tree.folder_of(parent):  # unrecorded: all of it
            raise invalid(f"A Git folder cannot be created inside another Git folder: {path}")
        self._tree.check_manage(principal, parent)

    def _access(self, principal: ServicePrincipal, content: Mapping[str, Any]) -> Access:
        number = content.get("git_credential_id")
        credential = self._credentials.choose(principal, None if number is None else identifier(str(number)))
        if credential.token is None:
            raise error(403, "PERMISSION_DENIED", errors.FEDERATED)
        return signed_in(credential.username or credential.email or "", credential.token, self._network)

    def _public(self, folder: Folder) -> dict[str, Any]:
        detached = {"absent": None, "empty": "", "HEAD": "HEAD"}[self._variant.detached_branch]
        shown = {
            "id": folder.id,
            "path": folder.path,
            "url": folder.url,
            "provider": DEVOPS,
            "branch": detached if folder.branch is None else folder.branch,
            "head_commit_id": folder.head
            or None,  # unrecorded: that the field is missing before the first commit
            "sparse_checkout": {"patterns": list(folder.sparse)} if folder.sparse else None,
        }
        return {key: value for key, value in shown.items() if value is not None}

    async def _git(self, work: Awaitable[None], folder: Folder, ref: str = "") -> None:
        """Run a Git operation and raise its failure as the workspace returns it."""
        try:
            await work
        except FolderError as failure:
            raise _answer(failure, folder, ref) from None


def _answer(failure: FolderError, folder: Folder, ref: str) -> ApiError:
    match failure.code:
        case "INTERNAL_ERROR" as code:
            return error(500, code, failure.message)
        case code if failure.message:
            return error(400, code, failure.message)
        case "PERMISSION_DENIED":
            return error(403, failure.code, errors.INVALID)
        case "BAD_REQUEST":
            return error(400, failure.code, errors.NOT_FOUND)
        case "GIT_CONFLICT":
            conflicts = ", ".join(failure.files)
            return error(400, failure.code, f"Conflict pulling from remote. Conflicting files: {conflicts}")
        case "GIT_UNKNOWN_REF":  # unrecorded: the rest of the text, and that a tag has the same one
            return error(400, failure.code, f"Remote branch does not exist: {ref}")
        case code:  # unrecorded: the text
            return error(400, code, f"Could not reach the remote repository of {folder.path}.")
