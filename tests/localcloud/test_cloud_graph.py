import pytest
import requests

from localcloud import Cloud
from localcloud.authority import DEVOPS_RESOURCE, GRAPH_RESOURCE, OTHER_TENANT, TENANT
from localcloud.people import Person

GRAPH = "https://graph.microsoft.com/v1.0"


def get(session: requests.Session, path: str, token: str) -> requests.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return session.get(f"{GRAPH}/{path}", headers=headers, timeout=10)


def refused(answer: requests.Response) -> tuple[int, str, str]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["message"]


def test_an_identity_is_found_by_both_its_ids(cloud: Cloud, session: requests.Session, ada: Person) -> None:
    token = ada.token(GRAPH_RESOURCE)
    for identity, name in ((cloud.identity, "contoso-git-refresh"), (cloud.add_identity("zone"), "zone")):
        by_client_id = get(session, f"servicePrincipals(appId='{identity.client_id}')", token)
        by_object_id = get(session, f"servicePrincipals/{identity.object_id}?$select=id,appId", token)
        assert by_client_id.json() == by_object_id.json()
        found = by_client_id.json()
        assert (found["id"], found["appId"]) == (identity.object_id, identity.client_id)
        assert (found["displayName"], found["servicePrincipalType"]) == (name, "ManagedIdentity")
        assert by_client_id.headers["request-id"]


def test_an_identity_that_the_app_does_not_have_is_there_all_the_same(
    cloud: Cloud, session: requests.Session, ada: Person
) -> None:
    cloud.identity.enabled = False
    path = f"servicePrincipals/{cloud.identity.object_id}"
    assert get(session, path, ada.token(GRAPH_RESOURCE)).ok


def test_a_registration_has_another_object_id_in_each_tenant_that_consents(
    cloud: Cloud, session: requests.Session, ada: Person
) -> None:
    registration = cloud.app_registration("git-refresh")
    path = f"servicePrincipals(appId='{registration.client_id}')"
    at_home, abroad = ada.token(GRAPH_RESOURCE), ada.token(GRAPH_RESOURCE, OTHER_TENANT)
    assert get(session, path, at_home).json()["id"] == registration.object_id(TENANT)
    assert get(session, path, at_home).json()["servicePrincipalType"] == "Application"
    assert get(session, path, abroad).status_code == 404
    object_id = registration.consent(OTHER_TENANT)
    assert get(session, path, abroad).json()["id"] == object_id
    identity = f"servicePrincipals/{cloud.identity.object_id}"
    assert get(session, identity, abroad).status_code == 404


def test_a_client_id_is_no_object_id(cloud: Cloud, session: requests.Session, ada: Person) -> None:
    answer = get(session, f"servicePrincipals/{cloud.identity.client_id}", ada.token(GRAPH_RESOURCE))
    assert refused(answer) == (
        404,
        "Request_ResourceNotFound",
        f"Resource '{cloud.identity.client_id}' does not exist or one of its queried reference-property objects are not present.",
    )


def test_an_id_is_a_guid(session: requests.Session, ada: Person) -> None:
    answer = get(session, "servicePrincipals/git-refresh", ada.token(GRAPH_RESOURCE))
    assert refused(answer) == (400, "Request_BadRequest", "Invalid object identifier 'git-refresh'.")


def test_nothing_else_is_there(session: requests.Session, ada: Person) -> None:
    assert refused(get(session, "me", ada.token(GRAPH_RESOURCE)))[:2] == (400, "BadRequest")


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("none", "empty"),
        ("garbage", "parsing failed"),
        ("for something else", "Invalid audience"),
        ("lapsed", "the token is expired"),
    ],
)
def test_a_bad_token_is_refused(
    cloud: Cloud, session: requests.Session, ada: Person, kind: str, says: str
) -> None:
    good = ada.token(GRAPH_RESOURCE)
    ada.token_lifetime = -1
    lapsed = ada.token(GRAPH_RESOURCE)
    tokens = {"none": "", "garbage": f"{good}x", "lapsed": lapsed}
    token = tokens.get(kind, cloud.identity.token(DEVOPS_RESOURCE))
    status, code, message = refused(get(session, f"servicePrincipals/{cloud.identity.object_id}", token))
    assert (status, code) == (401, "InvalidAuthenticationToken")
    assert says in message


def test_an_application_needs_permissions_of_its_own(cloud: Cloud, session: requests.Session) -> None:
    token = cloud.app_registration("git-refresh").token(TENANT, GRAPH_RESOURCE)
    answer = get(session, f"servicePrincipals/{cloud.identity.object_id}", token)
    assert refused(answer)[:2] == (403, "Authorization_RequestDenied")
