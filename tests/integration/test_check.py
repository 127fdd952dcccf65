"""`check` over the real SDKs: each layer's failure, reported once with its remedy, and forecasts."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from git_refresh import app
from git_refresh.cli.check import check_clouds
from git_refresh.cli.checks import LAYERS, Check
from git_refresh.output.log import RedactingLogger
from git_refresh.settings.load import load
from localcloud import Cloud, Connect, Fault, Fleet, faults
from localcloud.fleet import CLIENT_ID, SECRET, SECRET_NAME

Look = Callable[..., list[Check]]


@pytest.fixture
def look(fleet: Fleet) -> Look:
    def look(interval: timedelta = timedelta(minutes=15), **changes: str) -> list[Check]:
        environ = {**os.environ, **fleet.settings, **changes}
        settings = load(environ)
        clouds = app.connect(settings, environ, RedactingLogger())
        return check_clouds(settings, clouds, clouds.deadline, interval=interval)

    return look


def with_folders(fleet: Fleet, *folders: object, **more: object) -> dict[str, str]:
    """Return settings of the first workspace with these folders."""
    entry = {"host": fleet.workspaces[0].url, "name": "data-1", "folders": folders, **more}
    return {"WORKSPACES": json.dumps([entry])}


def layer(checks: list[Check], name: str) -> list[Check]:
    return [check for check in checks if check.layer == name]


def not_ok(checks: list[Check]) -> list[tuple[str, str, str]]:
    """Return layer, status and code of lines that are not ok."""
    return [
        (check.layer, check.status, check.error.code if check.error else "")
        for check in checks
        if check.status != "ok"
    ]


def test_a_fleet_in_which_everything_is_in_place_is_all_ok(cloud: Cloud, look: Look) -> None:
    checks = look()
    assert not_ok(checks) == []
    assert [check.layer for check in checks] == sorted((check.layer for check in checks), key=LAYERS.index)
    counts = {name: len(layer(checks, name)) for name in LAYERS}
    assert counts == {
        "settings": 0,
        "identity": 1,
        "key_vault": 1,
        "azure_devops": 2,
        "workspace": 3,
        "credential": 3,
        "folder": 6,
        "job": 0,  # not checked by default
    }
    (identity,) = layer(checks, "identity")
    assert cloud.identity.object_id in identity.message, "so that the admin knows whom to grant"


def test_it_says_what_a_run_will_do(fleet: Fleet, look: Look, run: Callable[..., Any]) -> None:
    before = {check.message for check in look() if check.layer in {"credential", "folder"}}
    assert before == {
        "no Git credential for Azure DevOps yet; a run creates one",
        "Git-CLI folder; it is at the latest commit of branch main",
        "nothing exists at this path; a run creates it",
    }
    assert run().result == "ok"
    fleet.repositories[0].commit({"new.txt": "new"})
    after = {
        check.message.replace("900000000000001", "ID")
        for check in look()
        if check.layer in {"credential", "folder"}
    }
    assert after == {
        "has Git credential ID (created by the app); a run updates it",
        "Git-CLI folder; branch main has moved; a run updates it",
        "Git-CLI folder; it is at the latest commit of branch main",
    }


# Lines below a failure are skipped


def test_an_identity_unknown_to_azure_devops_is_reported_once_a_repository(cloud: Cloud, look: Look) -> None:
    cloud.devops.organization("contoso").remove_member(cloud.identity.object_id)
    checks = look()
    failures = [check for check in checks if check.status == "failed"]
    assert {(check.layer, check.error.code if check.error else "") for check in failures} == {
        ("azure_devops", "devops_not_a_member")
    }
    assert len(failures) == 2
    assert cloud.identity.object_id in (failures[0].error.remedy if failures[0].error else "")
    assert {check.status for check in layer(checks, "credential") + layer(checks, "folder")} == {"skipped"}


def test_an_azure_devops_that_cannot_be_asked_is_a_warning(cloud: Cloud, look: Look) -> None:
    cloud.inject(Fault(Connect.REFUSE, host="dev.azure.com"))
    assert {line for line in not_ok(look()) if line[0] == "azure_devops"} == {
        ("azure_devops", "warning", "devops_unreachable")
    }


def test_a_missing_branch_has_its_nearest_even_in_a_closed_workspace(
    cloud: Cloud, fleet: Fleet, look: Look
) -> None:
    cloud.inject(Fault(faults.status(503), service="databricks"))
    url = fleet.repositories[0].url
    checks = look(**with_folders(fleet, {"path": "/Repos/etl/prod", "url": url, "branch": "origin/main"}))
    (check,) = [check for check in layer(checks, "azure_devops") if check.status == "failed"]
    assert check.message == "Branch origin/main does not exist; the nearest that exists is main."


FOLDERS: dict[str, tuple[Any, str, str]] = {
    "missing without url": ({"path": "/Repos/etl/none"}, "failed", "folder_not_found"),
    "no Git folder": ({"path": "/Workspace/Repos/etl"}, "failed", "directory_of_git_folders"),
    "nothing below": ({"path": "/Repos/none/*"}, "warning", "no_folder_matched"),
}


@pytest.mark.parametrize(("folder", "status", "code"), FOLDERS.values(), ids=FOLDERS)
def test_what_is_wrong_with_a_folder_is_named(
    fleet: Fleet, look: Look, folder: dict[str, Any], status: str, code: str
) -> None:
    assert not_ok(look(**with_folders(fleet, folder))) == [("folder", status, code)]


# Forecasts


@pytest.mark.parametrize(("days", "status"), [(29, "warning"), (31, "ok"), (-1, "failed")])
def test_an_oauth_secret_is_reported_thirty_days_before_it_expires(
    fleet: Fleet, look: Look, days: int, status: str
) -> None:
    ends = datetime.now(UTC) + timedelta(days=days, hours=1)
    fleet.vault.set(SECRET_NAME, SECRET, expires_on=ends)
    (check,) = layer(look(), "key_vault")
    assert check.status == status
    assert check.error is None or check.error.code == {29: "secret_expires_soon", -1: "secret_expired"}[days]
    if status == "failed":
        assert f"it expired on {ends:%Y-%m-%d at %H:%M} UTC." in check.message


def test_a_secret_without_an_expiry_is_a_warning(fleet: Fleet, look: Look) -> None:
    fleet.vault.set(SECRET_NAME, SECRET)
    checks = look()
    assert not_ok(checks) == [("key_vault", "warning", "secret_without_expiration")]
    (line,) = layer(checks, "key_vault")
    assert line.error is not None
    assert "no warning appears" in line.error.cause
    assert f"--vault-name contoso --name {SECRET_NAME} --expires YYYY-MM-DDT00:00:00Z" in line.error.remedy


def test_a_credential_with_another_name_is_updated_and_never_renamed(
    fleet: Fleet, look: Look, run: Callable[..., Any]
) -> None:
    principal = fleet.workspaces[0].service_principal(CLIENT_ID, SECRET)
    theirs = fleet.workspaces[0].add_credential(
        principal, username="git-refresh", token="pat", name="nightly"
    )
    assert not_ok(look()) == [("credential", "warning", "foreign_credential")]
    report = run()
    assert report.result == "ok"
    told = [problem for problem in report.problems if "foreign_credential" in problem.message]
    assert [problem.location for problem in told] == ["data-1"]
    assert 'its name is "nightly", not "databricks-git-refresh"' in told[0].message
    assert (theirs.name, theirs.token != "pat") == ("nightly", True)
    assert [stored.name for stored in fleet.workspaces[1].credentials] == ["databricks-git-refresh"]


# Managed identity and run_as


def test_a_managed_identity_needs_neither_vault_nor_secret(cloud: Cloud, fleet: Fleet, look: Look) -> None:
    fleet.workspaces[0].add_managed_identity(cloud.identity.object_id)
    checks = look(
        **with_folders(fleet, "/Repos/etl/prod", auth="managed_identity"),
        WORKSPACE_DEFAULTS="",
        KEY_VAULT_URL="",
    )
    assert not_ok(checks) == []
    assert layer(checks, "key_vault") == []
    assert [check.message for check in layer(checks, "workspace")] == [
        "signed in as the app's managed identity"
    ]
    assert any("Azure Databricks" in check.message for check in layer(checks, "identity"))


def test_every_principal_of_run_as_has_a_line(fleet: Fleet, look: Look) -> None:
    other = fleet.workspaces[0].service_principal("5a1e0000-0000-4000-8000-0000000000aa", "x", "jobs")
    checks = look(**with_folders(fleet, additional_principal_ids=[other.id, 4711]))
    assert [(check.subject, check.status) for check in layer(checks, "credential")] == [
        ("data-1", "ok"),
        (f"data-1, principal {other.id}", "ok"),
        ("data-1, principal 4711", "failed"),
    ]


# Limits and secrets


def test_no_line_holds_a_secret(fleet: Fleet, look: Look) -> None:
    fleet.workspaces[1].service_principal(CLIENT_ID, "dose" + "0" * 32)
    text = repr(look())
    assert SECRET not in text
    assert "eyJ" not in text
