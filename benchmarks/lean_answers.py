"""The responses of the lean cloud: enough for a run and the asyncio client, without authentication."""

import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from benchmarks.cases import VAULT, Case
from localcloud.authority import DEVOPS_RESOURCE, ENTRA, TENANT, VAULT_RESOURCE, Authority

COMMIT, OLD_COMMIT = "c" * 40, "0123456789" * 4
_LONG = "x" * 600
"""Makes a token as long as Microsoft's: some 1,500 characters."""


@dataclass(frozen=True, slots=True)
class Asked:
    host: str
    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes

    @classmethod
    def of(cls, host: str, head: bytes, body: bytes) -> "Asked":
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        parts = urlsplit(target)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return cls(host, method, parts.path, parse_qs(parts.query), headers, body)

    @property
    def number(self) -> int:
        """The ID at the end of the path, or 0."""
        last = self.path.rpartition("/")[2]
        return int(last) if last.isdigit() else 0

    @property
    def route(self) -> str:
        return self.path.removesuffix(str(self.number)) + "{id}" if self.number else self.path


@dataclass(frozen=True, slots=True)
class Told:
    """A response."""

    body: object
    status: HTTPStatus = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)
    stores: bool = False
    """True if it confirms a stored Git credential."""


_MISSING = Told(
    {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "It does not exist."}, HTTPStatus.NOT_FOUND
)


class Answers:
    """The fleet of one case, in its state before the run."""

    def __init__(self, case: Case) -> None:
        self.asked: Counter[str] = Counter()
        self._case = case
        self._authority = Authority()
        self._workspaces: dict[str, _Workspace] = {}
        self._entra = {resource: self._issue(resource) for resource in (DEVOPS_RESOURCE, VAULT_RESOURCE)}
        self._access = self._issue("1")

    def _issue(self, audience: str) -> str:
        claims = {"oid": "0b1ec700-0000-4000-8000-00000000001d", "tid": TENANT, "x": _LONG}
        return self._authority.issue(ENTRA, audience, 3900, claims)

    def __call__(self, asked: Asked) -> Told:
        if asked.host == "identity":
            return self._identity(asked)
        if asked.host == urlsplit(VAULT).hostname:
            return self._secret(asked)
        if asked.host == "dev.azure.com":
            return self._refs(asked)
        if asked.host not in self._workspaces:
            self._workspaces[asked.host] = _Workspace(self._case)
        self.asked[f"databricks {asked.method} {asked.route}"] += 1
        if asked.path == "/oidc/v1/token":
            token = {"access_token": self._access, "token_type": "Bearer", "expires_in": 3600}
            return Told({**token, "scope": "all-apis"})
        return self._workspaces[asked.host](asked)

    def _identity(self, asked: Asked) -> Told:
        self.asked["identity"] += 1
        resource = asked.query["resource"][0].rstrip("/")
        return Told(
            {
                "access_token": self._entra[resource],
                "expires_on": str(int(time.time()) + 3900),
                "resource": resource,
                "token_type": "Bearer",
            }
        )

    def _secret(self, asked: Asked) -> Told:
        self.asked["keyvault"] += 1
        if "authorization" not in asked.headers:
            where = f'authorization="https://login.microsoftonline.com/{TENANT}", resource="{VAULT_RESOURCE}"'
            return Told({}, HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": f"Bearer {where}"})
        secret = {"value": "dose00000000000000000000000000000001", "attributes": {"enabled": True}}
        return Told({**secret, "id": f"{VAULT}{asked.path.rstrip('/')}/{'0' * 32}"})

    def _refs(self, asked: Asked) -> Told:
        self.asked["devops"] += 1
        ref = {"name": f"refs/{asked.query['filter'][0]}", "objectId": COMMIT}
        return Told({"value": [ref], "count": 1})


class _Workspace:
    """Git credentials and Git folders without a real repository."""

    def __init__(self, case: Case) -> None:
        self._legacy = case.kind == "legacy"
        self._credential: dict[str, Any] | None = None
        self._folders: dict[int, dict[str, Any]] = {}
        self._ids = itertools.count(900_000_000_000_001)
        if case.situation != "first":
            self._credential = self._new_credential("databricks")
            for number, folder in enumerate(json.loads(case.settings["WORKSPACE_DEFAULTS"])["folders"], 1):
                commit = COMMIT if case.situation == "quiet" else OLD_COMMIT
                self._folders[number] = _folder(number, folder["path"], folder["url"], commit)

    def _new_credential(self, username: str) -> dict[str, Any]:
        name = {"git_provider": "azureDevOpsServices", "git_username": username}
        return {"credential_id": next(self._ids), **name}

    def __call__(self, asked: Asked) -> Told:
        answer = _ROUTES.get(f"{asked.method} {asked.route}")
        return answer(self, asked, asked.number) if answer else _MISSING

    def credentials(self, _: Asked, __: int) -> Told:
        return Told({"credentials": [self._credential]} if self._credential else {})

    def create_credential(self, asked: Asked, _: int) -> Told:
        self._credential = self._new_credential(json.loads(asked.body)["git_username"])
        return Told(self._credential, stores=True)

    def update_credential(self, _: Asked, __: int) -> Told:
        return Told({}, stores=True)

    def folders(self, asked: Asked, _: int) -> Told:
        prefix = asked.query.get("path_prefix", ["/"])[0]
        found = [folder for folder in self._folders.values() if folder["path"].startswith(prefix)]
        return Told({"repos": found} if found and self._legacy else {})

    def folder(self, _: Asked, number: int) -> Told:
        return Told({**self._folders[number], "git_cli_enabled": not self._legacy})

    def create_folder(self, asked: Asked, _: int) -> Told:
        content = json.loads(asked.body)
        made = _folder(next(self._ids), content["path"], content["url"], COMMIT)
        self._folders[made["id"]] = made
        return Told(made)

    def move_folder(self, _: Asked, number: int) -> Told:
        self._folders[number]["head_commit_id"] = COMMIT
        return Told({})

    def directory(self, asked: Asked, _: int) -> Told:
        path = asked.query["path"][0]
        inside = [it for it in self._folders.values() if it["path"].rpartition("/")[0] == path]
        return Told({"objects": [self._object(it) for it in inside]} if inside else {})

    def status(self, asked: Asked, _: int) -> Told:
        path = asked.query["path"][0]
        folder = next((it for it in self._folders.values() if it["path"] == path), None)
        if folder is None:
            return _MISSING
        git = ("id", "path", "branch", "head_commit_id", "url") if self._legacy else ("id", "path")
        told = {} if self._legacy else {"directory_info": {"is_git_folder": True}}
        return Told({**self._object(folder), **told, "git_info": {name: folder[name] for name in git}})

    def _object(self, folder: Mapping[str, Any]) -> dict[str, Any]:
        number, kind = folder["id"], "REPO" if self._legacy else "DIRECTORY"
        return {
            "object_type": kind,
            "path": folder["path"],
            "object_id": number,
            "resource_id": str(number),
        }


def _folder(number: int, path: str, url: str, commit: str) -> dict[str, Any]:
    provider = {"provider": "azureDevOpsServices", "branch": "main", "head_commit_id": commit}
    return {"id": number, "path": path, "url": url, **provider}


_ROUTES: Mapping[str, Callable[[_Workspace, Asked, int], Told]] = {
    "GET /api/2.0/git-credentials": _Workspace.credentials,
    "POST /api/2.0/git-credentials": _Workspace.create_credential,
    "PATCH /api/2.0/git-credentials/{id}": _Workspace.update_credential,
    "GET /api/2.0/repos": _Workspace.folders,
    "POST /api/2.0/repos": _Workspace.create_folder,
    "GET /api/2.0/repos/{id}": _Workspace.folder,
    "PATCH /api/2.0/repos/{id}": _Workspace.move_folder,
    "GET /api/2.0/workspace/get-status": _Workspace.status,
    "GET /api/2.0/workspace/list": _Workspace.directory,
    "POST /api/2.0/workspace/mkdirs": lambda *_: Told({}),
    # Databricks' SDK looks these up by itself.
    "GET /.well-known/databricks-config": lambda _, asked, __: Told(
        {"oidc_endpoint": f"https://{asked.host}/oidc", "workspace_id": "1", "cloud": "Azure"}
    ),
    "GET /oidc/.well-known/oauth-authorization-server": lambda _, asked, __: Told(
        {
            "authorization_endpoint": f"https://{asked.host}/oidc/v1/authorize",
            "token_endpoint": f"https://{asked.host}/oidc/v1/token",
        }
    ),
}
