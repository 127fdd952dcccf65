"""`onboard`: from a list without permissions to a successful run, despite faults; it removes nothing."""

import json
import os
import re
import signal
import threading
from collections.abc import Iterator, Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest

from git_refresh.cli.ask import NO_TERMINAL, after_interrupt
from localcloud import Cloud, Fault, Variant, faults
from localcloud.authority import OTHER_TENANT, TENANT
from localcloud.databricks.account import MANAGER, RuleSet
from localcloud.fleet import CLIENT_ID, FEDERATED_CLIENT_ID, SECRET_NAME, UngrantedFleet, seed_ungranted
from localcloud.observer import Request
from tests.support import warm
from tests.support.admin_laptop import environ_of
from tests.support.app import run_app
from tests.support.embedded_cloud import embedded_cloud
from tests.support.paths import ROOT

pytestmark = pytest.mark.timeout(120)

READS = {"GET", "HEAD"}
GRANTED = 15
"""The fleet's permissions after onboarding."""


@pytest.fixture
def fleet(cloud: Cloud) -> UngrantedFleet:
    return seed_ungranted(cloud)


@pytest.fixture
def environ(cloud: Cloud, fleet: UngrantedFleet, tmp_path: Path) -> dict[str, str]:
    return environ_of(cloud, fleet, tmp_path)


@pytest.fixture(autouse=True)
def _nothing_is_taken_away(cloud: Cloud) -> Iterator[None]:
    """Check in every test that no list is replaced or sent empty."""
    yield
    asked = [(request.method, request.path) for request in cloud.requests]
    assert not [path for method, path in asked if method == "PUT" and "/permissions/" in path]
    assert not [path for method, path in asked if "rule-sets" in path and method != "GET"]
    assert not [path for method, path in asked if method == "DELETE" and "/credentials/secrets/" not in path]


def onboard(environ: Mapping[str, str], *options: str, folder: Path = ROOT) -> tuple[int, dict[str, Any]]:
    """Run `onboard --json`, and return its exit code and output."""
    done = warm.run("onboard", "--json", *options, environ=environ, folder=folder)
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done.returncode, json.loads(done.stdout)


def apply(environ: Mapping[str, str], *options: str, folder: Path = ROOT) -> tuple[int, dict[str, Any]]:
    return onboard(environ, "--apply", "--yes", *options, folder=folder)


def statuses(report: Mapping[str, Any]) -> dict[str, int]:
    found = [grant["status"] for grant in report["grants"]]
    return {status: found.count(status) for status in dict.fromkeys(found)}


def failures(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [grant for grant in report["grants"] if grant["error"]]


def writes(cloud: Cloud) -> list[tuple[str, str, str]]:
    """Return the admin's changes, without the app's requests and sign-ins with the new secret."""
    return [
        (request.method, request.host, request.path)
        for request in cloud.requests
        if request.method not in READS and "/oidc/" not in request.path and request.service != "login"
    ]


def green(fleet: UngrantedFleet) -> None:
    """Run the app as its own identities, without failures."""
    report = run_app({**os.environ, **fleet.settings})
    assert report.result == "ok", report.summary()


# Effects


def test_the_plan_only_looks_and_shows_every_right_that_is_missing(
    cloud: Cloud, environ: dict[str, str]
) -> None:
    code, report = onboard(environ)
    assert (code, report["result"], report["applied"], report["check"]) == (0, "ok", False, None)
    assert statuses(report) == {"planned": 13}
    assert {grant["kind"] for grant in report["grants"]} == {
        "organization",
        "principal",
        "folder",
        "oauth_secret",
        "federation_policy",
    }
    assert not writes(cloud)


def test_from_nothing_to_green(fleet: UngrantedFleet, environ: dict[str, str]) -> None:
    assert run_app({**os.environ, **fleet.settings}).result == "failed"
    code, report = apply(environ)
    assert code == 0, failures(report)
    assert statuses(report) == {"granted": 13}
    assert report["check"]["result"] == "ok"
    green(fleet)


def test_what_is_there_is_not_done_again(cloud: Cloud, environ: dict[str, str]) -> None:
    apply(environ)
    before = writes(cloud)
    code, report = apply(environ)
    assert code == 0
    assert statuses(report) == {"exists": GRANTED}
    assert writes(cloud) == before
    assert report["check"]["result"] == "ok"


@pytest.mark.parametrize("at", ["repos", "directories"])
@pytest.mark.parametrize("elsewhere", ["404", "400"])
def test_permissions_of_a_git_folder_are_granted_where_they_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, at: Any, elsewhere: Any
) -> None:
    with embedded_cloud(monkeypatch, Variant(permissions_at=at, permissions_elsewhere=elsewhere)) as cloud:
        fleet = seed_ungranted(cloud)
        environ = environ_of(cloud, fleet, tmp_path)
        code, report = apply(environ)
        assert code == 0, failures(report)
        code, report = onboard(environ)
        assert statuses(report) == {"exists": GRANTED}
        green(fleet)


def test_organizations_of_another_tenant_let_in_the_app_registration(cloud: Cloud, tmp_path: Path) -> None:
    fleet = seed_ungranted(cloud, foreign=True)
    code, report = apply(environ_of(cloud, fleet, tmp_path))
    assert code == 0, failures(report)
    green(fleet)


def test_missing_consent_in_the_other_tenant_has_a_command_and_its_role(cloud: Cloud, tmp_path: Path) -> None:
    fleet = seed_ungranted(cloud, foreign=True)
    assert fleet.application
    fleet.application.tenants.discard(OTHER_TENANT)
    code, report = onboard(environ_of(cloud, fleet, tmp_path))
    (failed,) = failures(report)
    assert code == 1
    assert failed["error"]["code"] == "no_consent"
    assert f"az ad sp create --id {fleet.application.client_id}" in failed["error"]["remedy"]


def test_a_system_assigned_identity_is_found_by_its_object_id(cloud: Cloud, environ: dict[str, str]) -> None:
    del environ["AZURE_CLIENT_ID"]
    done = warm.run("onboard", environ=environ)
    assert done.returncode == 2
    assert b"--object-id: is missing" in done.stderr
    assert b"az functionapp identity show" in done.stderr
    code, report = apply(environ, "--object-id", cloud.identity.object_id)
    assert code == 0, failures(report)


def test_a_member_without_basic_and_readers_gets_what_is_missing(
    cloud: Cloud, fleet: UngrantedFleet, environ: dict[str, str]
) -> None:
    apply(environ)
    organization = cloud.devops.organization("contoso")
    member = organization.change(cloud.identity.object_id)
    member.license = "stakeholder"
    member.groups.clear()
    _, report = onboard(environ)
    planned = {grant["kind"] for grant in report["grants"] if grant["status"] == "planned"}
    assert planned == {"organization", "project"}
    code, report = apply(environ)
    assert code == 0, failures(report)
    green(fleet)


def test_rights_of_others_stay_as_they_are(
    cloud: Cloud, fleet: UngrantedFleet, environ: dict[str, str]
) -> None:
    """A group's and a person's permissions on a folder; a principal that is already a workspace admin."""
    first = fleet.workspaces[0]
    bob = first.add_user(cloud.person("bob"))
    rights = first._tree.rights
    rights.add(
        "/Repos/etl/prod", {("user_name", bob.client_id): "CAN_RUN", ("group_name", "users"): "CAN_READ"}
    )
    before = rights.shown("/Repos/etl/prod")
    principal = first.members.add(CLIENT_ID, "git-refresh")
    principal.admin = True
    assert apply(environ)[0] == 0
    after = rights.shown("/Repos/etl/prod")
    assert {who: after[who] for who in before} == before
    assert principal.admin
    assert principal.assigned


def test_a_principal_without_workspace_access_is_given_it(
    fleet: UngrantedFleet, environ: dict[str, str]
) -> None:
    apply(environ)
    principal = next(p for p in fleet.workspaces[0].service_principals if p.client_id == CLIENT_ID)
    principal.entitlements = {"databricks-sql-access"}
    _, report = onboard(environ)
    (grant,) = [grant for grant in report["grants"] if grant["status"] == "planned"]
    assert grant["kind"] == "workspace_access"
    assert apply(environ)[0] == 0
    assert principal.entitlements == {"databricks-sql-access", "workspace-access"}


def test_a_folder_of_an_unlisted_project_grants_the_identity_no_access(
    cloud: Cloud, fleet: UngrantedFleet, environ: dict[str, str]
) -> None:
    """Otherwise a workspace admin could choose the repositories that the stored token can read."""
    secret = cloud.devops.repository("contoso", "Payroll", "salaries")
    first = fleet.workspaces[0]
    folder = first.folder("/Repos/etl/prod")
    assert folder
    folder.url = secret.url
    _, report = apply(environ)
    (told,) = [grant for grant in report["grants"] if "Payroll" in grant["description"]]
    assert told["status"] == "skipped"
    organization = cloud.devops.organization("contoso")
    project = organization.project("Payroll")
    assert project
    assert not organization.reads(cloud.identity.object_id, project)


def test_further_principals_are_checked_and_left_to_their_admins(
    cloud: Cloud, fleet: UngrantedFleet, environ: dict[str, str]
) -> None:
    other = cloud.account.create("jobs")
    fleet.workspaces[0].members.add(other.client_id, "jobs")
    entries = json.loads(environ["WORKSPACES"])
    entries[0]["additional_principal_ids"] = [other.id, 42]
    environ["WORKSPACES"] = json.dumps(entries)
    code, report = onboard(environ)
    missing, unknown = failures(report)
    assert code == 1
    assert missing["error"]["code"] == "manager_missing"
    assert f"service principal {other.id} (additional_principal_ids)" in missing["error"]["remedy"]
    assert unknown["error"]["code"] == "additional_principal_not_found"

    rules = RuleSet([{"role": MANAGER, "principals": [f"servicePrincipals/{CLIENT_ID}"]}])
    cloud.account.rule_sets[
        f"accounts/{cloud.account.id}/servicePrincipals/{other.client_id}/ruleSets/default"
    ] = rules
    entries[0]["additional_principal_ids"] = [other.id]
    environ["WORKSPACES"] = json.dumps(entries)
    code, report = apply(environ)
    assert code == 0, failures(report)


# No service principal yet


def without_client_id(environ: Mapping[str, str]) -> dict[str, str]:
    entries = json.loads(environ["WORKSPACES"])[:1]
    del entries[0]["client_id"]
    return {**environ, "WORKSPACES": json.dumps(entries)}


def test_a_new_principal_is_made_once_and_its_id_is_what_to_write(
    cloud: Cloud, fleet: UngrantedFleet, environ: dict[str, str]
) -> None:
    listless = without_client_id(environ)
    code, report = onboard(listless, "--new-principal", "etl refresh")
    assert (code, statuses(report)) == (0, {"planned": 1})
    assert not list(cloud.account.named("etl refresh"))
    code, report = apply(listless, "--new-principal", "etl refresh")
    assert code == 0, failures(report)
    (made,) = cloud.account.named("etl refresh")
    assert report["grants"][0]["client_id"] == made.client_id

    code, report = apply(listless, "--new-principal", "etl refresh")
    (failed,) = failures(report)
    assert code == 1
    assert failed["error"]["code"] == "principal_name_taken"
    assert made.client_id in failed["error"]["message"]
    assert len(list(cloud.account.named("etl refresh"))) == 1

    entries = json.loads(listless["WORKSPACES"])
    entries[0]["client_id"] = made.client_id
    whole = {**listless, "WORKSPACES": json.dumps(entries)}
    code, report = apply(whole)
    assert code == 0, failures(report)
    assert run_app({**os.environ, **fleet.settings, "WORKSPACES": whole["WORKSPACES"]}).result == "ok"


@pytest.mark.parametrize("options", [(), ("--settings", "workspaces.json")], ids=["found", "named"])
def test_a_new_principal_s_id_is_written_into_the_list(
    cloud: Cloud, fleet: UngrantedFleet, environ: dict[str, str], tmp_path: Path, options: tuple[str, ...]
) -> None:
    listless = without_client_id(environ)
    names = {name for name in fleet.settings if name in listless}
    values = {name: listless.pop(name) for name in names}
    file = tmp_path / "workspaces.json"
    file.write_text(json.dumps({n: json.loads(v) if v[0] in "[{" else v for n, v in values.items()}))
    before = file.read_text()
    code, report = onboard(listless, *options, "--new-principal", "etl refresh", folder=tmp_path)
    assert (code, file.read_text()) == (0, before)
    code, report = apply(listless, *options, "--new-principal", "etl refresh", folder=tmp_path)
    assert code == 0, failures(report)
    (made,) = cloud.account.named("etl refresh")
    assert json.loads(file.read_text())["WORKSPACE_DEFAULTS"] == {"client_id": made.client_id}
    code, report = apply(listless, *options, folder=tmp_path)
    assert code == 0, failures(report)


def test_a_new_principal_with_a_lost_response_is_found_again(cloud: Cloud, environ: dict[str, str]) -> None:
    cloud.inject(Fault(faults.act_then(faults.reset()), method="POST", route="ServicePrincipals", times=1))
    code, report = apply(without_client_id(environ), "--new-principal", "etl refresh")
    assert code == 0, failures(report)
    (made,) = cloud.account.named("etl refresh")
    assert report["grants"][0]["client_id"] == made.client_id


def test_a_list_with_a_client_id_needs_no_new_principal(environ: dict[str, str]) -> None:
    environ["WORKSPACE_DEFAULTS"] = json.dumps({"client_id": CLIENT_ID})
    done = warm.run("onboard", "--new-principal", "x", environ=environ)
    assert done.returncode == 2
    assert b"--new-principal: needs a list without client_id" in done.stderr


def test_a_list_that_would_not_use_it_gets_no_new_principal(environ: dict[str, str]) -> None:
    environ["WORKSPACES"] = json.dumps(json.loads(environ["WORKSPACES"])[1:])
    done = warm.run("onboard", "--new-principal", "x", environ=environ)
    assert done.returncode == 2
    assert b"would use the new service principal" in done.stderr


def test_another_principal_of_the_same_name_is_not_taken_for_it(
    cloud: Cloud, fleet: UngrantedFleet, environ: dict[str, str]
) -> None:
    twin = cloud.account.create("git-refresh")
    fleet.workspaces[0].members.add(twin.client_id, "git-refresh")
    code, report = apply(environ)
    assert code == 0, failures(report)
    assert not twin.secrets
    green(fleet)


# Faults


def every_write(cloud: Cloud, environ: dict[str, str]) -> list[tuple[str, str, str]]:
    assert apply(environ)[0] == 0
    return list(dict.fromkeys(writes(cloud)))


WRITES, KINDS = 19, 10
"""The number of writes of an undisturbed onboarding, and of their kinds."""


def test_the_writes_of_an_undisturbed_onboarding_are_all_tried_below(
    cloud: Cloud, environ: dict[str, str]
) -> None:
    assert len(every_write(cloud, environ)) == WRITES


def only(write: tuple[str, str, str], action: faults.Action, **options: Any) -> Fault:
    method, host, path = write
    return Fault(action, host=host, method=method, route=f"^{re.escape(path)}$", **options)


def kind(write: tuple[str, str, str]) -> str:
    """Return the kind of a write, without principal and place."""
    method, _, path = write
    return f"{method} {re.findall('[A-Za-z-]{4,}', path)[-1]}"


@pytest.fixture(scope="module")
def known_writes() -> Iterator[list[tuple[str, str, str]]]:
    """Return one write of each kind from an undisturbed onboarding; IDs are the same in every cloud."""
    with Cloud() as cloud, pytest.MonkeyPatch.context() as patch:
        environ = environ_of(cloud, seed_ungranted(cloud), cloud.directory / "laptop")
        patch.setenv("PATH", environ["PATH"])
        one_of_each = list({kind(write): write for write in every_write(cloud, environ)}.values())
        assert len(one_of_each) == KINDS, list(map(kind, one_of_each))
        yield one_of_each


REFUSAL = faults.status(
    403,
    {"error_code": "PERMISSION_DENIED", "message": "no", "error": {"code": "Forbidden", "message": "no"}},
)


@pytest.mark.parametrize("index", range(KINDS))
def test_a_step_that_is_refused_says_who_can_do_it_and_the_others_are_done(
    cloud: Cloud,
    fleet: UngrantedFleet,
    environ: dict[str, str],
    known_writes: list[tuple[str, str, str]],
    index: int,
) -> None:
    write = known_writes[index]
    cloud.inject(only(write, REFUSAL))
    code, report = apply(environ)
    assert code == 1
    failed = failures(report)
    assert failed, write
    for grant in failed:
        error = grant["error"]
        assert error["code"] in {"grant_refused", "oauth_secrets_forbidden", "key_vault_admin_forbidden"}, (
            error
        )
        if error["code"] == "grant_refused":
            assert grant["required_role"] in error["cause"]
            assert grant["command"] in error["remedy"]
    assert statuses(report)["granted"] >= 13 - 4, "one step, and what needs it"
    cloud.clear_faults()
    code, report = apply(environ)
    assert code == 0, failures(report)
    green(fleet)


@pytest.mark.parametrize("index", range(KINDS))
def test_a_step_with_a_lost_response_is_done_once(
    cloud: Cloud,
    fleet: UngrantedFleet,
    environ: dict[str, str],
    known_writes: list[tuple[str, str, str]],
    index: int,
) -> None:
    cloud.inject(only(known_writes[index], faults.act_then(faults.reset()), times=1))
    apply(environ)
    code, report = apply(environ)
    assert code == 0, failures(report)
    assert statuses(report) == {"exists": GRANTED}
    ends_in_the_same_place(cloud, fleet)


def ends_in_the_same_place(cloud: Cloud, fleet: UngrantedFleet, orphans: int = 1) -> None:
    """Check for one of everything, except for OAuth secrets whose value was lost."""
    ours = {CLIENT_ID, FEDERATED_CLIENT_ID, cloud.identity.client_id}
    assert {principal.client_id for principal in cloud.account.principals} == ours
    for workspace in fleet.workspaces:
        assert len(workspace.service_principals) == 1
    federated = cloud.account.find(FEDERATED_CLIENT_ID)
    principal = cloud.account.find(CLIENT_ID)
    assert federated
    assert principal
    assert len(federated.policies) == 1
    assert 1 <= len(principal.secrets) <= 1 + orphans
    assert fleet.vault.ends[SECRET_NAME]
    green(fleet)


def test_killed_after_each_write_and_typed_again_it_ends_in_the_same_place(
    cloud: Cloud, fleet: UngrantedFleet, environ: dict[str, str]
) -> None:
    """Each attempt is killed at the next write: the service performs it, but the response is lost."""
    environ["REFRESH_CONCURRENCY"] = "1"  # otherwise other writes run concurrently
    struck: set[tuple[str, str]] = set()
    running: list[ForkServerProcess] = []
    busy = threading.Event()

    def kill(request: Request) -> None:
        key = (request.method, f"{request.host}{request.path}")
        own = request.method in READS or "/oidc/" in request.path
        if own or key in struck or busy.is_set():
            return
        struck.add(key)
        busy.set()
        running[-1].kill()

    for _ in range(WRITES + 3):
        cloud.on_request = kill
        busy.clear()
        running.append(warm.start("onboard", "--apply", "--yes", "--json", environ=environ))
        running[-1].join(60)
        if running[-1].exitcode != -signal.SIGKILL:
            break
    cloud.on_request = None
    assert len(struck) >= WRITES - 3, "most of them were hit"
    assert running[-1].exitcode == 0
    ends_in_the_same_place(cloud, fleet, orphans=2)
    code, report = apply(environ)
    assert (code, statuses(report)) == (0, {"exists": GRANTED})


def test_two_admins_at_once_end_as_one(cloud: Cloud, fleet: UngrantedFleet, environ: dict[str, str]) -> None:
    cloud.latency = 0.02  # makes requests overlap
    processes = [warm.start("onboard", "--apply", "--yes", "--json", environ=environ) for _ in range(2)]
    for process in processes:
        process.join(90)
    cloud.latency = 0.0
    code, report = apply(environ)
    assert (code, statuses(report)) == (0, {"exists": GRANTED})
    ends_in_the_same_place(cloud, fleet)


def test_reads_that_lag_behind_writes_are_waited_for(
    cloud: Cloud, fleet: UngrantedFleet, environ: dict[str, str]
) -> None:
    cloud.devops.lag = cloud.account.lag = 2.0
    for workspace in fleet.workspaces:
        workspace.lag = 2.0
    cloud.account.policy_delay = cloud.account.secret_delay = 1.0
    code, report = apply(environ)
    assert code == 0, failures(report)
    assert statuses(report) == {"granted": 13}
    green(fleet)


def test_a_person_without_permissions_gets_the_role_for_each_step(
    cloud: Cloud, fleet: UngrantedFleet, tmp_path: Path
) -> None:
    bob = cloud.person("bob")
    for name in ("contoso", "fabrikam"):
        cloud.devops.organization(name).add_member(bob.object_id)
    for workspace in fleet.workspaces:
        workspace.add_user(bob)
    code, report = apply(environ_of(cloud, fleet, tmp_path, bob))
    assert code == 1
    assert report["check"]["result"] == "failed"
    whos = {grant["required_role"] for grant in failures(report)}
    assert "a Project Collection Administrator of contoso" in whos
    assert "an account admin of Databricks" in whos
    codes = {grant["error"]["code"] for grant in failures(report)}
    assert codes <= {"grant_refused", "key_vault_admin_forbidden"}
    for grant in failures(report):
        if grant["error"]["code"] == "grant_refused":
            assert re.match(r"(?:DATABRICKS_\w+=\S+ )*(?:az|databricks) ", grant["command"])


def test_an_outsider_gets_the_same_roles(cloud: Cloud, fleet: UngrantedFleet, tmp_path: Path) -> None:
    code, report = onboard(environ_of(cloud, fleet, tmp_path, cloud.person("eve")))
    assert code == 1
    assert "planned" not in statuses(report)
    assert not writes(cloud)


def test_onboard_without_a_sign_in(environ: dict[str, str], tmp_path: Path) -> None:
    az = tmp_path / "az" / "az"
    az.write_text("#!/bin/sh\necho \"ERROR: Please run 'az login' to setup account.\" >&2\nexit 1\n")
    code, report = onboard(environ)
    assert code == 1
    assert {grant["error"]["code"] for grant in failures(report)} == {"azure_cli_not_signed_in"}


def test_signed_in_to_the_wrong_tenant(cloud: Cloud, fleet: UngrantedFleet, tmp_path: Path) -> None:
    stranger = cloud.person("stranger", OTHER_TENANT)
    code, report = onboard(environ_of(cloud, fleet, tmp_path, stranger))
    assert code == 1
    (first, *_) = failures(report)
    assert first["error"]["code"] == "identity_not_in_tenant"
    assert OTHER_TENANT in first["error"]["message"]
    assert TENANT not in first["error"]["message"]


def test_an_organization_that_does_not_exist(environ: dict[str, str]) -> None:
    environ["WORKSPACES"] = environ["WORKSPACES"].replace("dev.azure.com/contoso/", "dev.azure.com/contosso/")
    code, report = onboard(environ)
    (failed,) = failures(report)
    assert code == 1
    assert failed["location"] == "Azure DevOps contosso"
    assert failed["error"]["code"] == "devops_organization_not_found"


def test_a_list_that_an_offline_check_rejects_is_not_looked_at(cloud: Cloud, environ: dict[str, str]) -> None:
    entries = json.loads(environ["WORKSPACES"])
    entries[1]["folders"] = ["no/absolute/path"]
    done = warm.run("onboard", "--apply", "--yes", environ={**environ, "WORKSPACES": json.dumps(entries)})
    assert done.returncode == 2
    assert b"WORKSPACES[1].folders[0]" in done.stderr
    assert not cloud.requests


def test_without_anybody_to_ask_nothing_is_granted(cloud: Cloud, environ: dict[str, str]) -> None:
    done = warm.run("onboard", "--apply", environ=environ)
    assert done.returncode == 2
    assert NO_TERMINAL.encode() in done.stderr
    assert not writes(cloud)


@pytest.mark.parametrize(("answer", "code"), [("n\n", 2), ("y\n", 0)])
def test_on_a_terminal_it_asks_first(cloud: Cloud, environ: dict[str, str], answer: str, code: int) -> None:
    done = warm.on_terminal("onboard", "--apply", environ=environ, columns=100, keys={"[y/N]": answer})
    assert done.returncode == code, done.stdout.decode()
    assert bool(writes(cloud)) == (code == 0)


def test_interrupted_it_says_that_what_was_granted_stays(
    cloud: Cloud, fleet: UngrantedFleet, environ: dict[str, str], tmp_path: Path
) -> None:
    cloud.inject(Fault(faults.hang(), method="POST", route="/credentials/secrets"))
    shown = tmp_path / "shown"
    running: list[ForkServerProcess] = []

    def interrupt(request: Request) -> None:
        if request.method == "POST" and "/credentials/secrets" in request.path:
            os.kill(running[0].pid or 0, signal.SIGINT)

    cloud.on_request = interrupt
    running.append(warm.start("onboard", "--apply", "--yes", environ=environ, stdout=shown))
    running[0].join(60)
    cloud.on_request = None
    assert running[0].exitcode == 130
    assert after_interrupt(changed=True) in shown.read_text()
    assert "grant_not_visible" not in shown.read_text()
    cloud.clear_faults()
    assert apply(environ)[0] == 0
    green(fleet)


def test_interrupted_while_a_new_oauth_secret_is_tried_it_is_deleted_again(
    cloud: Cloud, fleet: UngrantedFleet, environ: dict[str, str]
) -> None:
    """The value is not stored, so the secret would be unusable."""
    host = fleet.workspaces[0].host
    cloud.inject(Fault(faults.hang(), host=host, method="POST", route="/oidc/"))
    running: list[ForkServerProcess] = []
    hit = threading.Event()

    def interrupt(request: Request) -> None:
        if request.host == host and "/oidc/" in request.path and not hit.is_set():
            hit.set()
            os.kill(running[0].pid or 0, signal.SIGINT)

    cloud.on_request = interrupt
    running.append(warm.start("onboard", "--apply", "--yes", "--json", environ=environ))
    running[0].join(60)
    cloud.on_request = None
    assert running[0].exitcode == 130
    principal = cloud.account.find(CLIENT_ID)
    assert principal
    assert not principal.secrets
    cloud.clear_faults()
    assert apply(environ)[0] == 0
    assert len(principal.secrets) == 1


def test_an_interrupted_verification_calls_no_granted_access_a_failure(
    cloud: Cloud, fleet: UngrantedFleet, environ: dict[str, str], tmp_path: Path
) -> None:
    running: list[ForkServerProcess] = []
    written = threading.Event()

    def interrupt(request: Request) -> None:
        if request.method == "PATCH" and "permissions/directories" in request.path:
            written.set()
        elif written.is_set() and request.method == "GET" and "servicePrincipals(appId" in request.path:
            os.kill(running[0].pid or 0, signal.SIGINT)

    cloud.on_request = interrupt
    cloud.latency = 0.05
    out = tmp_path / "out"
    running.append(warm.start("onboard", "--apply", "--yes", "--json", environ=environ, stdout=out))
    running[0].join(60)
    cloud.on_request, cloud.latency = None, 0.0
    assert running[0].exitcode == 130
    report = json.loads(out.read_text())
    assert not failures(report)
    assert statuses(report) == {"granted": 13}
    assert fleet.vault.ends


def test_interrupted_while_it_checks_it_ends_as_what_is_interrupted(
    cloud: Cloud, environ: dict[str, str]
) -> None:
    running: list[ForkServerProcess] = []

    def interrupt(request: Request) -> None:
        if request.service == "identity":  # only the final check uses the app's identity
            os.kill(running[0].pid or 0, signal.SIGINT)

    cloud.on_request = interrupt
    cloud.latency = 0.05
    running.append(warm.start("onboard", "--apply", "--yes", "--json", environ=environ))
    running[0].join(60)
    cloud.on_request, cloud.latency = None, 0.0
    assert running[0].exitcode == 130


def test_the_new_oauth_secret_is_nowhere_but_in_key_vault(
    cloud: Cloud, environ: dict[str, str], tmp_path: Path
) -> None:
    """Terminals, log lines, files, and arguments of processes must not have it."""
    cloud.remember_secrets()
    home = tmp_path / "home"
    home.mkdir()
    environ |= {"HOME": str(home), "TMPDIR": str(home)}
    cloud.inject(only_reading_back())
    seen: list[str] = []

    def look(_: Request) -> None:
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                seen.append(process.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            except OSError:
                continue

    cloud.on_request = look
    done = warm.run("onboard", "--apply", "--yes", "--verbose", environ=environ)
    cloud.on_request = None
    principal = cloud.account.find(CLIENT_ID)
    assert principal
    values = [secret.value for secret in principal.secrets]
    assert values
    written = [path.read_text(errors="replace") for path in home.rglob("*") if path.is_file()]
    for text in (done.stdout.decode(), done.stderr.decode(), *seen, *written):
        for value in values:
            assert value not in text
        for issued in cloud.issued:
            assert issued not in text


def only_reading_back() -> Fault:
    """Respond 500 to a write that Key Vault has done; the error must not quote the secret."""
    action = faults.act_then(faults.status(500, {"error": {"code": "InternalError", "message": "oops"}}))
    return Fault(action, service="keyvault", method="PUT", times=1)
