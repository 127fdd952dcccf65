import os
import time

import jwt
import pytest
import requests
from azure.core.exceptions import HttpResponseError
from azure.identity import ManagedIdentityCredential

from localcloud import Cloud
from localcloud.authority import DEVOPS_RESOURCE

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
