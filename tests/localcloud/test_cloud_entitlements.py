import uuid
from collections.abc import Callable
from typing import Any

import pytest
import requests

from localcloud import Cloud
from localcloud.authority import DEVOPS_RESOURCE, OTHER_TENANT
from localcloud.devops.organization import Organization, Status
from localcloud.devops.repository import Repository
from localcloud.identity import Identity
from localcloud.people import Person

PREVIEW = {"api-version": "7.1-preview.1"}
ENTITLEMENTS = "https://vsaex.dev.azure.com/contoso/_apis/serviceprincipalentitlements"
GRAPH = "https://vssps.dev.azure.com/contoso/_apis/graph"
PROJECTS = "https://dev.azure.com/contoso/_apis/projects"

type Call = Callable[..., requests.Response]


@pytest.fixture
def organization(cloud: Cloud, repository: Repository) -> Organization:
    cloud.devops.repository("contoso", "Finance", "books")
    return cloud.devops.organization(repository.organization)


@pytest.fixture
def newcomer(cloud: Cloud) -> Identity:
    return cloud.add_identity("newcomer")


def calling(session: requests.Session, token: str) -> Call:
    def call(method: str, url: str, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}", "X-TFS-FedAuthRedirect": "Suppress"}
        query = PREVIEW | options.pop("params", {})
        headers |= options.pop("headers", {})
        return session.request(method, url, params=query, headers=headers, timeout=10, **options)

    return call


@pytest.fixture
def call(session: requests.Session, ada: Person, organization: Organization) -> Call:
    """Call the API as the organization's admin."""
    assert organization.administers(ada.object_id)
    return calling(session, ada.token(DEVOPS_RESOURCE))


@pytest.fixture
def call_as_bob(session: requests.Session, bob: Person, organization: Organization) -> Call:
    assert not organization.administers(bob.object_id)
    return calling(session, bob.token(DEVOPS_RESOURCE))


def project_id(call: Call, name: str = "Data Platform") -> str:
    return str(call("GET", f"{PROJECTS}/{name}").json()["id"])


def wanted(object_id: str, *projects: str, license_type: str = "express") -> dict[str, Any]:
    reader = {"groupType": "projectReader"}
    return {
        "accessLevel": {"accountLicenseType": license_type},
        "servicePrincipal": {"origin": "aad", "originId": object_id, "subjectKind": "servicePrincipal"},
        "projectEntitlements": [{"group": reader, "projectRef": {"id": each}} for each in projects],
    }


def let_in(call: Call, identity: Identity, *projects: str, **changes: str) -> dict[str, Any]:
    body: dict[str, Any] = call(
        "POST", ENTITLEMENTS, json=wanted(identity.object_id, *projects, **changes)
    ).json()
    assert body["isSuccess"], body
    return body


def refusal(answer: requests.Response) -> tuple[int, str]:
    """Return number and text of a refusal with status 200."""
    body = answer.json()
    assert (answer.status_code, body["isSuccess"]) == (200, False)
    result = body.get("operationResult") or body["operationResults"][0]
    (error,) = result["errors"]
    assert (result["isSuccess"], body["servicePrincipalEntitlement"]) == (False, None)
    return error["key"], error["value"]


def failure(answer: requests.Response) -> tuple[int, str, str]:
    body = answer.json()
    return answer.status_code, body["typeKey"], body["message"]


def reads(session: requests.Session, identity: Identity, project: str, repository: str) -> tuple[int, str]:
    """Return the status and text of reading a repository's refs with the identity's token."""
    call = calling(session, identity.token(DEVOPS_RESOURCE))
    url = f"https://dev.azure.com/contoso/{project}/_apis/git/repositories/{repository}/refs"
    answer = call("GET", url, params={"api-version": "7.1"})
    return answer.status_code, answer.json().get("typeKey", "")


def descriptor_of(call: Call, identity: Identity) -> str:
    every = call("GET", f"{GRAPH}/serviceprincipals").json()["value"]
    (found,) = [each["descriptor"] for each in every if each["originId"] == identity.object_id]
    return str(found)


def readers_of(call: Call, name: str = "Data Platform") -> str:
    scope = call("GET", f"{GRAPH}/descriptors/{project_id(call, name)}").json()["value"]
    groups = call("GET", f"{GRAPH}/groups", params={"scopeDescriptor": scope}).json()["value"]
    (found,) = [each["descriptor"] for each in groups if each["principalName"] == f"[{name}]\\Readers"]
    return str(found)


# Projects


def test_a_project_is_found_by_name_in_any_letter_case_and_by_id(call: Call) -> None:
    found = call("GET", f"{PROJECTS}/data platform").json()
    assert (found["name"], found["state"]) == ("Data Platform", "wellFormed")
    assert call("GET", f"{PROJECTS}/{found['id']}").json() == found
    legacy = "https://contoso.visualstudio.com/_apis/projects/Data%20Platform"
    assert call("GET", legacy).json() == found


def test_an_unknown_project_is_named_by_name_or_id(call: Call) -> None:
    status, kind, message = failure(call("GET", f"{PROJECTS}/Nothing"))
    assert (status, kind) == (404, "ProjectDoesNotExistWithNameException")
    assert message.startswith("TF200016: The following project does not exist: Nothing.")
    unknown = str(uuid.uuid4())
    assert failure(call("GET", f"{PROJECTS}/{unknown}"))[:2] == (404, "ProjectDoesNotExistException")


def test_an_invisible_project_is_unknown(session: requests.Session, call: Call, newcomer: Identity) -> None:
    let_in(call, newcomer, project_id(call, "Finance"))
    own = calling(session, newcomer.token(DEVOPS_RESOURCE))
    assert own("GET", f"{PROJECTS}/Finance").ok
    assert failure(own("GET", f"{PROJECTS}/Data Platform"))[1] == "ProjectDoesNotExistWithNameException"


# Adding members


def test_an_entitlement_lets_an_identity_read_its_projects_and_no_other(
    session: requests.Session, call: Call, newcomer: Identity
) -> None:
    assert reads(session, newcomer, "Data Platform", "etl") == (401, "UnauthorizedRequestException")
    body = let_in(call, newcomer, project_id(call))
    entitlement = body["servicePrincipalEntitlement"]
    assert body["operationResult"]["result"] == entitlement
    assert body["operationResult"]["errors"] == []
    assert entitlement["servicePrincipal"]["originId"] == newcomer.object_id
    assert entitlement["accessLevel"]["licenseDisplayName"] == "Basic"
    assert reads(session, newcomer, "Data Platform", "etl") == (200, "")
    assert reads(session, newcomer, "Finance", "books") == (404, "ProjectDoesNotExistException")


def test_a_clone_ends_where_the_rights_end(session: requests.Session, call: Call, newcomer: Identity) -> None:
    let_in(call, newcomer, project_id(call))
    own = calling(session, newcomer.token(DEVOPS_RESOURCE))
    clone = "/info/refs?service=git-upload-pack"
    assert own("GET", f"https://dev.azure.com/contoso/Data%20Platform/_git/etl{clone}").ok
    assert own("GET", f"https://dev.azure.com/contoso/Finance/_git/books{clone}").status_code == 404
    push = "https://dev.azure.com/contoso/Data%20Platform/_git/etl/info/refs?service=git-receive-pack"
    assert own("GET", push).status_code == 403


def test_a_contributor_of_one_project_pushes_there(
    session: requests.Session, call: Call, newcomer: Identity
) -> None:
    body = wanted(newcomer.object_id, project_id(call))
    body["projectEntitlements"][0]["group"]["groupType"] = "projectContributor"
    entitled = call("POST", ENTITLEMENTS, json=body).json()["servicePrincipalEntitlement"]
    assert entitled["projectEntitlements"][0]["group"]["groupType"] == "projectContributor"
    own = calling(session, newcomer.token(DEVOPS_RESOURCE))
    push = "https://dev.azure.com/contoso/Data%20Platform/_git/etl/info/refs?service=git-receive-pack"
    assert own("GET", push).ok


def test_a_stakeholder_sees_no_repository(session: requests.Session, call: Call, newcomer: Identity) -> None:
    let_in(call, newcomer, project_id(call), license_type="stakeholder")
    assert reads(session, newcomer, "Data Platform", "etl") == (404, "GitRepositoryNotFoundException")


def test_a_member_added_manually_reads_everything_and_is_listed_so(
    cloud: Cloud, session: requests.Session, call: Call
) -> None:
    assert reads(session, cloud.identity, "Finance", "books") == (200, "")
    subject = descriptor_of(call, cloud.identity)
    assert call("HEAD", f"{GRAPH}/memberships/{subject}/{readers_of(call, 'Finance')}").ok
    key = call("GET", f"{GRAPH}/storagekeys/{subject}").json()["value"]
    shown = call("GET", f"{ENTITLEMENTS}/{key}").json()["projectEntitlements"]
    assert [each["projectRef"]["name"] for each in shown] == ["Data Platform", "Finance"]


def test_adding_a_member_again_takes_nothing_away(call: Call, newcomer: Identity) -> None:
    let_in(call, newcomer, project_id(call), license_type="advanced")
    again = let_in(call, newcomer, project_id(call, "Finance"), license_type="stakeholder")
    entitlement = again["servicePrincipalEntitlement"]
    assert entitlement["accessLevel"]["accountLicenseType"] == "advanced"
    assert len(entitlement["projectEntitlements"]) == 2


def test_only_an_administrator_adds_users(call: Call, call_as_bob: Call, newcomer: Identity) -> None:
    body = wanted(newcomer.object_id, project_id(call))
    assert refusal(call_as_bob("POST", ENTITLEMENTS, json=body)) == (
        5032,
        "Access Denied: bob@contoso.com needs the following permission(s) on the resource Users to perform this action: Add Users",
    )


def test_what_is_no_object_id_of_the_tenant_cannot_be_added(
    cloud: Cloud, call: Call, newcomer: Identity
) -> None:
    abroad = cloud.app_registration("git-refresh").consent(OTHER_TENANT)
    for wrong in (newcomer.client_id, abroad, str(uuid.uuid4())):
        _, text = refusal(call("POST", ENTITLEMENTS, json=wanted(wrong)))
        assert text == f"Failed to create service principal with object ID '{wrong}'"


def test_there_may_be_no_license_left(call: Call, organization: Organization, newcomer: Identity) -> None:
    organization.licenses = 2  # the admin's and the app's own
    number, text = refusal(call("POST", ENTITLEMENTS, json=wanted(newcomer.object_id)))
    assert number == 5005
    assert text.startswith("Failed to assign license Account-Express to identity with id ")
    assert let_in(call, newcomer, license_type="stakeholder")
    assert refusal(call("POST", ENTITLEMENTS, json=wanted(newcomer.object_id)))[0] == 5005
    organization.licenses = 3
    assert let_in(call, newcomer)
    assert let_in(call, newcomer, license_type="advanced"), "it has one already"


@pytest.mark.parametrize(
    "change",
    [
        {"accessLevel": {"accountLicenseType": "basic"}},
        {"projectEntitlements": [{"group": {"groupType": "projectReader"}, "projectRef": {"id": "x"}}]},
    ],
)
def test_what_is_asked_for_has_to_exist(call: Call, newcomer: Identity, change: dict[str, Any]) -> None:
    assert call("POST", ENTITLEMENTS, json=wanted(newcomer.object_id) | change).status_code == 400


@pytest.mark.parametrize("body", [b"", b"{", b"[]"])
def test_what_is_asked_for_is_a_json_object(call: Call, body: bytes) -> None:
    assert call("POST", ENTITLEMENTS, data=body).status_code == 400


# Changing and reading an entitlement


def test_a_patch_adds_a_project(call: Call, newcomer: Identity) -> None:
    key = let_in(call, newcomer)["servicePrincipalEntitlement"]["id"]
    value = wanted(newcomer.object_id, project_id(call))["projectEntitlements"][0]
    headers = {"Content-Type": "application/json-patch+json"}
    operations = [{"op": "add", "path": "/projectEntitlements", "value": value}]
    assert call("PATCH", f"{ENTITLEMENTS}/{key}", json=operations, headers=headers).json()["isSuccess"]
    (shown,) = call("GET", f"{ENTITLEMENTS}/{key}").json()["projectEntitlements"]
    assert (shown["projectRef"]["name"], shown["group"]["groupType"]) == ("Data Platform", "projectReader")


def test_a_patch_is_refused(
    call: Call, call_as_bob: Call, organization: Organization, newcomer: Identity
) -> None:
    key = let_in(call, newcomer, license_type="stakeholder")["servicePrincipalEntitlement"]["id"]
    url = f"{ENTITLEMENTS}/{key}"
    operation = {"op": "replace", "path": "/accessLevel", "value": {"accountLicenseType": "express"}}
    headers = {"Content-Type": "application/json-patch+json"}
    plain = failure(call("PATCH", url, json=[operation]))
    assert plain[:2] == (415, "VssRequestContentTypeNotSupportedException")
    assert refusal(call_as_bob("PATCH", url, json=[operation], headers=headers))[0] == 5032
    organization.licenses = 0
    assert refusal(call("PATCH", url, json=[operation], headers=headers))[0] == 5005
    unknown = f"{ENTITLEMENTS}/{uuid.uuid4()}"
    assert call("PATCH", unknown, json=[operation], headers=headers).status_code == 404
    wrong: list[object] = [[], [operation | {"op": "remove"}], {}]
    for body in wrong:
        assert call("PATCH", url, json=body, headers=headers).status_code == 400


def test_who_is_no_service_principal_has_no_entitlement_of_one(
    call: Call, organization: Organization, ada: Person
) -> None:
    for key in (organization.storage_key(ada.object_id), str(uuid.uuid4())):
        assert failure(call("GET", f"{ENTITLEMENTS}/{key}"))[:2] == (404, "MemberNotFoundException")


# Members and groups


def test_a_list_is_in_pages(cloud: Cloud, call: Call, newcomer: Identity) -> None:
    let_in(call, newcomer)
    cloud.devops.page = 1
    first = call("GET", f"{GRAPH}/serviceprincipals")
    more = first.headers["X-MS-ContinuationToken"]
    second = call("GET", f"{GRAPH}/serviceprincipals", params={"continuationToken": more})
    names = {answer.json()["value"][0]["displayName"] for answer in (first, second)}
    assert names == {"newcomer", "contoso-git-refresh"}
    assert "X-MS-ContinuationToken" not in second.headers


def test_a_membership_of_readers_lets_read(session: requests.Session, call: Call, newcomer: Identity) -> None:
    let_in(call, newcomer)
    assert reads(session, newcomer, "Data Platform", "etl") == (404, "ProjectDoesNotExistException")
    subject, readers = descriptor_of(call, newcomer), readers_of(call)
    membership = f"{GRAPH}/memberships/{subject}/{readers}"
    assert call("HEAD", membership).status_code == 404
    assert failure(call("GET", membership))[:2] == (404, "GraphMembershipNotFoundException")
    for _ in range(2):
        added = call("PUT", membership)
        assert (added.status_code, added.json()["memberDescriptor"]) == (201, subject)
    assert call("HEAD", membership).status_code == 200
    assert call("GET", membership).json()["containerDescriptor"] == readers
    assert reads(session, newcomer, "Data Platform", "etl") == (200, "")
    up = call("GET", f"{GRAPH}/memberships/{subject}", params={"direction": "up"}).json()["value"]
    assert [each["containerDescriptor"] for each in up] == [readers]
    down = call("GET", f"{GRAPH}/memberships/{readers}", params={"direction": "down"}).json()["value"]
    assert subject in [each["memberDescriptor"] for each in down]


def test_only_an_administrator_changes_memberships(call: Call, call_as_bob: Call, newcomer: Identity) -> None:
    let_in(call, newcomer)
    subject, readers = descriptor_of(call, newcomer), readers_of(call)
    assert call_as_bob("HEAD", f"{GRAPH}/memberships/{subject}/{readers}").status_code == 404
    status, _, message = failure(call_as_bob("PUT", f"{GRAPH}/memberships/{subject}/{readers}"))
    assert status == 403
    assert message.startswith("TF50309: The following account does not have sufficient permissions")
    assert "bob@contoso.com" in message


def test_who_was_added_by_hand_and_is_put_into_a_group_keeps_the_rest(cloud: Cloud, call: Call) -> None:
    subject = descriptor_of(call, cloud.identity)
    groups = call("GET", f"{GRAPH}/groups").json()["value"]
    (administrators,) = [
        each["descriptor"] for each in groups if each["displayName"] == "Project Collection Administrators"
    ]
    assert call("PUT", f"{GRAPH}/memberships/{subject}/{administrators}").status_code == 201
    assert call("HEAD", f"{GRAPH}/memberships/{subject}/{readers_of(call)}").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "serviceprincipals/aadsp.x",
        "storagekeys/aadsp.x",
        f"descriptors/{uuid.UUID(int=5)}",
        "memberships/aadsp.x",
        "groups?scopeDescriptor=scp.x",
    ],
)
def test_an_unknown_subject_is_not_found(call: Call, path: str) -> None:
    assert failure(call("GET", f"{GRAPH}/{path}"))[:2] == (404, "GraphSubjectNotFoundException")


def test_neither_end_of_a_new_membership_may_be_unknown(call: Call, newcomer: Identity) -> None:
    let_in(call, newcomer)
    subject, readers = descriptor_of(call, newcomer), readers_of(call)
    for pair in (f"{subject}/vssgp.x", f"aadsp.x/{readers}"):
        assert call("PUT", f"{GRAPH}/memberships/{pair}").status_code == 404


def test_a_person_who_is_no_member_reads_nothing(
    cloud: Cloud, session: requests.Session, organization: Organization
) -> None:
    stranger = cloud.person("eve")
    call = calling(session, stranger.token(DEVOPS_RESOURCE))
    for method, url in [
        ("GET", f"{GRAPH}/serviceprincipals"),
        ("GET", f"{PROJECTS}/Finance"),
        ("POST", ENTITLEMENTS),
    ]:
        answer = call(method, url)
        assert answer.status_code == 401
        assert answer.json()["message"].startswith("TF401444")
    assert organization.member(stranger.object_id) is None


def test_without_a_good_token_there_is_401_or_the_sign_in_page(session: requests.Session, call: Call) -> None:
    assert calling(session, "garbage")("GET", f"{GRAPH}/groups").status_code == 401
    page = session.get(f"{GRAPH}/groups", headers={"Authorization": "Bearer garbage"}, timeout=10)
    assert (page.status_code, page.headers["Content-Type"]) == (203, "text/html; charset=utf-8")
    assert session.get(f"{GRAPH}/groups", timeout=10, allow_redirects=False).status_code == 302
    assert call("GET", f"{GRAPH}/groups").ok


def test_an_unknown_organization_has_no_page(call: Call) -> None:
    for url in (GRAPH + "/groups", ENTITLEMENTS + "/x", PROJECTS + "/x"):
        answer = call("GET", url.replace("contoso", "nobody"))
        assert (answer.status_code, "404: not found" in answer.text) == (404, True)


def test_the_apis_are_a_preview(cloud: Cloud, call: Call) -> None:
    url = f"{GRAPH}/memberships/{descriptor_of(call, cloud.identity)}/{readers_of(call)}"
    released = call("GET", url, params={"api-version": "7.1"})
    assert failure(released)[:2] == (400, "VssInvalidPreviewVersionException")
    unversioned = call("PUT", url, params={"api-version": None})
    assert failure(unversioned)[:2] == (400, "VssVersionNotSpecifiedException")
    accept = {"Accept": "application/json;api-version=7.1-preview.1"}
    assert call("PUT", url, params={"api-version": None}, headers=accept).status_code == 201
    assert call("GET", url, params={"api-version": None}).ok


def test_reads_lag_behind_writes_and_rights_do_not(
    cloud: Cloud, session: requests.Session, call: Call, newcomer: Identity
) -> None:
    cloud.devops.lag = 60
    key = let_in(call, newcomer, project_id(call))["servicePrincipalEntitlement"]["id"]
    every = call("GET", f"{GRAPH}/serviceprincipals").json()["value"]
    assert newcomer.object_id not in [each["originId"] for each in every]
    assert call("GET", f"{ENTITLEMENTS}/{key}").status_code == 404
    assert reads(session, newcomer, "Data Platform", "etl") == (200, "")
    cloud.devops.lag = 0
    subject, readers = descriptor_of(call, newcomer), readers_of(call, "Finance")
    membership = f"{GRAPH}/memberships/{subject}/{readers}"
    cloud.devops.lag = 60
    assert call("PUT", membership).status_code == 201
    assert call("HEAD", membership).status_code == 404
    cloud.devops.lag = 0
    assert call("HEAD", membership).status_code == 200


def test_what_a_member_is_called_is_no_secret(cloud: Cloud, call: Call) -> None:
    cloud.remember_secrets()
    assert call("GET", f"{GRAPH}/storagekeys/{descriptor_of(call, cloud.identity)}").ok
    assert cloud.issued == []


@pytest.mark.parametrize(
    ("status", "signs_in"),
    [
        ("active", True),
        ("pending", True),
        ("disabled", False),
        ("expired", False),
        ("deleted", False),
        ("none", False),
    ],
)
def test_a_member_is_shown_with_a_status_and_signs_in_by_it(
    session: requests.Session,
    call: Call,
    organization: Organization,
    newcomer: Identity,
    status: Status,
    *,
    signs_in: bool,
) -> None:
    organization.add_member(newcomer.object_id)
    organization.change(newcomer.object_id).status = status
    key = organization.storage_key(newcomer.object_id)
    answer = call("GET", f"{ENTITLEMENTS}/{key}")
    assert (answer.status_code, answer.json()["accessLevel"]["status"]) == (200, status)
    theirs = calling(session, newcomer.token(DEVOPS_RESOURCE))
    assert theirs("GET", f"{PROJECTS}/Finance").ok == signs_in


# Removing members


def test_a_member_leaves_a_group_and_then_the_organization(
    session: requests.Session, call: Call, call_as_bob: Call, newcomer: Identity
) -> None:
    key = let_in(call, newcomer, project_id(call))["servicePrincipalEntitlement"]["id"]
    subject, readers = descriptor_of(call, newcomer), readers_of(call)
    membership, entitlement = f"{GRAPH}/memberships/{subject}/{readers}", f"{ENTITLEMENTS}/{key}"
    for url in (membership, entitlement):
        assert call_as_bob("DELETE", url).status_code == 403
    assert call("DELETE", membership).ok
    assert reads(session, newcomer, "Data Platform", "etl") == (404, "ProjectDoesNotExistException")
    assert call("DELETE", membership).status_code == 404
    assert call("DELETE", entitlement).status_code == 204
    assert reads(session, newcomer, "Data Platform", "etl") == (401, "UnauthorizedRequestException")
    assert call("DELETE", entitlement).status_code == 404
