import jwt
import pytest
import requests

from localcloud import Cloud
from localcloud.authority import (
    DEVOPS_RESOURCE,
    EXCHANGE_AUDIENCE,
    EXCHANGE_RESOURCE,
    OTHER_TENANT,
    TENANT,
    Authority,
    entra_v2,
)
from localcloud.identity import Identity
from localcloud.login import AppRegistration

SCOPE = f"{DEVOPS_RESOURCE}/.default"
LOGIN = "https://login.microsoftonline.com"
ISSUER = entra_v2(TENANT)


@pytest.fixture
def identity(cloud: Cloud) -> Identity:
    return cloud.add_identity("finance")


@pytest.fixture
def application(cloud: Cloud, identity: Identity) -> AppRegistration:
    made = cloud.app_registration("git-refresh")
    made.trust(identity.object_id)
    made.consent(OTHER_TENANT)
    return made


def ask(
    session: requests.Session,
    application: AppRegistration,
    assertion: str,
    tenant_id: str = OTHER_TENANT,
    /,
    **changes: str | None,
) -> requests.Response:
    form = {
        "grant_type": "client_credentials",
        "client_id": application.client_id,
        "client_assertion": assertion,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "scope": SCOPE,
    }
    return session.post(f"{LOGIN}/{tenant_id}/oauth2/v2.0/token", data=form | changes, timeout=10)


def refused(answer: requests.Response) -> tuple[int, str, int]:
    """Return status, kind and AADSTS code."""
    body = answer.json()
    assert set(body) >= {"timestamp", "trace_id", "correlation_id"}
    (code,) = body["error_codes"]
    assert body["error_description"].startswith(f"AADSTS{code}: ")
    return answer.status_code, body["error"], code


@pytest.mark.parametrize("resource", [EXCHANGE_RESOURCE, DEVOPS_RESOURCE])
def test_publishes_the_keys_that_verify_an_identity_s_tokens(
    cloud: Cloud, session: requests.Session, resource: str
) -> None:
    configuration = session.get(f"{ISSUER}/.well-known/openid-configuration", timeout=10).json()
    assert configuration["issuer"] == ISSUER
    assert configuration["token_endpoint"] == f"{LOGIN}/{TENANT}/oauth2/v2.0/token"
    keys = jwt.PyJWKSet.from_dict(session.get(configuration["jwks_uri"], timeout=10).json())
    token = cloud.identity.token(resource)
    key = keys[jwt.get_unverified_header(token)["kid"]]
    audience = EXCHANGE_AUDIENCE if resource == EXCHANGE_RESOURCE else resource
    assert jwt.decode(token, key, audience=audience)["oid"] == cloud.identity.object_id


def test_the_home_tenant_needs_no_consent(
    cloud: Cloud, session: requests.Session, identity: Identity
) -> None:
    application = cloud.app_registration("git-refresh")
    application.trust(identity.object_id)
    assert cloud.app_registration("git-refresh") is application
    assert ask(session, application, identity.token(EXCHANGE_RESOURCE), TENANT).ok


def test_an_unregistered_application_is_unknown(
    session: requests.Session, identity: Identity, application: AppRegistration
) -> None:
    answer = ask(session, application, identity.token(EXCHANGE_RESOURCE), client_id="nobody")
    assert refused(answer) == (400, "unauthorized_client", 700016)


@pytest.mark.parametrize(
    ("credential", "code"),
    [
        ({"issuer": "https://sts.windows.net/72f988bf-0000-4000-8000-2d7cd011db47/"}, 700211),
        ({"subject": "upper"}, 7002138),
        ({"audience": EXCHANGE_AUDIENCE}, 700214),
    ],
)
def test_a_credential_must_be_written_to_the_letter(
    cloud: Cloud, session: requests.Session, identity: Identity, credential: dict[str, str], code: int
) -> None:
    application = cloud.app_registration("git-refresh")
    subject = identity.object_id.upper() if credential.pop("subject", None) else identity.object_id
    application.trust(subject, **credential)
    answer = ask(session, application, identity.token(EXCHANGE_RESOURCE), TENANT)
    assert refused(answer) == (401, "invalid_client", code)


def test_an_assertion_is_for_this_exchange_and_nothing_else(
    cloud: Cloud, session: requests.Session, identity: Identity, application: AppRegistration
) -> None:
    token = cloud._authority.issue(ISSUER, DEVOPS_RESOURCE, 60, {"sub": identity.object_id})
    assert refused(ask(session, application, token))[2] == 700212


@pytest.mark.parametrize(
    ("kind", "code"), [("garbage", 700027), ("signed by somebody else", 700027), ("lapsed", 700024)]
)
def test_does_not_take_a_bad_assertion(
    session: requests.Session, identity: Identity, application: AppRegistration, kind: str, code: int
) -> None:
    if kind == "lapsed":
        identity.token_lifetime = -1
    assertion = {
        "garbage": "garbage",
        "signed by somebody else": Authority().issue(
            ISSUER, EXCHANGE_AUDIENCE, 60, {"sub": identity.object_id}
        ),
        "lapsed": identity.token(EXCHANGE_RESOURCE),
    }[kind]
    assert refused(ask(session, application, assertion)) == (401, "invalid_client", code)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"client_assertion_type": None}, (401, "invalid_client", 7000216)),
        ({"grant_type": "password"}, (400, "unsupported_grant_type", 70003)),
        ({"scope": "https://nowhere.contoso.com/.default"}, (400, "invalid_resource", 500011)),
    ],
)
def test_refuses_other_ways_to_sign_in(
    session: requests.Session,
    identity: Identity,
    application: AppRegistration,
    changes: dict[str, str | None],
    expected: tuple[int, str, int],
) -> None:
    assert refused(ask(session, application, identity.token(EXCHANGE_RESOURCE), **changes)) == expected
