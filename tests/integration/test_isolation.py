"""Many hanging workspaces over real sockets; `tests/unit/test_isolation.py` has every mix."""

import json
import os
from collections.abc import Iterable

import pytest

from git_refresh import app
from git_refresh.model import waiting
from git_refresh.run.report import Report
from localcloud import Cloud, Connect, Fault, Fleet, faults, seed
from tests.support.app import run_app
from tests.support.short_limits import shorten

pytestmark = pytest.mark.timeout(90)

FOLDER_API = "^/api/2.0/(repos|workspace/)"


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limit each wait to 8 seconds, and the run to 24."""
    shorten(monkeypatch, limit_s=8, budget_s=24)


def refresh(fleet: Fleet, **changes: str) -> Report:
    return run_app({**os.environ, **fleet.settings, **changes})


def with_folders(fleet: Fleet, folders: Iterable[str]) -> dict[str, str]:
    """Return settings in which every workspace has these folders by path only."""
    entries = [{"host": each.url, "folders": list(folders)} for each in fleet.workspaces]
    return {"WORKSPACES": json.dumps(entries)}


def strike(cloud: Cloud, fleet: Fleet, number: int, route: str, method: str | None = None) -> set[str]:
    """Let the first workspaces hang from now on, and return the others."""
    for workspace in fleet.workspaces[:number]:
        cloud.inject(Fault(faults.hang(), host=workspace.host, route=route, method=method))
    return {workspace.url for workspace in fleet.workspaces[number:]}


def test_folder_apis_that_hang_cost_no_workspace_its_credential(cloud: Cloud) -> None:
    fleet = seed(cloud, 20)
    healthy = strike(cloud, fleet, 14, FOLDER_API)
    settings = with_folders(fleet, ["/Repos/etl/prod"])
    report = refresh(fleet, **settings, REFRESH_CONCURRENCY="4")
    assert [len(workspace.credentials) for workspace in fleet.workspaces] == [1] * 20
    assert {found.host for found in report.workspaces if found.result == "ok"} == healthy


def test_a_key_vault_that_hangs_costs_other_workspaces_nothing(cloud: Cloud) -> None:
    fleet = seed(cloud, 20)
    entries = [
        {"host": each.url, "auth": "oauth_secret" if number < 12 else "managed_identity"}
        for number, each in enumerate(fleet.workspaces)
    ]
    for workspace in fleet.workspaces[12:]:
        workspace.add_managed_identity(cloud.identity.object_id)
    cloud.inject(Fault(faults.hang(), service="keyvault"))
    report = refresh(fleet, WORKSPACES=json.dumps(entries), REFRESH_CONCURRENCY="1")
    assert [found.result for found in report.workspaces] == ["failed"] * 12 + ["ok"] * 8
    assert report.duration_s < 20, "it was waited for once, not once a workspace"


@pytest.mark.parametrize("where", ["moves", "handshakes"])
def test_where_threads_are_short_what_hangs_gives_them_back(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Eight of twelve workspaces hang, and only six threads exist."""
    monkeypatch.setattr(app, "MAX_THREADS", 6)
    fleet = seed(cloud, 12)
    fleet.repositories[0].commit({"jobs/more.py": "print('more')\n"})
    healthy = {workspace.url for workspace in fleet.workspaces[8:]}
    for workspace in fleet.workspaces[:8]:
        fault = Fault(faults.hang(), host=workspace.host, route="^/api/2.0/repos/", method="PATCH")
        cloud.inject(fault if where == "moves" else Fault(Connect.HANG, host=workspace.host))
    settings = with_folders(fleet, ["/Repos/etl/prod"])
    report = refresh(fleet, **settings, REFRESH_CONCURRENCY="2")
    assert {found.host for found in report.workspaces if found.result == "ok"} == healthy


def test_what_is_waited_for_a_little_at_a_time_arrives_whole(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each read, each write and the handshake take longer than one wait."""
    shorten(monkeypatch, limit_s=60, budget_s=300)
    monkeypatch.setattr(waiting, "SLICE_S", 0.001)
    fleet = seed(cloud, 6)
    cloud.latency = 0.05
    report = refresh(fleet)
    assert report.result == "ok", report.summary()
