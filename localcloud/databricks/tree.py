"""A workspace's tree of directories and Git folders, and the API to look at it.

Facts: https://docs.databricks.com/api/azure/workspace/workspace

A path and the same path behind `/Workspace` are one object; answers leave `/Workspace` out, as real ones do.
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from aiohttp import web

from localcloud.databricks.errors import error, fields, invalid, not_found, required
from localcloud.databricks.folder import Folder
from localcloud.databricks.sign_in import SignIn


class Tree:
    """Directories and Git folders by path."""

    def __init__(self, sign_in: SignIn) -> None:
        self.folders: dict[str, Folder] = {}
        self._sign_in = sign_in
        self._ids = itertools.count(4_000_000_000_000_001)
        self._directories = {path: self.next_id() for path in ("/", "/Repos", "/Shared", "/Users")}

    def routes(self) -> Iterable[web.RouteDef]:
        return [
            web.get("/api/2.0/workspace/get-status", self._get_status),
            web.get("/api/2.0/workspace/list", self._list),
            web.post("/api/2.0/workspace/mkdirs", self._mkdirs),
        ]

    def next_id(self) -> int:
        return next(self._ids)

    def has_directory(self, path: str) -> bool:
        return path in self._directories

    def visible(self) -> Iterator[Folder]:
        """The Git folders that the calling principal sees, by path."""
        return (folder for _, folder in sorted(self.folders.items()) if folder.visible)

    def make_directories(self, path: str) -> None:
        """Create a directory and its parents. Raises the API's errors."""
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
                self._directories[step] = self.next_id()

    async def _get_status(self, request: web.Request) -> web.Response:
        self._sign_in.authenticate(request)
        return web.json_response(self._object(normal(request.query.get("path", ""))))

    async def _list(self, request: web.Request) -> web.Response:
        self._sign_in.authenticate(request)
        path = normal(request.query.get("path", ""))
        self._object(path)
        inside = path.rstrip("/") + "/"
        paths = [*self._directories, *(folder.path for folder in self.visible())]
        children = [
            child
            for child in sorted(paths)
            if child != path and child.startswith(inside) and "/" not in child.removeprefix(inside)
        ]
        return web.json_response({"objects": [self._object(child) for child in children]} if children else {})

    async def _mkdirs(self, request: web.Request) -> web.Response:
        self._sign_in.authenticate(request)
        self.make_directories(normal(required(await fields(request), "path")))
        return web.json_response({})

    def _object(self, path: str) -> dict[str, Any]:
        folder = self.folders.get(path)
        if folder is not None and folder.visible:
            kind = "DIRECTORY" if folder.git_cli else "REPO"
            git_cli = {"directory_info": {"is_git_folder": True}} if folder.git_cli else {}
            return _information(kind, path, folder.id) | git_cli
        if path in self._directories:
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
