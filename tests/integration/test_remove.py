"""`onboard --remove`: its commands are run, and remove all grants; then everything is granted again."""

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from git_refresh.admin.deployment import PAUSE
from localcloud import Cloud, Fault, faults
from localcloud.databricks.workspace import Workspace
from localcloud.fleet import APP, CLIENT_ID, SECRET_NAME, UngrantedFleet, seed_ungranted
from tests.support import acting, warm
from tests.support.admin_laptop import environ_of
from tests.support.app import run_app

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(
        shutil.which("jq") is None or shutil.which("bash") is None, reason="needs jq and bash"
    ),
]
FOLDERS = ("/Repos/etl/prod", "/Repos/reports", "/Repos/reports/prod")


def granted(cloud: Cloud, fleet: UngrantedFleet, place: Path) -> dict[str, str]:
    """Return a shell on the laptop after onboarding and the app's first run."""
    fleet.vault.deletion_s = 0
    environ = environ_of(cloud, fleet, place)
    code, report = onboard(environ, "--apply", "--yes")
    assert code == 0, report
    assert run_app({**os.environ, **fleet.settings}).result == "ok"
    return environ


@pytest.fixture
def fleet(cloud: Cloud) -> UngrantedFleet:
    return seed_ungranted(cloud)


@pytest.fixture
def environ(cloud: Cloud, fleet: UngrantedFleet, tmp_path: Path) -> dict[str, str]:
    return granted(cloud, fleet, tmp_path)


def onboard(environ: Mapping[str, str], *options: str) -> tuple[int, dict[str, Any]]:
    done = warm.run("onboard", "--json", *options, environ=environ)
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done.returncode, json.loads(done.stdout)


def remove(environ: Mapping[str, str], *options: str) -> tuple[int, dict[str, Any]]:
    return onboard(environ, "--remove", *options)


def those(report: Mapping[str, Any], status: str, kind: str | None = None) -> list[dict[str, Any]]:
    return [each for each in report["removals"] if each["status"] == status and kind in (None, each["kind"])]


def kinds(report: Mapping[str, Any], status: str = "remove") -> Counter[str]:
    return Counter(each["kind"] for each in those(report, status))


def type_in(cloud: Cloud, environ: Mapping[str, str], place: Path, commands: Iterable[str]) -> None:
    """Run the commands one by one, with fakes that act on the emulator as the admin."""
    with acting.shell(place / "tools", cloud.person("ada"), environ) as shell:
        for command in commands:
            acting.type_in(command, shell)


def but_principals(report: Mapping[str, Any]) -> list[str]:
    """Return the commands except for principals, whose application ID cannot be restored."""
    return [each["command"] for each in those(report, "remove") if each["kind"] != "principal"]


def rights(cloud: Cloud, fleet: UngrantedFleet) -> dict[str, object]:
    """Return all grants without values that are new each time."""
    organizations = [cloud.devops.organization(name) for name in ("contoso", "fabrikam")]
    return {
        "members": {
            (each.name, member.object_id): (member.license, sorted(member.groups))
            for each in organizations
            for member in each.seen()
        },
        "policies": {
            each.client_id: [(known.id, known.subject) for known in each.policies]
            for each in cloud.account.principals
        },
        "secrets": {each.client_id: len(each.secrets) for each in cloud.account.principals},
        "vault": sorted(fleet.vault.ends),
        "workspaces": [in_workspace(each) for each in fleet.workspaces],
    }


def in_workspace(workspace: Workspace) -> dict[str, object]:
    there = [each for each in workspace.service_principals if each.assigned]
    return {
        "principals": {each.client_id: sorted(each.entitlements) for each in there},
        "rights": {path: workspace._tree.rights.shown(path) for path in FOLDERS},
        "credentials": [(each.principal.client_id, each.name) for each in workspace.credentials],
    }


@pytest.mark.parametrize("foreign", [False, True], ids=["one tenant", "two tenants"])
def test_granted_removed_and_granted_again_the_cloud_is_as_before(
    cloud: Cloud,
    tmp_path: Path,
    foreign: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    fleet = seed_ungranted(cloud, foreign=foreign)
    first = fleet.workspaces[0]
    bob = first.add_user(cloud.person("bob"))
    others = {("user_name", bob.client_id): "CAN_RUN", ("group_name", "users"): "CAN_READ"}
    first._tree.rights.add("/Repos/etl/prod", others)
    environ = granted(cloud, fleet, tmp_path)
    before = rights(cloud, fleet)
    code, report = remove(environ)
    assert code == 0, report
    assert kinds(report)["principal"] == 3
    type_in(cloud, environ, tmp_path, but_principals(report))
    assert first._tree.rights.shown("/Repos/etl/prod") == others
    code, left = remove(environ)
    assert (code, kinds(left)) == (0, Counter(principal=3))
    code, again = onboard(environ, "--apply", "--yes")
    assert code == 0, again
    assert run_app({**os.environ, **fleet.settings}).result == "ok"
    after = rights(cloud, fleet)
    assert _without_made(after) == _without_made(before)


def _without_made(found: dict[str, Any]) -> dict[str, Any]:
    """Ignore the directory that must be managed to create the Git folder in it."""
    return found | {
        "workspaces": [
            each | {"rights": {path: each["rights"][path] for path in FOLDERS if path != "/Repos/reports"}}
            for each in found["workspaces"]
        ]
    }


def test_with_the_principals_removed_too_nothing_is_left(
    cloud: Cloud, fleet: UngrantedFleet, environ: dict[str, str], tmp_path: Path
) -> None:
    _, report = remove(environ)
    assert report["commands"] == [each["command"] for each in those(report, "remove")]
    type_in(cloud, environ, tmp_path, report["commands"])
    assert cloud.account.principals == []
    found = rights(cloud, fleet)
    assert found["vault"] == []
    assert all(
        not each["principals"] and not each["credentials"] for each in map(in_workspace, fleet.workspaces)
    )
    assert remove(environ)[1]["commands"] == []


def test_it_only_reads(cloud: Cloud, environ: dict[str, str]) -> None:
    before = len(cloud.requests)
    assert remove(environ, "--app", APP)[0] == 0
    asked = {each.path.rpartition("/")[2] for each in cloud.requests[before:] if each.method != "GET"}
    assert asked == {"list"}, "which is how app settings are read"


# A deleted secret's name stays taken


def test_a_name_that_purge_protection_keeps_is_recovered_and_rotated(
    cloud: Cloud, fleet: UngrantedFleet, environ: dict[str, str], tmp_path: Path
) -> None:
    fleet.vault.purge_protection = True
    before = rights(cloud, fleet)
    code, report = remove(environ)
    (deletion,) = those(report, "remove", "vault_secret")
    (recovery,) = deletion["reason"].split("`")[1::2]
    type_in(cloud, environ, tmp_path, but_principals(report))
    code, blocked = onboard(environ, "--apply", "--yes")
    assert code == 1
    assert [each["error"]["code"] for each in blocked["grants"] if each["error"]] == ["secret_deleted"]
    (still,) = those(remove(environ)[1], "stays", "vault_secret")
    assert recovery in still["reason"]
    type_in(cloud, environ, tmp_path, [recovery])
    onboard(environ, "--apply", "--yes")
    done = warm.run("rotate", "--json", "--apply", "--yes", environ=environ)
    assert done.returncode == 0, done.stdout.decode()
    assert run_app({**os.environ, **fleet.settings}).result == "ok"
    assert _without_made(rights(cloud, fleet)) == _without_made(before)


# A part of the list


def listing(fleet: UngrantedFleet, entries: list[dict[str, Any]]) -> UngrantedFleet:
    return replace(fleet, settings={**fleet.settings, "WORKSPACES": json.dumps(entries)})


def shared(fleet: UngrantedFleet) -> UngrantedFleet:
    """Return the fleet with one principal and secret for the first two workspaces."""
    first, second, third = json.loads(fleet.settings["WORKSPACES"])
    own = {"client_id": CLIENT_ID, "client_secret_name": SECRET_NAME}
    second = {key: second[key] for key in ("host", "name", "folders")} | own
    return listing(fleet, [first, second, third])


def test_what_other_workspaces_use_stays_and_their_check_is_green(
    cloud: Cloud, fleet: UngrantedFleet, tmp_path: Path
) -> None:
    fleet = shared(fleet)
    environ = granted(cloud, fleet, tmp_path)
    code, report = remove(environ, "--only", "data-1")
    assert code == 0, report
    assert kinds(report) == Counter(credential=1, folder=3, workspace=1)
    staying = those(report, "stays")
    assert {each["kind"] for each in staying} - {"app"} == {
        "oauth_secret",
        "vault_secret",
        "project",
        "organization",
        "principal",
    }
    assert {tuple(each["used_by"]) for each in staying if each["kind"] != "app"} == {("data-2",)}
    assert not any(each["command"] for each in staying)
    type_in(cloud, environ, tmp_path, report["commands"])
    done = warm.run("check", "--json", "--only", "data-2,data-3", environ=environ)
    assert done.returncode == 0, done.stdout.decode()
    assert in_workspace(fleet.workspaces[0])["principals"] == {}


def test_a_project_that_no_other_workspace_names_is_left(
    cloud: Cloud, fleet: UngrantedFleet, tmp_path: Path
) -> None:
    books = cloud.devops.repository("contoso", "Finance", "books")
    entries = json.loads(fleet.settings["WORKSPACES"])
    entries[0]["folders"].append({"path": "/Repos/books/prod", "url": books.url})
    environ = granted(cloud, listing(fleet, entries), tmp_path)
    _, report = remove(environ, "--only", "data-1")
    (project,) = those(report, "remove", "project")
    assert "Finance" in project["description"]
    type_in(cloud, environ, tmp_path, [project["command"]])
    (member,) = [
        each
        for each in cloud.devops.organization("contoso").seen()
        if each.object_id == cloud.identity.object_id
    ]
    assert len(member.groups) == 1


def test_who_else_loses_is_named(cloud: Cloud, fleet: UngrantedFleet, environ: dict[str, str]) -> None:
    fleet.workspaces[0].members.by_id(cloud.account.find(CLIENT_ID).id).admin = True  # type: ignore[union-attr]
    organization = cloud.devops.organization("contoso")
    member = organization.change(cloud.identity.object_id)
    member.groups.add(organization.administrators.descriptor)
    _, report = remove(environ)
    (workspace,) = [each for each in those(report, "remove", "workspace") if each["location"] == "data-1"]
    assert "admins" in workspace["affects"][0]
    (contoso,) = [
        each for each in those(report, "remove", "organization") if each["location"].endswith("contoso")
    ]
    assert "Project Collection Administrators" in contoso["affects"][0]


# The app


def test_an_app_that_is_on_is_paused_first(
    cloud: Cloud, fleet: UngrantedFleet, environ: dict[str, str], tmp_path: Path
) -> None:
    fleet.app.settings |= fleet.settings
    del fleet.app.settings[PAUSE]
    _, report = remove(environ)
    assert report["removals"][0]["kind"] == "app"
    type_in(cloud, environ, tmp_path, report["commands"][:1])
    assert fleet.app.settings[PAUSE] == "true"
    assert fleet.app.settings["WORKSPACES"], "and nothing else is changed"
    assert [each["kind"] for each in those(remove(environ)[1], "stays")][:1] == ["app"]


def test_of_an_app_that_is_on_one_workspace_is_taken_out(
    fleet: UngrantedFleet, environ: dict[str, str]
) -> None:
    fleet.app.settings |= fleet.settings
    del fleet.app.settings[PAUSE]
    _, report = remove(environ, "--only", "data-2")
    (app,) = those(report, "remove", "app")
    assert app["command"].endswith(f" deploy --app {APP} --apply --wait")
    assert fleet.workspaces[1].url in app["description"]


def test_an_app_that_is_not_found_is_a_failure_only_if_it_was_named(
    cloud: Cloud, environ: dict[str, str]
) -> None:
    cloud.inject(Fault(faults.status(403), host="management.azure.com"))
    code, report = remove(environ)
    assert (code, kinds(report, "skipped")) == (0, Counter(app=1))
    code, report = remove(environ, "--app", APP)
    assert (code, kinds(report, "failed")) == (1, Counter(app=1))


# Unreadable settings


def test_of_a_workspace_that_is_gone_the_rest_is_shown(
    cloud: Cloud, fleet: UngrantedFleet, environ: dict[str, str]
) -> None:
    gone = fleet.workspaces[2]
    cloud.inject(Fault(faults.status(404), host=gone.host))
    code, report = remove(environ, "--only", "data-3", "--account-id", cloud.account.id)
    assert (code, report["result"]) == (1, "failed")
    assert kinds(report, "failed") == Counter(workspace=1)
    assert kinds(report) == Counter(federation_policy=1, organization=1)
    code, report = remove(environ, "--account-id", cloud.account.id)
    assert (code, kinds(report, "failed")) == (1, Counter(workspace=1))
    assert (kinds(report)["principal"], kinds(report)["federation_policy"]) == (3, 1)
    _, report = remove(environ)
    assert "no_account_id" in {each["error"]["code"] for each in those(report, "failed")}


def test_what_takes_another_person_has_the_command_for_them(cloud: Cloud, environ: dict[str, str]) -> None:
    cloud.account.admins.clear()
    code, report = remove(environ, "--only", "data-3")
    refused = those(report, "failed")
    assert (code, {each["error"]["code"] for each in refused}) == (1, {"grant_refused"})
    assert all("onboard --remove" in each["error"]["remedy"] for each in refused)
    assert {"credential", "folder", "organization"} <= kinds(report).keys()


def test_on_the_screen_each_command_stands_whole_on_a_line(environ: dict[str, str]) -> None:
    _, report = remove(environ)
    done = warm.on_terminal("onboard", "--remove", environ=environ, columns=80)
    shown = done.stdout.decode().replace("\r\n", "\n")
    places = [shown.index(command) for command in report["commands"]]
    assert places == sorted(places)
    assert "No changes made." in shown
