"""Federated authentication and trust zones, over the real SDKs, TLS and Git, without stored secrets."""

import json
import logging
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from typing import Any

import pytest
from aiohttp import web

from git_refresh.clients.responses import signature_of
from git_refresh.run.report import Report
from localcloud import Cloud, Fault, Fleet, faults, seed_zones
from localcloud.authority import DEVOPS_RESOURCE, EXCHANGE_AUDIENCE, EXCHANGE_RESOURCE, OTHER_TENANT
from localcloud.databricks.sign_in import ServicePrincipal
from localcloud.databricks.workspace import Workspace
from localcloud.faults import NAMED
from localcloud.fleet import CLIENT_ID, FEDERATED_CLIENT_ID
from localcloud.identity import Identity
from localcloud.login import AppRegistration
from localcloud.observer import Request
from tests.support import warm
from tests.support.app import run_app
from tests.support.crash_fleet import POINTS
from tests.support.failure_kinds import ONE_OF_EACH
from tests.support.planted_secrets import Everything, assert_clean
from tests.support.short_limits import shorten

PROD = "/Repos/etl/prod"
FEDERATED = {"auth": "federated", "client_id": CLIENT_ID}
Entry = dict[str, Any]


def issuer(identity: Identity) -> str:
    return f"https://login.microsoftonline.com/{identity.tenant_id}/v2.0"


def trust(workspace: Workspace, identity: Identity) -> ServicePrincipal:
    """Do the account admin's one-time setup."""
    return workspace.federate(CLIENT_ID, issuer=issuer(identity), subject=identity.object_id)


def settings(fleet: Fleet, *more: Entry, **others: str) -> dict[str, str]:
    """Return settings for federated workspaces without Key Vault."""
    entries = [
        {"host": workspace.url, "name": f"data-{number}", "folders": [PROD], **FEDERATED, **entry}
        for number, (workspace, entry) in enumerate(zip(fleet.workspaces, more, strict=False))
    ]
    return {"WORKSPACES": json.dumps(entries), **others}


def run(environ: dict[str, str], **options: Any) -> Report:
    return run_app({**os.environ, **environ}, **options)


def stored(workspace: Workspace) -> list[str]:
    return [credential.token or "" for credential in workspace.credentials]


def codes(report: Report) -> list[str]:
    return [error.code for found in report.workspaces for _, error in found.failures()]


def test_a_federated_fleet_needs_no_secret_and_no_vault(cloud: Cloud, fleet: Fleet) -> None:
    commit = fleet.repositories[0].commit({"new": "1"})
    for workspace in fleet.workspaces:
        trust(workspace, cloud.identity)
    report = run(settings(fleet, {}, {}, {}))
    assert report.result == "ok", report.summary()
    assert [found.folders[0].to for found in report.workspaces] == [commit] * 3
    assert {request.service for request in cloud.requests} == {"identity", "devops", "databricks"}
    owners = [credential.principal.client_id for ws in fleet.workspaces for credential in ws.credentials]
    assert owners == [CLIENT_ID] * 3, "stored as the service principal, not as the identity"


def test_a_quiet_federated_run_costs_what_one_with_a_secret_costs(cloud: Cloud, fleet: Fleet) -> None:
    for workspace in fleet.workspaces:
        workspace.folders[0].git_cli = False
        trust(workspace, cloud.identity)
    environ = settings(fleet, {}, {}, {})
    run(environ)
    before = len(cloud.requests)
    assert run(environ).result == "ok"
    seen = [(request.service, request.method) for request in cloud.requests[before:]]
    assert sum(service == "databricks" for service, _ in seen) == 4 * 3
    assert sum(service == "devops" for service, _ in seen) == 1
    resources = [r.query["resource"] for r in cloud.requests[before:] if r.service == "identity"]
    assert sorted(resources) == sorted([DEVOPS_RESOURCE, EXCHANGE_RESOURCE]), "one assertion for all"


def no_policy(workspace: Workspace, _: Identity) -> None:
    workspace.service_principal(CLIENT_ID, "unused")


def not_active_yet(workspace: Workspace, identity: Identity) -> None:
    trust(workspace, identity).policies[-1].active = False


def other_audience(workspace: Workspace, identity: Identity) -> None:
    workspace.federate(CLIENT_ID, issuer=issuer(identity), subject=identity.object_id, audiences=["other"])


def other_subject(workspace: Workspace, identity: Identity) -> None:
    workspace.federate(CLIENT_ID, issuer=issuer(identity), subject="5a1e0000-0000-4000-8000-0000000000ff")


def no_rights(workspace: Workspace, identity: Identity) -> None:
    trust(workspace, identity).assigned = False


REFUSALS: dict[str, Callable[[Workspace, Identity], None]] = {
    "federation_policy_missing": no_policy,
    "federation_audience_mismatch": other_audience,
    "federation_subject_mismatch": other_subject,
    "not_in_workspace": no_rights,
}


@pytest.mark.parametrize("code", REFUSALS)
def test_a_refused_exchange_says_what_to_write_letter_for_letter(
    cloud: Cloud, fleet: Fleet, code: str
) -> None:
    REFUSALS[code](fleet.workspaces[0], cloud.identity)
    report = run(settings(fleet, {}))
    assert codes(report) == [code]
    error = report.workspaces[0].error
    assert error is not None
    if code != "not_in_workspace":
        policy = {
            "issuer": issuer(cloud.identity),
            "audiences": [EXCHANGE_AUDIENCE],
            "subject": cloud.identity.object_id,
        }
        assert json.dumps({"oidc_policy": policy}) in error.remedy
        assert f'applicationId eq "{CLIENT_ID}"' in error.remedy
    assert cloud.identity.token(EXCHANGE_RESOURCE).split(".")[1][:30] not in str(error)


def test_a_policy_that_was_just_written_is_not_there_yet(cloud: Cloud, fleet: Fleet) -> None:
    not_active_yet(fleet.workspaces[0], cloud.identity)
    report = run(settings(fleet, {}))
    error = report.workspaces[0].error
    assert error is not None
    assert error.code == "federation_policy_missing"
    assert "two minutes" in error.cause


@pytest.mark.parametrize("elsewhere", [False, True])
def test_check_reports_a_missing_policy_unless_it_works_elsewhere(
    cloud: Cloud, fleet: Fleet, *, elsewhere: bool
) -> None:
    if elsewhere:
        trust(fleet.workspaces[1], cloud.identity)
    environ = {**os.environ, **settings(fleet, {}, {}), "REFRESH_SCHEDULE": "0 */15 * * * *"}
    done = warm.run("check", "--json", environ=environ)
    checks = json.loads(done.stdout)["checks"]
    assert done.returncode == 1
    lines = {(line["layer"], line["subject"]): line for line in checks}
    code = "not_in_workspace" if elsewhere else "federation_policy_missing"
    assert lines["workspace", "data-0"]["error"]["code"] == code
    assert lines["workspace", "data-1"]["status"] == ("ok" if elsewhere else "failed")
    said = [line["message"] for line in checks if line["layer"] == "identity"]
    assert "can also get assertions for token federation" in said


# Zones


@pytest.fixture
def zones(cloud: Cloud, fleet: Fleet) -> tuple[Identity, dict[str, str]]:
    """Return the second zone's identity, and settings in which it has the second workspace.

    Both identities can read the repositories.
    """
    other = cloud.add_identity("finance")
    cloud.devops.organization("contoso").add_member(other.object_id)
    trust(fleet.workspaces[0], cloud.identity)
    trust(fleet.workspaces[1], other)
    return other, settings(fleet, {}, {"identity": other.client_id}, AZURE_CLIENT_ID=cloud.identity.client_id)


def test_each_zone_stores_the_token_of_its_own_identity(
    cloud: Cloud, fleet: Fleet, zones: tuple[Identity, dict[str, str]]
) -> None:
    other, environ = zones
    cloud.identity.cached = other.cached = True
    report = run(environ)
    assert report.result == "ok", report.summary()
    assert stored(fleet.workspaces[0]) == [cloud.identity.token(DEVOPS_RESOURCE)]
    assert stored(fleet.workspaces[1]) == [other.token(DEVOPS_RESOURCE)]
    assert [(token.identity, token.workspaces) for token in report.tokens] == [
        (cloud.identity.client_id, 1),
        (other.client_id, 1),
    ]
    assert {token.tenant for token in report.tokens} == {other.tenant_id}


def test_an_identity_that_the_app_does_not_hold_costs_its_zone_alone(
    fleet: Fleet, zones: tuple[Identity, dict[str, str]]
) -> None:
    other, environ = zones
    other.enabled = False
    report = run(environ)
    assert [found.result for found in report.workspaces] == ["ok", "failed"]
    error = report.workspaces[1].error
    assert error is not None
    assert error.code == "identity_not_assigned"
    assert f"identity ({other.client_id})" in error.remedy
    assert stored(fleet.workspaces[1]) == []


@pytest.mark.parametrize("service", ["identity", "devops", "databricks"])
@pytest.mark.parametrize("what", ONE_OF_EACH)
def test_no_token_of_a_zone_comes_to_another_whatever_goes_wrong_in_it(
    cloud: Cloud,
    fleet: Fleet,
    zones: tuple[Identity, dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    service: str,
) -> None:
    shorten(monkeypatch, limit_s=2.0, budget_s=7)
    other, environ = zones
    action = NAMED[what]()
    cloud.identity.cached = other.cached = True
    host = fleet.workspaces[1].host if service == "databricks" else None
    if service == "identity":
        cloud.inject(Fault(action, service=service, client_id=other.client_id))
    else:
        cloud.inject(Fault(action, service=service, host=host))
    cloud.remember_secrets()
    report = run(environ)
    assert cloud._observer.memory is not None
    knows = [" ".join(cloud._observer.memory.of(workspace.host)) for workspace in fleet.workspaces[:2]]
    cloud.clear_faults()
    own = [cloud.identity.token(resource) for resource in (DEVOPS_RESOURCE, EXCHANGE_RESOURCE)]
    theirs = [other.token(resource) for resource in (DEVOPS_RESOURCE, EXCHANGE_RESOURCE)]
    assert not {*own} & {*stored(fleet.workspaces[1])}
    assert not {*theirs} & {*stored(fleet.workspaces[0])}
    assert_clean(knows[1], [signature_of(token) for token in own])
    assert_clean(knows[0], [signature_of(token) for token in theirs])
    if service != "devops":
        assert report.workspaces[0].result == "ok", report.summary()
        assert stored(fleet.workspaces[0]) == own[:1]


def test_no_assertion_and_no_token_is_said_at_any_level(
    cloud: Cloud,
    zones: tuple[Identity, dict[str, str]],
    everything: Everything,
) -> None:
    other, environ = zones
    cloud.identity.cached = other.cached = True
    report = run(environ)
    logging.getLogger("msal").setLevel(logging.DEBUG)
    secrets = [
        identity.token(resource)
        for identity in (cloud.identity, other)
        for resource in (DEVOPS_RESOURCE, EXCHANGE_RESOURCE)
    ]
    assert_clean("\n".join([*everything.lines, json.dumps(report.as_dict()), repr(report)]), secrets)


# Another tenant


@pytest.fixture
def registration(cloud: Cloud) -> AppRegistration:
    """Return a registration that trusts the app's identity, with access to Fabrikam's organization."""
    made = cloud.app_registration("git-refresh")
    made.trust(cloud.identity.object_id)
    made.consent(OTHER_TENANT)
    cloud.devops.organization("fabrikam", tenant_id=OTHER_TENANT).add_member(made.object_id(OTHER_TENANT))
    return made


@pytest.fixture
def abroad(cloud: Cloud, fleet: Fleet, registration: AppRegistration) -> dict[str, str]:
    """Return settings with Contoso's repository in the first workspace, and Fabrikam's in the second."""
    notes = cloud.devops.repository("fabrikam", "Notes", "notes")
    fleet.workspaces[1].add_folder("/Repos/notes/prod", notes)
    notes.commit({"new": "1"})
    for workspace in fleet.workspaces[:2]:
        trust(workspace, cloud.identity)
    devops = {"tenant_id": OTHER_TENANT, "client_id": registration.client_id}
    there = {"folders": ["/Repos/notes/prod"], "devops": devops}
    return settings(fleet, {}, there, AZURE_CLIENT_ID=cloud.identity.client_id)


def test_an_organization_of_another_tenant_is_served_without_a_secret(
    cloud: Cloud, abroad: dict[str, str]
) -> None:
    before = len(cloud.requests)
    report = run(abroad)
    assert report.result == "ok", report.summary()
    assert [found.folders[0].action for found in report.workspaces] == ["unchanged", "updated"]
    assert [(token.identity, token.tenant, token.workspaces) for token in report.tokens] == [
        (cloud.identity.client_id, cloud.identity.tenant_id, 1),
        (cloud.identity.client_id, OTHER_TENANT, 1),
    ]
    seen = [(r.service, r.method, r.query.get("resource")) for r in cloud.requests[before:]]
    assert sum(service == "login" for service, _, _ in seen) == 1, "one request, and no discovery"
    assert seen.count(("identity", "GET", EXCHANGE_RESOURCE)) == 1, "one assertion for all that is exchanged"
    assert cloud.refused == []


def untrusted(registration: AppRegistration, _: Identity) -> None:
    registration.credentials.clear()
    registration.trust("5a1e0000-0000-4000-8000-0000000000ff")


def in_capitals(registration: AppRegistration, identity: Identity) -> None:
    registration.credentials.clear()
    registration.trust(identity.object_id.upper())


def other_issuer(registration: AppRegistration, identity: Identity) -> None:
    registration.credentials.clear()
    registration.trust(identity.object_id, issuer="https://login.microsoftonline.com/x/v2.0")


def no_consent(registration: AppRegistration, _: Identity) -> None:
    registration.tenants.clear()


ABROAD: dict[str, tuple[Callable[[AppRegistration, Identity], None], str]] = {
    "registration_credential_missing": (
        untrusted,
        "az ad app federated-credential create --id {registration}",
    ),
    "registration_case_mismatch": (in_capitals, '"subject": "{subject}"'),
    "registration_issuer_mismatch": (other_issuer, '"issuer": "{issuer}"'),
    "registration_not_in_tenant": (no_consent, "az login --tenant {tenant}"),
}


@pytest.mark.parametrize("code", ABROAD)
def test_a_refusal_by_entra_names_command_and_tenant_and_costs_no_zone(
    cloud: Cloud, registration: AppRegistration, abroad: dict[str, str], code: str
) -> None:
    refuse, typed = ABROAD[code]
    refuse(registration, cloud.identity)
    report = run(abroad)
    assert [found.result for found in report.workspaces] == ["ok", "failed"]
    assert codes(report)[0] == code
    error = report.workspaces[1].error
    assert error is not None
    context = {
        "registration": registration.client_id,
        "tenant": OTHER_TENANT,
        "subject": cloud.identity.object_id,
        "issuer": issuer(cloud.identity),
    }
    for name, value in context.items():
        typed = typed.replace(f"{{{name}}}", value)
    assert typed in error.remedy


@pytest.mark.parametrize(
    "what",
    [*ONE_OF_EACH, "refuses the connection", "answers 500 in JSON", "answers 200 in HTML", "answers 10 MB"],
)
def test_a_login_host_that(
    cloud: Cloud, abroad: dict[str, str], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    shorten(monkeypatch, limit_s=2.0, budget_s=7)
    cloud.inject(Fault(NAMED[what](), service="login"))
    report = run(abroad)
    assert [found.result for found in report.workspaces] == ["ok", "failed"], "costs its zone alone"
    assert set(codes(report)) <= {
        "entra_unreachable",
        "registration_rejected",
        "throttled",
        "service_unavailable",
    }
    assert not [host for host in cloud.refused if "evil" in host]


def test_a_missing_tenant_is_reported(cloud: Cloud, fleet: Fleet, registration: AppRegistration) -> None:
    trust(fleet.workspaces[0], cloud.identity)
    nowhere = "5a1e0000-0000-4000-8000-0000000000ee"
    devops = {"tenant_id": nowhere, "client_id": registration.client_id}
    report = run(settings(fleet, {"devops": devops}, AZURE_CLIENT_ID=cloud.identity.client_id))
    assert codes(report)[0] == "tenant_not_found"


# Returned secrets


def gives_back(field: str) -> faults.Action:
    """Return the exchanged token as the new one."""

    async def act(request: web.Request, _: faults.Proceed) -> web.StreamResponse:
        form = await request.post()
        answer = {"access_token": str(form[field]), "token_type": "Bearer", "expires_in": 3599}
        return web.json_response(answer)

    return act


def test_a_workspace_that_gives_the_assertion_back_is_not_called_with_it(cloud: Cloud, fleet: Fleet) -> None:
    trust(fleet.workspaces[0], cloud.identity)
    cloud.inject(Fault(gives_back("subject_token"), service="databricks", route="^/oidc/"))
    assert codes(run(settings(fleet, {}))) == ["unexpected_answer"]
    assert {r.path for r in cloud.requests if r.service == "databricks"} == {"/oidc/v1/token"}


def test_an_assertion_that_a_login_host_returns_is_not_stored(
    cloud: Cloud, fleet: Fleet, abroad: dict[str, str]
) -> None:
    cloud.inject(Fault(gives_back("client_assertion"), service="login"))
    assert codes(run(abroad))[0] == "registration_rejected"
    assert stored(fleet.workspaces[1]) == []


# Killed runs


KILLED: dict[str, Callable[[Request], bool]] = {
    "while it signs in to the other tenant": lambda request: request.service == "login",
    "while it signs in to the workspace": POINTS["while it signs in"],
    "while the credential is stored": POINTS["while the credential is stored"],
}


@pytest.mark.parametrize("point", KILLED.values(), ids=KILLED)
def test_a_run_killed_at_foreign_sign_in_leaves_the_next_one_unharmed(
    cloud: Cloud, point: Callable[[Request], bool]
) -> None:
    fleet = seed_zones(cloud, foreign=True)
    entries = json.loads(fleet.settings["WORKSPACES"])[2:]
    environ = {**os.environ, **fleet.settings, "WORKSPACES": json.dumps(entries)}
    killed = threading.Event()
    running: list[ForkServerProcess] = []

    def kill(request: Request) -> None:
        if point(request) and not killed.is_set():
            killed.set()
            running[0].kill()

    cloud.on_request = kill
    running.append(warm.start("run", environ=environ))
    running[0].join(50)
    assert running[0].exitcode == -signal.SIGKILL
    cloud.on_request = None
    report = run_app(environ)
    assert report.result == "ok", report.summary()
    (credential,) = fleet.workspaces[2].credentials
    assert credential.principal.client_id == FEDERATED_CLIENT_ID
    assert [folder.head for folder in fleet.workspaces[2].folders] == [
        repository.head() for repository in fleet.repositories[2:]
    ]
