"""The cloud of the speed benchmark answers what the app asks, and the same of the client that the app is compared with."""

import asyncio
from collections.abc import Iterator

import pytest

from benchmarks import floor
from benchmarks.cases import SITUATIONS, Case, Situation
from benchmarks.lean_cloud import LeanCloud
from git_refresh.app import run
from git_refresh.settings.load import load

STEPS = {
    "quiet": (["updated"] * 2, ["unchanged"] * 4),
    "pulled": (["updated"] * 2, ["updated"] * 4),
    "first": (["created"] * 2, ["created"] * 4),
}


@pytest.fixture(scope="module")
def cloud() -> Iterator[LeanCloud]:
    with LeanCloud() as made:
        yield made


def reached(cloud: LeanCloud, case: Case, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a client in this process."""
    environ = {**cloud.environment, **case.settings}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return environ


@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_run_does_there_what_its_situation_says_with_the_requests_of_the_floor(
    cloud: LeanCloud, monkeypatch: pytest.MonkeyPatch, situation: Situation
) -> None:
    case = Case(2, 2, 0, situation)
    environ = reached(cloud, case, monkeypatch)

    cloud.begin(case)
    report = run(load(environ), environ)
    assert report.result == "ok"
    credentials = [workspace.credential.action for workspace in report.workspaces if workspace.credential]
    folders = [folder.action for workspace in report.workspaces for folder in workspace.folders]
    assert (credentials, folders) == STEPS[situation]
    app = cloud.seen()
    assert app.stored > 0

    cloud.begin(case)
    asyncio.run(floor.refresh(environ))
    least = cloud.seen()
    assert least.requests["databricks"] == app.requests["databricks"]
    assert least.requests["devops"] == app.requests["devops"]


def test_while_other_workspaces_wait_one_connection_does_for_all_folders_of_a_workspace(
    cloud: LeanCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case(16, 3, 20, "pulled")
    environ = reached(cloud, case, monkeypatch) | {"REFRESH_CONCURRENCY": "4"}
    cloud.begin(case)
    assert run(load(environ), environ).result == "ok"
    assert cloud.seen().handshakes < 2 * case.workspaces


def test_where_threads_are_free_the_folders_of_a_workspace_are_moved_at_once(
    cloud: LeanCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case(1, 4, 100, "pulled")
    environ = reached(cloud, case, monkeypatch)
    cloud.begin(case)
    assert run(load(environ), environ).result == "ok"
    assert cloud.seen().handshakes >= case.folders + len(["Key Vault", "Azure DevOps"])
