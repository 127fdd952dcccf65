"""A workspace's Git folders API (`/api/2.0/repos`).

Facts: https://docs.databricks.com/api/azure/workspace/repos
"""

import asyncio
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

PATH = "/api/2.0/repos"
PAGE = 20


class GitFolders:
    """Creates, shows and updates Git folders, with the stored Git credential of the calling principal."""

    def __init__(
        self,
        sign_in: SignIn,
        tree: Tree,
        credentials: GitCredentials,
        directory: Path,
        network: Mapping[str, str],
    ) -> None:
        self._sign_in = sign_in
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

    def new(self, path: str, url: str, sparse: Iterable[str] = ()) -> Folder:
        """A folder that is not cloned and not in the tree yet."""
        number = self._tree.next_id()
        return Folder(number, path, url, self._directory / str(number), tuple(sparse))

    async def _list(self, request: web.Request) -> web.Response:
        principal = self._sign_in.authenticate(request)
        prefix = normal(request.query.get("path_prefix") or "/")
        prefix = "/Repos" if prefix == "/" else prefix
        found = [
            folder
            for folder in self._tree.visible(principal)
            if folder.path.startswith(prefix) and self._manages(principal, folder) and not folder.git_cli
        ]
        start = identifier(request.query.get("next_page_token") or "0")
        page = {"repos": [_public(folder) for folder in found[start : start + PAGE]]} if found[start:] else {}
        more = {"next_page_token": str(start + PAGE)} if found[start + PAGE :] else {}
        return web.json_response(page | more)

    async def _get(self, request: web.Request) -> web.Response:
        principal = self._sign_in.authenticate(request)
        return web.json_response(_public(self._one(request, principal)))

    async def _create(self, request: web.Request) -> web.Response:
        principal = self._sign_in.authenticate(request)
        content = await fields(request)
        url, provider = required(content, "url"), required(content, "provider")
        if provider.lower() not in PROVIDERS:
            raise invalid(f"Invalid Git provider {provider}.")
        default = f"/Repos/{principal.client_id}/{url.rstrip('/').rpartition('/')[2]}"
        path = normal(content.get("path") or default)
        async with self._creating[path]:
            self._check_place(path, principal)
            folder = self.new(path, url, (content.get("sparse_checkout") or {}).get("patterns") or ())
            await self._git(folder.clone(self._access(principal, content)), folder)
            self._tree.folders[path] = folder
            self._tree.rights.own(path, principal)
        return web.json_response(_public(folder))

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
            if branch:
                await self._git(folder.switch(access, branch=branch, discard=discard), folder, branch)
            else:
                await self._git(folder.detach(access, tag=str(tag), discard=discard), folder, str(tag))
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
            if folder.id == number:
                return folder
        raise not_found(f"Repo with id {number} could not be found.")

    def _check_place(self, path: str, principal: ServicePrincipal) -> None:
        parent = path.rpartition("/")[0] or "/"
        if path in self._tree.folders or self._tree.has_directory(path):
            raise error(
                400,
                "RESOURCE_ALREADY_EXISTS",
                f"Repo {path} already exists. If you would like to create two repos from the same remote "
                "Git repo, rename the first repo before creating the second.",
            )
        if path.startswith("/Repos/") and path.count("/") != "/Repos/folder/name".count("/"):
            raise protected()
        if not self._tree.has_directory(parent):
            raise not_found(f"Parent directory {parent} does not exist.")
        self._tree.check_manage(principal, parent)

    def _access(self, principal: ServicePrincipal, content: Mapping[str, Any]) -> Access:
        number = content.get("git_credential_id")
        credential = self._credentials.choose(principal, None if number is None else identifier(str(number)))
        if credential.token is None:
            raise error(403, "PERMISSION_DENIED", errors.FEDERATED)
        return signed_in(credential.username or credential.email or "", credential.token, self._network)

    async def _git(self, work: Awaitable[None], folder: Folder, ref: str = "") -> None:
        """Do a Git operation, and answer its failure as the workspace would."""
        try:
            await work
        except FolderError as failure:
            raise _answer(failure, folder, ref) from None


def _answer(failure: FolderError, folder: Folder, ref: str) -> ApiError:
    match failure.code:
        case "PERMISSION_DENIED":
            return error(403, failure.code, errors.INVALID)
        case "BAD_REQUEST":
            return error(400, failure.code, errors.NOT_FOUND)
        case "GIT_CONFLICT":
            conflicts = ", ".join(failure.files)
            return error(400, failure.code, f"Conflict pulling from remote. Conflicting files: {conflicts}")
        case "GIT_UNKNOWN_REF":  # the text is not verified
            return error(400, failure.code, f"Could not find branch or tag {ref} in the remote repository.")
        case code:  # the text is not verified
            return error(400, code, f"Could not reach the remote repository of {folder.path}.")


def _public(folder: Folder) -> dict[str, Any]:
    shown = {
        "id": folder.id,
        "path": folder.path,
        "url": folder.url,
        "provider": DEVOPS,
        "branch": folder.branch,
        "head_commit_id": folder.head,
        "git_cli_enabled": True if folder.git_cli else None,
        "sparse_checkout": {"patterns": list(folder.sparse)} if folder.sparse else None,
    }
    return {key: value for key, value in shown.items() if value is not None}
