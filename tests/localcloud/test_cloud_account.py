import pytest
import requests
from databricks.sdk import AccountClient, WorkspaceClient
from databricks.sdk.errors import (
    BadRequest,
    InvalidParameterValue,
    NotFound,
    PermissionDenied,
    ResourceConflict,
)
from databricks.sdk.service.iam import (
    GrantRule,
    PermissionAssignment,
    RuleSetUpdateRequest,
    WorkspacePermission,
)
from databricks.sdk.service.oauth2 import FederationPolicy, OidcFederationPolicy

from localcloud import Cloud
from localcloud.authority import (
    DATABRICKS_RESOURCE,
    DEVOPS_RESOURCE,
    EXCHANGE_AUDIENCE,
    EXCHANGE_RESOURCE,
    TENANT,
    entra_v2,
)
from localcloud.databricks.account import AccountPrincipal
from localcloud.databricks.workspace import Workspace
from localcloud.identity import Identity
from localcloud.people import Person
from localcloud.rest import Rest, error_of

HOST = "https://accounts.azuredatabricks.net"
NUMBER = 1111111111111111
USER = [WorkspacePermission.USER]


@pytest.fixture
def principal(cloud: Cloud) -> AccountPrincipal:
    return cloud.account.create("git-refresh")


def get(session: requests.Session, path: str, token: str) -> requests.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return session.get(f"{HOST}/api/2.0/accounts/{path}", headers=headers, timeout=10)


# Permissions


def test_account_admins_alone_may(cloud: Cloud, session: requests.Session, ada: Person, bob: Person) -> None:
    path = f"{cloud.account.id}/workspaces"
    assert get(session, path, ada.token(DATABRICKS_RESOURCE)).ok
    assert error_of(get(session, path, bob.token(DATABRICKS_RESOURCE))) == (
        403,
        "PERMISSION_DENIED",
        "This API is disabled for users without account admin status.",
    )
    assert get(session, path, "").status_code == 401
    for bad in ("garbage", ada.token(DEVOPS_RESOURCE)):
        assert error_of(get(session, path, bad)) == (403, 403, "Invalid access token.")
    ada.token_lifetime = -1
    assert "token expired" in error_of(get(session, path, ada.token(DATABRICKS_RESOURCE)))[2]


def test_there_is_one_account(session: requests.Session, ada: Person) -> None:
    answer = get(session, f"{TENANT}/workspaces", ada.token(DATABRICKS_RESOURCE))
    assert error_of(answer)[:2] == (404, "RESOURCE_DOES_NOT_EXIST")
    headers = {"Authorization": f"Bearer {ada.token(DATABRICKS_RESOURCE)}"}
    unknown = session.get(f"{HOST}/api/2.0/nothing", headers=headers, timeout=10)
    assert error_of(unknown)[:2] == (404, "ENDPOINT_NOT_FOUND")


# Principals and workspaces


def test_lists_workspaces_by_the_number_in_their_names(
    cloud: Cloud, account: AccountClient, session: requests.Session
) -> None:
    cloud.workspace("adb-0000000000000007.7.azuredatabricks.net")
    found = {each.workspace_id: each.deployment_name for each in account.workspaces.list()}
    assert found == {NUMBER: f"adb-{NUMBER}.1", 7: "adb-0000000000000007.7"}
    known = session.get(
        f"https://adb-{NUMBER}.1.azuredatabricks.net/.well-known/databricks-config", timeout=10
    )
    assert (known.json()["workspace_id"], known.json()["account_id"]) == (str(NUMBER), cloud.account.id)


# Assignments


def test_another_assignment_replaces_it_and_an_empty_one_deletes_it(
    session: requests.Session, workspace: Workspace, account: AccountClient, principal: AccountPrincipal
) -> None:
    account.workspace_assignment.update(NUMBER, principal.id, permissions=[WorkspacePermission.ADMIN])
    api = Rest(session, workspace, workspace.service_principal(principal.client_id, "secret"))
    assert groups(api) == ["users", "admins"]
    account.workspace_assignment.update(NUMBER, principal.id, permissions=USER)
    assert groups(api) == ["users"]
    assert api("GET", "/git-credentials").ok
    several: list[list[WorkspacePermission] | None] = [[], None]
    for nothing in several:
        account.workspace_assignment.update(NUMBER, principal.id, permissions=nothing)
        assert error_of(api("GET", "/git-credentials"))[2].startswith("Unauthorized access to Org")
        names = [each.principal and each.principal.principal_id for each in listed(account)]
        assert principal.id not in names
        account.workspace_assignment.update(NUMBER, principal.id, permissions=USER)
        assert api("GET", "/git-credentials").ok


def groups(api: Rest) -> list[str]:
    return [each["display"] for each in api("GET", "/preview/scim/v2/Me").json()["groups"]]


def listed(account: AccountClient) -> list[PermissionAssignment]:
    return list(account.workspace_assignment.list(NUMBER))


def test_neither_end_of_an_assignment_may_be_unknown(
    account: AccountClient, principal: AccountPrincipal
) -> None:
    with pytest.raises(NotFound):
        account.workspace_assignment.update(NUMBER, 5, permissions=USER)
    with pytest.raises(NotFound):
        account.workspace_assignment.update(5, principal.id, permissions=USER)


def test_reads_of_assignments_lag_behind_writes(
    workspace: Workspace, account: AccountClient, admin: WorkspaceClient, principal: AccountPrincipal
) -> None:
    workspace.lag = 60
    account.workspace_assignment.update(NUMBER, principal.id, permissions=USER)
    assert len(listed(account)) == 1
    with pytest.raises(NotFound):
        admin.service_principals.get(str(principal.id))
    workspace.lag = 0
    assert len(listed(account)) == 2


# Federation policies


def policy(identity: Identity, **changes: object) -> FederationPolicy:
    wanted: dict[str, object] = {
        "issuer": entra_v2(TENANT),
        "subject": identity.object_id,
        "audiences": [EXCHANGE_AUDIENCE],
    }
    return FederationPolicy(oidc_policy=OidcFederationPolicy.from_dict(wanted | changes))


def exchanged(
    session: requests.Session, workspace: Workspace, principal: AccountPrincipal, identity: Identity
) -> requests.Response:
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": identity.token(EXCHANGE_RESOURCE),
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "client_id": principal.client_id,
        "scope": "all-apis",
    }
    return session.post(f"{workspace.url}/oidc/v1/token", data=form, timeout=10)


def test_a_policy_lets_an_identity_in_wherever_its_principal_is(
    cloud: Cloud,
    session: requests.Session,
    workspace: Workspace,
    account: AccountClient,
    principal: AccountPrincipal,
) -> None:
    policies = account.service_principal_federation_policy
    assert "TOKEN_INVALID" in exchanged(session, workspace, principal, cloud.identity).text
    made = policies.create(principal.id, policy(cloud.identity), policy_id="git-refresh")
    assert made.policy_id == "git-refresh"
    assert made.name == (
        f"accounts/{cloud.account.id}/servicePrincipals/{principal.id}/federationPolicies/git-refresh"
    )
    refused = exchanged(session, workspace, principal, cloud.identity)
    assert error_of(refused) == (403, 403, f"Unauthorized access to Org: {NUMBER}")
    account.workspace_assignment.update(NUMBER, principal.id, permissions=USER)
    assert exchanged(session, workspace, principal, cloud.identity).json()["access_token"]
    other = cloud.add_identity("other")
    assert "TOKEN_SUBJECT_INVALID" in exchanged(session, workspace, principal, other).text


def test_a_policy_is_listed_read_and_deleted(
    cloud: Cloud, account: AccountClient, principal: AccountPrincipal
) -> None:
    policies = account.service_principal_federation_policy
    assert list(policies.list(principal.id)) == []
    made = policies.create(principal.id, policy(cloud.identity))
    (found,) = policies.list(principal.id)
    assert found == made == policies.get(principal.id, str(made.policy_id))
    assert found.oidc_policy == policy(cloud.identity).oidc_policy
    policies.delete(principal.id, str(made.policy_id))
    assert list(policies.list(principal.id)) == []
    with pytest.raises(NotFound):
        policies.get(principal.id, str(made.policy_id))
    with pytest.raises(NotFound):
        list(policies.list(5))


def test_a_policy_may_take_a_while_to_act_and_to_be_shown(
    cloud: Cloud,
    session: requests.Session,
    workspace: Workspace,
    account: AccountClient,
    principal: AccountPrincipal,
) -> None:
    account.workspace_assignment.update(NUMBER, principal.id, permissions=USER)
    cloud.account.policy_delay = cloud.account.lag = 60
    policies = account.service_principal_federation_policy
    policies.create(principal.id, policy(cloud.identity))
    assert list(policies.list(principal.id)) == []
    assert "TOKEN_INVALID" in exchanged(session, workspace, principal, cloud.identity).text
    cloud.account.lag = 0
    assert len(list(policies.list(principal.id))) == 1
    principal.policies[0].acts_from = 0
    assert exchanged(session, workspace, principal, cloud.identity).ok


def test_a_new_principal_is_shown_late(cloud: Cloud, account: AccountClient) -> None:
    cloud.account.lag = 60
    made = cloud.account.create("late")
    with pytest.raises(NotFound):
        account.service_principals_v2.get(str(made.id))
    cloud.account.lag = 0
    assert account.service_principals_v2.get(str(made.id)).display_name == "late"


def test_there_are_twenty_policies_at_most(
    cloud: Cloud, account: AccountClient, principal: AccountPrincipal
) -> None:
    policies = account.service_principal_federation_policy
    for number in range(20):
        policies.create(principal.id, policy(cloud.identity), policy_id=f"policy-{number}")
    with pytest.raises(BadRequest, match="At most 20"):
        policies.create(principal.id, policy(cloud.identity), policy_id="policy-20")
    with pytest.raises(ResourceConflict, match="policy-3 already exists"):
        policies.create(principal.id, policy(cloud.identity), policy_id="policy-3")


@pytest.mark.parametrize("wrong", ["Git_Refresh", "x" * 90])
def test_the_id_of_a_policy_is_plain(
    cloud: Cloud, account: AccountClient, principal: AccountPrincipal, wrong: str
) -> None:
    policies = account.service_principal_federation_policy
    with pytest.raises(InvalidParameterValue, match="Must contain only 0-9, a-z, and hyphen"):
        policies.create(principal.id, policy(cloud.identity), policy_id=wrong)


@pytest.mark.parametrize(
    "change", [{"issuer": "https://issuer.example"}, {"subject": ""}, {"subject_claim": "oid"}]
)
def test_a_policy_has_an_issuer_that_answers_and_a_subject(
    cloud: Cloud, account: AccountClient, principal: AccountPrincipal, change: dict[str, str]
) -> None:
    policies = account.service_principal_federation_policy
    with pytest.raises(InvalidParameterValue):
        policies.create(principal.id, policy(cloud.identity, **change))
    assert principal.policies == []


# Rule sets


def rules_of(cloud: Cloud, principal: AccountPrincipal) -> str:
    return f"accounts/{cloud.account.id}/servicePrincipals/{principal.client_id}/ruleSets/default"


def managed_by(*principals: str) -> list[GrantRule]:
    return [GrantRule(role="roles/servicePrincipal.manager", principals=list(principals))]


def test_only_a_reader_of_the_latest_rules_can_replace_them(
    cloud: Cloud, account: AccountClient, admin: WorkspaceClient, principal: AccountPrincipal
) -> None:
    name = rules_of(cloud, principal)
    empty = account.access_control.get_rule_set(name, "")
    assert empty.grant_rules == []
    update = RuleSetUpdateRequest(name=name, etag=empty.etag, grant_rules=managed_by("users/ada@contoso.com"))
    made = account.access_control.update_rule_set(name, update)
    assert (made.etag != empty.etag, made.grant_rules) == (True, update.grant_rules)
    assert admin.account_access_control_proxy.get_rule_set(name, str(made.etag)) == made
    with pytest.raises(ResourceConflict, match="not the latest"):
        account.access_control.update_rule_set(name, update)
    update.etag, update.grant_rules = made.etag, []
    assert admin.account_access_control_proxy.update_rule_set(name, update).grant_rules == []


def test_rules_are_refused(
    cloud: Cloud,
    account: AccountClient,
    someone: WorkspaceClient,
    principal: AccountPrincipal,
) -> None:
    name = rules_of(cloud, principal)
    with pytest.raises(PermissionDenied):
        someone.account_access_control_proxy.get_rule_set(name, "")
    for unknown in ("accounts/x", name.replace(principal.client_id, "nobody")):
        with pytest.raises(NotFound):
            account.access_control.get_rule_set(unknown, "")
    for etag in ("", None):
        wanted = RuleSetUpdateRequest.from_dict({"name": name, "etag": etag, "grant_rules": []})
        with pytest.raises(InvalidParameterValue):
            account.access_control.update_rule_set(name, wanted)
    with pytest.raises(InvalidParameterValue):
        account.api_client.do(
            "GET",
            f"/api/2.0/preview/accounts/{cloud.account.id}/access-control/rule-sets",
            query={"name": name},
        )


def test_another_principals_credential_needs_the_manager_role(
    cloud: Cloud, api: Rest, account: AccountClient
) -> None:
    api.workspace.ungranted = True
    other = api.workspace.service_principal("app-2", "secret")
    whose = {"principal_id": str(other.id)}
    refused = error_of(api("GET", "/git-credentials", params=whose))
    assert refused[:2] == (403, "PERMISSION_DENIED")
    assert api("GET", "/git-credentials", params={"principal_id": str(api.principal.id)}).ok
    assert other.account is not None
    name = rules_of(cloud, other.account)
    etag = str(account.access_control.get_rule_set(name, "").etag)
    rules = managed_by(f"servicePrincipals/{api.principal.client_id}")
    update = RuleSetUpdateRequest(name=name, etag=etag, grant_rules=rules)
    account.access_control.update_rule_set(name, update)
    assert api("GET", "/git-credentials", params=whose).ok


def test_a_principal_leaves_a_workspace_and_then_the_account(
    session: requests.Session, workspace: Workspace, account: AccountClient, principal: AccountPrincipal
) -> None:
    account.workspace_assignment.update(NUMBER, principal.id, permissions=USER)
    api = Rest(session, workspace, workspace.service_principal(principal.client_id, "secret"))
    assert api("GET", "/git-credentials").ok
    account.workspace_assignment.delete(NUMBER, principal.id)
    assert not api("GET", "/git-credentials").ok
    with pytest.raises(NotFound):
        account.workspace_assignment.delete(NUMBER, principal.id)
    account.workspace_assignment.update(NUMBER, principal.id, permissions=USER)
    account.service_principals.delete(str(principal.id))
    assert principal.id not in [each.principal and each.principal.principal_id for each in listed(account)]
    assert workspace.service_principals == []
    with pytest.raises(NotFound):
        account.service_principals.delete(str(principal.id))
