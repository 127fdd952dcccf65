"""The rows of `tools.prove`: each reads a part of a deployed app and compares it with infra/.

Not verified in Azure yet. Roles assigned through a group are not found. Facts: Azure/azure-rest-api-specs, as
in `localcloud/resource_manager.py`, and
https://learn.microsoft.com/rest/api/resources/deployments/export-template.
"""

import ipaddress
import json
import re
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import Any, Literal

from git_refresh import __version__
from git_refresh.admin.deployment import is_paused
from git_refresh.admin.logs import AppLogs
from git_refresh.admin.resource_manager import FunctionApp
from git_refresh.admin.services import AdminServices
from git_refresh.admin.values import DiagnosedError
from git_refresh.cli.deployed import open_logs
from git_refresh.cli.runs import History, read_history
from git_refresh.clients.responses import Response
from git_refresh.failures.diagnosis import DiagnosisContext, diagnose
from git_refresh.failures.failure import ServiceError
from git_refresh.model.schedule import Schedule
from git_refresh.output.text import count, first_of
from git_refresh.settings.load import Settings, SettingsError, load
from tools import snapshots
from tools.alert_clock import minutes, rule_name

_RECENT = timedelta(days=1)
_DENIED = (401, 403)
_MOST = 5
WAITS = "The app waits for its first list."

Result = Literal["held", "failed", "not_tried"]
Resource = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Seen:
    """The result of a row, and the facts behind it."""

    result: Result
    text: str


def held(text: str) -> Seen:
    return Seen("held", text)


def failed(text: str) -> Seen:
    return Seen("failed", text)


def not_tried(text: str) -> Seen:
    return Seen("not_tried", text)


def at(value: object, *path: str) -> Any:  # noqa: ANN401  # JSON
    """Return the value at a path in JSON, or None."""
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def each(value: object) -> list[Any]:
    """Return the entries of a JSON list, or [] for another value."""
    return value if isinstance(value, list) else []


def fields(value: object) -> Mapping[str, Any]:
    """Return the fields of a JSON object, or {} for another value."""
    return value if isinstance(value, Mapping) else {}


class NotKnownError(Exception):
    """A value for a comparison is missing; the text names it."""


class _Row(Response):
    """A row of a query."""

    OperationName: str = ""
    slices: int = 0
    instances: int = 0


@dataclass(frozen=True)
class Deployed:
    """A deployed app and its resources, each read once on first use. Reading raises `ServiceError`."""

    services: AdminServices
    app: FunctionApp
    resolve: Callable[[str], Sequence[str]]
    """Returns the addresses of a host name."""

    def read(self, path: str, version: str) -> Resource:
        """Return a resource, or {} if it does not exist."""
        return self.services.resource_manager().read(path, version) or {}

    def read_all(self, path: str, version: str, **query: str) -> list[Resource]:
        return self.services.resource_manager().read_all(path, version, **query)

    def of_group(self, path: str) -> str:
        return f"{self.app.group_id}/providers/{path}"

    @cached_property
    def site(self) -> Resource:
        return self.read(self.app.id, "2025-03-01")

    @cached_property
    def settings(self) -> Mapping[str, str]:
        return self.services.resource_manager().app_settings(self.app)

    @cached_property
    def loaded(self) -> Settings | None:
        """The settings as the app reads them; None if the app cannot run with them."""
        try:
            return load(self.settings)
        except SettingsError:
            return None

    @cached_property
    def waits_for_list(self) -> bool:
        return not self.settings.get("WORKSPACES", "").strip() and is_paused(self.settings)

    @property
    def queue(self) -> bool:
        return self.settings.get("FAN_OUT") == "queue"

    @cached_property
    def deployment(self) -> Resource:
        """The latest deployment whose outputs name the app.

        Raises:
            NotKnownError: the resource group has no such deployment.
        """
        found = [
            deployment
            for deployment in self.read_all(self.of_group("Microsoft.Resources/deployments"), "2025-04-01")
            for name, output in fields(at(deployment, "properties", "outputs")).items()
            if name.upper() == "FUNCTION_APP_NAME" and at(output, "value") == self.app.name
        ]
        if not found:
            raise NotKnownError("The resource group keeps no deployment with this app among its outputs.")
        return max(found, key=lambda one: str(at(one, "properties", "timestamp")))

    def parameter(self, name: str) -> Any:  # noqa: ANN401  # JSON
        """Return a parameter's value or its default; None for a default that is an expression."""
        given = at(self.deployment, "properties", "parameters", name)
        if given is not None:
            return at(given, "value")
        default = at(_compiled(), "parameters", name, "defaultValue")
        return None if isinstance(default, str) and default.startswith("[") else default

    @cached_property
    def identities(self) -> Resource:
        return fields(at(self.site, "identity", "userAssignedIdentities"))

    @cached_property
    def storage(self) -> Resource:
        name = self.settings.get("AzureWebJobsStorage__accountName", "")
        return (
            self.read(self.of_group(f"Microsoft.Storage/storageAccounts/{name}"), "2025-08-01")
            if name
            else {}
        )

    @property
    def vault_name(self) -> str:
        return self.settings.get("KEY_VAULT_URL", "").removeprefix("https://").partition(".")[0]

    @cached_property
    def vault(self) -> Resource:
        """The vault that the deployment created; {} for an existing vault or none."""
        path = self.of_group(f"Microsoft.KeyVault/vaults/{self.vault_name}")
        return self.read(path, "2025-05-01") if self.vault_name else {}

    @cached_property
    def component(self) -> Resource:
        found = self.services.resource_manager().component_id(self.app)
        return self.read(found, "2020-02-02") if found else {}

    @cached_property
    def workspace(self) -> Resource:
        found = at(self.component, "properties", "WorkspaceResourceId")
        return self.read(found, "2025-02-01") if isinstance(found, str) else {}

    def named(self, name: str) -> str:
        """Return the name that infra/ gives to a resource of the app."""
        return f"{name}-{self.app.name.rpartition('-')[2]}"

    @cached_property
    def rules(self) -> Mapping[str, Resource]:
        """The alert rules by their names in infra/.

        Each is read by ID, because a list omits rules that the user cannot read.
        """
        path = self.of_group("Microsoft.Insights/scheduledQueryRules/ar-git-refresh")
        found = {name: self.read(self.named(f"{path}-{name}"), "2026-03-01") for name in self.wanted_rules}
        return {name: rule for name, rule in found.items() if rule}

    @property
    def wanted_rules(self) -> set[str]:
        predicted = snapshots.read("queue" if self.queue else "plain")
        return {rule_name(rule) for rule in predicted.of_type("Microsoft.Insights/scheduledQueryRules")}

    @cached_property
    def logs(self) -> AppLogs:
        return open_logs(self.services, self.app)

    def logs_of(self, resource_id: str) -> AppLogs:
        """Return the logs of a resource other than the component."""
        return self.services.logs(replace(self.logs.about, component=resource_id))

    @cached_property
    def history(self) -> History:
        return read_history(self.logs, _RECENT)


def _compiled() -> Mapping[str, Any]:
    template: dict[str, Any] = json.loads(snapshots.TEMPLATE.read_text(encoding="utf-8"))
    return template


# ---- What was deployed ----


def _template(deployed: Deployed) -> Seen:
    if snapshots.out_of_date():
        return not_tried("The compiled template of this checkout is out of date. Run: make snapshots")
    theirs = deployed.services.resource_manager().template(str(deployed.deployment.get("id")))
    places = list(_differences(_without_generator(_compiled()), _without_generator(theirs)))
    if places:
        return failed(f"{count(len(places), 'difference')} from this checkout: {first_of(places, _MOST)}")
    return held("The exported template is this checkout's, apart from the compiler's metadata.")


def _without_generator(value: Any) -> Any:  # noqa: ANN401  # JSON
    """Return a template without Bicep's version and hash in each module."""
    if isinstance(value, Mapping):
        return {name: _without_generator(one) for name, one in value.items() if name != "_generator"}
    return [_without_generator(one) for one in value] if isinstance(value, list) else value


def _differences(ours: object, theirs: object, place: str = "") -> Iterator[str]:
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        for name in ours:
            yield from _differences(ours[name], theirs.get(name), f"{place}.{name}".lstrip("."))
        if theirs.keys() - ours.keys():
            yield f"more in {place or 'the template'}"
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from _differences(one, other, f"{place}[{number}]")
    elif ours != theirs:
        yield place


def _functions(deployed: Deployed) -> Seen:
    listed = deployed.read_all(f"{deployed.app.id}/functions", "2025-03-01")
    wanted = {"refresh_git", "refresh_slice"} if deployed.queue else {"refresh_git"}
    names = {str(one.get("name")).rpartition("/")[2] for one in listed}
    found = {name if name in wanted else "functions of others" for name in names}
    if not found:
        return failed("No function is listed: the code is not deployed, or the app does not start.")
    return _compared("listed", wanted, found)


def _compared(what: str, wanted: set[str], found: set[str]) -> Seen:
    """Compare two sets: held if nothing is missing or extra."""
    parts = [f"not {what}: {first_of(sorted(wanted - found), _MOST)}"] if wanted - found else []
    parts += [f"also {what}: {first_of(sorted(found - wanted), _MOST)}"] if found - wanted else []
    return failed("; ".join(parts)) if parts else held(f"{what}: {first_of(sorted(found), len(found))}")


def _settings(deployed: Deployed) -> Seen:
    if deployed.waits_for_list:
        return not_tried(WAITS)
    try:
        problems = list(load(deployed.settings).problems)
        Schedule.read(deployed.settings.get("REFRESH_SCHEDULE", ""))
    except SettingsError as error:
        problems = error.problems
    except ValueError:
        return failed("Invalid: REFRESH_SCHEDULE")
    wrong = [problem.location for problem in problems if problem.severity == "error"]
    if wrong:
        return failed(f"Invalid: {first_of(list(dict.fromkeys(wrong)), _MOST)}")
    return held(f"{count(len(load(deployed.settings).entries), 'workspace')}, no error")


NEVER_SET = (
    "AzureWebJobsStorage",
    "FUNCTIONS_WORKER_RUNTIME",
    "FUNCTIONS_EXTENSION_VERSION",
    "WEBSITE_RUN_FROM_PACKAGE",
    "SCM_DO_BUILD_DURING_DEPLOYMENT",
    "ENABLE_ORYX_BUILD",
    "WEBSITE_CONTENTAZUREFILECONNECTIONSTRING",
    "WEBSITE_CONTENTSHARE",
    "WEBSITE_TIME_ZONE",
)
"""Flex Consumption refuses or ignores these, or they contain a key."""


def _host_settings(deployed: Deployed) -> Seen:
    own = deployed.settings.get("AZURE_CLIENT_ID", "")
    wanted = {
        "AzureWebJobsStorage__credential": "managedidentity",
        "AzureWebJobsStorage__clientId": own,
        "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": f"ClientId={own};Authorization=AAD",
        "APPLICATIONINSIGHTS_CONNECTION_STRING": at(deployed.component, "properties", "ConnectionString"),
        "AzureWebJobsStorage__accountName": deployed.storage.get("name"),
        "REFRESH_SCHEDULE": deployed.parameter("refreshSchedule"),
        "FAN_OUT": deployed.parameter("fanOut"),
    }
    wrong = [name for name, value in wanted.items() if value and deployed.settings.get(name) != value]
    if own not in {at(identity, "clientId") for identity in deployed.identities.values()}:
        wrong.append("AZURE_CLIENT_ID")
    never = [name for name in NEVER_SET if name in deployed.settings]
    if wrong or never:
        return failed(
            "; ".join([*(f"{name} differs" for name in wrong), *(f"{name} is set" for name in never)])
        )
    return held("The settings are the template's, without any that the plan refuses.")


def _instances(deployed: Deployed) -> Seen:
    found = at(
        deployed.site, "properties", "functionAppConfig", "scaleAndConcurrency", "maximumInstanceCount"
    )
    wanted = deployed.parameter("maximumInstanceCount") or (10 if deployed.queue else 1)
    return (held if found == wanted else failed)(f"maximumInstanceCount is {found}; {wanted} was deployed.")


def _not_paused(deployed: Deployed) -> Seen:
    if deployed.waits_for_list:
        return not_tried(WAITS)
    return failed("The app is paused.") if is_paused(deployed.settings) else held("The app is not paused.")


# ---- Permissions and keys ----

ROLES = {
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": "Storage Queue Data Contributor",
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
    "4633458b-17de-408a-b874-0445c86b69e6": "Key Vault Secrets User",
    "8e3af657-a8ff-443c-a75c-2fe8c4bcb635": "Owner",
    "b24988ac-6180-42a0-ab88-20f7382dd24c": "Contributor",
    "acdd72a7-3385-48ef-bd42-f606fba81ae7": "Reader",
}
"""Built-in roles by ID: those that infra/ assigns, and those that it must not."""


def _roles(deployed: Deployed) -> Seen:
    """Check the roles of all identities; the text names each by its purpose."""
    wanted: set[str] = set()
    found: set[str] = set()
    everywhere = True
    for identity, ids in deployed.identities.items():
        is_own = at(ids, "clientId") == deployed.settings.get("AZURE_CLIENT_ID")
        who = "app" if is_own else f"zone {zone_of(identity)}"
        wanted |= {f"{role} on the {on} ({who})" for role, on in _expected(deployed, who)}
        assignments, all_of_them = _assignments(deployed, str(at(ids, "principalId")))
        everywhere &= all_of_them
        found |= {f"{_role(one)} on the {_scope(deployed, one)} ({who})" for one in assignments}
    seen = _compared("assigned", wanted, found)
    missing_rights = "" if everywhere else " Other resource groups could not be read."
    return Seen(seen.result, f"{seen.text}.{missing_rights}" if missing_rights else seen.text)


def zone_of(identity: str) -> str:
    """Return the trust zone of an identity from infra/, or the name of another identity."""
    name = identity.rpartition("/")[2]
    found = re.fullmatch(r"id-git-refresh-(.+)-\w+", name)
    return found[1] if found else name


def _expected(deployed: Deployed, who: str) -> Iterator[tuple[str, str]]:
    if who == "app":
        yield "Storage Blob Data Owner", "storage account"
        yield "Monitoring Metrics Publisher", "component"
        if deployed.queue:
            yield "Storage Queue Data Contributor", "storage account"
        if deployed.parameter("storageTableAccess"):
            yield "Storage Table Data Contributor", "storage account"
        reads = bool(deployed.parameter("grantKeyVaultAccess"))
    else:
        zones = each(deployed.parameter("identities"))
        reads = any(at(one, "grantKeyVaultAccess") for one in zones if f"zone {at(one, 'name')}" == who)
    if reads:
        yield "Key Vault Secrets User", "vault"


def _assignments(deployed: Deployed, principal: str) -> tuple[list[Resource], bool]:
    """Return an identity's role assignments, and whether the subscription's could be read."""
    path, query = (
        "providers/Microsoft.Authorization/roleAssignments",
        {"$filter": f"principalId eq '{principal}'"},
    )
    try:
        return deployed.read_all(
            f"/subscriptions/{deployed.app.subscription_id}/{path}", "2022-04-01", **query
        ), True
    except ServiceError as error:
        if error.failure.status not in _DENIED:
            raise
    places = [deployed.app.group_id]
    if vault := deployed.parameter("existingKeyVaultName"):
        group = deployed.parameter("existingKeyVaultResourceGroup") or deployed.app.group
        of_group = f"/subscriptions/{deployed.app.subscription_id}/resourceGroups/{group}"
        places.append(f"{of_group}/providers/Microsoft.KeyVault/vaults/{vault}")
    return [
        one for place in places for one in deployed.read_all(f"{place}/{path}", "2022-04-01", **query)
    ], False


def _role(assignment: Resource) -> str:
    role = str(at(assignment, "properties", "roleDefinitionId")).rpartition("/")[2].lower()
    return ROLES.get(role, f"role {role}")


def _scope(deployed: Deployed, assignment: Resource) -> str:
    scope = str(at(assignment, "properties", "scope")).lower()
    known = {
        str(deployed.storage.get("id")).lower(): "storage account",
        str(deployed.component.get("id")).lower(): "component",
        deployed.app.group_id.lower(): "resource group",
        f"/subscriptions/{deployed.app.subscription_id}": "subscription",
    }
    is_vault = deployed.vault_name and scope.endswith(f"/vaults/{deployed.vault_name.lower()}")
    return "vault" if is_vault else known.get(scope, "something else")


def _is(what: str, resource: Resource, wanted: Mapping[str, object]) -> Seen:
    """Compare the properties of a resource."""
    if not resource:
        return failed(f"The {what} does not exist.")
    found = {path: at(resource, "properties", *path.split(".")) for path in wanted}
    seen = ", ".join(f"{path} is {json.dumps(value)}" for path, value in found.items())
    return (held if found == dict(wanted) else failed)(seen)


def _storage_keys(deployed: Deployed) -> Seen:
    wanted = {"allowSharedKeyAccess": False, "allowBlobPublicAccess": False}
    return _is("storage account", deployed.storage, wanted)


def _vault_roles(deployed: Deployed) -> Seen:
    if not deployed.vault_name or deployed.parameter("existingKeyVaultName"):
        return not_tried("This deployment did not create a vault.")
    return _is("vault", deployed.vault, {"enableRbacAuthorization": True})


def _component_keys(deployed: Deployed) -> Seen:
    return _is("component", deployed.component, {"DisableLocalAuth": True})


def _workspace_keys(deployed: Deployed) -> Seen:
    return _is("Log Analytics workspace", deployed.workspace, {"features.disableLocalAuth": True})


def _publishing(deployed: Deployed) -> Seen:
    path = f"{deployed.app.id}/basicPublishingCredentialsPolicies/scm"
    return _is("policy", deployed.read(path, "2025-03-01"), {"allow": False})


def _versions(deployed: Deployed) -> Seen:
    if not deployed.storage:
        return failed("The storage account does not exist.")
    blobs = deployed.read(f"{deployed.storage['id']}/blobServices/default", "2025-08-01")
    return _is("blob service", blobs, {"isVersioningEnabled": True})


def _locks(deployed: Deployed) -> Seen:
    if not deployed.parameter("deleteLock"):
        return not_tried("deleteLock is not part of this deployment.")
    on = {
        "app": deployed.app.id,
        "storage account": deployed.storage.get("id"),
        "vault": deployed.vault.get("id"),
    }
    kept = {name: str(resource) for name, resource in on.items() if resource}
    locked = {name for name, resource in kept.items() if _locked(deployed, resource)}
    return _compared("locked", set(kept), locked)


def _locked(deployed: Deployed, resource: str) -> bool:
    locks = deployed.read_all(f"{resource}/providers/Microsoft.Authorization/locks", "2020-05-01")
    return any(at(lock, "properties", "level") == "CanNotDelete" for lock in locks)


# ---- The network ----


def _private_endpoints(deployed: Deployed) -> Seen:
    wanted = _private_services(deployed)
    if not wanted:
        return not_tried("Private endpoints are not part of this deployment.")
    path = deployed.of_group("Microsoft.Network/privateEndpoints/pep-git-refresh")
    endpoints = [deployed.read(deployed.named(f"{path}-{service}"), "2025-05-01") for service in wanted]
    found = {
        service
        for endpoint in endpoints
        for connection in each(at(endpoint, "properties", "privateLinkServiceConnections"))
        if at(connection, "properties", "privateLinkServiceConnectionState", "status") == "Approved"
        for service in map(str, each(at(connection, "properties", "groupIds")))
    }
    return _compared("approved", wanted, found)


def _private_services(deployed: Deployed) -> set[str]:
    if not deployed.parameter("privateEndpointSubnetId"):
        return set()
    given = {
        "queue": deployed.queue,
        "table": deployed.parameter("storageTableAccess"),
        "vault": deployed.vault,
    }
    return {"blob", *(service for service, wanted in given.items() if wanted)}


def _private_names(deployed: Deployed) -> Seen:
    services = _private_services(deployed)
    if not services:
        return not_tried("Private endpoints are not part of this deployment.")
    account = deployed.storage.get("name")
    hosts = {name: f"{account}.{name}.core.windows.net" for name in services - {"vault"}}
    hosts |= {"vault": f"{deployed.vault_name}.vault.azure.net"} if "vault" in services else {}
    inside = {service for service, host in hosts.items() if _is_private(deployed.resolve(host))}
    if not inside:
        return not_tried("No name resolves to a private address: this machine is outside the network.")
    return _compared("private", services, inside)


def _is_private(addresses: Sequence[str]) -> bool:
    return bool(addresses) and all(ipaddress.ip_address(one).is_private for one in addresses)


def addresses_of(host: str) -> Sequence[str]:
    """Return the addresses of a host name, or [] if it does not resolve."""
    try:
        return [str(found[4][0]) for found in socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM)]
    except OSError:
        return []


# ---- Alerts ----


def _rules(deployed: Deployed) -> Seen:
    if deployed.waits_for_list:
        return not_tried(WAITS)
    on = {name for name, rule in deployed.rules.items() if at(rule, "properties", "enabled") is not False}
    return _compared("on", deployed.wanted_rules, on)


def _recipients(deployed: Deployed) -> Seen:
    if deployed.parameter("noRecipient"):
        return not_tried("It was deployed with noRecipient.")
    if not deployed.rules:
        return failed("No alert rule exists.")
    reached: dict[str, bool] = {}
    without = []
    for name, rule in deployed.rules.items():
        groups = [str(one) for one in each(at(rule, "properties", "actions", "actionGroups"))]
        for group in groups:
            if group not in reached:
                reached[group] = _has_receiver(deployed.read(group, "2023-01-01"))
        if not any(reached[group] for group in groups):
            without.append(name)
    if without:
        return failed(f"Without a recipient: {first_of(sorted(without), _MOST)}")
    return held(f"Each of {count(len(deployed.rules), 'rule')} has one.")


def _has_receiver(group: Resource) -> bool:
    properties = fields(at(group, "properties"))
    receivers = [value for name, value in properties.items() if name.endswith("Receivers") and each(value)]
    return at(properties, "enabled") is not False and bool(receivers)


def _queries(deployed: Deployed) -> Seen:
    if not deployed.rules:
        return failed("No alert rule exists.")
    refused = []
    for name, rule in deployed.rules.items():
        scopes = each(at(rule, "properties", "scopes"))
        criteria = each(at(rule, "properties", "criteria", "allOf"))
        query = at(criteria[0], "query") if criteria else None
        if not scopes or not isinstance(query, str):
            refused.append(f"{name} (no query)")
            continue
        try:
            window = timedelta(minutes=minutes(str(at(rule, "properties", "windowSize"))))
            deployed.logs_of(str(scopes[0])).query(query, _Row, window)
        except ValueError:
            refused.append(f"{name} (no window)")
        except ServiceError as error:
            if error.failure.status != 400:  # noqa: PLR2004  # the service refuses the query
                raise
            refused.append(name)
    if refused:
        return failed(f"Refused: {first_of(sorted(refused), _MOST)}")
    return held(f"Azure accepted the query of each of {count(len(deployed.rules), 'rule')}.")


# ---- Runs ----


def _last_run(deployed: Deployed) -> Seen:
    history = deployed.history
    if history.last is None:
        return not_tried(WAITS) if deployed.waits_for_list else failed("No run was logged.")
    codes = {_word(failure.code) for failure in history.last.failures} | {
        one.code for one in history.findings
    }
    because = f": {first_of(sorted(codes), _MOST)}" if codes else ""
    ago = round((history.until - history.last.started_at) / timedelta(minutes=1))
    seen = f"{history.last.result}, {count(ago, 'minute')} ago{because}"
    return (held if history.result == "ok" else failed)(seen)


def _word(text: str) -> str:
    """Return a code, version or name from logs if it has the form of one."""
    return text if re.fullmatch(r"[\w.+-]{1,60}", text, re.ASCII) else "something else"


def _version(deployed: Deployed) -> Seen:
    last = deployed.history.last
    if last is None or last.app_version is None:
        return not_tried("No run has logged a version.")
    seen = f"The last run logged {_word(last.app_version)}; this checkout is {__version__}."
    return (held if last.app_version == __version__ else failed)(seen)


def _identity(deployed: Deployed) -> Seen:
    last = deployed.history.last
    if last is None or not last.tokens or deployed.loaded is None:
        return not_tried("No run has logged a token, or the settings are invalid.")
    wanted = {zone.identity for zone in deployed.loaded.zones()}
    logged = {token.identity for token in last.tokens}
    if logged <= wanted and deployed.loaded.client_id in wanted:
        return held(f"{count(len(logged), 'token')} of the last run, of identities that the settings name")
    return failed(f"Tokens are of {first_of(sorted(map(str, logged - wanted)), _MOST)}.")


_SLICES = "\n".join(  # noqa: FLY002  # a query reads best line by line
    (
        "traces",
        """| where message startswith '{"event": "git_refresh.run"'""",
        "| extend e = parse_json(message)",
        "| where isnotnull(tolong(e.slice))",
        "| summarize slices = dcount(tolong(e.slice)), instances = dcount(cloud_RoleInstance),",
        "    ended_at = max(timestamp) by run_id = tostring(e.run_id)",
        "| top 1 by ended_at desc",
    )
)


def _slices(deployed: Deployed) -> Seen:
    if not deployed.queue:
        return not_tried("FAN_OUT=queue is not part of this deployment.")
    rows = deployed.logs.query(_SLICES, _Row, _RECENT).rows
    if not rows or rows[0].slices < 2:  # noqa: PLR2004  # one slice has one instance
        return not_tried("The last run had fewer than two slices.")
    seen = f"{count(rows[0].slices, 'slice')} of the last run on {count(rows[0].instances, 'instance')}"
    return (held if rows[0].instances > 1 else failed)(seen)


_MESSAGES = "StorageQueueLogs\n| distinct OperationName"


def _queue_log(deployed: Deployed) -> Seen:
    if not deployed.queue:
        return not_tried("FAN_OUT=queue is not part of this deployment.")
    rows = deployed.logs_of(str(deployed.workspace.get("id"))).query(_MESSAGES, _Row, _RECENT).rows
    found = {_word(row.OperationName) for row in rows}
    wanted = {"PutMessage", "DeleteMessage"}
    if not wanted <= found or "GetMessages" in found:
        return failed(f"Logged: {first_of(sorted(found), _MOST) or 'nothing'}")
    return held("PutMessage and DeleteMessage are logged, and no GetMessages.")


# ---- The table ----


@dataclass(frozen=True, slots=True)
class Row:
    """A property that only a deployment can prove, and its check."""

    key: str
    proves: str
    check: Callable[[Deployed], Seen]

    def seen(self, deployed: Deployed) -> Seen:
        """Return the result; if a read fails, the row is not tried."""
        try:
            return self.check(deployed)
        except NotKnownError as error:
            return not_tried(str(error))
        except DiagnosedError as error:
            return failed(error.diagnosis.code)
        except ServiceError as error:
            if error.failure.status in _DENIED:
                return not_tried(f"You lack the permission to {error.failure.attempt}.")
            return not_tried(f"Could not {error.failure.attempt}: {diagnose(error, DiagnosisContext()).code}")


ROWS = (
    Row("template", "The deployed template is this checkout's", _template),
    Row("functions", "The app starts and lists its functions", _functions),
    Row("settings", "The app reads its settings without errors", _settings),
    Row("host_settings", "The host's settings are the template's", _host_settings),
    Row("instances", "The plan takes the number of instances", _instances),
    Row("not_paused", "The app is not paused", _not_paused),
    Row("roles", "The identities have their roles and no others", _roles),
    Row("storage_keys", "The storage account accepts no keys", _storage_keys),
    Row("vault_roles", "The vault accepts only role assignments", _vault_roles),
    Row("component_keys", "Telemetry accepts no keys", _component_keys),
    Row("workspace_keys", "The Log Analytics workspace accepts no keys", _workspace_keys),
    Row("publishing", "Basic authentication cannot deploy code", _publishing),
    Row("versions", "Blob versioning keeps previous code", _versions),
    Row("locks", "Locks are set", _locks),
    Row("private_endpoints", "Private endpoints are approved", _private_endpoints),
    Row("private_names", "Names resolve to private addresses", _private_names),
    Row("alert_rules", "The alert rules are on", _rules),
    Row("alert_recipients", "Each alert rule has a recipient", _recipients),
    Row("alert_queries", "Azure accepts the queries of the alert rules", _queries),
    Row("last_run", "The last run succeeded, and is recent", _last_run),
    Row("version", "The deployed code is this checkout's", _version),
    Row("identity", "Tokens are of the identities that the settings name", _identity),
    Row("slices", "Slices of a run use several instances", _slices),
    Row("queue_log", "The queue's log has messages, but no polling", _queue_log),
)


@dataclass(frozen=True, slots=True)
class Trial:
    """A property that only a change can prove: the command for a trial installation, and the sign."""

    key: str
    proves: str
    command: str
    sign: str


TRIALS = (
    Trial(
        "pause_alerts",
        "A pause fires no-run, and the mail arrives",
        'az functionapp config appsettings set --name "$APP" --resource-group "$GROUP" --settings '
        "AzureWebJobs.refresh_git.Disabled=true --output none",
        "The mail arrives within two hours. Then set it to false.",
    ),
    Trial(
        "daily_cap",
        "The daily cap fires log-cap-reached",
        'az monitor log-analytics workspace update --name LOG_WORKSPACE --resource-group "$GROUP" --quota 0.023',
        "The mail arrives within a day. Then deploy again.",
    ),
    Trial(
        "lock_refuses",
        "A lock refuses deletion",
        'az functionapp delete --name "$APP" --resource-group "$GROUP"',
        "ScopeLocked. Only with deleteLock; otherwise the app is deleted.",
    ),
    Trial(
        "old_code",
        "Previous code is kept",
        'func azure functionapp publish "$APP" --python',
        "After two deployments of the code: Storage account → Containers → app-package → Show versions.",
    ),
    Trial(
        "foreign_settings",
        "A second deployment keeps settings of others",
        'az functionapp config appsettings set --name "$APP" --resource-group "$GROUP" --settings MINE=1 --output none',
        "After another deployment, the app setting MINE still exists.",
    ),
)
