import pytest
import requests

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
    """Return the error of a refused exchange."""
    body = answer.json()
    assert (answer.status_code, body["error"]) == (400, "invalid_grant")
    return str(body["error_description"]).removeprefix("Failed to process token: ")


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


@pytest.mark.usefixtures("principal")
def test_a_policy_is_one_workspaces_own(cloud: Cloud, session: requests.Session, assertion: str) -> None:
    other = cloud.workspace("adb-2222222222222222.2.azuredatabricks.net")
    assert refused(exchange(session, other, assertion)).startswith("TOKEN_INVALID")


def test_a_policy_without_audiences_expects_the_account(
    cloud: Cloud, session: requests.Session, workspace: Workspace, assertion: str
) -> None:
    workspace.federate(CLIENT_ID, issuer=ISSUER, subject=cloud.identity.object_id, audiences=[])
    assert ACCOUNT_ID in refused(exchange(session, workspace, assertion))


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
