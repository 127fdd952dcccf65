"""A workspace's tree of directories and Git folders, and the APIs to look at it and to say who may do what there.

Facts: https://docs.databricks.com/api/azure/workspace/workspace and https://docs.databricks.com/api/azure/workspace/permissions

A path and the same path behind `/Workspace` are one object; answers leave `/Workspace` out, as real ones do.
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from aiohttp import web

from localcloud.databricks.errors import error, fields, identifier, invalid, not_found, required
from localcloud.databricks.folder import Folder
from localcloud.databricks.permissions import (
    CAN_MANAGE,
    CAN_READ,
    SHARED,
    USERS,
    Grants,
    Rights,
    above,
    no_manage,
)
from localcloud.databricks.sign_in import ServicePrincipal, SignIn

TOP = ("/", "/Repos", SHARED, "/Users")
"""Everybody sees these, whatever she may do in them."""

PERMISSIONS = "/api/2.0/permissions/{kind:directories|repos}/{id}"


class Tree:
    """Directories and Git folders by path."""

    def __init__(self, sign_in: SignIn) -> None:
        self.folders: dict[str, Folder] = {}
        self.rights = Rights(sign_in)
        self._sign_in = sign_in
        self._ids = itertools.count(4_000_000_000_000_001)
        self._directories = {path: self.next_id() for path in TOP}

    def routes(self) -> Iterable[web.RouteDef]:
        return [
            web.get("/api/2.0/workspace/get-status", self._get_status),
            web.get("/api/2.0/workspace/list", self._list),
            web.post("/api/2.0/workspace/mkdirs", self._mkdirs),
            web.get(PERMISSIONS, self._permissions),
            web.patch(PERMISSIONS, self._change_permissions),
            web.put(PERMISSIONS, self._change_permissions),
        ]

    def next_id(self) -> int:
        return next(self._ids)

    def has_directory(self, path: str) -> bool:
        return path in self._directories

    def level(self, principal: ServicePrincipal, path: str) -> str | None:
        """How far somebody's rights on an object go; None: she does not see it."""
        folder = self.folders.get(path)
        if principal.admin:
            return CAN_MANAGE
        if self._sign_in.ungranted:
            return self.rights.of(principal, path) or (CAN_READ if path in TOP else None)
        if folder is None or (folder.can_manage and folder.visible):
            return CAN_MANAGE
        return self.rights.of(principal, path, groups=False) or (CAN_READ if folder.visible else None)

    def visible(self, principal: ServicePrincipal) -> Iterator[Folder]:
        """The Git folders that somebody sees, by path."""
        return (folder for path, folder in sorted(self.folders.items()) if self.level(principal, path))

    def make_directories(self, path: str, principal: ServicePrincipal | None = None) -> None:
        """Create a directory and its parents, as somebody, or by hand. Raises the API's errors."""
        names = path.strip("/").split("/")
        for depth in range(1, len(names) + 1):
            step = "/" + "/".join(names[:depth])
            if step in self.folders:
                raise error(
                    400, "RESOURCE_ALREADY_EXISTS", f"Path ({step}) already exists and is not a directory."
                )
            if step not in self._directories:
                if names[0] == "Repos" and depth > len(("Repos", "folder")):
                    raise protected()
                if principal:
                    self.check_manage(principal, step.rpartition("/")[0] or "/")
                    self.rights.own(step, principal)
                self._directories[step] = self.next_id()

    def check_manage(self, principal: ServicePrincipal, path: str) -> None:
        """Raise what the workspace answers to somebody who may not manage an object."""
        if self.level(principal, path) != CAN_MANAGE:
            raise no_manage(principal, path)

    async def _get_status(self, request: web.Request) -> web.Response:
        principal = self._sign_in.authenticate(request)
        return web.json_response(self._object(principal, normal(request.query.get("path", ""))))

    async def _list(self, request: web.Request) -> web.Response:
        principal = self._sign_in.authenticate(request)
        path = normal(request.query.get("path", ""))
        self._object(principal, path)
        inside = path.rstrip("/") + "/"
        children = [
            child
            for child in sorted([*self._directories, *self.folders])
            if child != path and child.startswith(inside) and "/" not in child.removeprefix(inside)
        ]
        seen = [self._object(principal, child) for child in children if self.level(principal, child)]
        return web.json_response({"objects": seen} if seen else {})

    async def _mkdirs(self, request: web.Request) -> web.Response:
        principal = self._sign_in.authenticate(request)
        self.make_directories(normal(required(await fields(request), "path")), principal)
        return web.json_response({})

    async def _permissions(self, request: web.Request) -> web.Response:
        principal = self._sign_in.authenticate(request)
        return web.json_response(self._granted(self._place(request, principal)))

    async def _change_permissions(self, request: web.Request) -> web.Response:
        """PATCH adds, PUT takes away what it does not name."""
        principal = self._sign_in.authenticate(request)
        path = self._place(request, principal)
        self.check_manage(principal, path)
        if path == SHARED:
            raise invalid(f"Cannot modify permissions of directory {request.match_info['id']}")
        grants = self.rights.parsed(await fields(request))
        if request.method == "PATCH":
            self.rights.add(path, grants)
        else:
            self.rights.replace(path, grants)
        return web.json_response(self._granted(path))

    def _place(self, request: web.Request, principal: ServicePrincipal) -> str:
        """The path of what a request names by its kind and number."""
        number, kind = identifier(request.match_info["id"]), request.match_info["kind"]
        for path, folder in self.folders.items():
            if folder.id == number and (kind == "repos" or folder.git_cli) and self.level(principal, path):
                return path
        for path, known in self._directories.items():
            if known == number and kind == "directories" and self.level(principal, path):
                return path
        raise not_found(f"{'Repo' if kind == 'repos' else 'Directory'} {number} does not exist.")

    def _granted(self, path: str) -> dict[str, Any]:
        folder = self.folders.get(path)
        kind, number = ("repos", folder.id) if folder else ("directories", self._directories[path])
        entries: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for place in above(path):
            for who, level in self._grants(place, folder).items():
                inherited: dict[str, Any] = {"inherited": place != path}
                if place != path:
                    inherited["inherited_from_object"] = [f"/directories/{self._directories[place]}"]
                entries.setdefault(who, []).append({"permission_level": level, **inherited})
        return {
            "object_id": f"/{kind}/{number}",
            "object_type": "repo" if folder else "directory",
            "access_control_list": [
                {who[0]: who[1], "display_name": self.rights.display_name(who), "all_permissions": all_of}
                for who, all_of in entries.items()
            ],
        }

    def _grants(self, place: str, folder: Folder | None) -> Grants:
        """What was granted at a place; where nothing has to be granted, everybody manages everything."""
        shown = self.rights.shown(place)
        if self._sign_in.ungranted:
            return shown
        if folder is None or (folder.can_manage and folder.visible):
            return shown | ({USERS: CAN_MANAGE} if place == "/" else {})
        return {who: level for who, level in shown.items() if who != USERS}

    def _object(self, principal: ServicePrincipal, path: str) -> dict[str, Any]:
        folder = self.folders.get(path)
        if self.level(principal, path) and folder is not None:
            kind = "DIRECTORY" if folder.git_cli else "REPO"
            git_cli = {"directory_info": {"is_git_folder": True}} if folder.git_cli else {}
            return _information(kind, path, folder.id) | git_cli
        if self.level(principal, path) and path in self._directories:
            return _information("DIRECTORY", path, self._directories[path])
        raise not_found(f"Path ({path}) doesn't exist.")


def normal(path: str) -> str:
    """A path in the form that answers have it. Raises the API's 400 for a relative one."""
    if not path.startswith("/"):
        raise invalid(f"Path ({path}) must start with '/'")
    names = [name for name in path.split("/") if name]
    if names[:1] == ["Workspace"]:
        names = names[1:]
    return "/" + "/".join(names)


def protected() -> Exception:
    return error(400, "DIRECTORY_PROTECTED", "Top-level folder can only contain repos")


def _information(kind: str, path: str, number: int) -> dict[str, Any]:
    return {"object_type": kind, "path": path, "object_id": number, "resource_id": str(number)}
