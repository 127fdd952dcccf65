import os
import time

import jwt
import pytest
import requests
from azure.core.exceptions import HttpResponseError
from azure.identity import ManagedIdentityCredential

from localcloud import Cloud, Fault, faults
from localcloud.authority import DATABRICKS_RESOURCE, DEVOPS_RESOURCE, EXCHANGE_RESOURCE

SCOPE = f"{DEVOPS_RESOURCE}/.default"


def ask(
    cloud: Cloud, session: requests.Session, header: str | None = None, **query: str
) -> requests.Response:
    environment = cloud.environment()
    return session.get(
        environment["IDENTITY_ENDPOINT"],
        params={"resource": DEVOPS_RESOURCE, "api-version": "2019-08-01"} | query,
        headers={"X-IDENTITY-HEADER": header or environment["IDENTITY_HEADER"]},
        timeout=10,
    )


def test_answers_like_app_service(cloud: Cloud, session: requests.Session) -> None:
    answer = ask(cloud, session).json()
    assert sorted(answer) == ["access_token", "client_id", "expires_on", "resource", "token_type"]
    assert abs(int(answer["expires_on"]) - time.time() - 3900) < 5
    claims = jwt.decode(answer["access_token"], options={"verify_signature": False})
    assert (claims["aud"], claims["oid"]) == (DEVOPS_RESOURCE, cloud.identity.object_id)
    assert claims["exp"] == int(answer["expires_on"])


def test_gives_the_sdk_a_token(cloud: Cloud) -> None:
    with ManagedIdentityCredential() as credential:
        assert abs(credential.get_token(SCOPE).expires_on - time.time() - 3900) < 5
    assert [(seen.service, seen.status) for seen in cloud.requests] == [("identity", 200)]


def test_knows_its_client_id_and_no_other(cloud: Cloud) -> None:
    with ManagedIdentityCredential(client_id=cloud.identity.client_id) as credential:
        assert credential.get_token(SCOPE).token
    with (
        ManagedIdentityCredential(client_id="unknown", retry_total=0) as credential,
        pytest.raises(HttpResponseError, match="No User Assigned or Delegated Managed Identity"),
    ):
        credential.get_token(SCOPE)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"api-version": "2017-09-01"}, 400),
        ({"resource": "https://nowhere.contoso.com"}, 400),
        ({"client_id": "unknown"}, 400),
    ],
)
def test_refuses_what_app_service_refuses(
    cloud: Cloud, session: requests.Session, query: dict[str, str], status: int
) -> None:
    assert ask(cloud, session, **query).status_code == status


def test_refuses_a_wrong_header(cloud: Cloud, session: requests.Session) -> None:
    assert ask(cloud, session, header="guess").status_code == 401


def test_a_disabled_identity_has_no_endpoint(cloud: Cloud, session: requests.Session) -> None:
    cloud.identity.enabled = False
    assert "IDENTITY_ENDPOINT" not in cloud.environment()
    endpoint, header = os.environ["IDENTITY_ENDPOINT"], os.environ["IDENTITY_HEADER"]
    query = {"resource": DEVOPS_RESOURCE, "api-version": "2019-08-01"}
    answer = session.get(endpoint, params=query, headers={"X-IDENTITY-HEADER": header}, timeout=10)
    assert answer.status_code == 400


def test_issues_tokens_of_any_lifetime(cloud: Cloud, session: requests.Session) -> None:
    cloud.identity.token_lifetime = -60
    answer = ask(cloud, session).json()
    assert int(answer["expires_on"]) < time.time()


def test_hands_out_an_old_answer_again_when_cached(cloud: Cloud, session: requests.Session) -> None:
    cloud.identity.token_lifetime = 30
    cloud.identity.cached = True
    first = ask(cloud, session).json()
    cloud.identity.token_lifetime = 3900
    assert ask(cloud, session).json() == first
    cloud.identity.cached = False
    assert ask(cloud, session).json() != first


def test_each_identity_has_ids_and_tokens_of_its_own(cloud: Cloud, session: requests.Session) -> None:
    first, second = cloud.identity, cloud.add_identity("second")
    assert len({first.client_id, first.object_id, second.client_id, second.object_id}) == 4
    for identity in (first, second):
        answer = ask(cloud, session, client_id=identity.client_id).json()
        assert answer["client_id"] == identity.client_id
        claims = jwt.decode(answer["access_token"], options={"verify_signature": False})
        assert (claims["oid"], claims["appid"]) == (identity.object_id, identity.client_id)
    assert ask(cloud, session).json()["client_id"] == first.client_id
    assert [seen.principal for seen in cloud.requests] == [
        first.object_id,
        second.object_id,
        first.object_id,
    ]


def test_an_identity_is_the_same_by_its_name_in_every_cloud(cloud: Cloud) -> None:
    second = cloud.add_identity("second")
    assert cloud.add_identity("second") is second
    with Cloud() as other:
        assert other.add_identity("second").client_id == second.client_id
    assert cloud.add_identity("third").client_id != second.client_id


def test_the_sdk_gets_a_token_of_the_identity_that_it_names(cloud: Cloud) -> None:
    second = cloud.add_identity("second")
    with ManagedIdentityCredential(client_id=second.client_id) as credential:
        token = credential.get_token(f"{EXCHANGE_RESOURCE}/.default").token
    assert jwt.decode(token, options={"verify_signature": False})["sub"] == second.object_id


def test_an_identity_that_is_off_leaves_the_others(cloud: Cloud, session: requests.Session) -> None:
    second = cloud.add_identity("second")
    second.enabled = False
    assert ask(cloud, session, client_id=second.client_id).status_code == 400
    assert ask(cloud, session).status_code == 200
    second.enabled, cloud.identity.enabled = True, False
    assert ask(cloud, session, client_id=second.client_id).status_code == 200
    assert ask(cloud, session).status_code == 400


def test_lifetime_and_cache_are_each_identity_s_own(cloud: Cloud, session: requests.Session) -> None:
    second = cloud.add_identity("second")
    second.token_lifetime, second.cached = 60, True
    old = ask(cloud, session, client_id=second.client_id).json()
    assert abs(int(old["expires_on"]) - time.time() - 60) < 5
    assert ask(cloud, session, client_id=second.client_id).json() == old
    assert ask(cloud, session, client_id=second.client_id, resource=DATABRICKS_RESOURCE).json() != old
    assert abs(int(ask(cloud, session).json()["expires_on"]) - time.time() - 3900) < 5


def test_tokens_of_one_identity_expire_and_the_others_do_not(cloud: Cloud) -> None:
    second = cloud.add_identity("second")
    resources = (DEVOPS_RESOURCE, EXCHANGE_RESOURCE)
    first_tokens, second_tokens = (
        [identity.token(resource) for resource in resources] for identity in (cloud.identity, second)
    )
    second.expire_tokens()
    for token in first_tokens:
        assert cloud._authority.claims(token)
    for token in second_tokens:
        with pytest.raises(jwt.ExpiredSignatureError):
            cloud._authority.claims(token)


def test_a_fault_can_strike_one_identity_alone(cloud: Cloud, session: requests.Session) -> None:
    second = cloud.add_identity("second")
    cloud.inject(Fault(faults.status(500), service="identity", client_id=second.client_id))
    assert ask(cloud, session, client_id=second.client_id).status_code == 500
    assert ask(cloud, session, client_id=cloud.identity.client_id).status_code == 200
    assert ask(cloud, session).status_code == 200


def test_nothing_lets_a_further_identity_in(cloud: Cloud, session: requests.Session) -> None:
    second = cloud.add_identity("second")
    cloud.devops.repository("contoso", "p", "r")
    cloud.keyvault("contoso").set("oauth", "value")
    workspace = cloud.workspace("adb-1111111111111111.1.azuredatabricks.net")
    urls = {
        DEVOPS_RESOURCE: "https://dev.azure.com/contoso/p/_apis/git/repositories/r",
        DATABRICKS_RESOURCE: f"{workspace.url}/api/2.0/preview/scim/v2/Me",
        "https://vault.azure.net": "https://contoso.vault.azure.net/secrets/oauth",
    }
    statuses = {
        session.get(
            url,
            headers={
                "Authorization": f"Bearer {second.token(resource)}",
                "X-TFS-FedAuthRedirect": "Suppress",
            },
            timeout=10,
        ).status_code
        for resource, url in urls.items()
    }
    assert statuses == {401, 403}
