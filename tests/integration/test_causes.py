"""States of repositories and workspaces, each reported with its cause: real SDKs, HTTP and Git."""

import json
import os
from collections.abc import Callable, Mapping
from typing import Any, Literal

import pytest

from git_refresh.run.report import Report
from localcloud import Cloud, Fleet, git
from localcloud.devops.repository import Repository
from localcloud.fleet import CLIENT_ID
from tests.support import warm
from tests.support.app import run_app

PATH = "/Repos/etl/prod"


@pytest.fixture
def etl(fleet: Fleet) -> Repository:
    return fleet.repositories[0]


def environ_of(fleet: Fleet, *folders: object) -> dict[str, str]:
    entry = {"host": fleet.workspaces[0].url, "name": "data-1", "folders": folders}
    return {**os.environ, **fleet.settings, "WORKSPACES": json.dumps([entry])}


def codes(report: Report) -> list[str]:
    return [error.code for found in report.workspaces for _, error in found.failures()]


def checked(environ: Mapping[str, str], *options: str) -> list[dict[str, Any]]:
    done = warm.run("check", "--json", *options, environ=environ)
    return [check for check in json.loads(done.stdout)["checks"] if check["error"]]


@pytest.mark.parametrize("status", [401, 403])
def test_a_policy_that_refuses_the_workspace_alone_is_named(
    cloud: Cloud, fleet: Fleet, etl: Repository, status: Literal[401, 403]
) -> None:
    etl.commit({"new": "1"})
    cloud.devops.organization("contoso").refuses_workspaces = status
    wanted = [PATH, {"path": "/Shared/new", "url": etl.url}]
    assert codes(run_app(environ_of(fleet, *wanted))) == ["devops_refuses_workspace"] * 2


@pytest.fixture
def empty(cloud: Cloud, fleet: Fleet) -> Repository:
    """Return a repository without commits that has a Git folder."""
    repository = cloud.devops.repository("contoso", "Data Platform", "empty", empty=True)
    fleet.workspaces[0].add_folder("/Shared/empty", repository)
    return repository


WANTED: dict[str, Callable[[str], object]] = {
    "there": lambda _: "/Shared/empty",
    "there, found below": lambda _: "/Shared/*",
    "to be made": lambda url: {"path": "/Shared/new", "url": url},
    "to be made, on a branch": lambda url: {"path": "/Shared/new", "url": url, "branch": "main"},
    "to be made, on a tag": lambda url: {"path": "/Shared/new", "url": url, "tag": "v1"},
}


@pytest.mark.parametrize("wanted", WANTED.values(), ids=WANTED)
def test_a_repository_without_a_commit_is_diagnosed(
    fleet: Fleet, empty: Repository, wanted: Callable[[str], object]
) -> None:
    environ = environ_of(fleet, wanted(empty.url))
    assert codes(run_app(environ)) == ["repository_empty"]
    assert [check["error"]["code"] for check in checked(environ)] == ["repository_empty"]
    assert fleet.workspaces[0].folder("/Shared/new") is None
    empty.commit({"README.md": "hi"})
    assert codes(run_app(environ)) == (["ref_not_found"] if "v1" in environ["WORKSPACES"] else [])


@pytest.mark.parametrize("kind", ["branch", "tag"])
@pytest.mark.parametrize("length", [39, 12])
def test_a_commit_in_place_of_a_branch_is_diagnosed(
    fleet: Fleet, etl: Repository, kind: str, length: int
) -> None:
    commit = ("0a1b2c3d4e5f" + etl.head())[:length]
    environ = environ_of(fleet, {"path": PATH, "url": etl.url, kind: commit})
    report = run_app(environ)
    assert codes(report) == ["commit_as_ref"]
    ((_, error),) = report.workspaces[0].failures()
    assert error.remedy.startswith(f"Tag commit {commit}, ")
    assert [check["error"]["code"] for check in checked(environ)] == ["commit_as_ref"]


@pytest.mark.parametrize("wanted", [PATH, "/Repos/*"])
def test_a_folder_s_own_branch_that_is_gone_is_not_called_the_settings(
    fleet: Fleet, etl: Repository, wanted: str
) -> None:
    etl.commit({"a.py": "1"}, branch="feature/merged")
    assert codes(run_app(environ_of(fleet, {"path": PATH, "branch": "feature/merged"}))) == []
    etl.delete_branch("feature/merged")
    environ = environ_of(fleet, wanted)
    assert codes(run_app(environ)) == ["branch_gone"]
    (check,) = checked(environ)
    assert (check["layer"], check["error"]["code"]) == ("folder", "branch_gone")
    both = environ_of(fleet, wanted, {"path": "/Shared/new", "url": etl.url, "branch": "feature/merged"})
    found = [(check["layer"], check["error"]["code"]) for check in checked(both)]
    assert found == [("azure_devops", "ref_not_found"), ("folder", "branch_gone")]


def test_git_errors_of_a_damaged_folder_blame_no_settings_or_permissions(
    fleet: Fleet, etl: Repository
) -> None:
    folder = fleet.workspaces[0].folder(PATH)
    assert folder is not None
    git.run(folder.directory, "branch", "topic")
    etl.commit({"a.py": "1"}, branch="topic/deep")
    assert codes(run_app(environ_of(fleet, {"path": PATH, "branch": "topic/deep"}))) == [
        "git_operation_failed"
    ]


@pytest.mark.parametrize("command", ["run", "check", "status"])
def test_who_is_not_in_a_new_workspace_is_to_be_added_there(cloud: Cloud, fleet: Fleet, command: str) -> None:
    new = cloud.workspace("adb-7405610926587.12.azuredatabricks.net")
    entries = [*json.loads(fleet.settings["WORKSPACES"]), {"host": new.url, "name": "new"}]
    environ = {**os.environ, **fleet.settings, "WORKSPACES": json.dumps(entries)}
    assert CLIENT_ID not in {known.client_id for known in new.service_principals}
    assert run_app({**os.environ, **fleet.settings}).result == "ok"
    done = warm.run(command, *(["--yes"] if command == "run" else []), environ=environ)
    said = " ".join(done.stdout.decode().split())
    assert "(not_in_workspace)" in said
    assert "onboard --apply" in said
    assert "rotate" not in said
