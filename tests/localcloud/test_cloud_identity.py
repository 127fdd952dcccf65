import os

import jwt
import pytest
import requests

from localcloud import Cloud
from localcloud.authority import DEVOPS_RESOURCE, EXCHANGE_RESOURCE


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
