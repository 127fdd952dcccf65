"""`onboard` and odd responses: only settings and account decide on permissions; none is reduced."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from git_refresh.admin.grants import Grant
from git_refresh.admin.onboarding import Onboarding, OnboardOptions
from git_refresh.admin.services import AdminServices
from git_refresh.model.clock import Deadline, SystemClock
from git_refresh.output.log import RedactingLogger
from git_refresh.run.pool import Executor
from git_refresh.settings.load import load
from localcloud import Cloud, Fault, faults
from localcloud.authority import TENANT, entra_v2
from localcloud.databricks.account import MANAGER, RuleSet
from localcloud.databricks.federation import FederationPolicy
from localcloud.fleet import CLIENT_ID, FEDERATED_CLIENT_ID, UngrantedFleet, seed_ungranted
from localcloud.people import laptop

SCIM = "/preview/scim/v2/ServicePrincipals$"


@pytest.fixture
def fleet(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> UngrantedFleet:
    """Return a fleet with its admin's laptop as this process's environment."""
    fleet = seed_ungranted(cloud)
    for name, value in laptop(dict(os.environ), fleet.admin.sign_in(tmp_path / "az")).items():
        monkeypatch.setenv(name, value)
    for module in ("admin.onboarding", "model.clock"):
        monkeypatch.setattr(f"git_refresh.{module}.READ_LAG_S", 0.4)
        monkeypatch.setattr(f"git_refresh.{module}.POLL_PAUSE_S", 0.1)
    return fleet


class Desk:
    def __init__(self, settings: Mapping[str, str], given: OnboardOptions) -> None:
        deadline = Deadline.after(600, SystemClock())
        self.services = AdminServices(deadline, os.environ, RedactingLogger())
        self.onboarding = Onboarding(load(settings), self.services, given, Executor(4, deadline))
        self.onboarding.plan()

    @property
    def found(self) -> list[Grant]:
        return self.onboarding.grants

    def give(self) -> "Desk":
        self.onboarding.apply_all(lambda _: None)
        return self

    def of(self, kind: str, where: str = "") -> list[Grant]:
        return [grant for grant in self.found if grant.kind == kind and where in grant.location]

    def codes(self) -> list[str]:
        return [grant.error.code for grant in self.found if grant.error]


type Look = Callable[..., Desk]


@pytest.fixture
def look(fleet: UngrantedFleet) -> Iterator[Look]:
    """Yield a function that plans an onboarding with the fleet's settings or others."""
    desks: list[Desk] = []

    def look(*, given: OnboardOptions | None = None, **changes: str) -> Desk:
        desks.append(Desk({**fleet.settings, **changes}, given or OnboardOptions()))
        return desks[-1]

    yield look
    for desk in desks:
        desk.services.close()


def answered(change: Callable[[Any], Any], **where: Any) -> Fault:
    """Return a fault that changes the JSON of a response."""

    def changed(body: bytes) -> bytes:
        return json.dumps(change(json.loads(body))).encode()

    return Fault(faults.replace_body(changed), **where)


def entries(fleet: UngrantedFleet) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(fleet.settings["WORKSPACES"])
    return found


# Settings and account decide on permissions


def test_no_workspace_chooses_who_gets_a_right(cloud: Cloud, fleet: UngrantedFleet, look: Look) -> None:
    """The workspace reports another principal's ID, and the ID of another workspace."""
    victim = cloud.account.add("5a1e0000-0000-4000-8000-00000000beef", "somebody else")
    third = fleet.workspaces[2]
    third.members.add(FEDERATED_CLIENT_ID, "git-refresh")

    def lie(answer: Any) -> Any:
        for found in answer.get("Resources", []):
            found["id"] = str(victim.id)
        return answer

    cloud.inject(answered(lie, host=third.host, method="GET", route=SCIM))
    cloud.inject(
        answered(
            lambda answer: answer | {"workspace_id": "2"},
            host=fleet.workspaces[0].host,
            route="databricks-config",
        )
    )
    look().give()
    assert not victim.policies
    right = cloud.account.find(FEDERATED_CLIENT_ID)
    assert right
    assert [policy.subject for policy in right.policies] == [fleet.identity.object_id]
    assert [each.client_id for each in fleet.workspaces[0].service_principals] == [CLIENT_ID]
    assert CLIENT_ID not in {each.client_id for each in fleet.workspaces[1].service_principals}


def test_workspaces_that_name_different_accounts_are_not_believed(
    cloud: Cloud, fleet: UngrantedFleet, look: Look
) -> None:
    other = "0d26daa6-0000-4000-8000-000000000000"
    cloud.inject(
        answered(
            lambda a: a | {"account_id": other}, host=fleet.workspaces[2].host, route="databricks-config"
        )
    )
    cloud_zone = look(
        WORKSPACES=json.dumps([entry | {"identity": cloud.identity.client_id} for entry in entries(fleet)])
    )
    assert set(cloud_zone.codes()) == {"accounts_differ"}
    told = look(given=OnboardOptions(account_id=cloud.account.id)).give()
    assert told.codes() == []


def test_an_account_id_is_needed_only_where_it_is_used(cloud: Cloud, look: Look) -> None:
    cloud.inject(Fault(faults.status(404, "<html>"), route="databricks-config"))
    assert set(look().codes()) == {"no_account_id"}
    assert [grant.status for grant in look().of("principal", "data-2")] == ["planned"]
    assert look(given=OnboardOptions(account_id=cloud.account.id)).give().codes() == []


def test_an_application_is_not_taken_for_the_managed_identity(cloud: Cloud, look: Look) -> None:
    application = cloud.app_registration("another app")
    assert "not_a_managed_identity" in look(AZURE_CLIENT_ID=application.client_id).codes()


def test_ids_are_the_same_in_capitals(fleet: UngrantedFleet, look: Look) -> None:
    listed = entries(fleet)
    listed[0]["client_id"] = CLIENT_ID.upper()
    assert look(WORKSPACES=json.dumps(listed)).codes() == []


# No permission is reduced


def test_an_assigned_admin_stays_admin_before_the_workspace_shows_it(
    cloud: Cloud, fleet: UngrantedFleet, look: Look
) -> None:
    first = fleet.workspaces[0]
    principal = first.members.add(CLIENT_ID, "git-refresh")
    principal.admin = True
    cloud.inject(
        answered(lambda a: a | {"Resources": []}, host=first.host, method="GET", route=SCIM, times=1)
    )
    desk = look().give()
    assert desk.codes() == []
    assert principal.admin
    asked = [
        request for request in cloud.requests if request.method == "PUT" and "/workspaces/1/" in request.path
    ]
    assert not asked


def test_an_unreadable_assignment_costs_nothing(cloud: Cloud, look: Look) -> None:
    def odd(answer: Any) -> Any:
        answer.setdefault("permission_assignments", []).append({"error": "unknown principal"})
        return answer

    cloud.inject(answered(odd, method="GET", route="permissionassignments$"))
    assert look().give().codes() == []


@pytest.mark.parametrize("status", ["disabled", "expired"])
def test_a_member_that_cannot_sign_in_is_reported_and_left_unchanged(
    cloud: Cloud, look: Look, status: str
) -> None:
    cloud.devops.organization("contoso").add_member(cloud.identity.object_id)

    def blocked(answer: Any) -> Any:
        return answer | {"accessLevel": answer["accessLevel"] | {"status": status}}

    cloud.inject(answered(blocked, method="GET", route="/contoso/.*serviceprincipalentitlements/"))
    desk = look().give()
    assert desk.codes() == ["member_cannot_sign_in"]
    changes = [seen for seen in cloud.requests if seen.method != "GET" and "/contoso/" in seen.path]
    assert not [seen for seen in changes if seen.service == "devops"]


@pytest.mark.parametrize("status", [400, 409, 500])
def test_a_principal_that_is_there_already_is_found_whatever_reports_it(
    cloud: Cloud, fleet: UngrantedFleet, look: Look, status: int
) -> None:
    """The status of a duplicate in Databricks is not recorded."""
    desk = look()
    detail = {
        "schemas": [],
        "detail": "Service principal with application ID x already exists.",
        "status": "400",
    }
    late = faults.act_then(faults.status(status, json.dumps(detail)))
    cloud.inject(Fault(late, method="POST", route=SCIM))
    desk.give()
    assert desk.codes() == []
    assert fleet.workspaces[1].service_principals


def test_a_principal_that_is_refused_and_not_there_has_failed(cloud: Cloud, look: Look) -> None:
    desk = look()
    cloud.inject(Fault(faults.status(400, '{"detail": "No."}'), method="POST", route=SCIM))
    desk.give()
    assert "unknown" in desk.codes()


@pytest.mark.parametrize("before", ["stakeholder", None])
def test_an_access_level_that_another_admin_gives_meanwhile_stays(
    cloud: Cloud, look: Look, before: str | None
) -> None:
    organization = cloud.devops.organization("contoso")
    if before:
        organization.add_member(cloud.identity.object_id, stakeholder=True)
    desk = look()
    organization.add_member(cloud.identity.object_id)
    organization.change(cloud.identity.object_id).license = "advanced"
    desk.give()
    assert desk.codes() == []
    assert organization.change(cloud.identity.object_id).license == "advanced"


def test_a_licence_that_comes_with_a_subscription_is_one(cloud: Cloud, look: Look) -> None:
    cloud.devops.organization("contoso").add_member(cloud.identity.object_id)
    level = {"accessLevel": {"accountLicenseType": "none", "licensingSource": "msdn"}}
    cloud.inject(
        answered(lambda a: a | level, method="GET", route="/contoso/.*serviceprincipalentitlements/")
    )
    assert {grant.status for grant in look().of("organization", "contoso")} == {"exists"}


def test_only_groups_that_read_count(cloud: Cloud, look: Look) -> None:
    cloud.devops.organization("contoso").add_member(cloud.identity.object_id)

    def custom(answer: Any) -> Any:
        for each in answer["projectEntitlements"]:
            each["group"]["groupType"] = "custom"
        return answer

    cloud.inject(answered(custom, method="GET", route="/contoso/.*serviceprincipalentitlements/"))
    (grant,) = look().of("project", "contoso")
    assert grant.status == "planned"
    assert "graph/memberships/" in grant.command


def test_a_principal_of_the_directory_without_a_licence_is_let_in(cloud: Cloud, look: Look) -> None:
    cloud.devops.organization("contoso").add_member(cloud.identity.object_id)
    missing = faults.status(404, {"message": "not found", "typeKey": "MemberNotFoundException"})
    cloud.inject(Fault(missing, method="GET", route="/contoso/.*serviceprincipalentitlements/"))
    (grant,) = look().of("organization", "contoso")
    assert grant.status == "planned"


def test_lists_in_pages_are_read_to_the_end(cloud: Cloud, look: Look) -> None:
    cloud.devops.page = 1
    organization = cloud.devops.organization("contoso")
    for number in range(3):
        organization.add_member(cloud.add_identity(f"other {number}").object_id)
    organization.add_member(cloud.identity.object_id)
    member = organization.change(cloud.identity.object_id)
    member.everywhere = False
    desk = look()
    assert [grant.status for grant in desk.of("project", "contoso")] == ["planned"]
    assert desk.give().codes() == []


# A failure affects nothing else


def test_a_misspelled_project_costs_only_itself_and_is_named(fleet: UngrantedFleet, look: Look) -> None:
    listed = entries(fleet)
    url = "https://dev.azure.com/contoso/Typo/_git/etl"
    listed[0]["folders"].append({"path": "/Repos/typo/etl", "url": url})
    desk = look(WORKSPACES=json.dumps(listed))
    (failed,) = [grant for grant in desk.of("project") if grant.error]
    assert failed.error
    assert failed.error.code == "devops_project_not_found"
    assert "Typo" in failed.error.cause
    assert [grant.status for grant in desk.of("organization", "contoso")] == ["planned"]


def test_organizations_of_one_name_on_two_hosts_are_two(fleet: UngrantedFleet, look: Look) -> None:
    listed = entries(fleet)
    url = "https://git.corp.example/contoso/Secret/_git/etl"
    listed[0]["folders"].append({"path": "/Repos/corp/etl", "url": url})
    desk = look(WORKSPACES=json.dumps(listed), TRUSTED_HOSTS="git.corp.example")
    statuses = {
        grant.description.rpartition("Readers of ")[2]: grant.status
        for grant in desk.of("organization", "contoso")
    }
    assert statuses == {"Data Platform": "planned", "Secret": "skipped"}


def test_a_folder_that_cannot_be_looked_at_costs_only_itself(
    cloud: Cloud, fleet: UngrantedFleet, look: Look
) -> None:
    refused = faults.status(403, {"error_code": "PERMISSION_DENIED", "message": "no"})
    cloud.inject(Fault(refused, host=fleet.workspaces[0].host, method="GET", route="/api/2.0/repos/"))
    desk = look()
    (failed,) = [grant for grant in desk.found if grant.error]
    assert failed.kind == "folder"
    assert failed.required_role == "a workspace admin of data-1"
    assert [grant.status for grant in desk.of("principal", "data-1")] == ["planned"]


def test_an_address_that_is_not_let_in_is_no_missing_right(
    cloud: Cloud, fleet: UngrantedFleet, look: Look
) -> None:
    text = "Source IP address: 1.2.3.4 is blocked by Databricks IP ACL for workspace: 1"
    cloud.inject(Fault(faults.status(403, {"message": text}), host=fleet.workspaces[0].host, route=SCIM))
    assert "workspace_ip_blocked" in look().codes()


def test_what_is_said_to_be_granted_and_is_not_to_be_seen_has_failed(cloud: Cloud, look: Look) -> None:
    cloud.inject(Fault(faults.status(200, {}), method="PATCH", route="/permissions/directories/"))
    desk = look().give()
    desk.onboarding.wait_until_visible()
    assert set(desk.codes()) == {"grant_not_visible"}
    assert len(desk.codes()) == 3


def test_a_deactivated_principal_stays_deactivated(cloud: Cloud, fleet: UngrantedFleet, look: Look) -> None:
    fleet.workspaces[0].members.add(CLIENT_ID, "git-refresh")
    principal = cloud.account.find(CLIENT_ID)
    assert principal
    principal.active = False
    desk = look().give()
    assert "principal_inactive" in desk.codes()
    assert not principal.active
    assert {grant.status for grant in desk.of("folder", "data-1")} == {"skipped"}


def test_a_policy_for_another_audience_is_not_the_one(
    cloud: Cloud, fleet: UngrantedFleet, look: Look
) -> None:
    principal = cloud.account.find(FEDERATED_CLIENT_ID)
    assert principal
    principal.policies.append(FederationPolicy(entra_v2(TENANT), fleet.identity.object_id, ("another",)))
    assert [grant.status for grant in look().of("federation_policy")] == ["planned"]


# Permissions through groups


def test_access_that_everybody_has_need_not_be_given(fleet: UngrantedFleet, look: Look) -> None:
    first = fleet.workspaces[0]
    first.members.add(CLIENT_ID, "git-refresh").entitlements = set()
    assert look().of("workspace_access", "data-1")
    first.users_entitlements.add("workspace-access")
    assert [grant.status for grant in look().of("principal", "data-1")] == ["exists"]


@pytest.mark.parametrize("by", ["group", "admins"])
def test_a_folder_that_is_managed_by_a_group_need_not_be_given(
    fleet: UngrantedFleet, look: Look, by: str
) -> None:
    first = fleet.workspaces[0]
    principal = first.members.add(CLIENT_ID, "git-refresh")
    if by == "admins":
        principal.admin = True
    else:
        first._tree.rights.add("/Repos/etl/prod", {("group_name", "users"): "CAN_MANAGE"})
    there = [grant for grant in look().of("folder", "data-1") if "/Repos/etl/prod" in grant.description]
    assert [grant.status for grant in there] == ["exists"]


def test_a_manager_by_group_is_not_reported_as_missing(
    cloud: Cloud, fleet: UngrantedFleet, look: Look
) -> None:
    other = cloud.account.create("jobs")
    fleet.workspaces[0].members.add(other.client_id, "jobs")
    name = f"accounts/{cloud.account.id}/servicePrincipals/{other.client_id}/ruleSets/default"
    cloud.account.rule_sets[name] = RuleSet([{"role": MANAGER, "principals": ["groups/platform"]}])
    listed = entries(fleet)
    listed[0]["additional_principal_ids"] = [other.id]
    (grant,) = look(WORKSPACES=json.dumps(listed)).of("manager")
    assert (grant.status, grant.error) == ("skipped", None)
    assert "groups/platform" in grant.reason


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/Users/ada@contoso.com/etl", "grant_too_broad"),
        ("/Shared/etl", None),
        ("/Shared/a/etl", None),
    ],
)
def test_no_home_folder_and_no_top_folder_is_granted(
    fleet: UngrantedFleet, look: Look, path: str, code: str | None
) -> None:
    listed = entries(fleet)[:1]
    url = listed[0]["folders"][1]["url"]
    listed[0]["folders"] = [{"path": path, "url": url}]
    desk = look(WORKSPACES=json.dumps(listed))
    (grant,) = desk.of("folder")
    assert (grant.error.code if grant.error else None) == code
    assert path != "/Shared/etl" or grant.status == "exists"


def test_a_refusal_elsewhere_does_not_hide_what_was_granted(fleet: UngrantedFleet, look: Look) -> None:
    """A misspelled project, another zone's identity in the organization, and its namesake on another host."""
    listed = entries(fleet)
    listed[0]["folders"] += [
        {"path": "/Repos/typo/etl", "url": "https://dev.azure.com/contoso/Typo/_git/etl"},
        {"path": "/Repos/corp/etl", "url": "https://git.corp.example/contoso/Secret/_git/etl"},
    ]
    listed[2]["folders"] = [{"path": "/Repos/reports/prod", "url": listed[0]["folders"][1]["url"]}]
    desk = look(WORKSPACES=json.dumps(listed), TRUSTED_HOSTS="git.corp.example")
    for at, grant in enumerate(desk.found):
        if grant.kind == "organization" and "second-zone" in grant.description:
            desk.found[at] = grant.skipped("as one that was refused")
    desk.give().onboarding.wait_until_visible()
    assert "grant_not_visible" not in desk.codes()
    assert [grant.status for grant in desk.of("organization", "contoso")] == ["granted", "skipped", "skipped"]


def test_one_workspace_that_refuses_keeps_the_secret_from_no_other(
    cloud: Cloud, fleet: UngrantedFleet, look: Look
) -> None:
    listed = entries(fleet)
    names = {key: listed[0][key] for key in ("client_id", "client_secret_name")}
    listed[1] |= {"auth": "oauth_secret", **names}
    refused = faults.status(403, {"error_code": "PERMISSION_DENIED", "message": "no"})
    cloud.inject(Fault(refused, method="PUT", route="/workspaces/1/permissionassignments/"))
    desk = look(WORKSPACES=json.dumps(listed)).give()
    assert [grant.status for grant in desk.of("oauth_secret")] == ["granted"]
    assert [grant.status for grant in desk.of("principal")][:2] == ["failed", "granted"]


# OAuth secrets


def test_two_names_for_secrets_of_one_principal_know_each_other(
    cloud: Cloud, fleet: UngrantedFleet, look: Look
) -> None:
    listed = entries(fleet)
    listed[1] |= {"auth": "oauth_secret", "client_id": CLIENT_ID, "client_secret_name": "another"}
    desk = look(WORKSPACES=json.dumps(listed)).give()
    assert [(grant.status, grant.reason) for grant in desk.of("oauth_secret")] == [
        ("granted", ""),
        ("granted", ""),
    ]
    principal = cloud.account.find(CLIENT_ID)
    assert principal
    assert len(principal.secrets) == 2


def test_one_name_for_two_principals_is_not_filled(cloud: Cloud, fleet: UngrantedFleet, look: Look) -> None:
    listed = entries(fleet)
    listed[1] |= {
        "auth": "oauth_secret",
        "client_id": FEDERATED_CLIENT_ID,
        "client_secret_name": listed[0]["client_secret_name"],
    }
    desk = look(WORKSPACES=json.dumps(listed)).give()
    (grant,) = desk.of("oauth_secret")
    assert grant.error
    assert grant.error.code == "secret_shared_by_principals"
    assert not fleet.vault.ends
    assert not [request for request in cloud.requests if "/credentials/secrets" in request.path]


# Requests


def test_of_groups_and_principals_only_what_is_used_is_asked_for(cloud: Cloud, look: Look) -> None:
    """A group can have hundreds of thousands of members."""
    look().give()
    asked = [request.query for request in cloud.requests if "scim/v2/Groups" in request.path]
    assert asked
    assert {query["attributes"] for query in asked} == {"displayName,entitlements"}


DEVOPS = "499b84ac-1321-427f-aa17-267ca6975798"


@pytest.mark.usefixtures("fleet")
def test_a_token_about_to_expire_is_renewed_and_kept_until_another_exists(
    fleet: UngrantedFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A prompt can take longer than the Azure CLI's token is valid, and `az` can fail once."""
    monkeypatch.setattr("git_refresh.admin.services.AGAIN_S", 0.0)
    fleet.admin.token_lifetime = 60
    fleet.admin.sign_in(tmp_path / "az")
    services = AdminServices(Deadline.after(60, SystemClock()), os.environ, RedactingLogger())
    first = services.token(DEVOPS)
    (tmp_path / "az/az").write_text("#!/bin/sh\nexit 1\n")
    assert services.token(DEVOPS) == first
    fleet.admin.token_lifetime = 3900
    fleet.admin.sign_in(tmp_path / "az")
    second = services.token(DEVOPS)
    third = services.token(DEVOPS)
    services.close()
    assert first.value != second.value
    assert second.value == third.value


def test_a_new_principal_is_made_in_the_first_workspace_that_wants_one(fleet: UngrantedFleet) -> None:
    listed = entries(fleet)[:1]
    listed.append(
        {**listed[0], "host": "https://adb-0000000000000003.3.azuredatabricks.net", "name": "wants one"}
    )
    listed[1]["client_id"] = "00000000-0000-0000-0000-000000000000"
    given = OnboardOptions(new_client_id="00000000-0000-0000-0000-000000000000")
    desk = Desk({**fleet.settings, "WORKSPACES": json.dumps(listed)}, given)
    desk.onboarding.plan("etl")
    (grant,) = desk.found
    desk.services.close()
    assert grant.location == "wants one"
    assert grant.status == "planned"
