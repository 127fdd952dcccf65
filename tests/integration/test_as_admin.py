"""A federated fleet on a laptop: check, plan and status use the admin's account; run is refused."""

import json
import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from git_refresh import app
from git_refresh.admin.reader import AdminReader
from git_refresh.output.log import RedactingLogger
from git_refresh.settings.load import load
from localcloud import Cloud, Fleet
from localcloud.fleet import CLIENT_ID
from localcloud.people import Person
from tests.support import warm
from tests.support.admin_laptop import laptop_of
from tests.support.app import run_app

PROD = "/Repos/etl/prod"


@dataclass(frozen=True)
class Desk:
    """A laptop with a list of federated workspaces in its current directory."""

    cloud: Cloud
    fleet: Fleet
    place: Path
    person: Person

    def run(self, *arguments: str) -> tuple[int, dict[str, Any], str]:
        """Run a command with --json, and return its exit code, output and stderr."""
        environ = laptop_of(self.person, self.cloud, self.place / "az")
        done = warm.run(*arguments, "--json", environ=environ, folder=self.place)
        return done.returncode, json.loads(done.stdout), done.stderr.decode()

    def check(self) -> dict[tuple[str, str], tuple[str, str]]:
        """Return status and code of each line of a check."""
        _, report, _ = self.run("check")
        return {
            (line["layer"], line["subject"]): (line["status"], (line["error"] or {}).get("code", ""))
            for line in report["checks"]
        }


@pytest.fixture
def desk(cloud: Cloud, fleet: Fleet, tmp_path: Path) -> Callable[..., Desk]:
    """Return a person who is admin of some workspaces, and a user of more."""

    def desk(*, admin: int = 3, user: int = 0) -> Desk:
        ada = cloud.person("ada")
        cloud.devops.organization("contoso").add_member(ada.object_id)
        for number, workspace in enumerate(fleet.workspaces[: admin + user]):
            workspace.add_user(ada, admin=number < admin)
        entries = [
            {"host": workspace.url, "name": f"data-{number}", "folders": [PROD]}
            for number, workspace in enumerate(fleet.workspaces)
        ]
        content = {
            "REFRESH_SCHEDULE": "0 */15 * * * *",
            "WORKSPACE_DEFAULTS": {"auth": "federated", "client_id": CLIENT_ID},
            "WORKSPACES": entries,
        }
        (tmp_path / "workspaces.json").write_text(json.dumps(content))
        return Desk(cloud, fleet, tmp_path, ada)

    return desk


def written(cloud: Cloud) -> list[str]:
    """Return the requests to workspaces that are not reads."""
    return [
        f"{request.method} {request.path}"
        for request in cloud.requests
        if request.service == "databricks" and request.method != "GET"
    ]


def test_an_admin_sees_the_principal_s_credential_and_each_folder(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.fleet.workspaces[0].add_credential(
        one.fleet.workspaces[0].service_principals[0], username="git-refresh", token="x"
    )
    code, report, said = one.run("check")
    lines = {(line["layer"], line["subject"]): line for line in report["checks"]}
    assert (code, report["result"]) == (0, "ok"), report
    assert [line["error"]["code"] for line in report["checks"] if line["error"]].count("read_as_admin") == 1
    assert "created" not in lines["credential", "data-0"]["message"]
    assert lines["credential", "data-0"]["message"] != lines["credential", "data-1"]["message"]
    assert {lines["folder", f"data-{number} {PROD}"]["status"] for number in range(3)} == {"ok"}
    assert json.loads(said.splitlines()[0])["source"] == "workspaces.json"
    assert written(one.cloud) == []


def test_a_plan_shows_the_folder_that_is_behind(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.fleet.repositories[0].commit({"new.txt": "new"})
    code, report, _ = one.run("plan")
    assert code == 0, report
    assert [problem["location"] for problem in report["problems"]] == ["sign-in"]
    actions = [(each["credential"]["action"], each["folders"][0]["action"]) for each in report["workspaces"]]
    assert actions == [("created", "updated")] * 3
    assert written(one.cloud) == []


def test_a_status_has_the_folder_and_no_credential_yet(desk: Callable[..., Desk]) -> None:
    code, report, _ = desk().run("status")
    assert code == 1
    assert [problem["location"] for problem in report["problems"]] == ["sign-in"]
    for workspace in report["workspaces"]:
        assert workspace["status"] == "ok"
        assert [each["status"] for each in workspace["credentials"]] == ["failed"]
        assert [each["status"] for each in workspace["folders"]] == ["ok"]


def test_an_admin_of_one_workspace_is_told_where_they_are_none(desk: Callable[..., Desk]) -> None:
    lines = desk(admin=1, user=1).check()
    found = [lines["workspace", f"data-{number}"] for number in range(3)]
    assert found == [("ok", ""), ("failed", "not_workspace_admin"), ("failed", "not_workspace_admin")]
    assert lines["folder", f"data-0 {PROD}"] == ("ok", "")


def test_a_person_with_no_access_is_told_so_by_plan_and_status(desk: Callable[..., Desk]) -> None:
    one = desk(admin=0)
    for name in ("plan", "status"):
        code, report, _ = one.run(name)
        assert code == 1
        assert {each["error"]["code"] for each in report["workspaces"]} == {"not_workspace_admin"}


def test_before_anything_was_granted_the_principal_is_missing(desk: Callable[..., Desk]) -> None:
    one = desk()
    for workspace in one.fleet.workspaces:
        for principal in workspace.service_principals:
            principal.assigned = False
    lines = one.check()
    assert {lines["workspace", f"data-{number}"] for number in range(3)} == {
        ("failed", "principal_not_in_workspace")
    }


def test_a_run_says_how_to_start_the_app_and_contacts_nobody(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.cloud.requests.clear()
    code, report, _ = one.run("run", "--yes")
    assert code == 2
    (problem,) = report["problems"]
    assert "run_needs_app" in problem["message"]
    assert "/admin/functions/refresh_git" in problem["message"]
    assert one.cloud.requests == []


def test_the_app_never_reads_as_a_person(desk: Callable[..., Desk]) -> None:
    one = desk()
    content = json.loads((one.place / "workspaces.json").read_text())
    values = {name: value if isinstance(value, str) else json.dumps(value) for name, value in content.items()}
    environ = {**os.environ, **values}
    assert environ["IDENTITY_ENDPOINT"]
    with closing(app.connect(load(environ), environ, RedactingLogger(), admin=AdminReader)) as clouds:
        assert clouds.admin is None, "with a managed identity it is not taken"
    report = run_app(environ, dry_run=True)
    assert {each.error.code for each in report.workspaces if each.error} == {"federation_policy_missing"}


def test_what_the_timer_does_hands_in_no_admin(
    desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = desk()
    laptop = laptop_of(one.person, one.cloud, one.place / "az")
    content = json.loads((one.place / "workspaces.json").read_text())
    laptop |= {
        name: value if isinstance(value, str) else json.dumps(value) for name, value in content.items()
    }
    monkeypatch.setenv("PATH", laptop["PATH"])
    report = run_app(laptop)
    assert {each.error.code for each in report.workspaces if each.error} == {"azure_cli_no_exchange"}
    assert written(one.cloud) == []
