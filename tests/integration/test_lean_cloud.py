"""The benchmark's lean cloud supports all requests of the app and of the baseline client."""

import asyncio
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import requests

from benchmarks import floor
from benchmarks.cases import CLIENT_ID, KINDS, SITUATIONS, Case, Kind, Situation
from benchmarks.lean_cloud import LeanCloud
from git_refresh.model.values import AZURE_DEVOPS
from localcloud import Variant
from tests.support.app import run_app
from tests.support.embedded_cloud import embedded_cloud
from tests.support.recorded import shape

ACTIONS = {
    "quiet": ("updated", "unchanged"),
    "pulled": ("updated", "updated"),
    "first": ("created", "created"),
}
"""The action of every credential and of every Git folder."""

QUIET_REQUESTS = {("legacy", 1): 4, ("legacy", 2): 4, ("git-cli", 1): 6, ("git-cli", 2): 7}
"""Requests per workspace, by kind and number of Git folders."""

SECRET = "dose00000000000000000000000000000001"  # valid in either emulator only


@pytest.fixture(scope="module")
def cloud() -> Iterator[LeanCloud]:
    with LeanCloud() as made:
        yield made


def reached(cloud: LeanCloud, case: Case, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return the environment of a client in this process."""
    environ = {**cloud.environment, **case.settings}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return environ


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize(("kind", "folders"), QUIET_REQUESTS)
def test_a_run_over_the_lean_cloud_sends_the_fewest_requests(
    cloud: LeanCloud, monkeypatch: pytest.MonkeyPatch, kind: Kind, folders: int, situation: Situation
) -> None:
    case = Case(2, folders, 0, situation, kind)
    environ = reached(cloud, case, monkeypatch)

    cloud.begin(case)
    report = run_app(environ)
    assert report.result == "ok"
    credentials = [workspace.credential.action for workspace in report.workspaces if workspace.credential]
    moved = [folder.action for workspace in report.workspaces for folder in workspace.folders]
    credential, folder = ACTIONS[situation]
    assert (credentials, moved) == ([credential] * 2, [folder] * 2 * folders)
    app = cloud.seen()
    assert app.stored > 0
    if situation == "quiet":
        assert sum(of_workspaces(app.requests).values()) == 2 * QUIET_REQUESTS[kind, folders]

    cloud.begin(case)
    asyncio.run(floor.refresh(environ))
    least = cloud.seen()
    assert of_workspaces(least.requests) == of_workspaces(app.requests)
    assert least.requests["devops"] == app.requests["devops"]


def of_workspaces(requests: Mapping[str, int]) -> dict[str, int]:
    """Return the number of requests to each workspace route."""
    return {route: count for route, count in requests.items() if route.startswith("databricks ")}


@pytest.mark.parametrize("kind", KINDS)
def test_the_lean_cloud_has_the_keys_and_types_of_the_embedded_cloud(
    cloud: LeanCloud, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    case = Case(1, 1, 0, "first", kind)
    cloud.begin(case)
    reached(cloud, case, monkeypatch)
    lean = Conversation(case)
    with embedded_cloud(monkeypatch, Variant(git_folders=kind)) as embedded:
        embedded.workspace(case.hosts[0]).service_principal(CLIENT_ID, SECRET)
        embedded.devops.repository("contoso", "Data Platform", "etl-0", {"README.md": ""})
        whole = Conversation(case)
    assert lean.answers == whole.answers
    assert len(lean.answers) == 14


class Conversation:
    """All requests of clients to an empty workspace.

    `answers`: status and shape of each response, by request.
    """

    def __init__(self, case: Case) -> None:
        self.answers: dict[str, tuple[int, dict[str, set[str]]]] = {}
        self._host = f"https://{case.hosts[0]}"
        self._headers: dict[str, str] = {}
        (folder,) = json.loads(case.settings["WORKSPACE_DEFAULTS"])["folders"]
        path, directory = folder["path"], folder["path"].rpartition("/")[0]
        form = {"grant_type": "client_credentials", "scope": "all-apis"}
        signed_in = self._ask("sign in", "POST", "/oidc/v1/token", data=form, auth=(CLIENT_ID, SECRET))
        self._headers = {"Authorization": f"Bearer {signed_in['access_token']}"}
        self._credentials()
        self._ask("no folders", "GET", "/api/2.0/repos", params={"path_prefix": path})
        status = {"path": path, "return_git_info": "true"}
        self._ask("nothing there", "GET", "/api/2.0/workspace/get-status", params=status)
        self._ask("directory", "POST", "/api/2.0/workspace/mkdirs", json={"path": directory})
        wanted = {"url": folder["url"], "provider": floor.PROVIDER, "path": path}
        made = self._ask("create", "POST", "/api/2.0/repos", json=wanted)
        self._ask("folders", "GET", "/api/2.0/repos", params={"path_prefix": path})
        self._ask("listing", "GET", "/api/2.0/workspace/list", params={"path": directory})
        self._ask("status", "GET", "/api/2.0/workspace/get-status", params=status)
        self._ask("folder", "GET", f"/api/2.0/repos/{made['id']}")
        self._ask("move", "PATCH", f"/api/2.0/repos/{made['id']}", json={"branch": "main"})

    def _credentials(self) -> None:
        token = requests.get(
            os.environ["IDENTITY_ENDPOINT"],
            params={"resource": AZURE_DEVOPS, "api-version": "2019-08-01"},
            headers={"X-IDENTITY-HEADER": os.environ["IDENTITY_HEADER"]},
            timeout=10,
        ).json()["access_token"]
        fresh = {"git_provider": floor.PROVIDER, "git_username": "x", "personal_access_token": token}
        path = "/api/2.0/git-credentials"
        self._ask("no credentials", "GET", path)
        id_ = self._ask("create a credential", "POST", path, json=fresh)["credential_id"]
        self._ask("credentials", "GET", path)
        self._ask("update a credential", "PATCH", f"{path}/{id_}", json=fresh)

    def _ask(self, what: str, method: str, path: str, **options: Any) -> Any:
        answer = requests.request(method, self._host + path, headers=self._headers, timeout=10, **options)
        self.answers[what] = (answer.status_code, shape(answer.json()))
        return answer.json()


def test_a_workspace_uses_one_connection_while_others_wait(
    cloud: LeanCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case(16, 3, 20, "pulled")
    environ = reached(cloud, case, monkeypatch) | {"REFRESH_CONCURRENCY": "4"}
    cloud.begin(case)
    assert run_app(environ).result == "ok"
    assert cloud.seen().handshakes < 2 * case.workspaces


def test_free_threads_move_the_folders_of_a_workspace_at_once(
    cloud: LeanCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case(1, 4, 100, "pulled")
    environ = reached(cloud, case, monkeypatch)
    cloud.begin(case)
    assert run_app(environ).result == "ok"
    assert cloud.seen().handshakes >= case.folders + len(["Key Vault", "Azure DevOps"])
