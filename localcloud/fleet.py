"""A small fleet: the demo shows it and tests start from it."""

import json
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from localcloud.authority import OTHER_TENANT, TENANT, entra_v2
from localcloud.cloud import Cloud
from localcloud.databricks.account import OAuthSecret, new_secret
from localcloud.databricks.workspace import Workspace
from localcloud.devops.repository import Repository
from localcloud.identity import Identity
from localcloud.keyvault import KeyVault
from localcloud.login import AppRegistration
from localcloud.people import Person
from localcloud.resource_manager import Component, FunctionApp

ORGANIZATION = "contoso"
SECOND_ORGANIZATION = "fabrikam"
PROJECT = "Data Platform"
CLIENT_ID = "5a1e0000-0000-4000-8000-000000000001"
FEDERATED_CLIENT_ID = "5a1e0000-0000-4000-8000-000000000003"
SCHEDULE = "0 */15 * * * *"
SUBSCRIPTION, GROUP = "contoso-production", "rg-git-refresh"
APP, COMPONENT = "func-git-refresh-contoso", "appi-git-refresh-contoso"
ALERTS = ("run-failed", "no-run", "no-successful-run", "token-expires-too-soon", "secret-expires-soon")
PAUSE = "AzureWebJobs.refresh_git.Disabled"
SECRET_NAME = "databricks-oauth-secret"  # noqa: S105  # a name
SECRET = "dose00000000000000000000000000000001"  # noqa: S105  # valid in the emulator only


@dataclass(frozen=True, slots=True)
class Fleet:
    """The result of `seed`.

    `settings`: the fleet's app settings.
    `app`: the function app in Azure Resource Manager with these settings. Only an admin of the fleet has a
    role on it.
    """

    workspaces: list[Workspace]
    repositories: list[Repository]
    vault: KeyVault
    settings: Mapping[str, str]
    app: FunctionApp

    @property
    def by_name(self) -> dict[str, Workspace]:
        """The workspaces by their names in the settings."""
        names = [entry["name"] for entry in json.loads(self.settings["WORKSPACES"])]
        return dict(zip(names, self.workspaces, strict=True))

    @property
    def component(self) -> Component:
        return self.app.group.component(COMPONENT)


@dataclass(frozen=True, slots=True)
class ZonedFleet(Fleet):
    """The result of `seed_zones`; repositories of the first zone come first.

    `identity`: of the second zone.
    `application`: authenticates in the second organization if that has another tenant.
    """

    identity: Identity
    application: AppRegistration | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UngrantedFleet(ZonedFleet):
    """The result of `seed_ungranted`.

    `admin`: administers both organizations, every workspace and the account.
    """

    admin: Person


def seed(cloud: Cloud, workspaces: int = 3) -> Fleet:
    """Create an organization, two repositories, a vault, and workspaces with one Git folder.

    The settings also list a second folder per workspace, which a run creates.
    """
    etl, reports = _repositories(cloud, ORGANIZATION)
    vault = _vault(cloud)
    made = []
    for number in range(1, workspaces + 1):
        workspace = _workspace(cloud, number, etl)
        workspace.service_principal(CLIENT_ID, SECRET)
        made.append(workspace)
    entries = [_entry(workspace, number, reports) for number, workspace in enumerate(made, start=1)]
    settings = {
        "WORKSPACES": json.dumps(entries),
        "WORKSPACE_DEFAULTS": json.dumps({"client_id": CLIENT_ID, "client_secret_name": SECRET_NAME}),
        "KEY_VAULT_URL": vault.url,
        "REFRESH_SCHEDULE": SCHEDULE,
    }
    return Fleet(made, [etl, reports], vault, settings, function_app(cloud, settings))


def seed_zones(cloud: Cloud, *, foreign: bool = False) -> ZonedFleet:
    """Create three workspaces in two trust zones, each with another authentication method.

    The first has an OAuth secret, the second the cloud's identity: they share that identity and an
    organization. The third is federated, with its own identity and organization, in another tenant if
    `foreign`. Neither zone's identity can read the other zone.
    """
    fleet = _zones(cloud, foreign=foreign)
    fleet.vault.set(SECRET_NAME, SECRET, expires_on=datetime.now(UTC) + timedelta(days=180))
    first, second, third = fleet.workspaces
    identity, application = fleet.identity, fleet.application
    organization = cloud.devops.organization(SECOND_ORGANIZATION)
    organization.add_member(application.object_id(OTHER_TENANT) if application else identity.object_id)
    first.service_principal(CLIENT_ID, SECRET)
    second.add_managed_identity(cloud.identity.object_id)
    third.federate(FEDERATED_CLIENT_ID, issuer=entra_v2(TENANT), subject=identity.object_id)
    return fleet


def seed_ungranted(cloud: Cloud, *, foreign: bool = False) -> UngrantedFleet:
    """Create the fleet of `seed_zones` without any permission in Databricks and Azure DevOps.

    The account has the two principals in the settings. The registration of a `foreign` zone has consent. The
    app's identity can read secrets, but the vault is empty. The function app is as its first deployment
    leaves it: no list, paused, and alert rules off.
    """
    zones = _zones(cloud, foreign=foreign)
    ada = cloud.person("ada")
    for name in (ORGANIZATION, SECOND_ORGANIZATION):
        organization = cloud.devops.organization(name)
        organization.remove_member(cloud.identity.object_id)
        organization.add_administrator(ada.object_id)
    cloud.account.admins.add(ada.object_id)
    zones.vault.allow_writing(ada.object_id)
    zones.app.group.assign(ada.object_id, "Contributor")
    zones.app.settings |= {PAUSE: "true"}
    del zones.app.settings["WORKSPACES"]
    for rule in zones.app.group.alert_rules:
        rule.enabled = False
    cloud.account.add(CLIENT_ID, "git-refresh")
    cloud.account.add(FEDERATED_CLIENT_ID, "git-refresh-federated")
    for workspace in zones.workspaces:
        workspace.ungranted = True
        workspace.users_entitlements.clear()
        workspace.add_user(ada, admin=True)
    return UngrantedFleet(
        zones.workspaces,
        zones.repositories,
        zones.vault,
        zones.settings,
        zones.app,
        zones.identity,
        zones.application,
        admin=ada,
    )


def real_secret(cloud: Cloud, fleet: Fleet, days: float = 20.0, scopes: tuple[str, ...] = ()) -> OAuthSecret:
    """Give the fleet's principal an OAuth secret that is not managed by `rotate`.

    It expires in this many days.
    """
    principal = cloud.account.find(CLIENT_ID)
    if principal is None:
        raise ValueError(f"the account has no principal {CLIENT_ID}")
    made = new_secret(730 * 86_400, scopes)
    made.age(730 - days)
    principal.secrets.append(made)
    for workspace in fleet.workspaces:
        for known in workspace.service_principals:
            known.secret = None
    fleet.vault.set(SECRET_NAME, made.value, expires_on=made.ends)
    return made


def function_app(cloud: Cloud, settings: Mapping[str, str]) -> FunctionApp:
    """Create a function app with its component and alert rules, as infra/ deploys them.

    Its settings are the given ones and the host's own.
    """
    group = cloud.resource_manager.subscription(SUBSCRIPTION).group(GROUP)
    component = group.component(COMPONENT)
    for name in ALERTS:
        group.alert_rule(f"ar-git-refresh-{name}-contoso", scopes=[component.id])
    own = {
        "AzureWebJobsStorage__accountName": "stgitrefreshcontoso",
        "AzureWebJobsStorage__credential": "managedidentity",
        "APPLICATIONINSIGHTS_CONNECTION_STRING": component.properties["ConnectionString"],
        "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": f"ClientId={cloud.identity.client_id};Authorization=AAD",
        "AZURE_CLIENT_ID": cloud.identity.client_id,
    }
    tags = {
        "azd-env-name": "contoso",
        "azd-service-name": "refresh",
        "hidden-link: /app-insights-resource-id": component.id,
    }
    return group.function_app(APP, own | dict(settings), tags)


def deploy(
    cloud: Cloud,
    fleet: Fleet,
    resources: Iterable[Mapping[str, Any]],
    template: Mapping[str, Any],
    parameters: Mapping[str, object],
) -> None:
    """Put the result of a deployment of infra/ into the fleet's resource group.

    `resources`: predicted by the Bicep CLI, with generated names. Expressions in brackets stand for values
    that only Azure has.
    `template` and `parameters`: the input of the deployment.
    """
    group, app, ending = fleet.app.group, fleet.app, APP.rpartition("-")[2]
    text = json.dumps([*resources])
    place, token = re.findall(r'"id": "([^"]+)/providers/Microsoft.Web/sites/[a-z-]+-(\w+)"', text)[0]
    vault = (urlsplit(fleet.vault.url).hostname or "").partition(".")[0]
    subscription = place.partition("/resourceGroups/")[0], group.subscription.id
    for theirs, ours in ((place, group.id), subscription, (f"kv-{token}", vault), (token, ending)):
        text = text.replace(theirs, ours)
    named = set(re.findall(rf"{re.escape(group.id)}/[\w./]+/userAssignedIdentities/[\w-]+", text))
    own = f"/id-git-refresh-{ending}"
    identities = {it: cloud.identity if it.endswith(own) else cloud.add_identity(it) for it in sorted(named)}
    for it, identity in identities.items():
        text = text.replace(f"[reference('{it}', '2024-11-30').principalId]", identity.object_id)
    for each in json.loads(text):
        body = _as_deployed_resource(each, identities)
        if each["type"] == "Microsoft.Insights/scheduledQueryRules":
            group.alert_rule(each["name"], enabled=bool(body["properties"].pop("enabled")))
            if body["properties"]["actions"]["actionGroups"] is None:  # it depends on a secure parameter
                action_group = f"{group.id}/providers/Microsoft.Insights/actionGroups/ag-git-refresh-{ending}"
                body["properties"]["actions"]["actionGroups"] = [action_group]
        known = group.find(each["type"], each["name"])
        if known:
            known.more = {name: body[name] for name in ("identity", "properties") if name in body}
        else:
            group.subscription.group(body["id"].split("/")[4]).store(body)
    kind = "Microsoft.Web/sites/functions"
    for name in ("refresh_git", *(["refresh_slice"] if parameters.get("fanOut") == "queue" else [])):
        listed = {"id": f"{app.id}/functions/{name}", "name": f"{APP}/{name}", "type": kind}
        group.store(listed | {"properties": {"name": name, "language": "python", "isDisabled": False}})
    done = {
        "provisioningState": "Succeeded",
        "timestamp": "2026-11-02T08:00:00.0000000Z",
        "parameters": {name: {"type": "String", "value": value} for name, value in parameters.items()},
        "outputs": {"functioN_APP_NAME": {"type": "String", "value": APP}},
    }
    kind = "Microsoft.Resources/deployments"
    deployment = {"id": f"{group.id}/providers/{kind}/git-refresh", "name": "git-refresh", "type": kind}
    group.store(deployment | {"properties": done, "template": template})
    app.settings |= {
        "FAN_OUT": str(parameters.get("fanOut", "off")),
        "AzureWebJobsStorage__accountName": f"st{ending}",
        "AzureWebJobsStorage__clientId": cloud.identity.client_id,
    }
    if existing := parameters.get("existingKeyVaultName"):
        app.settings["KEY_VAULT_URL"] = f"https://{existing}.vault.azure.net"


def _as_deployed_resource(predicted: Mapping[str, Any], identities: Mapping[str, Identity]) -> dict[str, Any]:
    """Return a predicted resource as a read returns it, with the values that Azure adds."""
    body = {name: predicted[name] for name in ("id", "name", "type", "kind", "tags") if name in predicted}
    properties = body["properties"] = _as_deployed(predicted.get("properties", {}))
    if predicted["type"] == "Microsoft.Authorization/roleAssignments":
        properties["scope"] = re.findall(r"'([^']+)'", predicted["id"])[0]
        body["name"] = str(uuid.uuid5(uuid.NAMESPACE_URL, predicted["id"]))
        body["id"] = f"{properties['scope']}/providers/{predicted['type']}/{body['name']}"
    if predicted["type"] == "Microsoft.Insights/actionGroups" and not properties["emailReceivers"]:
        properties["webhookReceivers"] = [{"name": "oncall", "useCommonAlertSchema": True}]
    if predicted["type"] == "Microsoft.Web/sites":
        ids = {
            name: {"principalId": it.object_id, "clientId": it.client_id} for name, it in identities.items()
        }
        body["identity"] = {"type": "UserAssigned", "userAssignedIdentities": ids}
    for connection in (
        properties.get("privateLinkServiceConnections", ()) if isinstance(properties, dict) else ()
    ):
        connection["properties"]["privateLinkServiceConnectionState"] = {"status": "Approved"}
    return body


def _as_deployed(value: Any) -> Any:  # noqa: ANN401  # JSON
    """Return a value with None for each expression."""
    if isinstance(value, dict):
        return {name: _as_deployed(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_as_deployed(each) for each in value]
    return None if isinstance(value, str) and value.startswith("[") else value


def _zones(cloud: Cloud, *, foreign: bool) -> ZonedFleet:
    """Create the common part of both fleets, with the cloud's identity in the first organization."""
    etl, reports = _repositories(cloud, ORGANIZATION)
    identity = cloud.add_identity("second-zone")
    second = cloud.devops.organization(SECOND_ORGANIZATION, OTHER_TENANT if foreign else TENANT)
    second.remove_member(cloud.identity.object_id)
    application = cloud.app_registration("git-refresh") if foreign else None
    if application:
        application.trust(identity.object_id)
        application.consent(OTHER_TENANT)
    second_etl, second_reports = _repositories(cloud, SECOND_ORGANIZATION)
    made = [_workspace(cloud, number, each) for number, each in enumerate((etl, etl, second_etl), start=1)]
    vault = cloud.keyvault(ORGANIZATION)
    federated = {"auth": "federated", "client_id": FEDERATED_CLIENT_ID, "identity": identity.client_id}
    devops = {"tenant_id": OTHER_TENANT, "client_id": application.client_id} if application else None
    entries = [
        _entry(made[0], 1, reports) | {"client_id": CLIENT_ID, "client_secret_name": SECRET_NAME},
        _entry(made[1], 2, reports) | {"auth": "managed_identity"},
        _entry(made[2], 3, second_reports) | federated | ({"devops": devops} if devops else {}),
    ]
    settings = {
        "WORKSPACES": json.dumps(entries),
        "AZURE_CLIENT_ID": cloud.identity.client_id,
        "KEY_VAULT_URL": vault.url,
        "REFRESH_SCHEDULE": SCHEDULE,
    }
    repositories = [etl, reports, second_etl, second_reports]
    return ZonedFleet(
        made, repositories, vault, settings, function_app(cloud, settings), identity, application
    )


def _repositories(cloud: Cloud, organization: str) -> tuple[Repository, Repository]:
    of = "" if organization == ORGANIZATION else f" of {organization}"  # a unique ID for each commit
    etl = {"README.md": f"# ETL{of}\n", "jobs/load.py": "print('load')\n"}
    return (
        cloud.devops.repository(organization, PROJECT, "etl", etl),
        cloud.devops.repository(organization, PROJECT, "reports", {"README.md": f"# Reports{of}\n"}),
    )


def _vault(cloud: Cloud) -> KeyVault:
    vault = cloud.keyvault(ORGANIZATION)
    vault.set(SECRET_NAME, SECRET, expires_on=datetime.now(UTC) + timedelta(days=180))
    return vault


def _workspace(cloud: Cloud, number: int, etl: Repository) -> Workspace:
    workspace = cloud.workspace(f"adb-{number:016}.{number % 20}.azuredatabricks.net")
    workspace.add_folder("/Repos/etl/prod", etl)
    return workspace


def _entry(workspace: Workspace, number: int, reports: Repository) -> dict[str, object]:
    folders = ["/Repos/etl/prod", {"path": "/Repos/reports/prod", "url": reports.url, "branch": "main"}]
    return {"host": workspace.url, "name": f"data-{number}", "folders": folders}
