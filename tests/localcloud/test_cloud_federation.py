import jwt
import pytest
import requests
from databricks.sdk import WorkspaceClient

from localcloud import Cloud, Fault, faults
from localcloud.authority import (
    DEVOPS_RESOURCE,
    EXCHANGE_AUDIENCE,
    EXCHANGE_RESOURCE,
    TENANT,
    Authority,
    entra_v2,
)
from localcloud.databricks.federation import ACCOUNT_ID
from localcloud.databricks.sign_in import ServicePrincipal
from localcloud.databricks.workspace import Workspace
from localcloud.rest import error_of

CLIENT_ID = "5a1e0000-0000-4000-8000-00000000000f"
ISSUER = entra_v2(TENANT)


@pytest.fixture
def principal(cloud: Cloud, workspace: Workspace) -> ServicePrincipal:
    return workspace.federate(CLIENT_ID, issuer=ISSUER, subject=cloud.identity.object_id)


@pytest.fixture
def assertion(cloud: Cloud) -> str:
    return cloud.identity.token(EXCHANGE_RESOURCE)


def exchange(
    session: requests.Session, workspace: Workspace, token: str, **changes: str | None
) -> requests.Response:
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": token,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "client_id": CLIENT_ID,
        "scope": "all-apis",
    }
    return session.post(f"{workspace.url}/oidc/v1/token", data=form | changes, timeout=10)


def refused(answer: requests.Response) -> str:
    """Why a token was not exchanged."""
    body = answer.json()
    assert (answer.status_code, body["error"]) == (400, "invalid_grant")
    return str(body["error_description"]).removeprefix("Failed to process token: ")


@pytest.mark.usefixtures("principal")
def test_a_token_of_the_identity_becomes_one_of_the_service_principal(
    session: requests.Session, workspace: Workspace, assertion: str
) -> None:
    answer = exchange(session, workspace, assertion).json()
    token = answer.pop("access_token")
    assert answer == {
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "scope": "all-apis",
        "token_type": "Bearer",
        "expires_in": 3599,
    }
    headers = {"Authorization": f"Bearer {token}"}
    me = session.get(f"{workspace.url}/api/2.0/preview/scim/v2/Me", headers=headers, timeout=10)
    assert me.json()["userName"] == CLIENT_ID


@pytest.mark.usefixtures("principal")
def test_the_sdk_signs_in_with_it(
    monkeypatch: pytest.MonkeyPatch, workspace: Workspace, assertion: str
) -> None:
    monkeypatch.setenv("DATABRICKS_OIDC_TOKEN", assertion)
    client = WorkspaceClient(host=workspace.url, client_id=CLIENT_ID, auth_type="env-oidc")
    assert client.current_user.me().user_name == CLIENT_ID
    client.api_client._api_client._session.close()


@pytest.mark.usefixtures("principal")
def test_the_assertion_itself_opens_nothing(
    session: requests.Session, workspace: Workspace, assertion: str
) -> None:
    headers = {"Authorization": f"Bearer {assertion}"}
    me = session.get(f"{workspace.url}/api/2.0/preview/scim/v2/Me", headers=headers, timeout=10)
    assert error_of(me) == (403, 403, "Invalid access token.")


@pytest.mark.usefixtures("principal")
@pytest.mark.parametrize("client_id", [None, "", "5a1e0000-0000-4000-8000-00000000dead"])
def test_without_a_client_id_that_has_a_policy_there_is_none(
    cloud: Cloud, session: requests.Session, workspace: Workspace, assertion: str, client_id: str | None
) -> None:
    assert refused(exchange(session, workspace, assertion, client_id=client_id)) == (
        "TOKEN_INVALID (Ensure a valid federation policy has been configured). "
        f"Valid federation policy for provided token: {{issuer: '{ISSUER}', "
        f"subject: '{cloud.identity.object_id}', audience: '{EXCHANGE_AUDIENCE}'}}"
    )


def test_a_policy_just_written_does_not_act_yet(
    session: requests.Session, workspace: Workspace, principal: ServicePrincipal, assertion: str
) -> None:
    (policy,) = principal.policies
    policy.active = False
    assert refused(exchange(session, workspace, assertion)).startswith("TOKEN_INVALID (Ensure a valid")
    policy.active = True
    assert exchange(session, workspace, assertion).ok


@pytest.mark.usefixtures("principal")
def test_a_policy_is_one_workspaces_own(cloud: Cloud, session: requests.Session, assertion: str) -> None:
    other = cloud.workspace("adb-2222222222222222.2.azuredatabricks.net")
    assert refused(exchange(session, other, assertion)).startswith("TOKEN_INVALID")


def test_names_the_audiences_that_it_accepts(
    cloud: Cloud, session: requests.Session, workspace: Workspace, assertion: str
) -> None:
    subject = cloud.identity.object_id
    workspace.federate(CLIENT_ID, issuer=ISSUER, subject=subject, audiences=[EXCHANGE_RESOURCE])
    why = refused(exchange(session, workspace, assertion))
    assert why.startswith(f"TOKEN_AUDIENCE_INVALID (Token audience '{EXCHANGE_AUDIENCE}' invalid)")
    assert EXCHANGE_RESOURCE in why


def test_a_policy_without_audiences_expects_the_account(
    cloud: Cloud, session: requests.Session, workspace: Workspace, assertion: str
) -> None:
    workspace.federate(CLIENT_ID, issuer=ISSUER, subject=cloud.identity.object_id, audiences=[])
    assert ACCOUNT_ID in refused(exchange(session, workspace, assertion))


def test_names_the_subject_that_it_expects(
    cloud: Cloud, session: requests.Session, workspace: Workspace, assertion: str
) -> None:
    workspace.federate(CLIENT_ID, issuer=ISSUER, subject="somebody")
    assert refused(exchange(session, workspace, assertion)) == (
        f"TOKEN_SUBJECT_INVALID (Token subject '{cloud.identity.object_id}' invalid). "
        "Expected subject: 'somebody'"
    )


def test_one_of_several_policies_is_enough(
    cloud: Cloud, session: requests.Session, workspace: Workspace, principal: ServicePrincipal
) -> None:
    second = cloud.add_identity("second")
    token = second.token(EXCHANGE_RESOURCE)
    assert refused(exchange(session, workspace, token)).startswith("TOKEN_SUBJECT_INVALID")
    assert workspace.federate(CLIENT_ID, issuer=ISSUER, subject=second.object_id) is principal
    assert exchange(session, workspace, token).ok


def test_another_issuer_has_no_policy(
    cloud: Cloud, session: requests.Session, workspace: Workspace, assertion: str
) -> None:
    issuer = f"https://sts.windows.net/{TENANT}/"
    workspace.federate(CLIENT_ID, issuer=issuer, subject=cloud.identity.object_id)
    assert refused(exchange(session, workspace, assertion)).startswith("TOKEN_INVALID (Ensure")


@pytest.mark.usefixtures("principal")
@pytest.mark.parametrize("kind", ["garbage", "signed by somebody else", "lapsed", "for something else"])
def test_does_not_exchange_a_bad_token(
    cloud: Cloud, session: requests.Session, workspace: Workspace, kind: str
) -> None:
    subject = {"sub": cloud.identity.object_id}
    if kind == "lapsed":
        cloud.identity.token_lifetime = -1
    token, code = {
        "garbage": ("garbage", "TOKEN_INVALID"),
        "signed by somebody else": (
            Authority().issue(ISSUER, EXCHANGE_AUDIENCE, 60, subject),
            "TOKEN_INVALID",
        ),
        "lapsed": (cloud.identity.token(EXCHANGE_RESOURCE), "TOKEN_EXPIRED"),
        "for something else": (cloud.identity.token(DEVOPS_RESOURCE), "TOKEN_INVALID"),
    }[kind]
    assert refused(exchange(session, workspace, token)).startswith(code)


def test_a_principal_without_rights_in_the_workspace_is_forbidden(
    session: requests.Session, workspace: Workspace, principal: ServicePrincipal, assertion: str
) -> None:
    token = exchange(session, workspace, assertion).json()["access_token"]
    principal.assigned = False
    expected = (403, 403, "Unauthorized access to Org: 1111111111111111")
    assert error_of(exchange(session, workspace, assertion)) == expected
    headers = {"Authorization": f"Bearer {token}"}
    me = session.get(f"{workspace.url}/api/2.0/preview/scim/v2/Me", headers=headers, timeout=10)
    assert error_of(me) == expected


@pytest.mark.usefixtures("principal")
@pytest.mark.parametrize(
    ("changes", "code"),
    [({"scope": "sql"}, "invalid_scope"), ({"subject_token_type": "jwt"}, "invalid_request")],
)
def test_refuses_other_scopes_and_kinds_of_token(
    session: requests.Session, workspace: Workspace, assertion: str, changes: dict[str, str], code: str
) -> None:
    answer = exchange(session, workspace, assertion, **changes)
    assert (answer.status_code, answer.json()["error"]) == (400, code)


@pytest.mark.usefixtures("principal")
def test_a_fault_can_strike_one_client_id_of_a_form(
    cloud: Cloud, session: requests.Session, workspace: Workspace, assertion: str
) -> None:
    cloud.inject(Fault(faults.status(503), client_id=CLIENT_ID))
    assert exchange(session, workspace, assertion).status_code == 503
    assert exchange(session, workspace, assertion, client_id="another").status_code == 400


def test_an_assertion_names_its_subject_and_audience(cloud: Cloud, assertion: str) -> None:
    claims = jwt.decode(assertion, options={"verify_signature": False})
    assert (claims["iss"], claims["aud"]) == (ISSUER, "fb60f99c-7a34-4190-8149-302f77469936")
    assert claims["sub"] == claims["oid"] == cloud.identity.object_id
    assert (claims["tid"], claims["azp"]) == (TENANT, cloud.identity.client_id)
