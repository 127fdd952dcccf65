import pytest

from localcloud import Cloud
from localcloud.rest import Rest, error_of

DEVOPS = "azureDevOpsServices"
FIELDS = {"git_provider": DEVOPS, "git_username": "x", "personal_access_token": "c4nary"}


def test_stores_lists_updates_and_deletes(api: Rest) -> None:
    assert api("GET", "/git-credentials").json() == {}
    created = api("POST", "/git-credentials", json=FIELDS)
    number = created.json()["credential_id"]
    shown = {"credential_id": number, "git_provider": DEVOPS, "git_username": "x"}
    assert created.json() == shown
    assert api("GET", "/git-credentials").json() == {"credentials": [shown]}
    assert api("GET", f"/git-credentials/{number}").json() == shown

    update = {"git_provider": DEVOPS, "git_username": "y", "personal_access_token": "n3w"}
    assert api("PATCH", f"/git-credentials/{number}", json=update).json() == {}
    (stored,) = api.workspace.credentials
    assert (stored.id, stored.username, stored.token, stored.principal) == (number, "y", "n3w", api.principal)

    assert api("DELETE", f"/git-credentials/{number}").status_code == 200
    assert api.workspace.credentials == []


def test_a_provider_is_the_same_in_any_letter_case(api: Rest) -> None:
    api("POST", "/git-credentials", json=FIELDS | {"git_provider": "AZUREDEVOPSSERVICES"})
    assert api.workspace.credentials[0].provider == DEVOPS


def test_refuses_a_second_credential_for_a_provider(api: Rest) -> None:
    api.store_token("one")
    status, _, message = error_of(api("POST", "/git-credentials", json=FIELDS))
    assert status == 409
    assert message == (
        "A Git credential already exists for provider azureDevOpsServices. "
        "Only one credential per provider is allowed for service principals."
    )
    github = api("POST", "/git-credentials", json=FIELDS | {"git_provider": "gitHub"})
    assert github.status_code == 200


@pytest.mark.parametrize(
    "fields",
    [
        {"git_username": "x", "personal_access_token": "t"},
        {"git_provider": "subversion", "git_username": "x", "personal_access_token": "t"},
        {"git_provider": DEVOPS, "git_username": "x"},
        {"git_provider": DEVOPS, "personal_access_token": "t"},
        {"git_provider": "azureDevOpsServicesAad", "git_username": "x"},
    ],
)
def test_refuses_to_create_with_wrong_fields(api: Rest, fields: dict[str, str]) -> None:
    assert error_of(api("POST", "/git-credentials", json=fields))[:2] == (400, "INVALID_PARAMETER_VALUE")


def test_an_update_needs_the_provider(api: Rest) -> None:
    number = api.store_token("one")
    answer = api("PATCH", f"/git-credentials/{number}", json={"personal_access_token": "two"})
    assert error_of(answer)[:2] == (400, "INVALID_PARAMETER_VALUE")
    assert api.workspace.credentials[0].token == "one"


@pytest.mark.parametrize("body", [b"{", b"[]", b'"text"', b"\xff"])
def test_refuses_a_body_that_is_no_json_object(api: Rest, body: bytes) -> None:
    assert error_of(api("POST", "/git-credentials", data=body))[:2] == (400, "MALFORMED_REQUEST")


def test_another_principals_credential_is_found_with_principal_id_only(api: Rest) -> None:
    other = api.workspace.service_principal(client_id="app-2", secret="other")
    theirs = {"principal_id": other.id}
    number = api("POST", "/git-credentials", json=FIELDS | theirs).json()["credential_id"]
    one = f"/git-credentials/{number}"
    assert api.workspace.credentials[0].principal is other

    missing = (404, "RESOURCE_DOES_NOT_EXIST", "Git credential with the given ID could not be found.")
    assert api("GET", "/git-credentials").json() == {}
    assert error_of(api("GET", one)) == missing
    assert error_of(api("PATCH", one, json=FIELDS)) == missing
    assert error_of(api("DELETE", one)) == missing

    assert len(api("GET", "/git-credentials", params=theirs).json()["credentials"]) == 1
    assert api("GET", one, params=theirs).status_code == 200
    assert api("PATCH", one, json=FIELDS | theirs).status_code == 200
    assert api("DELETE", one, params=theirs).status_code == 200


def test_an_unknown_principal_has_no_credentials(api: Rest) -> None:
    assert api("GET", "/git-credentials", params={"principal_id": 5}).status_code == 404
    assert api("GET", "/git-credentials", params={"principal_id": "me"}).status_code == 400


def test_no_token_comes_back_or_is_recorded(cloud: Cloud, api: Rest) -> None:
    number = api.store_token("c4nary")
    answers = [api("GET", "/git-credentials").text, api("GET", f"/git-credentials/{number}").text]
    assert not any(
        "c4nary" in text for text in [*answers, repr(cloud.requests), repr(api.workspace.credentials)]
    )
    stored = next(seen for seen in cloud.requests if seen.path.endswith("/git-credentials"))
    assert stored.body_keys == ("git_provider", "git_username", "personal_access_token")
    assert (stored.authorization, stored.principal) == ("Bearer", "app-1")
