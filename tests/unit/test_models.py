import pytest
from pydantic import ValidationError

from git_refresh.model.values import Ref, folder_key
from git_refresh.settings.models import Folder, Workspace, default_name

URL = "https://dev.azure.com/contoso/Data%20Platform/_git/etl"


def folder(**keys: str) -> Folder:
    return Folder.model_validate(keys)


def with_secret(name: str) -> Workspace:
    return Workspace.model_validate(
        {
            "host": "https://adb-1.7.azuredatabricks.net",
            "client_id": "5a1e0000-0000-4000-8000-000000000001",
            "client_secret_name": name,
        }
    )


KEYS = {
    "/Workspace/Shared/etl": "/Shared/etl",
    "/Workspace/Shared/etl/": "/Shared/etl",
    "/Repos/etl/prod": "/Repos/etl/prod",
    "/Repos/etl/X//": "/Repos/etl/X",
    "/Workspaces/etl/prod": "/Workspaces/etl/prod",
    "/Shared/Workspace/etl": "/Shared/Workspace/etl",
    "/Workspace": "/Workspace",
}


@pytest.mark.parametrize(("path", "key"), KEYS.items())
def test_one_folder_has_one_key(path: str, key: str) -> None:
    assert folder_key(path) == key


NAMES = {
    "https://adb-1.7.azuredatabricks.net": "adb-1",
    " https://adb-1.7.azuredatabricks.net/?o=1 ": "adb-1",
    "adb-1.7.azuredatabricks.net/login.html": "adb-1",
    "me:hunter2@adb-1.7.azuredatabricks.net": "adb-1",
    "https://": "https://",
}


@pytest.mark.parametrize(("host", "name"), NAMES.items())
def test_a_workspace_is_called_by_its_hosts_first_label(host: str, name: str) -> None:
    assert default_name(host) == name


def test_a_star_means_every_git_folder_below() -> None:
    assert folder(path="/Workspace/Shared/etl/*").below == "/Shared/etl"
    assert folder(path="/Repos/*").below == "/Repos"
    assert folder(path="/Repos/etl/prod").below is None


@pytest.mark.parametrize(
    "path", ["/Repos/etl/prod", "/Workspace/Repos/etl/prod", "/Shared/prod", "/Users/me@c.d/a/b"]
)
def test_a_folder_can_be_cloned_where_the_workspace_allows_it(path: str) -> None:
    repository = folder(path=path, url=URL).repository
    assert repository is not None
    assert repository.url == URL


def test_nobodys_changes_are_discarded_unless_the_settings_say_so() -> None:
    assert folder(path="/Repos/etl/prod").on_conflict == "fail"


@pytest.mark.parametrize("path", ["/Repos/prod", "/Workspace/Repos/prod", "/Repos/a/b/prod"])
def test_a_folder_cannot_be_cloned_elsewhere_below_repos(path: str) -> None:
    with pytest.raises(ValidationError, match="below /Repos a folder can only be created as"):
        folder(path=path, url=URL)


REFS = ["main", "feature/a-b", "release/2026.11", "v1.0", "a@b", "é", "refs", "heads/x", "x-", "a{b}"]


@pytest.mark.parametrize("name", REFS)
def test_what_git_takes_for_a_branch_or_tag_is_taken(name: str) -> None:
    assert folder(path="/a/b", branch=name).ref == Ref("branch", name)
    assert folder(path="/a/b", tag=name).ref == Ref("tag", name)


NO_REFS = ["", "a b", "a~1", "a^", "a:b", "a?", "a*", "a[b", "a\\b", "a\x7fb", "a\x01b", "a..b", "a@{1}"]
NO_REFS += ["-a", "/a", "a/", "a.", "a//b", "refs/heads/a", "refs/tags/a"]


@pytest.mark.parametrize("name", NO_REFS)
def test_what_git_does_not_take_is_not_taken(name: str) -> None:
    with pytest.raises(ValidationError):
        folder(path="/a/b", branch=name)


@pytest.mark.parametrize("name", ["a", "OAuth-Secret-1", "x" * 127])
def test_the_names_of_key_vault_secrets_are_taken(name: str) -> None:
    assert with_secret(name).client_secret_name == name


@pytest.mark.parametrize("name", ["", "a_b", "a.b", "a/b", "é", "x" * 128, "dapi" + "0" * 32 + "-2"])
def test_what_cannot_be_the_name_of_a_key_vault_secret_is_not_taken(name: str) -> None:
    with pytest.raises(ValidationError):
        with_secret(name)
