"""The baseline: an asyncio client with the app's requests and order, without checks or retries."""

import asyncio
import json
import ssl
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from posixpath import commonpath, dirname
from typing import Any

import aiohttp

AT_ONCE = 32
"""The app's default number of concurrent operations."""

PROVIDER = "azureDevOpsServices"
DEVOPS = "499b84ac-1321-427f-aa17-267ca6975798"

_NOT_FOUND = 404

type Task = Callable[[], Coroutine[Any, Any, None]]


async def refresh(environ: Mapping[str, str]) -> None:
    """Refresh every workspace of these app settings: all credentials first, then folders."""
    tls = ssl.create_default_context(cafile=environ["REQUESTS_CA_BUNDLE"])
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=600, ssl=tls)
    async with aiohttp.ClientSession(connector=connector, trust_env=True) as session:
        fleet = _Fleet(environ, session)
        await fleet.begin()
        for host in json.loads(environ["WORKSPACES"]):
            fleet.submit(_Workspace(fleet, host).credential)
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(fleet.work())
            await fleet.tasks.join()
            fleet.tasks.shutdown()


class _Fleet:
    """The state shared by all workspaces: queue, tokens, secret and latest commits."""

    def __init__(self, environ: Mapping[str, str], session: aiohttp.ClientSession) -> None:
        self.tasks: asyncio.Queue[Task] = asyncio.Queue()
        self.defaults = json.loads(environ["WORKSPACE_DEFAULTS"])
        self._environ = environ
        self._session = session
        self._heads: dict[str, asyncio.Task[str]] = {}

    def submit(self, task: Task) -> None:
        self.tasks.put_nowait(task)

    async def work(self) -> None:
        with suppress(asyncio.QueueShutDown):
            while True:
                task = await self.tasks.get()
                await task()
                self.tasks.task_done()

    async def begin(self) -> None:
        """Get both tokens, then the secret, after the vault's authentication challenge."""
        self.token, vault_token = await asyncio.gather(
            self._identity(DEVOPS), self._identity("https://vault.azure.net")
        )
        url = f"{self._environ['KEY_VAULT_URL']}/secrets/{self.defaults['client_secret_name']}/"
        secret = await self.ask("GET", url, f"Bearer {vault_token}", params={"api-version": "7.6"})
        self.basic = aiohttp.encode_basic_auth(self.defaults["client_id"], secret["value"])

    async def _identity(self, resource: str) -> str:
        async with self._session.get(
            self._environ["IDENTITY_ENDPOINT"],
            params={"resource": resource, "api-version": "2019-08-01"},
            headers={"X-IDENTITY-HEADER": self._environ["IDENTITY_HEADER"]},
        ) as answer:
            token: str = (await answer.json())["access_token"]
            return token

    async def head(self, url: str, branch: str) -> str:
        """Return the latest commit of a branch, looked up once."""
        if url not in self._heads:
            self._heads[url] = asyncio.create_task(self._head(url, branch))
        return await self._heads[url]

    async def _head(self, url: str, branch: str) -> str:
        query = {"api-version": "7.1", "filter": f"heads/{branch}"}
        refs = await self.ask(
            "GET",
            f"{url.replace('/_git/', '/_apis/git/repositories/')}/refs",
            f"Bearer {self.token}",
            params=query,
        )
        commit: str = refs["value"][0]["objectId"]
        return commit

    async def ask(self, method: str, url: str, authorization: str, **options: Any) -> Any:  # noqa: ANN401  # JSON
        headers = {"Authorization": authorization}
        async with self._session.request(method, url, headers=headers, **options) as answer:
            if answer.status != _NOT_FOUND:  # the path does not exist yet
                answer.raise_for_status()
            return await answer.json()


class _Workspace:
    def __init__(self, fleet: _Fleet, host: str) -> None:
        self._fleet = fleet
        self._host = host
        self._authorization = fleet.basic
        self._waiting: list[Mapping[str, str]] = []
        self._listed: dict[str, Mapping[str, Any]] = {}
        self._ids: dict[str, int] = {}
        """Git folders in directories that the list of Git folders omits."""

    async def _ask(self, method: str, path: str, **options: Any) -> Any:  # noqa: ANN401  # JSON
        return await self._fleet.ask(method, f"{self._host}{path}", self._authorization, **options)

    async def credential(self) -> None:
        fleet = self._fleet
        form = {"grant_type": "client_credentials", "scope": "all-apis"}
        token = (await self._ask("POST", "/oidc/v1/token", data=form))["access_token"]
        self._authorization = f"Bearer {token}"
        for folder in fleet.defaults["folders"][:1]:  # whether the token works
            await fleet.head(folder["url"], folder["branch"])
        path = "/api/2.0/git-credentials"
        found = (await self._ask("GET", path)).get("credentials", [])
        fresh = {
            "git_provider": PROVIDER,
            "git_username": "databricks",
            "personal_access_token": fleet.token,
        }
        if found:
            await self._ask("PATCH", f"{path}/{found[0]['credential_id']}", json=fresh)
        else:
            await self._ask("POST", path, json=fresh)
        if fleet.defaults["folders"]:
            fleet.submit(self._folders)

    async def _folders(self) -> None:
        self._waiting = list(self._fleet.defaults["folders"])
        paths = [folder["path"] for folder in self._waiting]
        listed = await self._ask("GET", "/api/2.0/repos", params={"path_prefix": commonpath(paths)})
        self._listed = {repo["path"]: repo for repo in listed.get("repos", [])}
        for parent, count in Counter(dirname(path) for path in paths if path not in self._listed).items():
            if count > 1:
                shown = await self._ask("GET", "/api/2.0/workspace/list", params={"path": parent})
                self._ids.update({it["path"]: it["object_id"] for it in shown.get("objects", [])})
        self._fleet.submit(self._lane)

    async def _lane(self) -> None:
        """Process folders one by one on an open connection, with a second one if no workspace waits."""
        if self._waiting:
            self._fleet.submit(self._lane)
        while self._waiting:
            await self._folder(self._waiting.pop())

    async def _look(self, path: str) -> Mapping[str, Any] | None:
        """Return the Git folder at a path."""
        if path in self._listed:
            return self._listed[path]
        if path not in self._ids:
            query = {"path": path, "return_git_info": "true"}
            status = await self._ask("GET", "/api/2.0/workspace/get-status", params=query)
            if "object_id" not in status:
                return None
            self._ids[path] = status["object_id"]
        folder: Mapping[str, Any] = await self._ask("GET", f"/api/2.0/repos/{self._ids[path]}")
        return folder

    async def _folder(self, folder: Mapping[str, str]) -> None:
        found = await self._look(folder["path"])
        head = await self._fleet.head(folder["url"], folder["branch"])
        if found is None:
            await self._ask("POST", "/api/2.0/workspace/mkdirs", json={"path": dirname(folder["path"])})
            made = {"url": folder["url"], "provider": PROVIDER, "path": folder["path"]}
            await self._ask("POST", "/api/2.0/repos", json=made)
        elif found["head_commit_id"] != head:
            one = f"/api/2.0/repos/{found['id']}"
            await self._ask("PATCH", one, json={"branch": folder["branch"]})
            await self._ask("GET", one)  # the report's data
