"""Git folders of both kinds are found everywhere, with the requests of tests/unit/test_discovery_search.py."""

import json
import os
from collections import Counter
from dataclasses import replace

import pytest

from git_refresh.clients.session import MAX_BODY
from git_refresh.run.report import Report
from localcloud import Variant, seed
from localcloud.databricks.workspace import Workspace
from localcloud.devops.repository import Repository
from tests.support.app import run_app
from tests.support.embedded_cloud import embedded_cloud

CREDENTIAL = 3
"""Requests of an unchanged workspace for its credential: authenticate, list, update."""

LEGACY = Variant(git_folders="legacy")
TELLING = Variant(directory_info="always")
SILENT = Variant()
"""A directory's listing does not mark Git folders."""

SHARED = ["/Shared/a/one", "/Shared/a/two", "/Shared/b/one"]


def quiet_run(
    monkeypatch: pytest.MonkeyPatch,
    variant: Variant,
    there: list[str],
    wanted: list[str],
    closed: str = "",
) -> tuple[Report, list[str]]:
    """Run in one unchanged workspace; return the report and the requests except the credential's."""
    with embedded_cloud(monkeypatch, replace(variant)) as cloud:
        fleet = seed(cloud, 1)
        (workspace,) = fleet.workspaces
        fill(workspace, fleet.repositories[0], there)
        if closed:
            workspace.close_directory(closed)
        (entry,) = json.loads(fleet.settings["WORKSPACES"])
        environ = {
            **os.environ,
            **fleet.settings,
            "WORKSPACES": json.dumps([{**entry, "folders": wanted}]),
        }
        assert run_app(environ).result == "ok"
        done = len(cloud.requests)
        report = run_app(environ)
        asked = [seen for seen in cloud.requests[done:] if seen.service == "databricks"]
        assert len(asked) >= CREDENTIAL
        return report, [
            seen.path.removeprefix("/api/2.0/")
            for seen in asked
            if "git-credentials" not in seen.path and "oidc" not in seen.path
        ]


def fill(workspace: Workspace, repository: Repository, there: list[str]) -> None:
    for path in there:
        workspace.add_folder(path, repository)


COSTS = {
    "legacy folders by path": (LEGACY, SHARED, SHARED, {"repos": 1}),
    "siblings and a single one": (
        TELLING,
        SHARED,
        SHARED,
        {"repos": 1, "list": 1, "get-status": 1, "repos/": 3},
    ),
    "the same where listings do not tell": (
        SILENT,
        SHARED,
        SHARED,
        {"repos": 1, "list": 1, "get-status": 1, "repos/": 3},
    ),
    "a pattern": (TELLING, SHARED, ["/Shared/*"], {"repos": 1, "list": 3, "repos/": 3}),
    "a pattern where listings do not tell": (
        SILENT,
        SHARED,
        ["/Shared/*"],
        {"repos": 1, "list": 3, "repos/": 5},
    ),
    "a pattern over legacy folders": (LEGACY, SHARED, ["/Shared/*"], {"repos": 1, "list": 3, "repos/": 2}),
}


@pytest.mark.parametrize(("variant", "there", "wanted", "cost"), COSTS.values(), ids=COSTS)
def test_a_quiet_run_costs_what_the_page_says(
    monkeypatch: pytest.MonkeyPatch,
    variant: Variant,
    there: list[str],
    wanted: list[str],
    cost: dict[str, int],
) -> None:
    report, asked = quiet_run(monkeypatch, variant, there, wanted)
    (workspace,) = report.workspaces
    assert report.result == "ok"
    assert sorted(folder.path for folder in workspace.folders) == SHARED
    assert {folder.action for folder in workspace.folders} == {"unchanged"}
    assert costs(asked) == cost


def costs(asked: list[str]) -> Counter[str]:
    """Return the number of requests of each kind."""
    return Counter(
        "repos/" if path.startswith("repos/") else path.removeprefix("workspace/") for path in asked
    )


@pytest.mark.parametrize(
    ("kind", "not_found", "told"),
    [
        ("git-cli", "code", "always"),
        ("legacy", "message", "with-git-info"),
        ("mixed", "empty", "absent"),
        ("git-cli", "empty", "with-git-info"),
        ("mixed", "code", "always"),
    ],
)
def test_every_variant_of_the_answers_is_read(
    monkeypatch: pytest.MonkeyPatch, kind: str, not_found: str, told: str
) -> None:
    variant = Variant(git_folders=kind, not_found=not_found, directory_info=told)  # type: ignore[arg-type]
    wanted = ["/Shared/*", "/Repos/etl/prod"]
    report, _ = quiet_run(monkeypatch, variant, SHARED, wanted)
    paths = sorted(folder.path for folder in report.workspaces[0].folders)
    assert (report.result, paths) == ("ok", sorted([*SHARED, "/Repos/etl/prod"]))


CODES = {
    "below a Git folder": ("/Repos/etl/prod/jobs", "inside_git_folder"),
    "a file in a Git folder": ("/Repos/etl/prod/README.md", "inside_git_folder"),
    "a pattern at a Git folder": ("/Repos/etl/prod/*", "pattern_in_git_folder"),
    "a pattern below a Git folder": ("/Repos/etl/prod/jobs/*", "pattern_in_git_folder"),
    "a notebook": ("/Shared/notebook", "not_a_git_folder"),
    "a pattern at a notebook": ("/Shared/notebook/*", "pattern_not_a_directory"),
    "a broken folder": ("/Shared/broken", "broken_git_folder"),
    "a broken folder by a pattern": ("/Shared/*", "broken_git_folder"),
    "a directory of Git folders": ("/Repos/etl", "directory_of_git_folders"),
}


@pytest.mark.parametrize("variant", [LEGACY, TELLING, SILENT], ids=["legacy", "telling", "silent"])
@pytest.mark.parametrize(("path", "code"), CODES.values(), ids=CODES)
def test_a_path_that_is_no_git_folder_s_is_refused_with_its_code(
    monkeypatch: pytest.MonkeyPatch, variant: Variant, path: str, code: str
) -> None:
    if variant is SILENT and path == "/Shared/*":
        pytest.skip("a directory's listing does not tell of it")
    with embedded_cloud(monkeypatch, replace(variant)) as cloud:
        fleet = seed(cloud, 1)
        (workspace,) = fleet.workspaces
        workspace.add_notebook("/Shared/notebook")
        workspace.add_broken_folder("/Shared/broken")
        (entry,) = json.loads(fleet.settings["WORKSPACES"])
        listed = json.dumps([{**entry, "folders": [path]}])
        report = run_app({**os.environ, **fleet.settings, "WORKSPACES": listed})
        found = {folder.error.code for folder in report.workspaces[0].folders if folder.error}
        assert (report.result, found) == ("failed", {code})
        assert workspace.folder("/Shared/broken") is not None, "nothing is deleted"
        looked_into = {seen.query["path"] for seen in cloud.requests if seen.path.endswith("/workspace/list")}
        assert (path in looked_into) == (code == "directory_of_git_folders" and variant is not LEGACY)


@pytest.mark.parametrize(("closed", "result"), [("/Shared", "failed"), ("/Shared/a", "ok")])
def test_a_directory_that_may_not_be_listed_costs_what_is_below_it_alone(
    monkeypatch: pytest.MonkeyPatch, closed: str, result: str
) -> None:
    with embedded_cloud(monkeypatch, replace(TELLING)) as cloud:
        fleet = seed(cloud, 1)
        (workspace,) = fleet.workspaces
        fill(workspace, fleet.repositories[0], SHARED)
        workspace.add_folder("/Shared/legacy", fleet.repositories[0], git_cli=False)
        workspace.close_directory(closed)
        (entry,) = json.loads(fleet.settings["WORKSPACES"])
        listed = json.dumps([{**entry, "folders": ["/Shared/*"]}])
        report = run_app({**os.environ, **fleet.settings, "WORKSPACES": listed})
        folders = {folder.path: folder.action for folder in report.workspaces[0].folders}
        assert report.result == result
        assert folders["/Shared/legacy"] == "unchanged"
        assert ("/Shared/b/one" in folders) == (result == "ok")
        if result == "ok":
            assert [closed in problem.message for problem in report.problems] == [True]


def test_named_folders_missing_from_a_listing_cost_one_request_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    report, asked = quiet_run(monkeypatch, TELLING, SHARED, SHARED, closed="/Shared/a")
    assert report.result == "ok"
    assert {folder.action for folder in report.workspaces[0].folders} == {"unchanged"}
    assert costs(asked) == {"repos": 1, "list": 1, "get-status": 3, "repos/": 3}


@pytest.mark.parametrize("wide", ["/Shared", "/Shared/a"])
def test_a_listing_that_is_too_large_costs_only_what_is_below_it(
    monkeypatch: pytest.MonkeyPatch, wide: str
) -> None:
    with embedded_cloud(monkeypatch, replace(TELLING)) as cloud:
        fleet = seed(cloud, 1)
        (workspace,) = fleet.workspaces
        fill(workspace, fleet.repositories[0], [*SHARED, "/Users/me/own"])
        workspace.add_folder(f"{wide}/legacy", fleet.repositories[0], git_cli=False)
        for number in range(MAX_BODY // 1_000):
            workspace.add_notebook(f"{wide}/{number}{'n' * 1_000}")
        (entry,) = json.loads(fleet.settings["WORKSPACES"])
        listed = json.dumps([{**entry, "folders": ["/Shared/*", "/Users/me/*"]}])
        report = run_app({**os.environ, **fleet.settings, "WORKSPACES": listed})
        folders = {folder.path: folder.action for folder in report.workspaces[0].folders}
        assert folders["/Shared/*"] == "failed"
        assert folders[f"{wide}/legacy"] == folders["/Users/me/own"] == "unchanged"
        assert ("/Shared/b/one" in folders) == (wide == "/Shared/a")
