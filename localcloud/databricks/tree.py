"""A workspace's tree of directories, Git folders, files and notebooks, and its API.

Facts: https://docs.databricks.com/api/azure/workspace/workspace

A path with and without `/Workspace` in front names one object. Responses omit the prefix, unless a variant
keeps it.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from aiohttp import web

from localcloud.databricks import contents
from localcloud.databricks.contents import Item
from localcloud.databricks.errors import error, fields, invalid, required
from localcloud.databricks.folder import Folder
from localcloud.databricks.permissions import (
    CAN_MANAGE,
    CAN_READ,
    SHARED,
    Rights,
    above,
    no_manage,
)
from localcloud.databricks.sign_in import ServicePrincipal, SignIn
from localcloud.databricks.variant import Variant

TOP = ("/", "/Repos", SHARED, "/Users")
"""Visible to every principal, whatever its permissions."""


class Tree:
    """All objects by path.

    `closed`: directories that only an admin can list, like home directories.
    `max_listed`: the most objects that a directory can list; None: any number.
    """

    def __init__(self, sign_in: SignIn, variant: Variant) -> None:
        self.folders: dict[str, Folder] = {}
        self.closed: set[str] = set()
        self.max_listed: int | None = None
        self.rights = Rights(sign_in)
        self._sign_in = sign_in
        self._variant = variant
        self._ids = itertools.count(4_000_000_000_000_001)
        self._directories = {path: self.next_id() for path in TOP}
        self._files: dict[str, Item] = {}
        self._other_ids: defaultdict[str, int] = defaultdict(self.next_id)

    def routes(self) -> Iterable[web.RouteDef]:
        return [
            web.get("/api/2.0/workspace/get-status", self._get_status),
            web.get("/api/2.0/workspace/list", self._list),
            web.post("/api/2.0/workspace/mkdirs", self._mkdirs),
        ]

    def next_id(self) -> int:
        return next(self._ids)

    def has(self, path: str) -> bool:
        return self._item(path) is not None

    def directories(self) -> Mapping[str, int]:
        """Return the directories outside Git folders, each with its ID."""
        return self._directories

    def folder_of(self, path: str) -> Folder | None:
        """Return the Git folder that a path is, or is in."""
        return next((self.folders[each] for each in above(path) if each in self.folders), None)

    def level(self, principal: ServicePrincipal, path: str) -> str | None:
        """Return a principal's level on an object, or None if it is hidden."""
        folder = self.folder_of(path)
        if principal.admin:
            return CAN_MANAGE
        if self._sign_in.ungranted:
            return self.rights.of(principal, path) or (CAN_READ if path in TOP else None)
        if folder is None or (folder.can_manage and folder.visible):
            return CAN_MANAGE
        return self.rights.of(principal, path, groups=False) or (CAN_READ if folder.visible else None)

    def visible(self, principal: ServicePrincipal) -> Iterator[Folder]:
        """Return the Git folders that a principal sees, by path."""
        return (folder for path, folder in sorted(self.folders.items()) if self.level(principal, path))

    def make_directories(self, path: str, principal: ServicePrincipal | None = None) -> None:
        """Create a directory and its parents, as a principal or as the test, or raise the API's error."""
        names = path.strip("/").split("/")
        for depth in range(1, len(names) + 1):
            step = "/" + "/".join(names[:depth])
            known = self._item(step)
            if known is not None and known.kind != "DIRECTORY":
                raise error(
                    400, "RESOURCE_ALREADY_EXISTS", f"Path ({step}) already exists and is not a directory."
                )
            if known is None:
                self._check_new(step, names, depth, principal)
                self._make(step, principal)

    def add_file(self, path: str, item: Item) -> None:
        """Add a file or notebook outside Git folders, with its directories."""
        self.make_directories(path.rpartition("/")[0] or "/")
        self._files[path] = item

    def check_manage(self, principal: ServicePrincipal, path: str) -> None:
        """Raise the workspace's error unless the principal can manage the object."""
        if self.level(principal, path) != CAN_MANAGE:
            raise no_manage(principal, path)

    async def _get_status(self, request: web.Request) -> web.Response:
        principal = self._sign_in.authenticate(request)
        path = normal(request.query.get("path", ""))
        self._check_seen(principal, path)
        asked = request.query.get("return_git_info") == "true"
        return web.json_response(self._shown(request, path, git_info=asked))

    async def _list(self, request: web.Request) -> web.Response:
        """List a directory in one page; a file or notebook lists itself."""
        principal = self._sign_in.authenticate(request)
        path = normal(request.query.get("path", ""))
        known = self._check_seen(principal, path)
        if known.kind != "DIRECTORY":
            return web.json_response({"objects": [self._shown(request, path)]})
        if path in self.closed and not principal.admin:  # unrecorded: the text
            text = f"{principal.client_id} does not have View permissions on {path}."
            raise error(403, "PERMISSION_DENIED", text)
        found = self._children(path)
        if self.max_listed is not None and len(found) > self.max_listed:  # unrecorded: all of it
            text = f"The directory {path} has more than {self.max_listed} objects and cannot be listed."
            raise error(400, "MAX_LIST_SIZE_EXCEEDED", text)
        seen = [self._shown(request, child) for child in found if self.level(principal, child)]
        return web.json_response({"objects": seen} if seen else {})

    async def _mkdirs(self, request: web.Request) -> web.Response:
        principal = self._sign_in.authenticate(request)
        self.make_directories(normal(required(await fields(request), "path")), principal)
        return web.json_response({})

    def _check_new(self, step: str, names: list[str], depth: int, principal: ServicePrincipal | None) -> None:
        """Raise the workspace's error where a directory cannot be created."""
        if names[0] == "Repos" and depth > len(("Repos", "folder")) and not self.folder_of(step):
            raise protected()
        if principal:
            self.check_manage(principal, step.rpartition("/")[0] or "/")

    def _make(self, step: str, principal: ServicePrincipal | None) -> None:
        if folder := self.folder_of(step):
            (folder.directory / step.removeprefix(folder.path + "/")).mkdir()
            return
        if principal:
            self.rights.own(step, principal)
        self._directories[step] = self.next_id()

    def _item(self, path: str) -> Item | None:
        """Return the item at a path; a Git folder is a directory here."""
        if path in self.folders or path in self._directories:
            return Item("DIRECTORY")
        if folder := self.folder_of(path):
            return contents.item(folder.directory, path.removeprefix(folder.path + "/").split("/"))
        return self._files.get(path)

    def _children(self, path: str) -> list[str]:
        inside = path.rstrip("/") + "/"
        if folder := self.folder_of(path):
            place = folder.directory / path.removeprefix(folder.path).strip("/")
            return [inside + name for name in contents.children(place)]
        return [
            child
            for child in sorted([*self._directories, *self.folders, *self._files])
            if child != path and child.startswith(inside) and "/" not in child.removeprefix(inside)
        ]

    def _check_seen(self, principal: ServicePrincipal, path: str) -> Item:
        known = self._item(path)
        if known is None or not self.level(principal, path):
            raise self._variant.no_such(f"Path ({path}) doesn't exist.")
        return known

    def _number(self, path: str) -> int:
        if path in self.folders:
            return self.folders[path].id
        return self._directories.get(path) or self._other_ids[path]

    def _shown(self, request: web.Request, path: str, *, git_info: bool = False) -> dict[str, Any]:
        """Return an object as responses show it."""
        known, number, root = self._item(path) or Item("DIRECTORY"), self._number(path), self.folder_of(path)
        legacy = root is not None and root.path == path and not root.git_cli
        kept = self._variant.workspace_prefix == "kept" and _prefixed(request.query.get("path", ""))
        shown: dict[str, Any] = {
            "object_type": "REPO" if legacy else known.kind,
            "path": "/Workspace" + path.rstrip("/") if kept else path,
            "object_id": number,
            "resource_id": str(number),
        }
        told = {"always": True, "with-git-info": git_info, "absent": False}[self._variant.directory_info]
        if told and shown["object_type"] == "DIRECTORY":
            shown["directory_info"] = {"is_git_folder": path in self.folders}
        if known.language:
            shown["language"] = known.language
        if git_info and root is not None:
            shown["git_info"] = _git_info(root)
        return shown


def _git_info(folder: Folder) -> dict[str, Any]:
    """Return a Git folder's `git_info`; with Git CLI access, Databricks returns only ID and path."""
    told = {"id": folder.id, "path": folder.path}
    if folder.git_cli or folder.broken:
        return told
    more = {"branch": folder.branch, "head_commit_id": folder.head, "url": folder.url}
    return told | {key: value for key, value in more.items() if value}


def normal(path: str) -> str:
    """Return a path as responses have it, or raise the API's 400 for a relative one."""
    if not path.startswith("/"):
        raise invalid(f"Path ({path}) must start with '/'")
    names = [name for name in path.split("/") if name]
    if names[:1] == ["Workspace"]:
        names = names[1:]
    return "/" + "/".join(names)


def protected() -> Exception:
    return error(400, "DIRECTORY_PROTECTED", "Top-level folder can only contain repos")


def _prefixed(path: str) -> bool:
    return path == "/Workspace" or path.startswith("/Workspace/")
