"""A workspace's responses through the SDK, without sockets."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import requests
from pydantic import SecretStr

from git_refresh.clients import databricks, devops, responses
from git_refresh.clients.connections import tls_context
from git_refresh.clients.databricks import (
    FOLDER_SIZE,
    LIST_SIZE,
    LISTS_SIZE,
    DatabricksWorkspaceApi,
    folder_lists,
    workspace_session,
)
from git_refresh.clients.oauth import sign_in
from git_refresh.clients.responses import UnexpectedAnswerError
from git_refresh.clients.session import BoundedSession, Network
from git_refresh.failures.failure import ServiceError
from git_refresh.model.clock import Deadline
from git_refresh.model.values import GitFolder
from git_refresh.output.mask import SecretFilter
from tests.support.fakes import FakeClock

HOST = "https://adb-1.1.azuredatabricks.net"
OWN = "dapi7f3c9a1e5b2d8064c7e1f09a3b5d2c48"
SHARED = "dose00112233445566778899aabbccddeeff"
FOLDER = {"id": 7, "path": "/Repos/a/b", "url": "https://dev.azure.com/contoso/p/_git/etl"}


def api(answer: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> DatabricksWorkspaceApi:
    """Return a workspace with this response to every request."""
    network = Network(tls_context(), Deadline.after(60, FakeClock()), SecretFilter([SHARED]))
    made = DatabricksWorkspaceApi(
        workspace_session(HOST, network),
        HOST,
        SecretStr(OWN),
        network,
    )
    monkeypatch.setattr(made._client.api_client, "do", lambda *_, **__: answer())
    return made


def symptom_kind(ask: Callable[[], object]) -> str:
    with pytest.raises(ServiceError) as caught:
        ask()
    return caught.value.failure.kind


@pytest.mark.parametrize("prefixes", [1, 12])
def test_the_texts_of_a_list_have_a_total_over_all_pages_and_prefixes(
    monkeypatch: pytest.MonkeyPatch, prefixes: int
) -> None:
    page = [{**FOLDER, "path": f"/Repos/{number}/{'x' * 1_900}"} for number in range(100)]
    made = api(lambda: {"repos": page, "next_page_token": "more"}, monkeypatch)
    read = 0
    for prefix in range(prefixes):
        with suppress(ServiceError):
            for found in made.folders(f"/Repos/{prefix}"):
                read += sum(len(folder.path) + FOLDER_SIZE for folder in found if folder)
    assert read <= LIST_SIZE


def test_the_lists_of_a_fleet_have_a_total_and_each_workspace_its_share() -> None:
    lists = folder_lists(1_000)
    hostile = sum(lists.take(f"hostile {number}", LIST_SIZE) for number in range(900))
    assert hostile * LIST_SIZE <= LISTS_SIZE // 2
    of_a_healthy_one = 100 * (FOLDER_SIZE + 250)
    assert all(lists.take(f"healthy {number}", of_a_healthy_one) for number in range(100))


@pytest.mark.parametrize("page", [[], [FOLDER], [FOLDER] * 1_000, [FOLDER] * 5_001])
def test_a_list_of_folders_that_goes_on_and_on_is_no_list(
    monkeypatch: pytest.MonkeyPatch, page: list[dict[str, Any]]
) -> None:
    asked: list[int] = []

    def answer() -> object:
        asked.append(1)
        assert len(asked) < 1_000, "there is no end to it"
        return {"repos": page, "next_page_token": "more"}

    found: list[GitFolder | None] = []

    def ask() -> None:
        for some in api(answer, monkeypatch).folders("/Repos"):
            found.extend(some)

    assert symptom_kind(ask) == "unexpected"
    assert len(asked) <= 200
    assert len(found) <= 5_000


def test_a_directory_with_more_in_it_than_the_limit_is_no_listing(monkeypatch: pytest.MonkeyPatch) -> None:
    def listing(count: int) -> object:
        paths = (f"/Shared/{number:05}" for number in range(count))
        return {"objects": [{"path": path, "object_id": 1, "object_type": "DIRECTORY"} for path in paths]}

    monkeypatch.setattr(databricks, "LIST_SIZE", 100_000)
    most = 100_000 // (FOLDER_SIZE + len("/Shared/00000"))
    assert len(api(lambda: listing(most), monkeypatch).children("/Shared")) == most
    assert (
        symptom_kind(lambda: api(lambda: listing(most + 1), monkeypatch).children("/Shared")) == "unexpected"
    )


def test_a_page_with_more_than_anybody_has_is_not_even_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[object] = []
    monkeypatch.setattr(databricks, "_listed", lambda found, _: read.append(found))
    pages = api(lambda: {"repos": [0] * 100_000}, monkeypatch).folders("/Repos")
    assert symptom_kind(lambda: next(pages)) == "unexpected"
    assert read == []


def test_a_workspace_that_returns_the_secret_as_token_is_no_sign_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = requests.Response()
    given.status_code = 200

    def signed_in(token: str) -> str:
        given._content = json.dumps({"access_token": token}).encode()
        monkeypatch.setattr(BoundedSession, "post", lambda *_, **__: given)
        network = Network(tls_context(), Deadline.after(60, FakeClock()), SecretFilter())
        found = sign_in(workspace_session(HOST, network), HOST, "id", SecretStr(SHARED), network)
        return found.get_secret_value()

    assert signed_in(OWN) == OWN
    assert symptom_kind(lambda: signed_in(SHARED)) == "unexpected"


def test_of_a_page_what_cannot_be_read_costs_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    page = {"repos": [5, {**FOLDER, "path": f"/Repos/{OWN}"}, {**FOLDER, "path": f"/Repos/{SHARED}"}, FOLDER]}
    ((*odd, good),) = api(lambda: page, monkeypatch).folders("/Repos")
    assert odd == [None, None, None]
    assert good
    assert good.id == 7


@pytest.mark.parametrize(
    "odd",
    [
        {"credential_id": OWN[8:]},
        {"credential_id": None},
        {"git_provider": "two\nlines"},
    ],
)
def test_credentials_that_are_not_what_is_promised_are_none(
    monkeypatch: pytest.MonkeyPatch, odd: dict[str, object]
) -> None:
    good = {"credential_id": 7, "git_provider": "azureDevOpsServices", "git_username": "git-refresh"}
    answer: list[dict[str, object]] = [good]
    workspace = api(lambda: {"credentials": answer}, monkeypatch)
    assert [found.id for found in workspace.credentials(None)] == [7]
    answer[:] = [{**good, **odd}]
    assert symptom_kind(lambda: workspace.credentials(None)) == "unexpected"


def test_a_git_folder_without_an_id_is_unexpected(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def answer() -> object:
        asked.append(1)
        return {"object_type": "REPO"}

    assert symptom_kind(lambda: api(answer, monkeypatch).find("/Repos/a/b")) == "unexpected"
    assert len(asked) == 1, "there is nothing to ask for"


@pytest.mark.parametrize("commit", ["two\nlines", "main", None, 7, (SHARED[4:] * 2)[:40]])
def test_a_ref_at_no_commit_is_unexpected_and_others_may_be_odd(commit: object) -> None:
    refs = responses.GitRefs(
        value=[{"name": 5}, {"objectId": []}, {"name": "refs/heads/main", "objectId": commit}]
    )
    assert devops._head(refs, "refs/heads/other", SecretFilter()).commit is None
    with pytest.raises(UnexpectedAnswerError):
        devops._head(refs, "refs/heads/main", SecretFilter([SHARED]))
