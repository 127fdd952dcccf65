"""Every setting, from the real SDKs, HTTP, TLS and Git to the files of a Git folder."""

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web

from git_refresh.run.report import Report, WorkspaceReport
from localcloud import Cloud, Fault, Fleet, faults, git
from localcloud.authority import DATABRICKS_RESOURCE, DEVOPS_RESOURCE
from localcloud.databricks import git_folders
from localcloud.databricks.folder import Folder
from localcloud.databricks.git_credentials import Credential
from localcloud.databricks.workspace import Workspace
from localcloud.devops.repository import Repository
from localcloud.fleet import CLIENT_ID, SECRET
from localcloud.observer import Request
from tests.support.app import run_app

Run = Callable[..., Report]

PROD = "/Repos/etl/prod"
FEDERATED = "azureDevOpsServicesAad"
MANAGED = {"auth": "managed_identity"}
DISCARD = {"on_conflict": "discard"}
REPOS, CREDENTIALS = "^/api/2.0/repos", "^/api/2.0/git-credentials"


@dataclass
class Traffic:
    """The requests since `forget`."""

    cloud: Cloud
    start: int = 0

    def forget(self) -> None:
        self.start = len(self.cloud.requests)

    def __call__(self, method: str, path: str = "", service: str = "databricks") -> list[Request]:
        """Return the requests by service, method and a regular expression for the path."""
        return [
            request
            for request in self.cloud.requests[self.start :]
            if (request.service, request.method) == (service, method) and re.search(path, request.path)
        ]

    def moves(self, folder: Folder | None = None) -> list[Request]:
        """Return the requests that update a Git folder."""
        return self("PATCH", f"{REPOS}/{folder.id}$" if folder else f"{REPOS}/")

    def writes(self) -> list[Request]:
        """Return all requests that can change a workspace."""
        methods = {"POST", "PATCH", "PUT", "DELETE"}
        found = [request for method in methods for request in self(method)]
        return [request for request in found if request.path != "/oidc/v1/token"]


@pytest.fixture
def traffic(cloud: Cloud) -> Traffic:
    return Traffic(cloud)


@pytest.fixture
def etl(fleet: Fleet) -> Repository:
    return fleet.repositories[0]


@pytest.fixture
def workspace(fleet: Fleet) -> Workspace:
    return fleet.workspaces[0]


def one(fleet: Fleet, *folders: object, **more: Any) -> dict[str, str]:
    """Return settings of the first workspace."""
    entry = {"host": fleet.workspaces[0].url, "name": "data-1", "folders": folders, **more}
    return {"WORKSPACES": json.dumps([entry])}


def only(report: Report) -> WorkspaceReport:
    (found,) = report.workspaces
    return found


def actions(report: Report) -> list[tuple[str, str]]:
    return [(folder.path, folder.action) for folder in only(report).folders]


def codes(report: Report) -> list[str]:
    return [error.code for found in report.workspaces for _, error in found.failures()]


def told(report: Report) -> str:
    """Return the texts of all failures in a report."""
    return " ".join(str(error) for found in report.workspaces for _, error in found.failures())


def tokens(workspace: Workspace) -> dict[str, str | None]:
    """Return the tokens stored for Azure DevOps by the principal's client ID."""
    stored = [found for found in workspace.credentials if found.provider == "azureDevOpsServices"]
    assert len({found.principal.id for found in stored}) == len(stored), "one for each principal"
    return {found.principal.client_id: found.token for found in stored}


# Managed identity


@pytest.mark.parametrize("user_assigned", [False, True])
def test_a_managed_identity_needs_no_vault_and_no_oauth_secret_at_all(
    cloud: Cloud, fleet: Fleet, traffic: Traffic, *, user_assigned: bool
) -> None:
    commit = fleet.repositories[0].commit({"new": "1"})
    for found in fleet.workspaces:
        found.add_managed_identity(cloud.identity.object_id)
    entries = [{"host": found.url, **MANAGED, "folders": [PROD]} for found in fleet.workspaces]
    identity = {"AZURE_CLIENT_ID": cloud.identity.client_id} if user_assigned else {}
    report = run_app({**os.environ, "WORKSPACES": json.dumps(entries), **identity})
    assert report.result == "ok", report.summary()
    assert [found.folders[0].to for found in report.workspaces] == [commit] * 3
    assert all(list(tokens(found)) == [cloud.identity.object_id] for found in fleet.workspaces)

    assert {request.service for request in cloud.requests} == {"identity", "devops", "databricks"}
    assert traffic("POST", "^/oidc/") == []
    assert cloud.refused == []
    asked = [(seen.query["resource"], seen.query.get("client_id")) for seen in traffic("GET", "", "identity")]
    client_id = cloud.identity.client_id if user_assigned else None
    assert sorted(asked) == [(DATABRICKS_RESOURCE, client_id), (DEVOPS_RESOURCE, client_id)], "once a run"


@pytest.mark.parametrize("by_default", ["managed_identity", "oauth_secret"])
def test_in_a_mixed_fleet_each_workspace_is_signed_in_to_in_its_own_way(
    cloud: Cloud, fleet: Fleet, run: Run, traffic: Traffic, by_default: str
) -> None:
    managed, *others = fleet.workspaces
    managed.add_managed_identity(cloud.identity.object_id)
    entries = [
        {"host": managed.url, "auth": "managed_identity"},
        *({"host": found.url, "auth": "oauth_secret"} for found in others),
    ]
    for entry in entries:
        if entry["auth"] == by_default:
            del entry["auth"]
    defaults = {**json.loads(fleet.settings["WORKSPACE_DEFAULTS"]), "auth": by_default}
    report = run(WORKSPACES=json.dumps(entries), WORKSPACE_DEFAULTS=json.dumps(defaults))
    assert report.result == "ok", report.summary()
    assert sorted(seen.host for seen in traffic("POST", "^/oidc/")) == [found.host for found in others]
    assert list(tokens(managed)) == [cloud.identity.object_id]
    assert [list(tokens(found)) for found in others] == [[CLIENT_ID]] * 2


def test_a_closed_vault_costs_the_managed_identity_nothing(cloud: Cloud, fleet: Fleet, run: Run) -> None:
    managed, secret, _ = fleet.workspaces
    managed.add_managed_identity(cloud.identity.object_id)
    fleet.vault.deny(cloud.identity.object_id)
    report = run(WORKSPACES=json.dumps([{"host": managed.url, **MANAGED}, {"host": secret.url}]))
    assert [found.result for found in report.workspaces] == ["ok", "failed"]
    assert codes(report) == ["key_vault_forbidden"]
    assert tokens(managed)


def test_an_identity_missing_in_one_workspace_leaves_the_others_fresh(
    cloud: Cloud, fleet: Fleet, run: Run
) -> None:
    first, strange, last = fleet.workspaces
    for found in (first, last):
        found.add_managed_identity(cloud.identity.object_id)
    entries = [{"host": found.url, **MANAGED, "folders": [PROD]} for found in fleet.workspaces]
    report = run(WORKSPACES=json.dumps(entries))
    assert [found.result for found in report.workspaces] == ["ok", "failed", "ok"]
    error = report.workspaces[1].error
    assert error
    assert error.code == "not_in_workspace"
    assert "the app's managed identity" in error.remedy
    assert strange.url in error.remedy
    assert [folder.action for folder in report.workspaces[1].folders] == ["skipped"]
    assert (bool(tokens(first)), bool(tokens(strange)), bool(tokens(last))) == (True, False, True)


# run_as


@pytest.mark.parametrize(("kind", "auth"), [(int, {}), (str, MANAGED)], ids=["numbers", "strings"])
def test_each_principal_of_run_as_has_one_credential_however_often_it_runs(
    cloud: Cloud, fleet: Fleet, run: Run, traffic: Traffic, kind: type, auth: dict[str, str]
) -> None:
    workspace = fleet.workspaces[0]
    workspace.add_managed_identity(cloud.identity.object_id)
    first, second = (workspace.service_principal(name, "theirs") for name in ("app-1", "app-2"))
    own = cloud.identity.object_id if auth else CLIENT_ID
    settings = one(fleet, additional_principal_ids=[kind(first.id), kind(second.id)], **auth)

    assert run(**settings).result == "ok"
    old = tokens(workspace)
    assert sorted(old) == sorted(["app-1", "app-2", own])
    assert len(set(old.values())) == 1
    principals = [None, str(first.id), str(second.id)]
    assert [seen.query.get("principal_id") for seen in traffic("GET", CREDENTIALS)] == principals
    sent = ["principal_id" in seen.body_keys for seen in traffic("POST", CREDENTIALS)]
    assert sent == [False, True, True]

    traffic.forget()
    assert run(**settings).result == "ok"
    new = tokens(workspace)
    assert sorted(new) == sorted(old)
    assert set(new.values()).isdisjoint(old.values())
    assert [seen.query.get("principal_id") for seen in traffic("GET", CREDENTIALS)] == principals
    sent = ["principal_id" in seen.body_keys for seen in traffic("PATCH", CREDENTIALS)]
    assert sent == [False, True, True]
    assert traffic("POST", CREDENTIALS) == []


def test_what_a_principal_of_run_as_has_stored_is_updated_in_place(
    fleet: Fleet, workspace: Workspace, run: Run
) -> None:
    other = workspace.service_principal("other-app", "theirs")
    github = workspace.add_credential(other, provider="gitHub", username="octo", token="github-pat")
    ours = workspace.add_credential(other, username="jobs", token="old")
    assert run(**one(fleet, additional_principal_ids=[other.id])).result == "ok"
    assert [found.id for found in workspace.credentials if found.principal is other] == [github.id, ours.id]
    assert (github.username, github.token) == ("octo", "github-pat")
    assert ours.token == tokens(workspace)[CLIENT_ID]


@pytest.mark.parametrize("place", [0, 1])
def test_an_unknown_principal_in_run_as_is_named_and_all_else_is_done(
    fleet: Fleet, workspace: Workspace, etl: Repository, run: Run, place: int
) -> None:
    known = [workspace.service_principal(name, "theirs").id for name in ("app-1", "app-2")]
    commit = etl.commit({"new": "1"})
    report = run(**one(fleet, PROD, additional_principal_ids=[*known[:place], 4711, *known[place:]]))
    assert codes(report) == ["additional_principal_not_found"]
    error = only(report).error
    assert error
    assert "4711" in error.message
    assert sorted(tokens(workspace)) == sorted([CLIENT_ID, "app-1", "app-2"])
    assert [folder.to for folder in only(report).folders] == [commit]


def test_every_principal_of_run_as_that_fails_is_named(fleet: Fleet, workspace: Workspace, run: Run) -> None:
    known = workspace.service_principal("other-app", "theirs")
    report = run(**one(fleet, additional_principal_ids=[4711, known.id, 4712]))
    assert sorted(tokens(workspace)) == sorted([CLIENT_ID, "other-app"])
    said = told(report) + " ".join(map(str, report.problems))
    assert ("4711" in said, "4712" in said) == (True, True)


def test_a_principal_may_stand_in_its_own_run_as(fleet: Fleet, workspace: Workspace, run: Run) -> None:
    own = workspace.service_principal(CLIENT_ID, SECRET)
    for _ in range(2):
        assert run(**one(fleet, additional_principal_ids=[own.id])).result == "ok"
    assert list(tokens(workspace)) == [CLIENT_ID]


def test_a_token_that_azure_devops_rejects_replaces_nobodys_in_run_as(
    cloud: Cloud, fleet: Fleet, workspace: Workspace, run: Run
) -> None:
    other = workspace.service_principal("other-app", "theirs")
    settings = one(fleet, PROD, additional_principal_ids=[other.id])
    assert run(**settings).result == "ok"
    before = tokens(workspace)
    cloud.devops.organization("contoso").remove_member(cloud.identity.object_id)
    assert "devops_not_a_member" in codes(run(**settings))
    assert tokens(workspace) == before


# Paths ending in /*

TEAM = ["/Shared/c", "/Shared/team/a", "/Shared/team/deep/er/b"]
OUTSIDE = ["/Sharedrive/d", "/Shared/teammates/e", "/Users/me@contoso.com/Shared/f"]

BELOW = {
    "/Workspace/Shared/team/*": TEAM[1:],
    "/Shared/*": [*TEAM, OUTSIDE[1]],
    "/Users/*": [OUTSIDE[2]],
    "/Repos/*": [PROD],
}


@pytest.mark.parametrize(("pattern", "paths"), BELOW.items(), ids=BELOW)
def test_a_pattern_finds_each_git_folder_below_once_and_none_beside(
    fleet: Fleet,
    workspace: Workspace,
    etl: Repository,
    run: Run,
    traffic: Traffic,
    pattern: str,
    paths: list[str],
) -> None:
    for path in (*TEAM, *OUTSIDE):
        workspace.add_folder(path, etl)
    old, new = etl.head(), etl.commit({"new": "1"})
    report = run(**one(fleet, pattern))
    assert report.result == "ok", report.summary()
    assert sorted(actions(report)) == sorted((path, "updated") for path in paths)
    heads = {folder.path: folder.head for folder in workspace.folders}
    assert heads == {path: new if path in paths else old for path in heads}
    assert len(traffic.moves()) == len(paths)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [("/Workspace/Shared/*", "/Shared/team/a"), ("/Shared/*", "/Workspace/Shared/team/a")],
)
@pytest.mark.parametrize("turn", [1, -1])
def test_an_entry_of_its_own_wins_over_the_pattern_wherever_it_stands(
    fleet: Fleet, workspace: Workspace, etl: Repository, run: Run, pattern: str, path: str, turn: int
) -> None:
    special, other = workspace.add_folder(path, etl), workspace.add_folder("/Shared/c", etl)
    release, main = etl.commit({"r": "1"}, branch="release"), etl.commit({"m": "1"})
    settings = one(fleet, *[{"path": path, "branch": "release"}, {"path": pattern, "branch": "main"}][::turn])
    for action in ("updated", "unchanged"):
        report = run(**settings)
        assert report.result == "ok", report.summary()
        assert sorted(actions(report)) == sorted([(path, action), ("/Shared/c", action)])
        assert (special.branch, special.head, other.head) == ("release", release, main)


@pytest.mark.parametrize("path", ["/Workspace/Shared/team/pinned", "/Workspace/Shared/team/*"])
def test_a_nearer_entry_with_a_mistake_keeps_the_pattern_from_its_folder(
    fleet: Fleet, workspace: Workspace, etl: Repository, run: Run, traffic: Traffic, path: str
) -> None:
    pinned = workspace.add_folder("/Shared/team/pinned", etl)
    before = pinned.head
    pinned.edit("README.md", "mine")
    etl.commit({"README.md": "theirs"})
    mirror = {"path": "/Shared/*", "branch": "main", **DISCARD}
    report = run(**one(fleet, mirror, {"path": path, "tga": "v1"}))
    assert codes(report) == ["invalid_folder"]
    assert traffic.moves(pinned) == []
    assert (pinned.head, pinned.read("README.md")) == (before, "mine")
    assert len(only(report).folders) == 1, "a folder is reported once"


def test_a_wider_pattern_that_has_a_mistake_costs_a_nearer_one_nothing(
    fleet: Fleet, workspace: Workspace, etl: Repository, run: Run
) -> None:
    folder = workspace.add_folder("/Shared/team/a", etl)
    commit = etl.commit({"new": "1"})
    report = run(**one(fleet, {"path": "/Shared/*", "tga": "v1"}, "/Shared/team/*"))
    assert codes(report) == ["invalid_folder"]
    assert ("/Shared/team/a", "updated") in actions(report)
    assert folder.head == commit


def test_a_folder_below_a_pattern_is_created_once_and_then_updated_once(
    fleet: Fleet, etl: Repository, run: Run, traffic: Traffic
) -> None:
    settings = one(fleet, "/Shared/*", {"path": "/Workspace/Shared/team/new", "url": etl.url})
    assert actions(run(**settings)) == [("/Workspace/Shared/team/new", "created")]
    etl.commit({"new": "1"})
    traffic.forget()
    assert actions(run(**settings)) == [("/Workspace/Shared/team/new", "updated")]
    assert (len(traffic.moves()), traffic("POST", REPOS)) == (1, [])


@pytest.mark.parametrize(
    "patterns", [["/Shared/*", "/Shared/team/*"], ["/Workspace/Shared/team/*", "/Shared/*"]]
)
def test_a_folder_that_two_patterns_find_is_worked_on_once(
    fleet: Fleet, workspace: Workspace, etl: Repository, run: Run, traffic: Traffic, patterns: list[str]
) -> None:
    folder = workspace.add_folder("/Shared/team/a", etl)
    etl.commit({"new": "1"})
    report = run(**one(fleet, *patterns))
    assert ("/Shared/team/a", "updated") in actions(report)
    assert len(traffic.moves(folder)) == 1


@pytest.mark.parametrize("turn", [1, -1])
def test_only_the_nearest_pattern_decides_the_ref_of_a_folder(
    fleet: Fleet, workspace: Workspace, etl: Repository, run: Run, traffic: Traffic, turn: int
) -> None:
    folder = workspace.add_folder("/Shared/team/a", etl)
    release = etl.commit({"r": "1"}, branch="release")
    patterns = [
        {"path": "/Workspace/Shared/team/*", "branch": "release"},
        {"path": "/Shared/*", "branch": "main"},
    ]
    settings = one(fleet, *patterns[::turn])
    for action in ("updated", "unchanged"):
        assert actions(run(**settings)) == [("/Shared/team/a", action)]
        assert (folder.branch, folder.head) == ("release", release)
    assert len(traffic.moves()) == 1, "the second run has nothing to do"


def test_a_pattern_goes_on_to_the_list_s_last_page(
    fleet: Fleet, workspace: Workspace, etl: Repository, run: Run, traffic: Traffic
) -> None:
    workspace.variant.git_folders = "legacy"
    folders = [workspace.add_folder(f"/Shared/team/{number:02}", etl) for number in range(23)]
    etl.commit({"r": "1"}, branch="release")
    pinned = workspace.add_folder("/Shared/team/99", etl, branch="release")
    commit = etl.commit({"r": "2"}, branch="release")
    report = run(**one(fleet, "/Shared/team/*"))
    expected = [(folder.path, "unchanged") for folder in folders]
    assert actions(report) == [*expected, (pinned.path, "updated")]
    assert pinned.head == commit
    pages = [
        (seen.query["path_prefix"], seen.query.get("next_page_token")) for seen in traffic("GET", REPOS + "$")
    ]
    assert pages == [("/Shared/team", None), ("/Shared/team", "20")]
    assert len(traffic.moves()) == 1


def test_a_list_that_breaks_off_costs_no_folder(
    cloud: Cloud,
    fleet: Fleet,
    workspace: Workspace,
    etl: Repository,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(git_folders, "PAGE", 2)
    for name in "abcd":
        workspace.add_folder(f"/Shared/team/{name}", etl)
    commit = etl.commit({"new": "1"})
    denied = faults.status(403, {"error_code": "PERMISSION_DENIED", "message": "no"})
    cloud.inject(Fault(denied, service="databricks", method="GET", route=REPOS + "$", nth=2))
    report = run(**one(fleet, "/Shared/team/*", "/Shared/team/d"))
    assert dict(actions(report)) == {
        "/Shared/team/c": "updated",
        "/Shared/team/a": "updated",
        "/Shared/team/b": "updated",
        "/Shared/team/d": "updated",  # found by its path
    }
    assert codes(report) == []
    fresh = [folder.path for folder in workspace.folders if folder.head == commit]
    assert fresh == ["/Shared/team/a", "/Shared/team/b", "/Shared/team/c", "/Shared/team/d"]
    assert list(tokens(workspace)) == [CLIENT_ID]


def test_what_a_pattern_wants_is_wanted_of_every_folder_below(
    fleet: Fleet, workspace: Workspace, etl: Repository, run: Run, traffic: Traffic
) -> None:
    first, second = (workspace.add_folder(f"/Shared/team/{name}", etl) for name in "ab")
    untagged = workspace.add_folder("/Shared/team/untagged", fleet.repositories[1])
    tagged = etl.tag("v1")
    etl.commit({"README.md": "later"})
    second.edit("README.md", "mine")
    second.edit("jobs/load.py", "mine")
    report = run(**one(fleet, {"path": "/Shared/team/*", "tag": "v1", **DISCARD}))
    assert actions(report) == [(first.path, "updated"), (second.path, "updated"), (untagged.path, "failed")]
    assert codes(report) == ["ref_not_found"]
    assert [(folder.branch, folder.head, folder.dirty) for folder in (first, second)] == [
        (None, tagged, False)
    ] * 2
    assert untagged.branch == "main"
    assert all("dangerously_force_discard_all" in seen.body_keys for seen in traffic.moves())


def test_a_clone_from_outside_azure_devops_is_reported_and_left_unchanged(
    cloud: Cloud, fleet: Fleet, workspace: Workspace, etl: Repository, run: Run, traffic: Traffic
) -> None:
    github, ours = (workspace.add_folder(f"/Shared/team/{name}", etl) for name in ("github", "ours"))
    github.url = "https://github.com/contoso/etl"
    before, commit = github.head, etl.commit({"new": "1"})
    report = run(**one(fleet, "/Shared/team/*"))
    assert actions(report) == [(github.path, "skipped"), (ours.path, "updated")]
    assert (report.result, codes(report)) == ("ok", []), "nobody has asked for this one"
    (problem,) = report.problems
    assert (problem.location, problem.message.split(":")[0]) == (f"data-1 {github.path}", "not_azure_devops")
    assert (github.head, ours.head) == (before, commit)
    assert traffic.moves(github) == []
    assert cloud.refused == [], "nobody is sent there"


@pytest.mark.parametrize("pattern", ["/Shared/team/*", "/Workspace/Shared/team/*"])
def test_a_pattern_without_folders_is_reported_and_no_failure(
    fleet: Fleet, workspace: Workspace, etl: Repository, run: Run, traffic: Traffic, pattern: str
) -> None:
    workspace.add_folder("/Shared/teammates/a", etl)
    report = run(**one(fleet, pattern))
    assert (report.result, actions(report)) == ("ok", [])
    (problem,) = report.problems
    assert (problem.location, "no_folder_matched" in problem.message) == (f"data-1 {pattern}", True)
    assert list(tokens(workspace)) == [CLIENT_ID]
    assert [seen.path for seen in traffic.writes()] == ["/api/2.0/git-credentials"]


@pytest.mark.parametrize("pattern", ["/*", "/Workspace/*"])
def test_a_pattern_for_the_whole_workspace_finds_everything_or_is_refused(
    fleet: Fleet, workspace: Workspace, etl: Repository, run: Run, pattern: str
) -> None:
    """An empty prefix lists only what is below /Repos, so missing the rest would go unnoticed."""
    workspace.add_folder("/Shared/team/a", etl)
    report = run(**one(fleet, pattern))
    everything = [(PROD, "unchanged"), ("/Shared/team/a", "unchanged")]
    assert codes(report) == ["invalid_folder"] or actions(report) == everything


HIDDEN: dict[str, dict[str, Any]] = {
    "without Manage permission": {"can_manage": False},
    "that is legacy, without Manage permission": {"can_manage": False, "git_cli": False},
    "that is not seen at all": {"visible": False},
}


@pytest.mark.parametrize("how", HIDDEN.values(), ids=HIDDEN)
def test_a_pattern_does_not_update_a_folder(
    fleet: Fleet,
    workspace: Workspace,
    etl: Repository,
    run: Run,
    traffic: Traffic,
    how: dict[str, Any],
) -> None:
    hidden = workspace.add_folder("/Shared/team/hidden", etl, **how)
    plain = workspace.add_folder("/Shared/team/plain", etl, git_cli=how.get("git_cli"))
    before, commit = hidden.head, etl.commit({"new": "1"})
    report = run(**one(fleet, "/Shared/team/*"))
    # Only the list of legacy folders depends on the permission. Other refusals might come from any request.
    refused = hidden.visible and hidden.git_cli
    expected = [(hidden.path, "failed" if refused else "skipped")] if hidden.visible else []
    assert actions(report) == [*expected, (plain.path, "updated")]
    assert codes(report) == (["permission_denied"] if refused else [])
    assert (hidden.head, plain.head) == (before, commit)
    asked_for = [seen for seen in traffic.writes() if str(hidden.id) in seen.path]
    assert bool(asked_for) == refused
    assert bool(report.problems) == (hidden.visible and not refused)


def test_a_folder_without_can_manage_is_found_and_names_the_permission(
    fleet: Fleet, workspace: Workspace, etl: Repository, run: Run, traffic: Traffic
) -> None:
    folder = workspace.add_folder("/Shared/team/a", etl, can_manage=False)
    settings = one(fleet, "/Shared/team/a")
    assert actions(run(**settings)) == [("/Shared/team/a", "unchanged")]
    assert traffic.moves() == []
    etl.commit({"new": "1"})
    report = run(**settings)
    assert codes(report) == ["permission_denied"]
    assert "CAN MANAGE on /Shared/team/a" in told(report)
    assert list(tokens(workspace)) == [CLIENT_ID]
    folder.can_manage = True
    assert actions(run(**settings)) == [("/Shared/team/a", "updated")]


# Tags


@pytest.fixture
def prod(workspace: Workspace) -> Folder:
    folder = workspace.folder(PROD)
    assert folder
    return folder


@pytest.mark.parametrize(("name", "annotated"), [("v1", False), ("release/2026.11", True)])
def test_a_folder_is_brought_to_a_tag_and_then_left_alone(
    fleet: Fleet, prod: Folder, etl: Repository, run: Run, traffic: Traffic, *, name: str, annotated: bool
) -> None:
    tagged = etl.tag(name, annotated=annotated)
    etl.tag(name + ".1", annotated=annotated)
    later = etl.commit({"README.md": "later"})
    assert run(**one(fleet, PROD)).result == "ok"
    assert prod.head == later
    settings = one(fleet, {"path": PROD, "tag": name})
    (folder,) = only(run(**settings)).folders
    assert (folder.action, folder.ref, folder.from_, folder.to) == ("updated", name, later, tagged)
    assert (prod.branch, prod.head, prod.read("README.md")) == (None, tagged, "# ETL\n")

    traffic.forget()
    etl.commit({"README.md": "later still"})
    (folder,) = only(run(**settings)).folders
    assert (folder.action, folder.ref, folder.from_, folder.to) == ("unchanged", name, tagged, tagged)
    assert traffic.moves() == []


@pytest.mark.parametrize(("before", "after"), [(True, True), (True, False), (False, True)])
def test_a_tag_that_was_moved_is_followed(
    fleet: Fleet, prod: Folder, etl: Repository, run: Run, *, before: bool, after: bool
) -> None:
    settings = one(fleet, {"path": PROD, "tag": "stable"})
    first = etl.tag("stable", annotated=before)
    assert run(**settings).result == "ok"
    etl.commit({"README.md": "second"})
    second = etl.tag("stable", annotated=after)
    (folder,) = only(run(**settings)).folders
    assert (folder.action, folder.from_, folder.to) == ("updated", first, second)
    assert (prod.branch, prod.head, prod.read("README.md")) == (None, second, "second")


@pytest.mark.parametrize("after", [True, False])
def test_a_tag_that_was_made_anew_at_the_same_commit_moves_nothing(
    fleet: Fleet, prod: Folder, etl: Repository, run: Run, traffic: Traffic, *, after: bool
) -> None:
    settings = one(fleet, {"path": PROD, "tag": "stable"})
    etl.tag("stable", annotated=not after)
    assert run(**settings).result == "ok"
    tagged = etl.tag("stable", annotated=after)
    traffic.forget()
    assert actions(run(**settings)) == [(PROD, "unchanged")]
    assert (prod.head, traffic.moves()) == (tagged, [])


def test_a_folder_goes_from_a_branch_to_tags_and_back(
    fleet: Fleet, prod: Folder, etl: Repository, run: Run
) -> None:
    first, second = etl.tag("v1"), etl.commit({"new": "2"})
    etl.tag("v2", annotated=True)
    main, dev = etl.commit({"new": "3"}), etl.commit({"new": "dev"}, branch="dev")
    way: list[tuple[dict[str, str], str | None, str]] = [
        ({"tag": "v1"}, None, first),
        ({"branch": "main"}, "main", main),
        ({"tag": "v2"}, None, second),
        ({"tag": "v1"}, None, first),
        ({"branch": "dev"}, "dev", dev),
    ]
    for ref, branch, commit in way:
        assert actions(run(**one(fleet, {"path": PROD, **ref}))) == [(PROD, "updated")]
        assert (prod.branch, prod.head) == (branch, commit)


@pytest.mark.parametrize("annotated", [True, False])
def test_a_tag_and_a_branch_of_one_name_are_not_mixed_up(
    fleet: Fleet, prod: Folder, etl: Repository, run: Run, traffic: Traffic, *, annotated: bool
) -> None:
    tagged = etl.tag("stable", annotated=annotated)
    branch = etl.commit({"new": "branch"}, branch="stable")
    to_tag, to_branch = (one(fleet, {"path": PROD, kind: "stable"}) for kind in ("tag", "branch"))
    for settings, expected in [
        (to_tag, (None, tagged)),
        (to_branch, ("stable", branch)),
        (to_tag, (None, tagged)),
    ]:
        assert actions(run(**settings)) == [(PROD, "updated")]
        assert (prod.branch, prod.head) == expected
        traffic.forget()
        assert actions(run(**settings)) == [(PROD, "unchanged")]
        assert traffic.moves() == []


@pytest.mark.parametrize("kind", ["branch", "tag"])
def test_the_nearest_branch_or_tag_costs_one_request_a_repository(
    fleet: Fleet, etl: Repository, run: Run, cloud: Cloud, kind: str
) -> None:
    etl.commit({"new": "1"}, branch="release")
    etl.tag("release-1")
    etl.tag("release-2", annotated=True)
    entries = [
        {"path": f"/Shared/{name}", "url": etl.url, kind: name} for name in ("Release", "relese-2", "none")
    ]
    report = run(**one(fleet, *entries))
    near = ("release", "release", None) if kind == "branch" else ("release-2", "release-2", None)
    assert codes(report) == ["ref_not_found"] * 3
    for entry, name in zip(entries, near, strict=True):
        suggestion = f"; the nearest that exists is {name}." if name else "."
        assert f"{kind.title()} {entry[kind]} does not exist{suggestion}" in told(report)
    asked = [seen.query["filter"] for seen in cloud.requests if seen.path.endswith("/refs")]
    start = "heads/" if kind == "branch" else "tags/"
    assert sorted(asked) == sorted([start, *(f"{start}{entry[kind]}" for entry in entries)])


FAILING = {
    "reset": faults.reset(),
    "unavailable": faults.status(503),
    "rejected": faults.status(401),
    "no refs": faults.replace_body(b'{"value": 5}'),
    "odd refs": faults.replace_body(rb'{"value": [{"name": "refs/heads/mai\u001bn"}, {"name": 5}, {}]}'),
}


@pytest.mark.parametrize("action", FAILING.values(), ids=FAILING)
def test_a_suggestion_that_cannot_be_made_is_no_further_failure(
    cloud: Cloud, fleet: Fleet, etl: Repository, run: Run, action: faults.Action
) -> None:
    cloud.inject(Fault(action, host="dev.azure.com", nth=2, times=99))
    report = run(**one(fleet, {"path": "/Shared/new", "url": etl.url, "branch": "mian"}))
    assert codes(report) == ["ref_not_found"]
    assert "Branch mian does not exist. " in told(report)
    assert len([seen for seen in cloud.requests if seen.path.endswith("/refs")]) <= 2
    assert report.problems == ()


@pytest.mark.parametrize("near", ["branch v1", "tag v1.0", "nothing"])
def test_a_missing_tag_is_named_and_nothing_is_done_for_it(
    fleet: Fleet, prod: Folder, etl: Repository, run: Run, traffic: Traffic, near: str
) -> None:
    kind, _, name = near.partition(" ")
    if kind == "branch":
        etl.commit({"new": "1"}, branch=name)
    elif name:
        etl.tag(name)
    before = (prod.branch, prod.head)
    entries = [{"path": path, "url": etl.url, "tag": "v1"} for path in (PROD, "/Shared/new")]
    report = run(**one(fleet, *entries))
    assert codes(report) == ["ref_not_found", "ref_not_found"]
    assert told(report).count("etl has no such branch or tag.") == 2
    assert (prod.branch, prod.head) == before
    assert [seen.path for seen in traffic.writes()] == ["/api/2.0/git-credentials"]


def test_a_folder_on_a_tag_that_nothing_is_wanted_of_stays_there(
    fleet: Fleet, prod: Folder, etl: Repository, run: Run, traffic: Traffic
) -> None:
    tagged = etl.tag("v1")
    run(**one(fleet, {"path": PROD, "tag": "v1"}))
    etl.commit({"new": "1"})
    traffic.forget()
    report = run(**one(fleet, PROD))
    (folder,) = only(report).folders
    assert (report.result, folder.action, folder.ref, folder.to) == ("ok", "unchanged", None, tagged)
    assert [problem.message.partition(":")[0] for problem in report.problems] == ["folder_detached"]
    assert (prod.head, traffic.moves()) == (tagged, [])


# sparse


@pytest.fixture
def mono(cloud: Cloud) -> Repository:
    files = {
        "README.md": "top",
        "src/a.py": "1",
        "src/deep/b.py": "1",
        "conf/dev/c": "1",
        "conf/prod/c": "1",
        "data/d": "1",
    }
    repository = cloud.devops.repository("contoso", "Data Platform", "mono", files)
    repository.tag("v1")
    repository.commit({"src/a.py": "2"}, branch="release")
    return repository


def files_of(folder: Folder) -> list[str]:
    files = (path for path in folder.directory.rglob("*") if path.is_file())
    return sorted(
        str(path)
        for path in (file.relative_to(folder.directory) for file in files)
        if path.parts[0] != ".git"
    )


SPARSE = ["README.md", "conf/prod/c", "src/a.py", "src/deep/b.py"]


@pytest.mark.parametrize("ref", [{}, {"branch": "release"}, {"tag": "v1"}])
def test_a_sparse_checkout_is_asked_for_at_creation_and_only_then(
    fleet: Fleet, workspace: Workspace, mono: Repository, run: Run, traffic: Traffic, ref: dict[str, str]
) -> None:
    entry = {"path": "/Shared/mono", "url": mono.url, "sparse": ["src", "conf/prod"], **ref}
    assert actions(run(**one(fleet, entry))) == [("/Shared/mono", "created")]
    folder = workspace.folder("/Shared/mono")
    assert folder
    assert folder.sparse == ("src", "conf/prod")
    assert files_of(folder) == SPARSE
    (created,) = traffic("POST", REPOS)
    assert "sparse_checkout" in created.body_keys

    for branch in ("main", "release"):
        mono.commit({"src/new.py": "1", "data/new": "1", "conf/dev/new": "1"}, branch=branch)
    mono.tag("v1")
    assert actions(run(**one(fleet, entry))) == [("/Shared/mono", "updated")]
    assert files_of(folder) == sorted([*SPARSE, "src/new.py"])
    assert len(traffic("POST", REPOS)) == 1
    assert not any("sparse_checkout" in seen.body_keys for seen in traffic.moves())


def test_a_whole_folder_stays_whole_and_a_new_one_is_sparse_only_if_asked(
    fleet: Fleet, workspace: Workspace, mono: Repository, run: Run, traffic: Traffic
) -> None:
    whole = workspace.add_folder("/Shared/whole", mono)
    mono.commit({"data/new": "1"})
    entries = [
        {"path": "/Shared/whole", "url": mono.url, "sparse": ["src"]},
        {"path": "/Shared/new", "url": mono.url},
    ]
    report = run(**one(fleet, *entries))
    assert actions(report) == [("/Shared/whole", "updated"), ("/Shared/new", "created")]
    new = workspace.folder("/Shared/new")
    assert new
    assert "data/new" in files_of(whole)
    assert files_of(new) == files_of(whole)
    assert not any("sparse_checkout" in seen.body_keys for seen in traffic.writes())


# on_conflict


def leave_edits(folder: Folder) -> None:
    """Edit a file that changes upstream, and add a new file that upstream has too."""
    folder.edit("jobs/load.py", "mine")
    folder.edit("notes of mine.txt", "mine")


@pytest.mark.parametrize("ref", [{}, {"branch": "release"}, {"tag": "v1"}])
def test_uncommitted_work_is_kept_and_named_until_discard_is_set(
    fleet: Fleet, prod: Folder, etl: Repository, run: Run, traffic: Traffic, ref: dict[str, str]
) -> None:
    before = (prod.branch, prod.head)
    theirs = {"jobs/load.py": "theirs", "notes of mine.txt": "theirs", "other": "theirs"}
    heads = [etl.commit(theirs), etl.commit(theirs, branch="release")]
    etl.tag("v1")
    leave_edits(prod)
    for _ in range(2):
        report = run(**one(fleet, {"path": PROD, **ref}))
        assert codes(report) == ["git_conflict"]
        assert "jobs/load.py" in told(report)
        assert "discard" in told(report)
        assert (prod.branch, prod.head) == before
        assert (prod.read("jobs/load.py"), prod.read("notes of mine.txt")) == ("mine", "mine")
    assert not any("dangerously_force_discard_all" in seen.body_keys for seen in traffic.writes())

    traffic.forget()
    report = run(**one(fleet, {"path": PROD, **DISCARD, **ref}))
    assert actions(report) == [(PROD, "updated")]
    assert [problem.message.partition(":")[0] for problem in report.problems] == ["changes_discarded"]
    assert prod.head in heads
    assert not prod.dirty
    assert (prod.read("jobs/load.py"), prod.read("notes of mine.txt")) == ("theirs", "theirs")
    assert ["dangerously_force_discard_all" in seen.body_keys for seen in traffic.moves()] == [True]


def test_every_file_in_the_way_is_named(fleet: Fleet, prod: Folder, etl: Repository, run: Run) -> None:
    for file in ("README.md", "jobs/load.py"):
        prod.edit(file, "mine")
        etl.commit({file: "theirs"})
    report = run(**one(fleet, PROD))
    (folder,) = only(report).folders
    assert folder.error
    assert "README.md, jobs/load.py" in folder.error.cause


def test_a_commit_that_was_never_pushed_is_kept(
    fleet: Fleet, prod: Folder, etl: Repository, run: Run
) -> None:
    prod.edit("README.md", "mine")
    git.run(prod.directory, "commit", "--quiet", "--all", "--message", "mine")
    mine = prod.head
    etl.commit({"jobs/load.py": "theirs"})
    report = run(**one(fleet, PROD))
    assert codes(report) == ["branch_diverged"]
    assert (prod.head, prod.read("README.md")) == (mine, "mine")


def test_work_that_is_in_nobodys_way_is_kept_while_the_folder_moves(
    fleet: Fleet, prod: Folder, etl: Repository, run: Run
) -> None:
    prod.edit("README.md", "mine")
    prod.edit("scratch.py", "mine")
    commit = etl.commit({"jobs/load.py": "theirs"})
    assert actions(run(**one(fleet, PROD))) == [(PROD, "updated")]
    assert (prod.head, prod.read("jobs/load.py")) == (commit, "theirs")
    assert (prod.read("README.md"), prod.read("scratch.py")) == ("mine", "mine")


def test_a_folder_is_updated_once_its_conflict_is_out_of_the_way(
    fleet: Fleet, prod: Folder, etl: Repository, run: Run
) -> None:
    prod.edit("README.md", "mine")
    commit = etl.commit({"README.md": "theirs"})
    assert codes(run(**one(fleet, PROD))) == ["git_conflict"]
    prod.edit("README.md", "# ETL\n")
    assert actions(run(**one(fleet, PROD))) == [(PROD, "updated")]
    assert prod.head == commit


def test_a_mirror_at_its_ref_gets_no_request_even_to_discard(
    fleet: Fleet, prod: Folder, run: Run, traffic: Traffic
) -> None:
    leave_edits(prod)
    assert actions(run(**one(fleet, {"path": PROD, **DISCARD}))) == [(PROD, "unchanged")]
    assert (traffic.moves(), prod.read("jobs/load.py")) == ([], "mine")


def test_discard_is_for_its_own_folder_alone(
    fleet: Fleet, workspace: Workspace, prod: Folder, etl: Repository, run: Run, traffic: Traffic
) -> None:
    mirror = workspace.add_folder("/Shared/mirror", etl)
    for folder in (prod, mirror):
        leave_edits(folder)
    etl.commit({"jobs/load.py": "theirs"})
    report = run(**one(fleet, PROD, {"path": "/Shared/mirror", **DISCARD}))
    assert actions(report) == [(PROD, "failed"), ("/Shared/mirror", "updated")]
    assert (prod.read("jobs/load.py"), mirror.read("jobs/load.py")) == ("mine", "theirs")
    sent = {"dangerously_force_discard_all" in seen.body_keys for seen in traffic.moves(prod)}
    assert sent == {False}


@pytest.mark.parametrize("ref", [{}, {"branch": "release"}])
def test_discard_is_not_sent_when_a_folder_is_created(
    fleet: Fleet, etl: Repository, run: Run, traffic: Traffic, ref: dict[str, str]
) -> None:
    etl.commit({"new": "1"}, branch="release")
    report = run(**one(fleet, {"path": "/Shared/mirror", "url": etl.url, **DISCARD, **ref}))
    assert actions(report) == [("/Shared/mirror", "created")]
    (created,) = traffic("POST", REPOS)
    assert "dangerously_force_discard_all" not in created.body_keys


# Git-CLI folders


@pytest.mark.parametrize("prefix", ["", "/Workspace"])
def test_a_git_cli_folder_is_recognised_by_its_path_and_pulled_by_its_id(
    fleet: Fleet, workspace: Workspace, etl: Repository, run: Run, traffic: Traffic, prefix: str
) -> None:
    folder = workspace.add_folder("/Users/me@contoso.com/cli", etl, git_cli=True)
    commit = etl.commit({"new": "1"})
    settings = one(fleet, prefix + folder.path)
    assert actions(run(**settings)) == [(prefix + folder.path, "updated")]
    assert folder.head == commit
    assert {seen.query["path"] for seen in traffic("GET", "get-status$")} == {folder.path}
    assert [seen.path for seen in traffic.moves()] == [f"/api/2.0/repos/{folder.id}"]

    traffic.forget()
    assert actions(run(**settings)) == [(prefix + folder.path, "unchanged")]
    assert traffic.moves() == []


@pytest.mark.parametrize("ref", [{}, {"branch": "release"}, {"tag": "v1"}])
def test_a_git_cli_folder_with_a_url_is_moved_and_not_created_again(
    fleet: Fleet, workspace: Workspace, etl: Repository, run: Run, traffic: Traffic, ref: dict[str, str]
) -> None:
    folder = workspace.add_folder("/Shared/cli", etl, git_cli=True)
    heads = {"release": etl.commit({"new": "r"}, branch="release"), "main": etl.commit({"new": "m"})}
    heads["v1"] = etl.tag("v1", branch="release")
    report = run(**one(fleet, {"path": "/Workspace/Shared/cli", "url": etl.url, **ref}))
    assert actions(report) == [("/Workspace/Shared/cli", "updated")]
    assert folder.head == heads[ref.get("branch") or ref.get("tag") or "main"]
    assert [seen.path for seen in traffic("POST")] == ["/oidc/v1/token", "/api/2.0/git-credentials"]


def test_a_git_cli_folder_below_a_pattern_needs_an_entry_of_its_own(
    fleet: Fleet, workspace: Workspace, etl: Repository, run: Run, traffic: Traffic
) -> None:
    plain = workspace.add_folder("/Shared/team/plain", etl)
    cli = workspace.add_folder("/Shared/team/cli", etl, git_cli=True)
    commit = etl.commit({"new": "1"})
    report = run(**one(fleet, "/Shared/team/*", "/Shared/team/cli"))
    assert actions(report) == [(cli.path, "updated"), (plain.path, "updated")]
    assert (plain.head, cli.head) == (commit, commit)
    assert len(traffic.moves()) == 2


def test_uncommitted_work_in_a_git_cli_folder_is_kept_too(
    fleet: Fleet, workspace: Workspace, etl: Repository, run: Run
) -> None:
    folder = workspace.add_folder("/Shared/cli", etl, git_cli=True)
    folder.edit("README.md", "mine")
    etl.commit({"README.md": "theirs"})
    assert codes(run(**one(fleet, "/Shared/cli"))) == ["git_conflict"]
    assert folder.read("README.md") == "mine"
    assert actions(run(**one(fleet, {"path": "/Shared/cli", **DISCARD}))) == [("/Shared/cli", "updated")]
    assert folder.read("README.md") == "theirs"


@pytest.mark.parametrize("how", [{"git_cli": True}, {"can_manage": False}], ids=["Git CLI", "not managed"])
def test_a_rejected_token_replaces_no_valid_one_without_listed_folders(
    cloud: Cloud, fleet: Fleet, workspace: Workspace, etl: Repository, run: Run, how: dict[str, Any]
) -> None:
    workspace.add_folder("/Shared/unlisted", etl, **how)
    settings = one(fleet, "/Shared/unlisted")
    assert run(**settings).result == "ok"
    before = tokens(workspace)
    cloud.devops.organization("contoso").remove_member(cloud.identity.object_id)
    assert "devops_not_a_member" in codes(run(**settings))
    assert tokens(workspace) == before


def test_a_git_cli_clone_from_outside_azure_devops_is_reported(
    cloud: Cloud, fleet: Fleet, workspace: Workspace, etl: Repository, run: Run, traffic: Traffic
) -> None:
    folder = workspace.add_folder("/Shared/cli", etl, git_cli=True)
    folder.url = "https://github.com/contoso/etl"
    assert codes(run(**one(fleet, "/Shared/cli"))) == ["not_azure_devops"]
    assert (traffic.moves(), cloud.refused) == ([], [])


@pytest.mark.parametrize("entry", [{}, {"url": "https://dev.azure.com/contoso/Data%20Platform/_git/etl"}])
def test_a_git_cli_folder_without_a_remote_is_reported_and_left_unchanged(
    fleet: Fleet, workspace: Workspace, etl: Repository, run: Run, traffic: Traffic, entry: dict[str, str]
) -> None:
    folder = workspace.add_folder("/Shared/cli", etl, git_cli=True)
    folder.url = ""
    etl.commit({"new": "1"})
    report = run(**one(fleet, {"path": "/Shared/cli", **entry, **DISCARD}))
    assert codes(report) == ["no_remote_repository"]
    assert "/Shared/cli has no remote repository" in told(report)
    assert traffic.moves() == []


@pytest.mark.parametrize("entry", [{}, {"url": "https://dev.azure.com/contoso/Data%20Platform/_git/etl"}])
def test_a_plain_directory_is_not_taken_for_a_git_cli_folder(
    fleet: Fleet, workspace: Workspace, etl: Repository, run: Run, traffic: Traffic, entry: dict[str, str]
) -> None:
    workspace.add_folder("/Shared/team/a", etl)
    report = run(**one(fleet, {"path": "/Shared/team", **entry}))
    assert codes(report) == ["directory_of_git_folders"]
    assert "Set the path to /Shared/team/* without url" in told(report)
    assert [seen.path for seen in traffic.writes()] == ["/api/2.0/git-credentials"]


# A federated credential


def shown(credential: Credential) -> tuple[object, ...]:
    return (credential.id, credential.provider, credential.username, credential.email, credential.token)


@pytest.mark.parametrize(
    ("whose", "provider"), [("own", FEDERATED), ("own", FEDERATED.upper()), ("run_as", FEDERATED)]
)
def test_a_federated_credential_is_never_written_and_the_app_adds_its_own(
    fleet: Fleet, workspace: Workspace, etl: Repository, run: Run, traffic: Traffic, whose: str, provider: str
) -> None:
    own, other = workspace.service_principal(CLIENT_ID, SECRET), workspace.service_principal("jobs", "theirs")
    principal = own if whose == "own" else other
    federated = workspace.add_credential(principal, provider=provider)
    before = shown(federated)
    commit = etl.commit({"new": "1"})
    settings = one(fleet, PROD, additional_principal_ids=[other.id])
    first, second = run(**settings), run(**settings)
    assert (first.result, second.result) == ("ok", "ok"), first.summary() + second.summary()
    assert only(first).folders[0].to == commit, "pulled with ours: the federated one opens nothing here"

    assert shown(federated) == before
    ours = [found for found in workspace.credentials if found is not federated]
    assert sorted(found.principal.client_id for found in ours) == sorted([CLIENT_ID, "jobs"])
    created, updated = only(first).credential, only(second).credential
    assert created
    assert updated
    assert (created.action, updated.action, updated.id) == ("created", "updated", created.id)
    assert len(traffic("POST", CREDENTIALS)) == 2
    assert sorted(seen.path for seen in traffic("PATCH", CREDENTIALS)) == sorted(
        f"/api/2.0/git-credentials/{found.id}" for found in ours
    )
    assert traffic("DELETE") + traffic("PUT") == []


def no_field(name: str, code: str) -> faults.Action:
    """Respond like a workspace that does not know a request's field."""

    async def act(request: web.Request, proceed: faults.Proceed) -> web.StreamResponse:
        if name not in await request.json():
            return await proceed()
        body = {"error_code": code, "message": f"Could not parse request object: unknown field {name}"}
        return web.json_response(body, status=400)

    return act


@pytest.mark.parametrize("code", ["INVALID_PARAMETER_VALUE", "MALFORMED_REQUEST"])
def test_a_workspace_without_credential_names_gets_one_that_the_app_finds(
    cloud: Cloud, fleet: Fleet, workspace: Workspace, run: Run, traffic: Traffic, code: str
) -> None:
    cloud.inject(Fault(no_field("name", code), host=workspace.host, method="POST", route=CREDENTIALS))
    other = workspace.service_principal("jobs", "theirs")
    settings = one(fleet, PROD, additional_principal_ids=[other.id])
    first, second = run(**settings), run(**settings)
    assert (first.result, second.result) == ("ok", "ok"), first.summary() + second.summary()
    assert (first.problems, second.problems) == ((), ())
    assert [(stored.name, stored.username) for stored in workspace.credentials] == [
        (None, "git-refresh"),
        (None, "git-refresh"),
    ]
    assert len(traffic("POST", CREDENTIALS)) == 4


def test_another_refusal_of_a_creation_is_not_asked_about_again(
    cloud: Cloud, fleet: Fleet, workspace: Workspace, run: Run, traffic: Traffic
) -> None:
    refused = faults.status(400, {"error_code": "BAD_REQUEST", "message": "no"})
    cloud.inject(Fault(refused, host=workspace.host, method="POST", route=CREDENTIALS))
    assert run(**one(fleet, PROD)).result == "failed"
    assert len(traffic("POST", CREDENTIALS)) == 1


# A dry run


def a_managed_identity(fleet: Fleet) -> dict[str, str]:
    """The last of three workspaces does not know the identity."""
    fleet.repositories[0].commit({"new": "1"})
    entries = [{"host": found.url, **MANAGED, "folders": [PROD]} for found in fleet.workspaces]
    return {"WORKSPACES": json.dumps(entries), "WORKSPACE_DEFAULTS": "", "KEY_VAULT_URL": ""}


def principals_of_run_as(fleet: Fleet) -> dict[str, str]:
    """One principal has a credential, one has none, one is unknown."""
    workspace = fleet.workspaces[0]
    old, new = (workspace.service_principal(name, "theirs") for name in ("old", "new"))
    workspace.add_credential(old, username="jobs", token="old")
    return one(fleet, PROD, additional_principal_ids=[old.id, 4711, str(new.id)])


def a_pattern(fleet: Fleet) -> dict[str, str]:
    """Folders to update, of another repository than in the entry, foreign, and to create."""
    workspace, (etl, reports) = fleet.workspaces[0], fleet.repositories
    for name in ("a", "mistaken"):
        workspace.add_folder(f"/Shared/team/{name}", etl)
    workspace.add_folder("/Shared/team/deep/reports", reports)
    github = workspace.add_folder("/Shared/team/github", etl)
    github.url = "https://github.com/contoso/etl"
    etl.commit({"new": "1"})
    other = {"path": "/Shared/team/mistaken", "url": reports.url}
    return one(fleet, "/Shared/team/*", other, {"path": "/Shared/team/new/c", "url": etl.url})


def tags(fleet: Fleet) -> dict[str, str]:
    """Tags to check out, already checked out, missing, and to create."""
    workspace, etl = fleet.workspaces[0], fleet.repositories[0]
    for name in ("a", "b", "c"):
        workspace.add_folder(f"/Shared/{name}", etl)
    at = workspace.folder("/Shared/b")
    assert at
    git.run(at.directory, "checkout", "--quiet", "--detach")
    etl.tag("v1", annotated=True)
    etl.commit({"new": "1"})
    etl.tag("v2")
    wanted = {"a": "v2", "b": "v1", "c": "v3"}
    entries = [{"path": f"/Shared/{name}", "tag": tag} for name, tag in wanted.items()]
    return one(fleet, *entries, {"path": "/Shared/new", "url": etl.url, "tag": "v1"})


def a_sparse_checkout(fleet: Fleet) -> dict[str, str]:
    etl = fleet.repositories[0]
    return one(fleet, {"path": "/Shared/new/sparse", "url": etl.url, "branch": "main", "sparse": ["jobs"]})


def edits_to_discard(fleet: Fleet) -> dict[str, str]:
    folder = fleet.workspaces[0].folder(PROD)
    assert folder
    leave_edits(folder)
    fleet.repositories[0].commit({"jobs/load.py": "theirs"})
    return one(fleet, {"path": PROD, **DISCARD})


def a_git_cli_folder(fleet: Fleet) -> dict[str, str]:
    workspace, etl = fleet.workspaces[0], fleet.repositories[0]
    workspace.add_folder("/Shared/behind", etl, git_cli=True)
    etl.commit({"new": "1"})
    workspace.add_folder("/Shared/fine", etl, git_cli=True)
    return one(fleet, "/Shared/*", "/Workspace/Shared/behind", "/Shared/fine")


def a_federated_credential(fleet: Fleet) -> dict[str, str]:
    workspace = fleet.workspaces[0]
    workspace.add_credential(workspace.service_principal(CLIENT_ID, SECRET), provider=FEDERATED)
    fleet.repositories[0].commit({"new": "1"})
    return one(fleet, PROD)


SCENES = [
    a_managed_identity,
    principals_of_run_as,
    a_pattern,
    tags,
    a_sparse_checkout,
    edits_to_discard,
    a_git_cli_folder,
    a_federated_credential,
]


def deeds(report: Report) -> list[object]:
    """Return the actions in a report, done or planned, and the codes of failures."""
    return [
        (
            found.name,
            found.result,
            found.credential and found.credential.action,
            [(folder.path, folder.action, folder.from_) for folder in found.folders],
            [(where, error.code) for where, error in found.failures()],
        )
        for found in report.workspaces
    ]


def state(fleet: Fleet) -> list[object]:
    """Return everything in the workspaces that a run could change."""
    return [
        (
            [shown(credential) for credential in workspace.credentials],
            [(folder.path, folder.branch, folder.head, folder.dirty) for folder in workspace.folders],
        )
        for workspace in fleet.workspaces
    ]


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_a_dry_run_says_what_a_run_will_do_and_writes_nothing(
    cloud: Cloud, fleet: Fleet, run: Run, traffic: Traffic, scene: Callable[[Fleet], dict[str, str]]
) -> None:
    for workspace in fleet.workspaces[:2]:
        workspace.add_managed_identity(cloud.identity.object_id)
    settings = scene(fleet)
    for _ in ("a first run", "a second one"):
        before = state(fleet)
        traffic.forget()
        dry = run(dry_run=True, **settings)
        assert dry.dry_run
        assert (traffic.writes(), state(fleet)) == ([], before)
        assert deeds(dry) == deeds(run(**settings))
        assert state(fleet) != before
