"""The permissions API for directories and Git folders.

Facts: https://docs.databricks.com/api/azure/workspace/permissions
"""

from collections.abc import Iterable
from typing import Any

from aiohttp import web

from localcloud.databricks.errors import fields, identifier, invalid, not_found
from localcloud.databricks.folder import Folder
from localcloud.databricks.permissions import CAN_MANAGE, SHARED, USERS, Grants, above
from localcloud.databricks.sign_in import ServicePrincipal, SignIn
from localcloud.databricks.tree import Tree
from localcloud.databricks.variant import Variant

PATH = "/api/2.0/permissions/{kind:directories|repos}/{id}"
_TYPES = {"repos": "repo", "directories": "directory"}


class ObjectPermissions:
    def __init__(self, sign_in: SignIn, tree: Tree, variant: Variant) -> None:
        self._sign_in = sign_in
        self._tree = tree
        self._variant = variant

    def routes(self) -> Iterable[web.RouteDef]:
        return [web.get(PATH, self._get), web.patch(PATH, self._change), web.put(PATH, self._change)]

    async def _get(self, request: web.Request) -> web.Response:
        principal = self._sign_in.authenticate(request)
        return web.json_response(self._granted(request, self._place(request, principal)))

    async def _change(self, request: web.Request) -> web.Response:
        """Change permissions: PATCH adds, PUT also removes what it does not name."""
        principal = self._sign_in.authenticate(request)
        path = self._place(request, principal)
        self._tree.check_manage(principal, path)
        if path == SHARED:
            raise invalid(f"Cannot modify permissions of directory {request.match_info['id']}")
        rights = self._tree.rights
        grants = rights.parsed(await fields(request))
        if request.method == "PATCH":
            rights.add(path, grants)
        else:
            rights.replace(path, grants)
        return web.json_response(self._granted(request, path))

    def _place(self, request: web.Request, principal: ServicePrincipal) -> str:
        """Return the path of the object that a request names by its kind and ID."""
        number, kind = identifier(request.match_info["id"]), request.match_info["kind"]
        numbers = {folder.id: path for path, folder in self._tree.folders.items()}
        numbers |= {known: path for path, known in self._tree.directories().items()}
        path = numbers.get(number)
        text = f"{_TYPES[kind].capitalize()} {number} does not exist."  # unrecorded
        if path is None or not self._tree.level(principal, path):
            raise not_found(text)
        if kind != self._kind(self._tree.folders.get(path)):
            raise not_found(text) if self._variant.permissions_elsewhere == "404" else invalid(text)
        return path

    def _kind(self, folder: Folder | None) -> str:
        """Return the object type that has the permissions of a folder."""
        if folder is None:
            return "directories"
        return self._variant.permissions_at if folder.git_cli else "repos"

    def _granted(self, request: web.Request, path: str) -> dict[str, Any]:
        folder, rights, kind = self._tree.folders.get(path), self._tree.rights, request.match_info["kind"]
        entries: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for place in above(path):
            for who, level in self._grants(place, folder).items():
                inherited: dict[str, Any] = {"inherited": place != path}
                if place != path:
                    inherited["inherited_from_object"] = [f"/directories/{self._tree.directories()[place]}"]
                entries.setdefault(who, []).append({"permission_level": level, **inherited})
        return {
            "object_id": f"/{kind}/{identifier(request.match_info['id'])}",
            "object_type": _TYPES[kind],
            "access_control_list": [
                {who[0]: who[1], "display_name": rights.display_name(who), "all_permissions": all_of}
                for who, all_of in entries.items()
            ],
        }

    def _grants(self, place: str, folder: Folder | None) -> Grants:
        """Return the grants on a path; without permission checks every principal has CAN MANAGE."""
        shown = self._tree.rights.shown(place)
        if self._sign_in.ungranted:
            return shown
        if folder is None or (folder.can_manage and folder.visible):
            return shown | ({USERS: CAN_MANAGE} if place == "/" else {})
        return {who: level for who, level in shown.items() if who != USERS}
