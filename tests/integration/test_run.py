"""A run over the real SDKs, HTTP, TLS and Git."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest

from git_refresh.run.report import FolderReport, Report
from localcloud import Cloud, Fleet
from localcloud.fleet import CLIENT_ID, SECRET, SECRET_NAME

Run = Callable[..., Report]


def folder_of(report: Report, path: str, workspace: int = 0) -> FolderReport:
    return next(folder for folder in report.workspaces[workspace].folders if folder.path == path)


def one(fleet: Fleet, *folders: object, **more: Any) -> dict[str, str]:
    """Return settings of the first workspace."""
    return {"WORKSPACES": json.dumps([{"host": fleet.workspaces[0].url, "folders": folders, **more}])}


def test_a_fleet_without_credentials_becomes_fresh_and_stays_so(fleet: Fleet, run: Run) -> None:
    first = run()
    assert first.result == "ok", first.summary()
    for workspace, report in zip(fleet.workspaces, first.workspaces, strict=True):
        assert report.credential
        assert report.credential.action == "created"
        assert [(folder.path, folder.action) for folder in report.folders] == [
            ("/Repos/etl/prod", "unchanged"),
            ("/Repos/reports/prod", "created"),
        ]
        made = workspace.folder("/Repos/reports/prod")
        assert made
        assert made.head == fleet.repositories[1].head("main") == report.folders[1].to
    old = [workspace.credentials[0].token for workspace in fleet.workspaces]
    second = run()
    assert second.result == "ok"
    assert {report.credential.action for report in second.workspaces if report.credential} == {"updated"}
    assert {folder.action for report in second.workspaces for folder in report.folders} == {"unchanged"}
    for workspace, token in zip(fleet.workspaces, old, strict=True):
        (stored,) = workspace.credentials
        assert stored.token != token


def test_a_pushed_commit_arrives_after_the_old_token_has_died(cloud: Cloud, fleet: Fleet, run: Run) -> None:
    before = run()
    cloud.identity.expire_tokens()
    commit = fleet.repositories[0].commit({"new.py": "1"})
    after = run()
    assert after.result == "ok", after.summary()
    for number, workspace in enumerate(fleet.workspaces):
        folder = folder_of(after, "/Repos/etl/prod", number)
        assert (folder.action, folder.to) == ("updated", commit)
        assert folder.from_ == folder_of(before, "/Repos/etl/prod", number).to
        held = workspace.folder("/Repos/etl/prod")
        assert held
        assert held.head == commit


@pytest.mark.parametrize(("kind", "cost"), [("legacy", 4), ("git-cli", 4 + 2 + 2)])
def test_a_quiet_run_costs_what_is_promised(
    cloud: Cloud, fleet: Fleet, run: Run, kind: Literal["legacy", "git-cli"], cost: int
) -> None:
    for workspace in fleet.workspaces:  # two Git folders, each in its own directory
        workspace.variant.git_folders = kind
        workspace.folders[0].git_cli = kind == "git-cli"
    run()
    done = len(cloud.requests)
    run()
    requests = cloud.requests[done:]
    per_workspace = [request.host for request in requests if request.service == "databricks"]
    assert all(per_workspace.count(host) == cost for host in set(per_workspace)), per_workspace
    assert len([request for request in requests if request.service == "devops"]) == 2
    assert len([request for request in requests if request.service == "keyvault"]) <= 2
    assert not cloud.refused, "nothing else is asked: no look-ups of the SDKs' own"


def test_ambient_configuration_is_ignored(
    cloud: Cloud, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("home")
    (home / ".netrc").write_text("default login me password netrc-secret\n")
    (home / ".databrickscfg").write_text("no section, so that reading it fails\n")
    ambient = {
        "HOME": str(home),
        "DATABRICKS_HOST": "https://evil.example",
        "DATABRICKS_TOKEN": "ambient-secret",
        "DATABRICKS_WORKSPACE_ID": "666",
        "DATABRICKS_DEBUG_HEADERS": "true",
        "ARM_CLIENT_ID": "arm",
        "ARM_CLIENT_SECRET": "arm-secret",
    }
    for name, value in ambient.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")  # would get the identity's token unencrypted
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.delenv("no_proxy")
    assert run().result == "ok"
    assert not cloud.refused
    assert "netrc-secret" not in repr(cloud.requests)


def test_parents_are_created_and_the_wanted_branch_or_tag_is_checked_out(fleet: Fleet, run: Run) -> None:
    etl = fleet.repositories[0]
    release = etl.commit({"a": "1"}, branch="release")
    light, annotated = etl.tag("v1", branch="main"), etl.tag("v2", branch="release", annotated=True)
    wanted = [
        {"path": "/Workspace/Shared/deep/er/branch", "url": etl.url, "branch": "release"},
        {"path": "/Shared/deep/tag", "url": etl.url, "tag": "v1"},
        {"path": "/Shared/deep/annotated", "url": etl.url, "tag": "v2"},
    ]
    for actions in (["created"] * 3, ["unchanged"] * 3):
        report = run(**one(fleet, *wanted))
        assert report.result == "ok", report.summary()
        assert [folder.action for folder in report.workspaces[0].folders] == actions
        assert [folder.to for folder in report.workspaces[0].folders] == [release, light, annotated]
    held = fleet.workspaces[0].folder("/Shared/deep/tag")
    assert held
    assert held.branch is None


@pytest.mark.parametrize("where", ["visualstudio.com", "name@", "spaces", "project = repository"])
def test_a_repository_is_found_by_every_form_of_its_url(
    cloud: Cloud, fleet: Fleet, run: Run, where: str
) -> None:
    twin = cloud.devops.repository("contoso", "twin", "twin", {"README.md": "hi"})
    url, commit = {
        "visualstudio.com": (
            "https://contoso.visualstudio.com/DefaultCollection/Data%20Platform/_git/etl",
            None,
        ),
        "name@": ("https://contoso@dev.azure.com/contoso/Data%20Platform/_git/etl", None),
        "spaces": ("https://dev.azure.com/contoso/Data Platform/_git/etl", None),
        "project = repository": ("https://dev.azure.com/contoso/_git/twin", twin.head("main")),
    }[where]
    report = run(**one(fleet, {"path": "/Shared/it", "url": url, "branch": "main"}))
    assert report.result == "ok", report.summary()
    assert folder_of(report, "/Shared/it").to == (commit or fleet.repositories[0].head("main"))
    assert (
        folder_of(run(**one(fleet, {"path": "/Shared/it", "url": url})), "/Shared/it").action == "unchanged"
    )


def failing(cloud: Cloud, fleet: Fleet, what: str) -> str:
    """Break one thing, and return the expected code."""
    workspace = fleet.workspaces[0]
    match what:
        case "wrong OAuth secret":
            for each in fleet.workspaces:
                each.service_principal(CLIENT_ID, "another")
            return "oauth_secret_rejected"
        case "secret that the others accept":
            workspace.service_principal(CLIENT_ID, "another")
            return "not_in_workspace"
        case "secret is disabled":
            fleet.vault.set(SECRET_NAME, SECRET, enabled=False)
            return "secret_disabled"
        case "secret has expired":
            fleet.vault.set(SECRET_NAME, SECRET, expires_on=datetime.now(UTC) - timedelta(days=1))
            return "secret_expired"
        case _:
            fleet.vault.deny(cloud.identity.object_id)
            return "key_vault_forbidden"


@pytest.mark.parametrize(
    "what",
    [
        "wrong OAuth secret",
        "secret that the others accept",
        "secret is disabled",
        "secret has expired",
        "no role on the vault",
    ],
)
def test_what_stands_in_the_way_of_signing_in_is_named(
    cloud: Cloud, fleet: Fleet, run: Run, what: str
) -> None:
    code = failing(cloud, fleet, what)
    error = run().workspaces[0].error
    assert error
    assert error.code == code
    assert error.remedy


def test_a_secret_that_is_not_there_is_named(fleet: Fleet, run: Run) -> None:
    error = run(**one(fleet, client_secret_name="none-such")).workspaces[0].error
    assert error
    assert error.code == "secret_not_found"
    assert 'no secret "none-such"' in error.cause


@pytest.mark.parametrize(
    ("folder", "code"),
    [
        ("/Repos/none/such", "folder_not_found"),
        ({"path": "/Repos/etl/prod", "branch": "none-such"}, "ref_not_found"),
        ({"path": "/Repos/etl/prod", "tag": "none-such"}, "ref_not_found"),
        (
            {"path": "/Repos/etl/prod", "url": "https://dev.azure.com/contoso/Data%20Platform/_git/reports"},
            "wrong_repository",
        ),
        (
            {"path": "/Repos/x/y", "url": "https://dev.azure.com/contoso/Data%20Platform/_git/none"},
            "devops_repository_not_found",
        ),
        (
            {"path": "/Repos/x/y", "url": "https://dev.azure.com/contoso/none/_git/none"},
            "devops_project_not_found",
        ),
    ],
)
def test_what_is_wrong_with_a_folder_is_named_and_its_credential_is_stored(
    fleet: Fleet, run: Run, folder: object, code: str
) -> None:
    report = run(**one(fleet, folder))
    (found,) = report.workspaces[0].folders
    assert found.error
    assert found.error.code == code
    assert report.workspaces[0].credential
    assert report.workspaces[0].credential.action == "created"
    assert "{" not in found.error.cause + found.error.remedy
