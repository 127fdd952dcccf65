import concurrent.futures
import contextlib
from pathlib import Path

import pytest

from localcloud import Cloud
from localcloud.databricks.errors import FEDERATED, INVALID, MISSING, NOT_FOUND
from localcloud.databricks.folder import Folder
from localcloud.devops.repository import Repository
from localcloud.rest import Rest, error_of

PATH = "/Repos/etl/prod"


@pytest.fixture
def signed(api: Rest, devops_token: str) -> Rest:
    """Return the API for a principal with a valid stored token and an existing parent directory."""
    api.store_token(devops_token)
    api("POST", "/workspace/mkdirs", json={"path": "/Repos/etl"})
    return api


@pytest.fixture
def folder(signed: Rest, repository: Repository) -> Folder:
    return signed.workspace.add_folder(PATH, repository)


def create(api: Rest, url: str, path: str = PATH, **fields: object) -> dict[str, object]:
    answer = api(
        "POST", "/repos", json={"url": url, "provider": "azureDevOpsServices", "path": path} | fields
    )
    body: dict[str, object] = answer.json() | {"status": answer.status_code}
    return body


def update(api: Rest, folder: Folder, **fields: object) -> tuple[int, object, str]:
    answer = api("PATCH", f"/repos/{folder.id}", json=fields)
    return error_of(answer) if answer.status_code != 200 else (200, None, answer.text)


def made(api: Rest, path: str = PATH) -> Folder:
    folder = api.workspace.folder(path)
    assert folder is not None
    return folder


@pytest.mark.parametrize("path", ["/Repos/etl", "/Repos/etl/deep/prod"])
def test_a_path_under_repos_has_exactly_two_names(signed: Rest, repository: Repository, path: str) -> None:
    body = create(signed, repository.url, path)
    assert body["status"] == 400
    assert body["error_code"] in {"DIRECTORY_PROTECTED", "RESOURCE_ALREADY_EXISTS"}


def test_the_parent_must_exist(signed: Rest, repository: Repository) -> None:
    body = create(signed, repository.url, "/Users/me/etl")
    assert (body["status"], body["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert body["message"] == "Parent directory /Users/me does not exist."
    signed("POST", "/workspace/mkdirs", json={"path": "/Users/me"})
    assert create(signed, repository.url, "/Workspace/Users/me/etl")["path"] == "/Users/me/etl"


def test_a_path_can_be_taken(signed: Rest, folder: Folder, repository: Repository) -> None:
    body = create(signed, repository.url, f"/Workspace{folder.path}")
    assert (body["status"], body["error_code"]) == (400, "RESOURCE_ALREADY_EXISTS")
    assert str(body["message"]).startswith(f"Repo {PATH} already exists.")


def test_a_path_can_be_taken_by_what_the_caller_does_not_see(signed: Rest, repository: Repository) -> None:
    hidden = signed.workspace.add_folder(PATH, repository, visible=False)
    assert signed("GET", "/workspace/get-status", params={"path": PATH}).status_code == 404
    assert signed("GET", f"/repos/{hidden.id}").status_code == 404
    assert create(signed, repository.url)["error_code"] == "RESOURCE_ALREADY_EXISTS"


def test_a_clone_that_fails_can_leave_nothing(signed: Rest, repository: Repository) -> None:
    signed.workspace.variant.failed_create = "nothing"
    body = create(signed, repository.url + "-gone")
    assert (body["status"], body["error_code"], body["message"]) == (400, "BAD_REQUEST", NOT_FOUND)
    assert signed.workspace.folder(PATH) is None
    assert create(signed, repository.url)["status"] == 200


def test_nothing_is_cloned_from_outside_the_cloud(cloud: Cloud, signed: Rest, repository: Repository) -> None:
    signed.workspace.variant.failed_create = "nothing"
    urls = ["https://github.com/a/b", "http://github.com/a/b", f"file://{repository.directory}"]
    codes = [create(signed, url)["error_code"] for url in urls]
    assert codes == ["GIT_REMOTE_ERROR", "INTERNAL_ERROR", "INTERNAL_ERROR"]
    assert cloud.refused == ["github.com:443"]


@pytest.mark.parametrize("ref", [{}, {"branch": "main", "tag": "v1"}])
def test_an_update_names_one_ref(signed: Rest, folder: Folder, ref: dict[str, str]) -> None:
    assert update(signed, folder, **ref)[:2] == (400, "INVALID_PARAMETER_VALUE")


def test_a_pull_without_a_stored_credential_is_denied(api: Rest, repository: Repository) -> None:
    folder = api.workspace.add_folder(PATH, repository)
    assert update(api, folder, branch="main") == (403, "PERMISSION_DENIED", MISSING)


def test_a_pull_with_a_lapsed_token_is_denied(
    cloud: Cloud, signed: Rest, folder: Folder, repository: Repository
) -> None:
    repository.commit({"a.py": "1"})
    cloud.identity.expire_tokens()
    assert update(signed, folder, branch="main") == (403, "PERMISSION_DENIED", INVALID)
    assert folder.head != repository.head("main")


def test_a_pull_by_an_identity_without_a_license_finds_no_repository(
    cloud: Cloud, signed: Rest, folder: Folder
) -> None:
    cloud.devops.organization("contoso").add_member(cloud.identity.object_id, stakeholder=True)
    assert update(signed, folder, branch="main") == (400, "BAD_REQUEST", NOT_FOUND)


def test_a_federated_credential_does_not_work_by_itself(api: Rest, repository: Repository) -> None:
    api.workspace.add_credential(api.principal, provider="azureDevOpsServicesAad")
    folder = api.workspace.add_folder(PATH, repository)
    assert update(api, folder, branch="main") == (403, "PERMISSION_DENIED", FEDERATED)


def test_a_call_may_name_its_credential(api: Rest, repository: Repository, devops_token: str) -> None:
    folder = api.workspace.add_folder(PATH, repository)
    number = api.store_token(devops_token)
    assert update(api, folder, branch="main", git_credential_id=number)[0] == 200
    status, code, _ = update(api, folder, branch="main", git_credential_id=number + 1)
    assert (status, code) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_an_empty_prefix_lists_what_is_under_repos_only(api: Rest, repository: Repository) -> None:
    api.workspace.variant.git_folders = "legacy"
    api.workspace.add_folder(PATH, repository)
    api.workspace.add_folder("/Users/me/etl", repository)
    listed = [
        api("GET", "/repos", params={"path_prefix": prefix}).json() for prefix in ("", "/", "/Workspace")
    ]
    assert [[shown["path"] for shown in page["repos"]] for page in listed] == [[PATH]] * 3
    users = api("GET", "/repos", params={"path_prefix": "/Users"}).json()
    assert [shown["path"] for shown in users["repos"]] == ["/Users/me/etl"]


def test_pulls_of_one_folder_come_one_after_another(
    signed: Rest, folder: Folder, repository: Repository
) -> None:
    repository.commit({"a.py": "1"})
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: update(signed, folder, branch="main")[0], range(4)))
    assert answers == [200] * 4


def test_two_creates_of_one_path_make_one_folder(signed: Rest, repository: Repository) -> None:
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        answers = sorted(
            str(body["status"]) for body in pool.map(lambda _: create(signed, repository.url), "ab")
        )
    assert answers == ["200", "400"]


def test_deletes_a_folder(signed: Rest, folder: Folder) -> None:
    assert signed("DELETE", f"/repos/{folder.id}").status_code == 200
    assert signed.workspace.folder(PATH) is None
    assert error_of(signed("GET", f"/repos/{folder.id}"))[:2] == (404, "RESOURCE_DOES_NOT_EXIST")


def test_no_token_is_on_a_git_command_line(
    cloud: Cloud, signed: Rest, folder: Folder, devops_token: str
) -> None:
    lines: set[bytes] = set()

    def look(_: object) -> None:
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                lines.add(process.read_bytes())

    cloud.on_request = look
    update(signed, folder, branch="main")
    assert any(b"\0fetch\0" in line for line in lines)
    assert not any(devops_token.encode() in line for line in lines)
