"""Responses of a Git folder in states that occur in practice, with real Git."""

from typing import Any, Literal

import pytest

from localcloud import Cloud, Connect, Fault, faults
from localcloud.databricks.errors import NOT_FOUND
from localcloud.databricks.folder import NAMES_CLASH, Folder
from localcloud.databricks.git_folders import NO_URL
from localcloud.devops.repository import Repository
from localcloud.rest import Rest, error_of

PATH = "/Users/me/etl"
DISCARD = {"branch": "main", "dangerously_force_discard_all": True}


@pytest.fixture
def signed(api: Rest, devops_token: str) -> Rest:
    """Return the API for a principal with a valid stored token and a home directory."""
    api.store_token(devops_token)
    api.workspace.make_directories("/Users/me")
    return api


@pytest.fixture
def folder(signed: Rest, repository: Repository) -> Folder:
    return signed.workspace.add_folder(PATH, repository)


def create(api: Rest, url: str, **fields: object) -> tuple[int, dict[str, Any]]:
    content = {"url": url, "provider": "azureDevOpsServices", "path": PATH, **fields}
    answer = api("POST", "/repos", json=content)
    return answer.status_code, answer.json()


def update(api: Rest, folder: Folder, **fields: object) -> tuple[int, object, str]:
    answer = api("PATCH", f"/repos/{folder.id}", json=fields)
    return error_of(answer) if answer.status_code != 200 else (200, None, "")


# Local commits


@pytest.mark.parametrize("fields", [{"branch": "main"}, DISCARD])
@pytest.mark.parametrize(("variant", "status"), [("refused", 400), ("kept", 200), ("merged", 200)])
def test_diverged_local_commits_are_never_lost(
    signed: Rest,
    folder: Folder,
    repository: Repository,
    variant: Literal["refused", "kept", "merged"],
    status: int,
    fields: dict[str, object],
) -> None:
    signed.workspace.variant.diverged = variant
    mine = folder.commit("mine.py", "1")
    repository.commit({"theirs.py": "1"})
    answer = update(signed, folder, **fields)
    assert answer[:2] == (status, None if status == 200 else "GIT_CONFLICT")
    assert folder.read("mine.py") == "1"
    assert (folder.head == mine) == (variant != "merged")
    assert (folder.directory / "theirs.py").exists() == (variant == "merged")
    assert folder.head != repository.head()


def test_a_merge_that_conflicts_names_the_files_and_changes_nothing(
    signed: Rest, folder: Folder, repository: Repository
) -> None:
    signed.workspace.variant.diverged = "merged"
    mine = folder.commit("README.md", "mine")
    repository.commit({"README.md": "theirs"})
    status, code, message = update(signed, folder, **DISCARD)
    assert (status, code) == (400, "GIT_CONFLICT")
    assert message.endswith("README.md")
    assert (folder.head, folder.dirty, folder.read("README.md")) == (mine, False, "mine")


def test_unrelated_history_is_never_merged(signed: Rest, folder: Folder, repository: Repository) -> None:
    signed.workspace.variant.diverged = "merged"
    before = folder.head
    repository.rewrite({"b.py": "1"}, unrelated=True)
    assert update(signed, folder, branch="main")[:2] == (400, "GIT_CONFLICT")
    assert (folder.head, folder.dirty) == (before, False)


# Repositories


def test_an_empty_repository_is_cloned_and_cannot_be_pulled(cloud: Cloud, signed: Rest) -> None:
    empty = cloud.devops.repository("contoso", "Data Platform", "empty", empty=True)
    status, body = create(signed, empty.url)
    assert (status, body["branch"]) == (200, "main")
    assert "head_commit_id" not in body
    folder = signed.workspace.folder(PATH)
    assert folder is not None
    for fields in ({"branch": "main"}, {"tag": "v1"}, DISCARD):
        assert update(signed, folder, **fields)[:2] == (400, "GIT_UNKNOWN_REF")
    shown = signed("GET", f"/repos/{folder.id}")
    assert (shown.status_code, "head_commit_id" in shown.json()) == (200, False)
    listed = signed("GET", "/workspace/list", params={"path": PATH})
    assert (listed.status_code, listed.json()) == (200, {})
    first = empty.commit({"README.md": "hi"})
    assert update(signed, folder, branch="main")[0] == 200
    assert folder.head == first


def test_a_folder_of_an_empty_repository_costs_its_workspace_nothing(
    cloud: Cloud, signed: Rest, folder: Folder
) -> None:
    empty = signed.workspace.add_folder(
        "/Users/me/empty", cloud.devops.repository("contoso", "Data Platform", "empty", empty=True)
    )
    assert (empty.branch, empty.head) == ("main", "")
    for path in ("/Users/me", "/Users/me/empty"):
        assert signed("GET", "/workspace/list", params={"path": path}).status_code == 200
    assert signed("GET", f"/repos/{empty.id}").status_code == 200
    assert update(signed, empty, branch="main")[:2] == (400, "GIT_UNKNOWN_REF")
    assert update(signed, folder, branch="main")[0] == 200


# Errors of Git without a text of Databricks


@pytest.mark.parametrize("pattern", ["!docs", "/*", "/jobs", "*.py", "**/x", "a/[bc]", "a?"])
def test_a_pattern_that_is_no_directory_is_refused(
    signed: Rest, repository: Repository, pattern: str
) -> None:
    status, body = create(signed, repository.url, sparse_checkout={"patterns": ["jobs", pattern]})
    assert (status, body["message"]) == (400, "Invalid sparse-checkout cone pattern")
    assert signed.workspace.folder(PATH) is None


@pytest.mark.parametrize("pattern", ["jobs", "jobs/deep", "jobs/"])
def test_a_directory_is_a_pattern(signed: Rest, repository: Repository, pattern: str) -> None:
    repository.commit({"jobs/deep/a.py": "1", "docs/b.md": "2"})
    assert create(signed, repository.url, sparse_checkout={"patterns": [pattern]})[0] == 200
    folder = signed.workspace.folder(PATH)
    assert folder is not None
    assert (folder.directory / "jobs/deep/a.py").exists()
    assert not (folder.directory / "docs").exists()


@pytest.mark.parametrize("other", ["jobs/load.py", "jobs/load", "jobs/load/a.txt"])
def test_names_that_clash_are_refused_by_clone_and_pull(
    signed: Rest, folder: Folder, repository: Repository, other: str
) -> None:
    signed.workspace.variant.failed_create = "nothing"
    before = folder.head
    repository.commit({"jobs/load.ipynb": "{}", other: "1"})
    assert update(signed, folder, branch="main")[::2] == (400, NAMES_CLASH)
    assert (folder.head, folder.dirty) == (before, False)
    signed("DELETE", f"/repos/{folder.id}")
    assert create(signed, repository.url)[1]["message"] == NAMES_CLASH
    assert signed.workspace.folder(PATH) is None


@pytest.mark.parametrize("files", [{"a/load.ipynb": "{}", "b/load.py": ""}, {"load.py": "", "load.md": ""}])
def test_names_that_do_not_clash_are_pulled(
    signed: Rest, folder: Folder, repository: Repository, files: dict[str, str]
) -> None:
    repository.commit(files)
    assert update(signed, folder, branch="main")[0] == 200
    assert folder.head == repository.head()


# Unreachable remotes


@pytest.mark.parametrize(
    ("action", "told"),
    [
        (Connect.REFUSE, "Could not reach"),
        (Connect.UNTRUSTED, "could not be established because of SSL problems"),
        (Connect.WRONG_NAME, "could not be established because of SSL problems"),
        (faults.status(503), "Could not reach"),
    ],
)
def test_a_remote_that_is_not_reached_is_a_remote_error(
    cloud: Cloud, signed: Rest, folder: Folder, action: faults.Action | Connect, told: str
) -> None:
    cloud.inject(Fault(action, service="devops"))
    status, code, message = update(signed, folder, branch="main")
    assert (status, code) == (400, "GIT_REMOTE_ERROR")
    assert told in message


# Failed creates


def test_a_create_without_a_url_leaves_a_broken_folder(signed: Rest, repository: Repository) -> None:
    status, body = create(signed, "")
    assert (status, body["error_code"], body["message"]) == (400, "INVALID_PARAMETER_VALUE", NO_URL)
    number = signed("GET", "/workspace/get-status", params={"path": PATH}).json()["object_id"]
    assert signed("GET", f"/repos/{number}").status_code == 404
    assert create(signed, repository.url)[1]["error_code"] == "RESOURCE_ALREADY_EXISTS"


@pytest.mark.parametrize(("variant", "found"), [("nothing", 404), ("broken", 200)])
def test_a_clone_that_fails_can_leave_a_broken_folder(
    signed: Rest, repository: Repository, variant: Literal["nothing", "broken"], found: int
) -> None:
    signed.workspace.variant.failed_create = variant
    status, body = create(signed, repository.url + "-gone")
    assert (status, body["message"]) == (400, NOT_FOUND)
    assert signed("GET", "/workspace/get-status", params={"path": PATH}).status_code == found
    again = create(signed, repository.url)
    assert (again[0] == 200) == (variant == "nothing")


@pytest.mark.parametrize("answer", ["404", "400"])
@pytest.mark.parametrize(("git_cli", "kind"), [(True, "DIRECTORY"), (False, "REPO")])
def test_the_repos_api_has_no_repository_for_a_broken_folder(
    signed: Rest, answer: Literal["404", "400"], *, git_cli: bool, kind: str
) -> None:
    signed.workspace.variant.broken_folder = answer
    folder = signed.workspace.add_broken_folder(PATH, git_cli=git_cli)
    shown = signed("GET", "/workspace/get-status", params={"path": PATH, "return_git_info": "true"}).json()
    assert (shown["object_type"], shown["object_id"]) == (kind, folder.id)
    assert signed("GET", f"/repos/{folder.id}").status_code == int(answer)
    assert update(signed, folder, branch="main")[0] == int(answer)
    assert signed("GET", "/repos", params={"path_prefix": "/Users"}).json() == {}
    assert signed("GET", "/workspace/list", params={"path": PATH}).json() == {}


def test_a_git_folder_cannot_be_created_inside_another(
    signed: Rest, folder: Folder, repository: Repository
) -> None:
    status, body = create(signed, repository.url, path=f"{folder.path}/inner")
    assert (status, body["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert create(signed, repository.url, path=f"{folder.path}/README.md")[1]["error_code"] == (
        "RESOURCE_ALREADY_EXISTS"
    )
