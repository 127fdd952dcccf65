import pytest

from localcloud.databricks.tree import normal
from localcloud.devops.repository import Repository
from localcloud.rest import Rest, error_of


def status(api: Rest, path: str) -> dict[str, object]:
    body: dict[str, object] = api("GET", "/workspace/get-status", params={"path": path}).json()
    return body


def test_a_git_folder_is_a_repo(api: Rest, repository: Repository) -> None:
    folder = api.workspace.add_folder("/Repos/etl/prod", repository)
    shown = status(api, "/Workspace/Repos/etl/prod")
    assert (shown["object_type"], shown["object_id"], shown["path"]) == ("REPO", folder.id, "/Repos/etl/prod")
    assert status(api, "/Repos/etl")["object_type"] == "DIRECTORY"


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


def test_a_directory_does_not_replace_a_git_folder(api: Rest, repository: Repository) -> None:
    api.workspace.add_folder("/Users/me/etl", repository)
    answer = api("POST", "/workspace/mkdirs", json={"path": "/Users/me/etl/sub"})
    assert error_of(answer)[:2] == (400, "RESOURCE_ALREADY_EXISTS")


def test_lists_what_is_directly_below(api: Rest, repository: Repository) -> None:
    api.workspace.add_folder("/Users/me/etl", repository)
    api.workspace.add_folder("/Users/me/deep/er", repository)
    objects = api("GET", "/workspace/list", params={"path": "/Workspace/Users/me"}).json()["objects"]
    assert [(each["path"], each["object_type"]) for each in objects] == [
        ("/Users/me/deep", "DIRECTORY"),
        ("/Users/me/etl", "REPO"),
    ]
    assert api("GET", "/workspace/list", params={"path": "/Shared"}).json() == {}
    top = api("GET", "/workspace/list", params={"path": "/"}).json()["objects"]
    assert [each["path"] for each in top] == ["/Repos", "/Shared", "/Users"]


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
