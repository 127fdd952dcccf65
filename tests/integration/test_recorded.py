"""Recorded responses are parsed correctly, and the emulator's responses have the same shapes."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, override
from urllib.parse import urlsplit

import pytest
import requests
from azure.keyvault.secrets._shared import http_challenge_cache
from pydantic import SecretStr

from git_refresh.admin.logs import AppLogs, Query
from git_refresh.admin.organization import (
    DEVOPS_GRAPH_ORIGIN,
    DEVOPS_ORIGIN,
    ENTITLEMENTS_ORIGIN,
    Member,
    Organization,
)
from git_refresh.admin.resource_manager import AlertRule, FunctionApp, ResourceManager, Subscription
from git_refresh.admin.runs import LineRow
from git_refresh.admin.vault import AdminVault
from git_refresh.admin.workspace import AdminWorkspace
from git_refresh.app import trusted_certificates
from git_refresh.clients import oauth
from git_refresh.clients.databricks import DatabricksWorkspaceApi, workspace_session
from git_refresh.clients.devops import AzureDevOps
from git_refresh.clients.identity import Identity
from git_refresh.clients.key_vault import KeyVault
from git_refresh.clients.rest import Rest
from git_refresh.clients.session import Network
from git_refresh.failures.diagnosis import DiagnosisContext, explain
from git_refresh.failures.failure import Service, ServiceError
from git_refresh.model.clock import Deadline, SystemClock
from git_refresh.model.hosts import NO_HOSTS
from git_refresh.model.repository import parse_repository
from git_refresh.model.values import AZURE_DEVOPS, Ref, Token
from git_refresh.output.mask import SecretFilter
from localcloud import Cloud, Fault, faults
from localcloud.authority import (
    DATABRICKS_RESOURCE,
    DEVOPS_RESOURCE,
    LOGS_RESOURCE,
    MANAGEMENT_RESOURCE,
    VAULT_RESOURCE,
)
from tests.support.embedded_cloud import embedded_cloud
from tests.support.hostile import Plain
from tests.support.mutations import Body, Change, Header, Status, mutate
from tests.support.paths import RECORDED
from tests.support.recorded import shape

NAMES = sorted(path.stem for path in RECORDED.glob("*.json"))
HOST = "https://adb-1111111111111111.1.azuredatabricks.net"
LOGS = "https://api.loganalytics.io/v1"
MANAGER = "https://management.azure.com"
VAULT = "https://contoso.vault.azure.net"
URL = "https://dev.azure.com/contoso/Data%20Platform/_git/etl"
SECRET = "databricks-oauth-secret"
OBJECT_ID = "5a1e0000-0000-4000-8000-0000000000a2"
MEMBER = Member("aad.NWEx", "5a1e0000-0000-4000-8000-0000000000a3", False, frozenset())
SUBSCRIPTION = "5a1e0000-0000-4000-8000-0000000000b1"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-git-refresh"
COMPONENT_ID = f"{GROUP}/providers/Microsoft.Insights/components/appi-git-refresh-a1b2"
APP = FunctionApp(
    f"{GROUP}/providers/Microsoft.Web/sites/func-git-refresh-a1b2",
    "func-git-refresh-a1b2",
    "rg-git-refresh",
    SUBSCRIPTION,
)
RULE_NAME = "ar-git-refresh-run-failed-a1b2"
RULE_ID = f"/subscriptions/{SUBSCRIPTION}/resourcegroups/rg-git-refresh/providers/microsoft.insights/scheduledqueryrules/{RULE_NAME}"
SERVICES = {
    "devops": "devops",
    "keyvault": "keyvault",
    "identity": "identity",
    "databricks": "databricks",
    "resourcemanager": "resource_manager",
    "logs": "logs",
}


@dataclass(frozen=True)
class Recorded:
    """A response in `tests/recorded`."""

    name: str
    request: str
    status: int
    headers: dict[str, str]
    body: Any
    encoding: str = "utf-8"

    @classmethod
    def load(cls, name: str) -> "Recorded":
        return cls(name, **json.loads((RECORDED / f"{name}.json").read_text()))

    @property
    def service(self) -> str:
        return SERVICES[self.name.partition("_")[0]]

    def fault(self, route: str | None) -> Fault:
        """Return a fault with this response, sent over TLS under the service's name."""
        body = self.body if isinstance(self.body, str) else json.dumps(self.body)
        changes: list[Change] = [
            Status(self.status),
            Body(Plain(body), self.encoding),
            Header("Content-Type", None),
        ]
        changes += [Header(name, Plain(value)) for name, value in self.headers.items()]
        return Fault(mutate(*changes, Header("Content-Length", None)), service=self.service, route=route)


class Hasty(SystemClock):
    """The real clock, without waits before retries."""

    @override
    def sleep(self, seconds: float) -> None: ...


class SignedIn(Identity):
    """A person with a token for any resource."""

    @override
    def token(self, resource: str) -> Token:
        return Token(SecretStr("admin-token"), datetime.now(UTC) + timedelta(hours=1))


class Clients:
    """New clients of the app for the emulator."""

    def __init__(self) -> None:
        deadline, self.secrets = Deadline.after(30, Hasty()), SecretFilter()
        self._network = Network(trusted_certificates(os.environ), deadline, self.secrets)

    def heads(self) -> AzureDevOps:
        ends = self._network.deadline.clock.now()
        return AzureDevOps(Token(SecretStr("devops-token"), ends), self._network)

    def organization(self) -> Organization:
        return Organization(
            "contoso",
            *(
                self._rest(Service.AZURE_DEVOPS, at)
                for at in (DEVOPS_ORIGIN, ENTITLEMENTS_ORIGIN, DEVOPS_GRAPH_ORIGIN)
            ),
        )

    def workspace(self) -> DatabricksWorkspaceApi:
        session, token = workspace_session(HOST, self._network), SecretStr("databricks-token")
        return DatabricksWorkspaceApi(session, HOST, token, self._network)

    def admin_workspace(self) -> AdminWorkspace:
        return AdminWorkspace(HOST, self._rest(Service.DATABRICKS, HOST))

    def sign_in(self) -> SecretStr:
        secret = SecretStr("dose00112233445566778899aabbccddeeff")
        with workspace_session(HOST, self._network) as session:
            return oauth.sign_in(session, HOST, "client", secret, self._network)

    def identity(self) -> Identity:
        return Identity(None, self._network)

    def vault(self) -> KeyVault:
        return KeyVault(VAULT, self.identity(), self._network)

    def admin_vault(self) -> AdminVault:
        return AdminVault(VAULT, self.identity(), self._network)

    def manager(self) -> ResourceManager:
        return ResourceManager(self._rest(Service.RESOURCE_MANAGER, MANAGER))

    def logs(self) -> AppLogs:
        return AppLogs(DiagnosisContext(component=COMPONENT_ID), SignedIn(None, self._network), self._network)

    def _rest(self, service: Service, origin: str) -> Rest:
        token = SecretStr("admin-token")
        return Rest(service, origin, token, self._network)


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with pytest.MonkeyPatch.context() as patch, embedded_cloud(patch) as cloud:
        cloud.devops.repository("contoso", "Data Platform", "etl", files={"README.md": "hi"})
        cloud.workspace(urlsplit(HOST).netloc)
        cloud.keyvault("contoso")
        yield cloud


@pytest.fixture
def clients(cloud: Cloud) -> Iterator[Clients]:
    http_challenge_cache.clear()
    yield Clients()
    cloud.clear_faults()


@dataclass(frozen=True)
class Replay:
    """The call that parses a response, and its result: a value or a failure's code."""

    read: Callable[[Clients], object]
    expected: object
    route: str | None = None


def head(clients: Clients) -> object:
    return clients.heads().head(parse_repository(URL, NO_HOSTS), Ref("branch", "main")).commit


def refused_folder(clients: Clients) -> object:
    return clients.workspace().folder(7)


def latest(clients: Clients) -> object:
    return clients.vault().secret(SECRET).value.get_secret_value()


READ = {
    "devops_refs": Replay(head, "9d2c1f0e8b7a6d5c4b3a29180716f5e4d3c2b1a0"),
    "devops_project": Replay(
        lambda clients: clients.organization().project_id("Data Platform"),
        "5a1e0000-0000-4000-8000-0000000000a1",
    ),
    "devops_entitlement_changed": Replay(lambda clients: clients.organization().set_basic(MEMBER), None),
    "devops_membership_added": Replay(
        lambda clients: clients.organization().add_to_group(MEMBER, "vssgp.NWEx", "Data Platform"), None
    ),
    "keyvault_secret": Replay(latest, "dose00112233445566778899aabbccddeeff"),
    "keyvault_secret_stored": Replay(
        lambda clients: (
            clients.admin_vault()
            .store(SECRET, SecretStr("dose00112233445566778899aabbccddeeff"), None, {})
            .id
        ),
        "0123456789abcdef0123456789abcdef",
    ),
    "keyvault_deleted_secret_unknown": Replay(
        lambda clients: clients.admin_vault().current("none"), None, "/deletedsecrets/"
    ),
    "identity_token": Replay(
        lambda clients: clients.identity().token(AZURE_DEVOPS).value.get_secret_value(),
        "opaque-access-token-0001",
    ),
    "resourcemanager_sites": Replay(
        lambda clients: clients.manager().app(APP.name.upper(), SUBSCRIPTION), APP
    ),
    "resourcemanager_site": Replay(
        lambda clients: clients.manager().app(APP.name, SUBSCRIPTION, APP.group), APP
    ),
    "resourcemanager_not_found": Replay(
        lambda clients: clients.manager().app(APP.name, SUBSCRIPTION, APP.group), None
    ),
    "resourcemanager_app_settings": Replay(
        lambda clients: clients.manager().app_settings(APP),
        {"REFRESH_SCHEDULE": "0 */15 * * * *", "KEY_VAULT_URL": VAULT},
    ),
    "resourcemanager_alert_rules": Replay(
        lambda clients: clients.manager().alert_rules(APP), [AlertRule(RULE_ID, RULE_NAME, enabled=False)]
    ),
    "resourcemanager_alert_rule_changed": Replay(
        lambda clients: clients.manager().enable(AlertRule(RULE_ID, RULE_NAME)), None
    ),
    "resourcemanager_component": Replay(lambda clients: clients.manager().component_id(APP), COMPONENT_ID),
    "databricks_scim_not_found": Replay(lambda clients: clients.admin_workspace().scim.client_id(7), None),
}


def settings_of(clients: Clients) -> object:
    return clients.manager().app_settings(APP)


def saved(clients: Clients) -> None:
    clients.manager().set_app_settings(APP, {})


def last_run(clients: Clients) -> object:
    return clients.logs().find(Query.LAST_RUN, LineRow, timedelta(days=1))


READ["resourcemanager_app_settings_saved"] = Replay(saved, None)
REFUSED = {
    "resourcemanager_forbidden": Replay(settings_of, "app_settings_forbidden"),
    "resourcemanager_wrong_tenant": Replay(settings_of, "azure_wrong_tenant"),
    "resourcemanager_expired": Replay(settings_of, "azure_sign_in_rejected"),
    "resourcemanager_busy": Replay(saved, "app_update_in_progress"),
    "resourcemanager_throttled": Replay(settings_of, "throttled"),
    "logs_forbidden": Replay(last_run, "logs_forbidden", "/query$"),
    "logs_not_found": Replay(last_run, "logs_not_found", "/query$"),
    "logs_path_not_found": Replay(last_run, "logs_not_found", "/query$"),
    "logs_syntax_error": Replay(last_run, "unknown", "/query$"),
    "logs_table_unknown": Replay(last_run, "logs_empty", "/query$"),
    "logs_unauthenticated": Replay(last_run, "logs_wrong_tenant", "/query$"),
    "devops_organization_stopped": Replay(head, "devops_organization_deactivated"),
    "devops_unauthorized_empty": Replay(head, "devops_refusal_unexplained"),
    "devops_unauthorized_empty_list": Replay(head, "devops_refusal_unexplained"),
    "devops_project_unknown": Replay(head, "devops_project_not_found"),
    "devops_controller_unknown": Replay(head, "devops_not_found"),
    "devops_page_unknown": Replay(head, "devops_not_found"),
    "devops_bad_request": Replay(head, "unknown"),
    "keyvault_challenge": Replay(latest, "key_vault_wrong_tenant"),
    "keyvault_secret_unknown": Replay(latest, "secret_not_found"),
    "keyvault_deleted_secret": Replay(
        lambda clients: clients.admin_vault().current("none"), "secret_deleted", "/deletedsecrets/"
    ),
    "identity_failure": Replay(
        lambda clients: clients.identity().token(AZURE_DEVOPS), "identity_unavailable"
    ),
    "identity_failure_without_shape": Replay(
        lambda clients: clients.identity().token(AZURE_DEVOPS), "identity_not_assigned"
    ),
    "databricks_not_found": Replay(refused_folder, "folder_not_found"),
    "databricks_not_found_with_details": Replay(refused_folder, "folder_not_found"),
    "databricks_not_found_empty": Replay(refused_folder, "folder_not_found"),
    "databricks_not_found_odd_bytes": Replay(refused_folder, "folder_not_found"),
    "databricks_not_found_text": Replay(refused_folder, "folder_not_found"),
    "databricks_numeric_error_code": Replay(refused_folder, "unknown"),
    "databricks_malformed_request": Replay(refused_folder, "unknown"),
    "databricks_html": Replay(refused_folder, "unknown"),
    "databricks_throttled": Replay(refused_folder, "throttled"),
    "databricks_throttled_429": Replay(refused_folder, "throttled"),
    "databricks_unavailable": Replay(refused_folder, "service_unavailable"),
    "databricks_unauthenticated": Replay(refused_folder, "workspace_token_rejected"),
    "databricks_forbidden": Replay(refused_folder, "permission_denied"),
    "databricks_private_link": Replay(refused_folder, "workspace_private_link"),
}
TOGETHER = {"devops_entitlement", "devops_descriptor", "devops_groups", "resourcemanager_subscriptions"}
"""Part of multi-request steps with their own tests."""
NOT_READ = {"resourcemanager_components", "logs_rows"}
"""Only compared with the emulator."""


def test_every_recorded_answer_is_replayed() -> None:
    assert sorted({*READ, *REFUSED, *TOGETHER, *NOT_READ}) == NAMES


@pytest.mark.parametrize("name", READ)
def test_a_recorded_answer_is_read(name: str, cloud: Cloud, clients: Clients) -> None:
    replay = READ[name]
    cloud.inject(Recorded.load(name).fault(replay.route))
    assert replay.read(clients) == replay.expected


@pytest.mark.parametrize("name", REFUSED)
def test_a_recorded_refusal_has_its_code(name: str, cloud: Cloud, clients: Clients) -> None:
    replay, recorded = REFUSED[name], Recorded.load(name)
    cloud.inject(recorded.fault(replay.route))
    with pytest.raises(ServiceError) as caught:
        replay.read(clients)
    found = explain(caught.value.failure, DiagnosisContext())
    assert found.code == replay.expected
    if name != "keyvault_deleted_secret":  # an error of the app itself, after a successful response
        assert caught.value.failure.status == recorded.status


@pytest.mark.parametrize("name", ["databricks_throttled", "databricks_throttled_429"])
def test_throttling_is_no_rejected_sign_in(name: str, cloud: Cloud, clients: Clients) -> None:
    cloud.inject(Recorded.load(name).fault(None))
    with pytest.raises(ServiceError) as caught:
        clients.sign_in()
    assert explain(caught.value.failure, DiagnosisContext()).code == "throttled"


def test_what_scim_says_is_in_its_detail(cloud: Cloud, clients: Clients) -> None:
    recorded = Recorded.load("databricks_scim_not_found")
    cloud.inject(recorded.fault(None))
    with pytest.raises(ServiceError) as caught:
        clients.admin_workspace().scim.principal("5a1e0000-0000-4000-8000-000000000001")
    assert caught.value.failure.message == recorded.body["detail"]


@pytest.mark.parametrize(
    ("status", "deleted", "expected"),
    [
        ("pending", False, ""),
        ("active", False, ""),
        ("disabled", False, "disabled"),
        ("expired", False, "expired"),
        ("deleted", False, None),
        ("none", False, None),
        ("active", True, None),
    ],
)
def test_a_member_is_one_that_is_not_gone(
    status: str,
    deleted: bool,  # noqa: FBT001  # a field of the response
    expected: str | None,
    cloud: Cloud,
    clients: Clients,
) -> None:
    recorded = Recorded.load("devops_entitlement")
    recorded.body["accessLevel"]["status"] = status
    recorded.body["servicePrincipal"] = recorded.body.pop("user") | {"isDeletedInOrigin": deleted}
    cloud.inject(recorded.fault("/serviceprincipalentitlements/"))
    listed = json.dumps({"value": [{"originId": OBJECT_ID, "descriptor": MEMBER.descriptor}]})
    for route, body in (("/storagekeys/", '{"value": "5a1e"}'), ("/serviceprincipals$", listed)):
        cloud.inject(
            Fault(mutate(Status(200), Body(Plain(body)), Header("Content-Length", None)), route=route)
        )
    found = clients.organization().member(OBJECT_ID)
    assert (found.blocked if isinstance(found, Member) else None) == expected


def test_the_readers_of_a_project_are_found(cloud: Cloud, clients: Clients) -> None:
    cloud.inject(Recorded.load("devops_descriptor").fault("/descriptors/"))
    groups = Recorded.load("devops_groups")
    cloud.inject(groups.fault("/groups$"))
    found = clients.organization().readers("Data Platform", "5a1e0000-0000-4000-8000-0000000000a1")
    assert found == groups.body["value"][1]["descriptor"]


def test_the_next_page_of_subscriptions_is_read(cloud: Cloud, clients: Clients) -> None:
    page = Recorded.load("resourcemanager_subscriptions")
    first = page.fault(None)
    first.times = 1
    cloud.inject(first)
    cloud.inject(Fault(faults.status(200, {"value": []}), service="resource_manager"))
    assert clients.manager().subscriptions() == [Subscription(SUBSCRIPTION, "Data Platform")]
    assert [request.query.get("$skiptoken") for request in cloud.requests[-2:]] == [None, "1"]


# The emulator's responses


@dataclass(frozen=True)
class Asked:
    """The request for such a response from the emulator."""

    request: str
    resource: str = DEVOPS_RESOURCE
    status: int | None = None
    """Another status with the same shape."""
    json: Any = None
    left_out: frozenset[str] = frozenset()
    """Subtrees of the recorded response that the app does not read."""
    extra: frozenset[str] = frozenset()
    """Fields only of the emulator: for another kind of member, or documented but not recorded."""


EXPRESS = {"accountLicenseType": "express", "licensingSource": "account"}
OF_A_PERSON = frozenset({"user"})
"""The entitlement of a person is recorded, that of a service principal is not."""
OF_A_PRINCIPAL = frozenset({"servicePrincipal"})
SITE = [
    f"properties.{name}"
    for name in (
        "enabledHostNames",
        "hostNameSslStates",
        "isXenon",
        "hyperV",
        "scmSiteAlsoStopped",
        "clientCertEnabled",
        "clientCertMode",
        "hostNamesDisabled",
        "customDomainVerificationId",
        "outboundIpAddresses",
        "possibleOutboundIpAddresses",
        "containerSize",
        "dailyMemoryTimeQuota",
        "redundancyMode",
        "storageAccountRequired",
    )
]
RULE = [
    "muteActionsDuration",
    "actions.actionGroups.*",
    "actions.actionProperties",
    "actions.customProperties",
    "resolveConfiguration",
    "isWorkspaceAlertsStorageConfigured",
    "checkWorkspaceAlertsStorageConfigured",
]
COMPONENT = ["Flow_Type", "Request_Source", "HockeyAppId", "HockeyAppToken", "LinkedStorages"]
"""Fields that these resources do not have in the emulator."""
SAME_SHAPE = {
    "devops_refs": Asked(
        "GET https://dev.azure.com/contoso/Data%20Platform/_apis/git/repositories/etl/refs",
        left_out=frozenset(
            f"value.*.creator.{key}"
            for key in ("_links", "descriptor", "id", "imageUrl", "uniqueName", "url")
        ),
    ),
    "devops_project": Asked(
        "GET https://dev.azure.com/contoso/_apis/projects/Data%20Platform",
        left_out=frozenset({"_links", "capabilities", "defaultTeam", "description"}),
    ),
    "devops_project_unknown": Asked("GET https://dev.azure.com/contoso/_apis/projects/none"),
    "devops_entitlement": Asked(
        "GET https://vsaex.dev.azure.com/contoso/_apis/serviceprincipalentitlements/{key}",
        left_out=OF_A_PERSON,
        extra=OF_A_PRINCIPAL | {"projectEntitlements.*"},
    ),
    "devops_entitlement_changed": Asked(
        "PATCH https://vsaex.dev.azure.com/contoso/_apis/serviceprincipalentitlements/{key}",
        json=[{"op": "replace", "path": "/accessLevel", "value": EXPRESS}],
        left_out=frozenset(
            {"operationResults.*.userId", "operationResults.*.result.user", "userEntitlement"}
        ),
        extra=frozenset(
            {
                "operationResults.*.servicePrincipalId",
                "operationResults.*.result.servicePrincipal",
                "servicePrincipalEntitlement",
            }
        ),
    ),
    "devops_descriptor": Asked(
        "GET https://vssps.dev.azure.com/contoso/_apis/graph/descriptors/{project}",
        left_out=frozenset({"_links"}),
    ),
    "devops_groups": Asked(
        "GET https://vssps.dev.azure.com/contoso/_apis/graph/groups", left_out=frozenset({"value.*._links"})
    ),
    "devops_membership_added": Asked(
        "PUT https://vssps.dev.azure.com/contoso/_apis/graph/memberships/{descriptor}/{readers}",
        left_out=frozenset({"_links"}),
    ),
    "keyvault_challenge": Asked(f"GET {VAULT}/secrets/there/?api-version=7.3", resource=""),
    "keyvault_secret": Asked(
        f"GET {VAULT}/secrets/there/?api-version=7.3", VAULT_RESOURCE, extra=frozenset({"tags"})
    ),
    "keyvault_secret_unknown": Asked(f"GET {VAULT}/secrets/none/?api-version=7.3", VAULT_RESOURCE),
    "keyvault_deleted_secret_unknown": Asked(
        f"GET {VAULT}/deletedsecrets/none?api-version=7.3", VAULT_RESOURCE
    ),
    "keyvault_deleted_secret": Asked(
        f"GET {VAULT}/deletedsecrets/gone?api-version=7.3", VAULT_RESOURCE, extra=frozenset({"tags"})
    ),
    "identity_token": Asked(
        f"GET {{endpoint}}?api-version=2019-08-01&resource={DEVOPS_RESOURCE}",
        extra=frozenset({"client_id", "token_type"}),
    ),
    "identity_failure": Asked(
        "GET {endpoint}?api-version=2019-08-01&resource=none", status=400, extra=frozenset({"correlationId"})
    ),
    "databricks_not_found": Asked(f"GET {HOST}/api/2.0/workspace/get-status?path=/none", DATABRICKS_RESOURCE),
}
SAME_SHAPE |= {
    "resourcemanager_subscriptions": Asked(
        f"GET {MANAGER}/subscriptions?api-version=2022-12-01",
        MANAGEMENT_RESOURCE,
        left_out=frozenset({"value.*.managedByTenants.*", "value.*.tags.environment", "nextLink"}),
        extra=frozenset({"count"}),
    ),
    "resourcemanager_sites": Asked(
        f"GET {MANAGER}{{subscription}}/providers/Microsoft.Web/sites?api-version=2025-03-01",
        MANAGEMENT_RESOURCE,
        left_out=frozenset(f"value.*.{name}" for name in SITE),
        extra=frozenset({"value.*.tags", "value.*.properties.sku"}),
    ),
    "resourcemanager_site": Asked(
        f"GET {MANAGER}{{app}}?api-version=2025-03-01",
        MANAGEMENT_RESOURCE,
        left_out=frozenset(SITE),
        extra=frozenset({"tags"}),
    ),
    "resourcemanager_app_settings": Asked(
        f"POST {MANAGER}{{app}}/config/appsettings/list?api-version=2025-03-01", MANAGEMENT_RESOURCE
    ),
    "resourcemanager_app_settings_saved": Asked(
        f"PUT {MANAGER}{{app}}/config/appsettings?api-version=2025-03-01",
        MANAGEMENT_RESOURCE,
        json={"properties": {"REFRESH_SCHEDULE": "0 */15 * * * *", "KEY_VAULT_URL": VAULT}},
    ),
    "resourcemanager_alert_rules": Asked(
        f"GET {MANAGER}{{group}}/providers/Microsoft.Insights/scheduledQueryRules?api-version=2026-03-01",
        MANAGEMENT_RESOURCE,
        left_out=frozenset(f"value.*.properties.{name}" for name in RULE),
        extra=frozenset({"value.*.kind", "value.*.properties.displayName"}),
    ),
    "resourcemanager_alert_rule_changed": Asked(
        f"PATCH {MANAGER}{{group}}/providers/Microsoft.Insights/scheduledQueryRules/failed?api-version=2026-03-01",
        MANAGEMENT_RESOURCE,
        json={"properties": {"enabled": True}},
        left_out=frozenset(f"properties.{name}" for name in RULE),
        extra=frozenset({"kind", "properties.displayName"}),
    ),
    "resourcemanager_component": Asked(
        f"GET {MANAGER}{{group}}/providers/Microsoft.Insights/components/logs?api-version=2020-02-02",
        MANAGEMENT_RESOURCE,
        left_out=frozenset({"tags", *(f"properties.{name}" for name in COMPONENT)}),
    ),
    "resourcemanager_components": Asked(
        f"GET {MANAGER}{{group}}/providers/Microsoft.Insights/components?api-version=2020-02-02",
        MANAGEMENT_RESOURCE,
        left_out=frozenset(
            {"nextLink", "value.*.tags", *(f"value.*.properties.{name}" for name in COMPONENT)}
        ),
    ),
    "logs_rows": Asked(
        f"POST {LOGS}{{group}}/providers/Microsoft.Insights/components/logs/query",
        LOGS_RESOURCE,
        json={"query": "traces | summarize count_ = count() by operation_Name", "timespan": "PT24H"},
    ),
    "logs_not_found": Asked(
        f"POST {LOGS}{{group}}/providers/Microsoft.Insights/components/none/query",
        LOGS_RESOURCE,
        json={"query": "traces"},
        extra=frozenset({"error.correlationId"}),
    ),
    "logs_forbidden": Asked(f"POST {LOGS}{{foreign}}/query", LOGS_RESOURCE, json={"query": "traces"}),
    "logs_path_not_found": Asked(f"GET {LOGS}/none", extra=frozenset({"error.correlationId"})),
    "logs_syntax_error": Asked(
        f"POST {LOGS}{{group}}/providers/Microsoft.Insights/components/logs/query",
        LOGS_RESOURCE,
        json={"query": "traces | | take 1"},
        extra=frozenset({"error.correlationId", "error.innererror.innererror"}),
    ),
    "logs_table_unknown": Asked(
        f"POST {LOGS}{{group}}/providers/Microsoft.Insights/components/logs/query",
        LOGS_RESOURCE,
        json={"query": "AppTraces | take 1"},
        extra=frozenset({"error.correlationId"}),
    ),
    "logs_unauthenticated": Asked(
        f"POST {LOGS}{{group}}/providers/Microsoft.Insights/components/logs/query",
        "",
        json={"query": "traces"},
        extra=frozenset({"error.correlationId"}),
    ),
    "resourcemanager_not_found": Asked(f"GET {MANAGER}{{app}}-2?api-version=2025-03-01", MANAGEMENT_RESOURCE),
    "resourcemanager_forbidden": Asked(
        f"POST {MANAGER}{{closed}}/config/appsettings/list?api-version=2025-03-01", MANAGEMENT_RESOURCE
    ),
    "resourcemanager_busy": Asked(
        f"PUT {MANAGER}{{busy}}/config/appsettings?api-version=2025-03-01",
        MANAGEMENT_RESOURCE,
        json={"properties": {}},
        left_out=frozenset(f"Details.*.ErrorEntity.{name}" for name in ("MessageTemplate", "Parameters")),
    ),
}
NOT_COMPARED = {
    "resourcemanager_wrong_tenant",
    "resourcemanager_expired",
    "resourcemanager_throttled",
    "devops_organization_stopped",
    "devops_unauthorized_empty",
    "devops_unauthorized_empty_list",
    "devops_controller_unknown",
    "devops_page_unknown",
    "devops_bad_request",
    "keyvault_secret_stored",
    "identity_failure_without_shape",
    "databricks_not_found_with_details",
    "databricks_not_found_empty",
    "databricks_not_found_odd_bytes",
    "databricks_not_found_text",
    "databricks_scim_not_found",
    "databricks_numeric_error_code",
    "databricks_malformed_request",
    "databricks_html",
    "databricks_throttled",
    "databricks_throttled_429",
    "databricks_unavailable",
    "databricks_unauthenticated",
    "databricks_forbidden",
    "databricks_private_link",
}
"""Responses that the emulator does not have, or has in another recorded shape."""


def without(paths: set[str], subtrees: frozenset[str]) -> set[str]:
    return {path for path in paths if not any(path == top or path.startswith(f"{top}.") for top in subtrees)}


def test_every_recorded_answer_is_compared_or_not() -> None:
    assert sorted({*SAME_SHAPE, *NOT_COMPARED}) == NAMES


@dataclass(frozen=True)
class Places:
    """The parts of paths in requests to the emulator."""

    cloud: Cloud

    def fill(self, text: str) -> str:
        organization = self.cloud.devops.organization("contoso")
        project = organization.project("Data Platform")
        assert project
        object_id = self.cloud.identity.object_id
        group = self.cloud.resource_manager.subscription("contoso").group("git-refresh")
        values = {
            "subscription": group.subscription.id,
            "group": group.id,
            **{name: f"{group.id}/providers/Microsoft.Web/sites/{name}" for name in ("app", "busy")},
            "foreign": f"{group.subscription.id}/resourceGroups/foreign/providers/Microsoft.Insights/components/logs",
            "closed": f"{group.subscription.id}/resourceGroups/closed/providers/Microsoft.Web/sites/app",
            "key": organization.storage_key(object_id),
            "project": project.id,
            "descriptor": organization.descriptor(object_id),
            "readers": project.group("Readers").descriptor,
            "endpoint": os.environ["IDENTITY_ENDPOINT"],
        }
        for name, value in values.items():
            text = text.replace(f"{{{name}}}", value)
        return text


def ask(cloud: Cloud, asked: Asked) -> requests.Response:
    method, _, url = Places(cloud).fill(asked.request).partition(" ")
    headers = {"X-TFS-FedAuthRedirect": "Suppress", "X-IDENTITY-HEADER": cloud.identity.header}
    if asked.resource == DEVOPS_RESOURCE:
        headers["Authorization"] = f"Bearer {cloud.person('ada').token(DEVOPS_RESOURCE)}"
    elif asked.resource == VAULT_RESOURCE:
        headers["Authorization"] = f"Bearer {cloud.identity.token(VAULT_RESOURCE)}"
    elif asked.resource:
        headers["Authorization"] = f"Bearer {cloud.person('ada').token(asked.resource)}"
    if isinstance(asked.json, list):
        headers["Content-Type"] = "application/json-patch+json"
    preview = {"api-version": "7.1-preview.1"} if "graph" in url or "vsaex" in url else {}
    return requests.request(method, url, params=preview, headers=headers, json=asked.json, timeout=10)


@pytest.mark.parametrize("name", SAME_SHAPE)
def test_the_embedded_cloud_answers_in_the_recorded_shape(name: str, cloud: Cloud) -> None:
    recorded, asked = Recorded.load(name), SAME_SHAPE[name]
    ada = cloud.person("ada")
    cloud.devops.organization("contoso").add_administrator(ada.object_id)
    cloud.workspace(urlsplit(HOST).netloc).add_user(ada, admin=True)
    subscription = cloud.resource_manager.subscription("contoso")
    group, closed = subscription.group("git-refresh"), subscription.group("closed")
    group.assign(ada.object_id, "Contributor")
    settings = {"REFRESH_SCHEDULE": "0 */15 * * * *", "KEY_VAULT_URL": VAULT}
    group.function_app("app", settings)
    group.function_app("busy").busy = True
    group.alert_rule("failed", scopes=[group.component("logs").id])
    cloud.logs.of(group.component("logs")).trace("Executed")
    subscription.group("foreign").component("logs")
    closed.assign(ada.object_id, "Reader")
    closed.function_app("app")
    vault = cloud.keyvault("contoso")
    vault.set("there", "dose00112233445566778899aabbccddeeff")
    if not vault.versions("gone"):
        vault.set("gone", "dose00112233445566778899aabbccddeeff")
        vault.deletion_s = 0
        vault.delete("gone")
    answer = ask(cloud, asked)
    assert answer.status_code == (asked.status or recorded.status), answer.text
    theirs, ours = shape(recorded.body), shape(answer.json())
    different = {path for path in theirs.keys() & ours if theirs[path] != ours[path]}
    assert without(different, asked.left_out | asked.extra) == set()
    assert without(theirs.keys() - ours.keys(), asked.left_out) == set()
    assert without(ours.keys() - theirs.keys(), asked.extra) == set()
