import pytest

from localcloud import Cloud
from localcloud.databricks.tree import normal
from localcloud.devops.repository import Repository
from localcloud.rest import Rest, error_of


def status(api: Rest, path: str) -> dict[str, object]:
    body: dict[str, object] = api("GET", "/workspace/get-status", params={"path": path}).json()
    return body


def listed(api: Rest, path: str) -> list[tuple[str, str]]:
    answer = api("GET", "/workspace/list", params={"path": path}).json()
    return [(each["path"], each["object_type"]) for each in answer.get("objects", [])]


def test_what_is_not_there_does_not_exist(api: Rest) -> None:
    answer = api("GET", "/workspace/get-status", params={"path": "/Repos/none"})
    assert error_of(answer) == (404, "RESOURCE_DOES_NOT_EXIST", "Path (/Repos/none) doesn't exist.")


def test_a_path_is_absolute(api: Rest) -> None:
    answer = api("GET", "/workspace/get-status", params={"path": "Repos"})
    assert error_of(answer)[:2] == (400, "INVALID_PARAMETER_VALUE")


def test_makes_directories_and_their_parents_once_and_again(api: Rest) -> None:
    for _ in range(2):
        assert api("POST", "/workspace/mkdirs", json={"path": "/Shared/a/b"}).json() == {}
    assert status(api, "/Shared/a")["object_type"] == "DIRECTORY"


def test_directories_under_repos_are_one_level_deep(api: Rest) -> None:
    assert api("POST", "/workspace/mkdirs", json={"path": "/Repos/etl"}).status_code == 200
    answer = api("POST", "/workspace/mkdirs", json={"path": "/Repos/etl/deeper"})
    assert error_of(answer) == (400, "DIRECTORY_PROTECTED", "Top-level folder can only contain repos")


def test_a_directory_is_made_inside_a_git_folder(api: Rest, repository: Repository) -> None:
    folder = api.workspace.add_folder("/Users/me/etl", repository)
    assert api("POST", "/workspace/mkdirs", json={"path": "/Users/me/etl/sub/deep"}).json() == {}
    assert (folder.directory / "sub/deep").is_dir()
    assert listed(api, "/Users/me/etl/sub") == [("/Users/me/etl/sub/deep", "DIRECTORY")]


@pytest.mark.parametrize("path", ["/Users/me/etl/README.md/sub", "/Users/me/notes", "/Users/me/notes/sub"])
def test_a_directory_does_not_replace_a_file_or_notebook(
    api: Rest, repository: Repository, path: str
) -> None:
    api.workspace.add_folder("/Users/me/etl", repository)
    api.workspace.add_notebook("/Users/me/notes")
    answer = api("POST", "/workspace/mkdirs", json={"path": path})
    assert error_of(answer)[:2] == (400, "RESOURCE_ALREADY_EXISTS")


@pytest.mark.parametrize(
    ("path", "same"),
    [
        ("/Workspace/Repos/a/b/", "/Repos/a/b"),
        ("/Workspace", "/"),
        ("//Repos//a", "/Repos/a"),
        ("/WorkspaceTwo/a", "/WorkspaceTwo/a"),
    ],
)
def test_paths_with_and_without_workspace_are_the_same(path: str, same: str) -> None:
    assert normal(path) == same


@pytest.mark.parametrize("git_cli", [True, False])
def test_lists_what_is_inside_a_git_folder(cloud: Cloud, api: Rest, *, git_cli: bool) -> None:
    files = {
        "README.md": "hi",
        "jobs/load.py": "# Databricks notebook source\n",
        "jobs/report.ipynb": "{}",
        "jobs/plain.py": "print()\n",
        "jobs/deep/q.sql": "-- Databricks notebook source\n",
    }
    repository = cloud.devops.repository("contoso", "Data Platform", "mono", files)
    folder = api.workspace.add_folder("/Users/me/etl", repository, git_cli=git_cli)
    folder.edit("new.txt", "not committed")
    assert listed(api, "/Users/me/etl") == [
        ("/Users/me/etl/README.md", "FILE"),
        ("/Users/me/etl/jobs", "DIRECTORY"),
        ("/Users/me/etl/new.txt", "FILE"),
    ]
    assert listed(api, "/Users/me/etl/jobs") == [
        ("/Users/me/etl/jobs/deep", "DIRECTORY"),
        ("/Users/me/etl/jobs/load", "NOTEBOOK"),
        ("/Users/me/etl/jobs/plain.py", "FILE"),
        ("/Users/me/etl/jobs/report", "NOTEBOOK"),
    ]
    assert status(api, "/Users/me/etl/jobs/deep/q")["language"] == "SQL"
    first, again = (status(api, "/Users/me/etl/jobs")["object_id"] for _ in range(2))
    assert first == again != folder.id


@pytest.mark.parametrize("path", [".git", ".git/HEAD", "../{id}/README.md", "none", "README.md/none"])
def test_nothing_else_is_inside_a_git_folder(api: Rest, repository: Repository, path: str) -> None:
    folder = api.workspace.add_folder("/Users/me/etl", repository)
    inside = f"/Users/me/etl/{path.format(id=folder.id)}"
    assert api("GET", "/workspace/get-status", params={"path": inside}).status_code == 404


def test_a_file_or_notebook_is_listed_as_itself(api: Rest) -> None:
    api.workspace.add_file("/Shared/a.csv")
    api.workspace.add_notebook("/Shared/notes")
    assert listed(api, "/Shared/a.csv") == [("/Shared/a.csv", "FILE")]
    assert listed(api, "/Shared/notes") == [("/Shared/notes", "NOTEBOOK")]
    assert status(api, "/Shared/notes")["language"] == "PYTHON"


def test_a_listing_is_one_page(api: Rest) -> None:
    for number in range(150):
        api.workspace.add_file(f"/Shared/{number:03}")
    assert len(listed(api, "/Shared")) == 150
