"""Git folders in responses, by kind and by variant."""

from collections.abc import Mapping
from typing import Any, Literal

import pytest

from localcloud import Cloud, Variant
from localcloud.databricks.variant import values
from localcloud.databricks.workspace import Workspace
from localcloud.devops.repository import Repository
from localcloud.rest import Rest

HOME = "/Users/me@contoso.com"
PATH = f"{HOME}/etl"


@pytest.fixture
def repository(cloud: Cloud) -> Repository:
    files = {
        "README.md": "hi",
        "jobs/load.py": "# Databricks notebook source\nprint('load')\n",
        "jobs/plain.py": "print('plain')\n",
    }
    return cloud.devops.repository("contoso", "Data Platform", "etl", files)


@pytest.fixture
def signed(api: Rest, devops_token: str) -> Rest:
    """Return the API for a principal with a valid stored token and a home directory."""
    api.store_token(devops_token)
    api.workspace.make_directories(HOME)
    return api


def status(api: Rest, path: str, *, git_info: bool = False) -> dict[str, Any]:
    more = {"return_git_info": "true"} if git_info else {}
    shown: dict[str, Any] = api("GET", "/workspace/get-status", params={"path": path} | more).json()
    return shown


def listed(api: Rest, path: str, **more: str) -> dict[str, dict[str, Any]]:
    objects = api("GET", "/workspace/list", params={"path": path, **more}).json().get("objects", [])
    return {each["path"]: each for each in objects}


def create(api: Rest, repository: Repository, path: str = PATH) -> dict[str, Any]:
    content = {"url": repository.url, "provider": "azureDevOpsServices", "path": path}
    made: dict[str, Any] = api("POST", "/repos", json=content).json()
    return made


# Kinds


def test_every_second_one_of_a_mix_is_legacy(signed: Rest, repository: Repository) -> None:
    signed.workspace.variant.git_folders = "mixed"
    for name in "abcd":
        create(signed, repository, f"{HOME}/{name}")
    kinds = [each["object_type"] for each in listed(signed, HOME).values()]
    assert kinds == ["DIRECTORY", "REPO", "DIRECTORY", "REPO"]


def test_those_below_repos_can_be_of_another_kind(signed: Rest, repository: Repository) -> None:
    signed.workspace.variant.below_repos = "legacy"
    signed.workspace.make_directories("/Repos/etl")
    create(signed, repository, "/Repos/etl/prod")
    create(signed, repository)
    assert status(signed, "/Repos/etl/prod")["object_type"] == "REPO"
    assert status(signed, PATH)["object_type"] == "DIRECTORY"


def test_a_plain_directory_is_no_repo(signed: Rest) -> None:
    number = status(signed, HOME)["object_id"]
    assert signed("GET", f"/repos/{number}").status_code == 404
    assert signed("PATCH", f"/repos/{number}", json={"branch": "main"}).status_code == 404


# directory_info and git_info


def test_a_legacy_git_folder_has_no_directory_info(signed: Rest, repository: Repository) -> None:
    signed.workspace.variant.directory_info = "always"
    signed.workspace.add_folder(PATH, repository, git_cli=False)
    assert "directory_info" not in status(signed, PATH, git_info=True)


@pytest.mark.parametrize("inside", ["", "/jobs", "/README.md"])
def test_git_info_is_the_root_s_id_and_path(signed: Rest, repository: Repository, inside: str) -> None:
    folder = signed.workspace.add_folder(PATH, repository)
    assert "git_info" not in status(signed, PATH + inside)
    shown = status(signed, f"/Workspace{PATH}{inside}", git_info=True)
    assert shown["git_info"] == {"id": folder.id, "path": PATH}
    assert (shown["object_id"] == folder.id) == (not inside)
    assert "git_info" not in status(signed, HOME, git_info=True)


def test_git_info_of_a_legacy_git_folder_has_everything(signed: Rest, repository: Repository) -> None:
    folder = signed.workspace.add_folder(PATH, repository, git_cli=False)
    assert status(signed, f"{PATH}/jobs", git_info=True)["git_info"] == {
        "id": folder.id,
        "path": PATH,
        "branch": "main",
        "head_commit_id": repository.head(),
        "url": repository.url,
    }


# Responses that differ


@pytest.mark.parametrize(
    ("variant", "keys"), [("code", {"error_code", "message"}), ("message", {"message"}), ("empty", None)]
)
def test_a_404_can_lack_its_code_and_its_body(
    signed: Rest, variant: Literal["code", "message", "empty"], keys: set[str] | None
) -> None:
    signed.workspace.variant.not_found = variant
    for answer in (
        signed("GET", "/workspace/get-status", params={"path": "/Users/none"}),
        signed("GET", "/workspace/list", params={"path": "/Users/none"}),
        signed("GET", "/repos/1"),
    ):
        assert answer.status_code == 404
        assert set(answer.json()) == keys if keys else answer.content == b""


@pytest.mark.parametrize(
    ("variant", "shown"), [("absent", {}), ("empty", {"branch": ""}), ("HEAD", {"branch": "HEAD"})]
)
def test_a_detached_head_has_no_branch(
    signed: Rest,
    repository: Repository,
    variant: Literal["absent", "empty", "HEAD"],
    shown: Mapping[str, str],
) -> None:
    signed.workspace.variant.detached_branch = variant
    folder = signed.workspace.add_folder(PATH, repository)
    repository.tag("v1")
    assert signed("PATCH", f"/repos/{folder.id}", json={"tag": "v1"}).ok
    there = signed("GET", f"/repos/{folder.id}").json()
    assert {key: value for key, value in there.items() if key == "branch"} == shown


@pytest.mark.parametrize(("variant", "stale"), [("new", False), ("stale", True)])
def test_the_first_read_after_an_update_can_be_stale(
    signed: Rest, repository: Repository, variant: Literal["new", "stale"], *, stale: bool
) -> None:
    signed.workspace.variant.head_after_update = variant
    folder = signed.workspace.add_folder(PATH, repository)
    before = folder.head
    after = repository.commit({"a.py": "1"})
    assert signed("PATCH", f"/repos/{folder.id}", json={"branch": "main"}).ok
    seen = [signed("GET", f"/repos/{folder.id}").json()["head_commit_id"] for _ in range(2)]
    assert seen == [before if stale else after, after]


@pytest.mark.parametrize(("variant", "prefix"), [("dropped", ""), ("kept", "/Workspace")])
def test_an_answer_can_keep_the_prefix_of_the_path(
    signed: Rest, variant: Literal["dropped", "kept"], prefix: str
) -> None:
    signed.workspace.variant.workspace_prefix = variant
    assert status(signed, f"/Workspace{HOME}")["path"] == prefix + HOME
    assert status(signed, HOME)["path"] == HOME
    assert list(listed(signed, "/Workspace/Users")) == [prefix + HOME]


@pytest.mark.parametrize("code", ["409", "400"])
def test_a_duplicate_principal_is_refused_in_scim_s_form(
    api: Rest, workspace: Workspace, code: Literal["409", "400"]
) -> None:
    workspace.variant.duplicate_principal = code
    api.principal.admin = True
    answer = api("POST", "/preview/scim/v2/ServicePrincipals", json={"applicationId": "app-1"})
    assert (answer.status_code, answer.json()["status"]) == (int(code), code)
    assert answer.json()["detail"] == "Service principal with application ID app-1 already exists."


# Variant names


def test_each_workspace_has_a_variant_of_its_own() -> None:
    variant = Variant(git_folders="legacy")
    with Cloud(variant=variant) as cloud:
        first, second = (cloud.workspace(f"adb-{number}.1.azuredatabricks.net") for number in (1, 2))
        first.variant.git_folders = "mixed"
        assert (second.variant.git_folders, variant.git_folders) == ("legacy", "legacy")


def test_a_variant_is_set_by_text() -> None:
    variant = Variant()
    for name, known in values().items():
        assert getattr(variant, name) == known[0]
        variant.set(f"{name}={known[-1]}")
        assert getattr(variant, name) == known[-1]


@pytest.mark.parametrize("text", ["git_folders", "git_folders=new", "=legacy", "nothing=1"])
def test_no_other_variant_is_taken(text: str) -> None:
    with pytest.raises(ValueError, match=r"unknown variant|git-cli or legacy or mixed"):
        Variant().set(text)
