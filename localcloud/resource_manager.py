"""Azure Resource Manager: finds a function app, and reads and changes its settings and alert rules.

Facts: https://github.com/Azure/azure-rest-api-specs, `specification/`, below `resource-manager/`:
`resources/…/Microsoft.Resources/subscriptions/stable/2022-12-01`: `GET /subscriptions` lists those of the
token's tenant. `web/…/Microsoft.Web/AppService/stable/2025-03-01/WebApps.json`: saving app settings replaces
all of them, without `etag` and `If-Match`.
`monitor/…/Microsoft.Insights/Insights/stable/2026-03-01/scheduledQueryRule_API.json`: the IDs of rules are
lowercase. `applicationinsights/…/Microsoft.Insights/stable/2020-02-02/components_API.json`.

Other resources (`_STORED`) can only be read: by ID, in a list of siblings, or in a list of everything below.
`resources/…/Microsoft.Resources/deployments`: `exportTemplate` returns the template.
`…/Microsoft.Authorization/…/locks.json`.
`authorization/…/stable/2022-04-01/authorization-RoleAssignmentsCalls.json`: `principalId eq` finds
assignments at, above and below the scope. Roles:
https://learn.microsoft.com/azure/role-based-access-control/built-in-roles.

Refusals: azure-sdk-for-python#38382 (another tenant), Azure/apiops#671 (expired token),
vscode-azurefunctions#3830 (no permission), azure-cli#30992 (no resource), azure-powershell#10638 (no resource
group). Another operation in progress: azure-sdk-for-java#1827 (App Service's own errors have capitalized
fields) and Partner-Smart-Office#1 (the same as 429).

Not compared with the specification: Lists for a caller whose role is assigned further down, and the actions of
Website Contributor and the monitoring roles. Also functions, publishing policies, storage accounts, vaults, log
workspaces, private endpoints and action groups: They have the properties that infra/ sets.
"""

import fnmatch
import json
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, override

import jwt
from aiohttp import web

from localcloud.answers import PRINCIPAL, ApiError
from localcloud.authority import MANAGEMENT_AUDIENCES, TENANT, TENANTS, Authority, entra

SITES, COMPONENTS, RULES = (
    "Microsoft.Web/sites",
    "Microsoft.Insights/components",
    "Microsoft.Insights/scheduledQueryRules",
)

ROLES: Mapping[str, tuple[str, ...]] = {
    "Owner": ("*",),
    "Contributor": ("*",),
    "Reader": ("*/read",),
    "Website Contributor": (
        "Microsoft.Insights/components/*",
        "Microsoft.Resources/subscriptions/resourceGroups/read",
        "Microsoft.Web/serverFarms/read",
        "Microsoft.Web/sites/*",
    ),
    "Monitoring Contributor": (
        "*/read",
        "Microsoft.Insights/scheduledqueryrules/*",
        "Microsoft.OperationalInsights/workspaces/search/action",
    ),
    "Monitoring Reader": ("*/read", "Microsoft.OperationalInsights/workspaces/search/action"),
    "Log Analytics Reader": ("*/read", "Microsoft.OperationalInsights/workspaces/search/action"),
}
"""Actions of built-in roles. Website Contributor cannot read alert rules, Reader no app settings."""

_VERSIONS = {
    "subscriptions": ("2019-11-01", "2020-01-01", "2021-01-01", "2022-12-01"),
    SITES: ("2023-12-01", "2024-04-01", "2024-11-01", "2025-03-01"),
    COMPONENTS: ("2020-02-02",),
    RULES: ("2021-08-01", "2022-06-15", "2023-12-01", "2026-03-01"),
}
_STORED = {
    "Microsoft.Resources/deployments": ("2025-04-01",),
    "Microsoft.Authorization/roleAssignments": ("2022-04-01",),
    "Microsoft.Authorization/locks": ("2020-05-01",),
    "Microsoft.Web/sites/functions": ("2025-03-01",),
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": ("2025-03-01",),
    "Microsoft.Storage/storageAccounts": ("2025-08-01",),
    "Microsoft.Storage/storageAccounts/blobServices": ("2025-08-01",),
    "Microsoft.KeyVault/vaults": ("2025-05-01",),
    "Microsoft.OperationalInsights/workspaces": ("2025-02-01",),
    "Microsoft.Network/privateEndpoints": ("2025-05-01",),
    "Microsoft.Insights/actionGroups": ("2023-01-01",),
}
"""Known API versions of each further type; resources of other types are not found."""
_LOCATION = "westeurope"


class Scope:
    """A scope for role assignments: subscription, resource group or resource. Roles are inherited."""

    def __init__(self, scope_id: str, parent: "Scope | None" = None) -> None:
        self.id = scope_id
        self._parent = parent
        self._roles: dict[str, set[str]] = {}

    def assign(self, object_id: str, *roles: str) -> None:
        """Assign built-in roles of `ROLES` to a principal."""
        for role in roles:
            ROLES[role]  # raises KeyError for an unknown role
            self._roles.setdefault(object_id, set()).add(role)

    def unassign(self, object_id: str) -> None:
        """Remove all role assignments of a principal at this scope."""
        self._roles.pop(object_id, None)

    def roles(self, object_id: str) -> set[str]:
        """Return a principal's roles at this scope, including inherited ones."""
        above = self._parent.roles(object_id) if self._parent else set()
        return above | self._roles.get(object_id, set())

    @property
    def below(self) -> "Iterable[Scope]":
        """The scopes directly below."""
        return ()

    def seen_by(self, object_id: str) -> bool:
        """Return whether a principal has any role at this scope or below."""
        return bool(self.roles(object_id)) or any(scope.seen_by(object_id) for scope in self.below)

    def allows(self, object_id: str, action: str) -> bool:
        """Return whether a principal can do this action at this scope."""
        allowed = (each for role in self.roles(object_id) for each in ROLES[role])
        return any(fnmatch.fnmatchcase(action.lower(), each.lower()) for each in allowed)


class Resource(Scope):
    """A resource with a name, tags and a few properties.

    `more`: further fields of the response to a read.
    """

    type = ""
    kind: str | None = None

    def __init__(self, group: "ResourceGroup", name: str, tags: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{group.id}/providers/{self.type}/{name}", group)
        self.group = group
        self.name = name
        self.tags = dict(tags or {})
        self.more: dict[str, Any] = {}

    @property
    def properties(self) -> dict[str, Any]:
        raise NotImplementedError

    def shown(self) -> dict[str, Any]:
        """Return the response to a read."""
        known = {
            "id": self.id,
            "name": self.name,
            "type": self.type,
            "location": _LOCATION,
            "tags": self.tags,
        }
        properties = self.properties | self.more.get("properties", {})
        return known | ({"kind": self.kind} if self.kind else {}) | self.more | {"properties": properties}


class FunctionApp(Resource):
    """A function app. Changing `settings` directly is a change in the portal.

    `saved`: the app settings after each save through the API, which restarts the app.
    `on_save`: called, in the cloud's thread, after each save.
    `busy`: another operation is in progress, so saving fails.
    """

    type = SITES
    kind = "functionapp,linux"

    def __init__(
        self,
        group: "ResourceGroup",
        name: str,
        settings: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(group, name, tags)
        self.settings = dict(settings or {})
        self.saved: list[Mapping[str, str]] = []
        self.on_save: Callable[[], None] | None = None
        self.busy = False

    @property
    def restarts(self) -> int:
        return len(self.saved)

    @property
    @override
    def properties(self) -> dict[str, Any]:
        host = f"{self.name.lower()}.azurewebsites.net"
        return {
            "state": "Running",
            "hostNames": [host],
            "repositorySiteName": self.name,
            "usageState": "Normal",
            "enabled": True,
            "availabilityState": "Normal",
            "serverFarmId": f"{self.group.id}/providers/Microsoft.Web/serverfarms/plan-{self.name}",
            "reserved": True,
            "lastModifiedTimeUtc": "2026-11-02T08:00:00.000Z",
            "siteConfig": {
                "numberOfWorkers": 1,
                "linuxFxVersion": "",
                "alwaysOn": False,
                "minTlsVersion": "1.2",
            },
            "clientAffinityEnabled": False,
            "resourceGroup": self.group.name,
            "defaultHostName": host,
            "httpsOnly": True,
            "keyVaultReferenceIdentity": "SystemAssigned",
            "sku": "FlexConsumption",
        }

    def shown_settings(self) -> dict[str, Any]:
        return {
            "id": f"{self.id}/config/appsettings",
            "name": "appsettings",
            "type": f"{SITES}/config",
            "kind": self.kind,
            "properties": dict(self.settings),
        }

    def save(self, settings: Mapping[str, str]) -> None:
        """Replace the app settings as the API does; the app restarts."""
        self.settings = dict(settings)
        self.saved.append(dict(settings))
        if self.on_save:
            self.on_save()


class Component(Resource):
    type = COMPONENTS
    kind = "web"

    @property
    @override
    def properties(self) -> dict[str, Any]:
        key = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.id}/key"))
        return {
            "ApplicationId": self.name,
            "AppId": str(uuid.uuid5(uuid.NAMESPACE_URL, self.id)),
            "Application_Type": "web",
            "InstrumentationKey": key,
            "CreationDate": "2026-11-02T08:00:00.0000000+00:00",
            "TenantId": self.group.subscription.tenant_id,
            "provisioningState": "Succeeded",
            "SamplingPercentage": 100.0,
            "WorkspaceResourceId": f"{self.group.id}/providers/microsoft.operationalinsights/workspaces/log-{self.name}",
            "ConnectionString": f"InstrumentationKey={key}",
            "DisableIpMasking": False,
            "publicNetworkAccessForQuery": "Enabled",
            "publicNetworkAccessForIngestion": "Enabled",
            "IngestionMode": "LogAnalytics",
        }


class AlertRule(Resource):
    type = RULES
    kind = "LogAlert"

    def __init__(
        self, group: "ResourceGroup", name: str, *, scopes: Iterable[str] = (), enabled: bool = True
    ) -> None:
        super().__init__(group, name)
        self.scopes = list(scopes)
        self.enabled = enabled

    @property
    @override
    def properties(self) -> dict[str, Any]:
        return {
            "displayName": self.name,
            "description": self.name,
            "severity": 1,
            "enabled": self.enabled,
            "evaluationFrequency": "PT5M",
            "scopes": self.scopes,
            "targetResourceTypes": [COMPONENTS],
            "windowSize": "PT15M",
            "criteria": {
                "allOf": [
                    {
                        "query": "traces",
                        "timeAggregation": "Count",
                        "dimensions": [],
                        "operator": "GreaterThan",
                        "threshold": 0,
                        "failingPeriods": {"numberOfEvaluationPeriods": 1, "minFailingPeriodsToAlert": 1},
                    }
                ]
            },
            "actions": {"actionGroups": []},
            "skipQueryValidation": True,
        }

    @override
    def shown(self) -> dict[str, Any]:
        place = f"{self.group.subscription.id}/resourcegroups/{self.group.name}"
        kind = RULES.lower()
        return super().shown() | {"id": f"{place}/providers/{kind}/{self.name}", "type": kind}


class ResourceGroup(Scope):
    """A resource group; asking it for a resource by name creates a missing one."""

    def __init__(self, subscription: "Subscription", name: str) -> None:
        super().__init__(f"{subscription.id}/resourceGroups/{name}", subscription)
        self.subscription = subscription
        self.name = name
        self._resources: dict[tuple[str, str], Resource] = {}
        self.stored: dict[str, dict[str, Any]] = {}

    def function_app(
        self, name: str, settings: Mapping[str, str] | None = None, tags: Mapping[str, str] | None = None
    ) -> FunctionApp:
        return self._add(FunctionApp(self, name, settings, tags))

    def component(self, name: str) -> Component:
        return self._add(Component(self, name))

    def alert_rule(self, name: str, *, scopes: Iterable[str] = (), enabled: bool = True) -> AlertRule:
        return self._add(AlertRule(self, name, scopes=scopes, enabled=enabled))

    @property
    def alert_rules(self) -> list[AlertRule]:
        return [each for each in self._resources.values() if isinstance(each, AlertRule)]

    def store(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Store a resource that can only be read, and return its body, which can be changed."""
        kept = self.stored[body["id"].lower()] = dict(body)
        return kept

    def remove(self, resource: Resource) -> None:
        del self._resources[resource.type.lower(), resource.name.lower()]

    @property
    @override
    def below(self) -> Iterable[Scope]:
        return self._resources.values()

    def find(self, kind: str, name: str) -> Resource | None:
        return self._resources.get((kind.lower(), name.lower()))

    def all(self, kind: str) -> list[Resource]:
        return [known for (of, _), known in self._resources.items() if of == kind.lower()]

    def _add[R: Resource](self, resource: R) -> R:
        key = (resource.type.lower(), resource.name.lower())
        return self._resources.setdefault(key, resource)  # type: ignore[return-value]  # of the same type


class Subscription(Scope):
    """A subscription of one tenant; asking it for a resource group by name creates a missing one."""

    def __init__(self, name: str, tenant_id: str) -> None:
        self.subscription_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"subscription/{name}"))
        super().__init__(f"/subscriptions/{self.subscription_id}")
        self.name = name
        self.tenant_id = tenant_id
        self.stored: dict[str, dict[str, Any]] = {}
        self._groups: dict[str, ResourceGroup] = {}

    def group(self, name: str) -> ResourceGroup:
        return self._groups.setdefault(name.lower(), ResourceGroup(self, name))

    @property
    @override
    def below(self) -> Iterable[Scope]:
        return self._groups.values()

    @property
    def groups(self) -> "Iterable[ResourceGroup]":
        return self._groups.values()

    def find(self, group: str) -> ResourceGroup | None:
        return self._groups.get(group.lower())

    def all(self, kind: str) -> list[Resource]:
        return [each for group in self._groups.values() for each in group.all(kind)]

    def shown(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "subscriptionId": self.subscription_id,
            "tenantId": self.tenant_id,
            "displayName": self.name,
            "state": "Enabled",
            "subscriptionPolicies": {
                "locationPlacementId": "Public_2014-09-01",
                "quotaId": "EnterpriseAgreement_2014-09-01",
                "spendingLimit": "Off",
            },
            "authorizationSource": "RoleBased",
            "managedByTenants": [],
            "tags": {},
        }


@dataclass(frozen=True, slots=True)
class _Caller:
    object_id: str
    name: str
    tenant_id: str


@dataclass(frozen=True, slots=True)
class _Call:
    """A request, and the parts of its path."""

    caller: _Caller
    path: str
    query: Mapping[str, str]
    parts: Mapping[str, str]
    body: Mapping[str, Any]

    def denied(self, action: str, scope: str) -> ApiError:
        """Return the error of a caller without permission."""
        return _error(
            403,
            "AuthorizationFailed",
            f"The client '{self.caller.name}' with object id '{self.caller.object_id}' does not have authorization to perform action "
            f"'{action}' over scope '{scope}' or the scope is invalid. If access was recently granted, please refresh your credentials.",
        )


class ResourceManager:
    """`management.azure.com`.

    `page`: how many resources are on one page of a list.
    """

    service = "resource_manager"
    host = "management.azure.com"
    request_id_header = "x-ms-request-id"

    def __init__(self, authority: Authority) -> None:
        self.page = 50
        self._authority = authority
        self._subscriptions: dict[str, Subscription] = {}

    def subscription(self, name: str, tenant_id: str = TENANT) -> Subscription:
        """Return the subscription of this name; a new one has no role assignments."""
        known = next((each for each in self._subscriptions.values() if each.name == name), None)
        if known is None:
            known = Subscription(name, tenant_id)
            self._subscriptions[known.subscription_id] = known
        return known

    def subscriptions_of(self, object_id: str, tenant_id: str) -> list[Subscription]:
        """Return a tenant's subscriptions in which a principal has any role, oldest first."""
        return [
            each
            for each in self._subscriptions.values()
            if each.tenant_id == tenant_id and each.seen_by(object_id)
        ]

    def find(self, resource_id: str) -> Resource | None:
        """Return the resource with this ID, which is case-insensitive."""
        match = _RESOURCE.fullmatch(resource_id)
        subscription = match and self._subscriptions.get(match["subscription"].lower())
        group = subscription and subscription.find(match["group"]) if match else None
        return group.find(match["type"], match["name"]) if match and group else None

    def group_of_stored(self, resource_id: str) -> ResourceGroup | None:
        """Return the resource group that has stored this ID."""
        groups = (group for each in self._subscriptions.values() for group in each.groups)
        return next((group for group in groups if resource_id.lower() in group.stored), None)

    def routes(self) -> Iterable[web.RouteDef]:
        return [web.route("*", "/{path:.*}", self._answer)]

    async def _answer(self, request: web.Request) -> web.Response:
        caller = self._caller(request)
        body = await _content(request) if request.method in {"PUT", "PATCH"} else {}
        for method, pattern, handler in (
            ("GET", _SUBSCRIPTIONS, self._list_subscriptions),
            ("GET", _OF_SUBSCRIPTION, self._list),
            ("GET", _OF_GROUP, self._list),
            ("GET", _RESOURCE, self._get),
            ("PATCH", _RULE, self._patch_rule),
            ("POST", _SETTINGS_LIST, self._list_settings),
            ("PUT", _SETTINGS, self._put_settings),
            ("POST", _EXPORT, self._export),
            ("GET", _ANYTHING, self._read_stored),
        ):
            if method == request.method and (match := pattern.fullmatch(request.path)):
                parts = match.groupdict()
                kind = parts["type"] if "type" in parts else _type_of(request.path)
                _check_version(request.query.get("api-version"), kind)
                return web.json_response(handler(_Call(caller, request.path, request.query, parts, body)))
        raise _unknown_type(request.path)

    def _list_subscriptions(self, call: _Call) -> dict[str, Any]:
        found = self.subscriptions_of(call.caller.object_id, call.caller.tenant_id)
        count = {"type": "Total", "value": len(found)}
        return {"value": [each.shown() for each in found], "count": count}

    def _list(self, call: _Call) -> dict[str, Any]:
        subscription = self._subscription(call)
        group = subscription.find(call.parts["group"]) if "group" in call.parts else None
        scope, action = group or subscription, f"{call.parts['type']}/read"
        if not scope.seen_by(call.caller.object_id):
            raise call.denied(action, call.path.partition("/providers/")[0])
        if "group" in call.parts and group is None:
            raise _no_group(call)
        found = [each for each in scope.all(call.parts["type"]) if each.allows(call.caller.object_id, action)]
        start = int(call.query.get("$skiptoken", "0"))
        answer: dict[str, Any] = {"value": [each.shown() for each in found[start : start + self.page]]}
        if start + self.page < len(found):
            query = f"api-version={call.query['api-version']}&%24skiptoken={start + self.page}"
            answer["nextLink"] = f"https://{self.host}{call.path}?{query}"
        return answer

    def _get(self, call: _Call) -> dict[str, Any]:
        return self._resource(call, "read").shown()

    def _patch_rule(self, call: _Call) -> dict[str, Any]:
        rule = self._resource(call, "write")
        assert isinstance(rule, AlertRule)  # noqa: S101  # the path names the type
        properties = call.body.get("properties", {})
        if not isinstance(properties, dict) or not isinstance(properties.get("enabled", True), bool):
            raise _error(400, "BadRequest", "The request content has invalid properties.")
        rule.enabled = properties.get("enabled", rule.enabled)
        return rule.shown()

    def _list_settings(self, call: _Call) -> dict[str, Any]:
        return self._app(call, "config/list/action").shown_settings()

    def _put_settings(self, call: _Call) -> dict[str, Any]:
        app = self._app(call, "config/write")
        settings = call.body.get("properties")
        if not isinstance(settings, dict) or not all(isinstance(value, str) for value in settings.values()):
            raise _of_app_service(400, "BadRequest", "The parameter properties has an invalid value.")
        if app.busy:
            raise in_progress()
        app.save(settings)
        return app.shown_settings()

    def _export(self, call: _Call) -> dict[str, Any]:
        return {
            "template": self._stored(call, "exportTemplate/action", call.path.rpartition("/")[0])["template"]
        }

    def _read_stored(self, call: _Call) -> dict[str, Any]:
        return {
            name: value for name, value in self._stored(call, "read", call.path).items() if name != "template"
        }

    def _stored(self, call: _Call, action: str, path: str) -> dict[str, Any]:
        """Return stored resources: one by ID, or all of a type in a scope.

        Role assignments include those above and below the scope.
        """
        kind, place = _type_of(path), path.rstrip("/").lower()
        subscription = self._subscription(call)
        group = subscription.find(call.parts["group"]) if call.parts["group"] else None
        above = _RESOURCE.match(path)
        resource = group.find(above["type"], above["name"]) if above and group else None
        scope = resource or group or subscription
        if not scope.allows(call.caller.object_id, f"{kind}/{action}"):
            raise call.denied(f"{kind}/{action}", call.path.rpartition("/providers/")[0])
        if call.parts["group"] and group is None:
            raise _no_group(call)
        below = [group] if group else subscription.groups
        found = subscription.stored | {name: body for each in below for name, body in each.stored.items()}
        if place.rpartition("/providers/")[2].count("/") % 2 == 0:
            if place not in found:
                raise _not_found(kind, place.rpartition("/")[2], group.name if group else "")
            return found[place]
        if kind == "Microsoft.Authorization/roleAssignments":
            wanted = re.fullmatch(r"principalId eq '([^']+)'", call.query.get("$filter", ""))
            roles = [body for body in found.values() if body["type"] == kind]
            return {
                "value": [
                    each for each in roles if not wanted or each["properties"]["principalId"] == wanted[1]
                ]
            }
        return {"value": [body for name, body in found.items() if name.rpartition("/")[0] == place]}

    def _app(self, call: _Call, action: str) -> FunctionApp:
        app = self._resource(call, action)
        assert isinstance(app, FunctionApp)  # noqa: S101  # the path names the type
        return app

    def _resource(self, call: _Call, action: str) -> Resource:
        """Return the resource in the path, if the caller can do this action.

        A caller without permission gets the same error for existing and missing resources.
        """
        kind, name = call.parts["type"], call.parts["name"]
        subscription = self._subscription(call)
        group = subscription.find(call.parts["group"])
        found = group.find(kind, name) if group else None
        scope = found or group or subscription
        if not scope.allows(call.caller.object_id, f"{kind}/{action}"):
            raise call.denied(f"{kind}/{action}", call.path.removesuffix("/list"))
        if group is None:
            raise _no_group(call)
        if found is None:
            raise _not_found(kind, name, group.name)
        return found

    def _subscription(self, call: _Call) -> Subscription:
        identifier = call.parts["subscription"].lower()
        try:
            uuid.UUID(identifier)
        except ValueError:
            text = f"The provided subscription identifier '{identifier}' is malformed or invalid."
            raise _error(400, "InvalidSubscriptionId", text) from None
        found = self._subscriptions.get(identifier)
        if found is None:
            text = f"The subscription '{identifier}' could not be found."
            raise _error(404, "SubscriptionNotFound", text)
        if found.tenant_id != call.caller.tenant_id:
            raise _wrong_tenant(call.caller.tenant_id, found.tenant_id)
        return found

    def _caller(self, request: web.Request) -> _Caller:
        """Return the caller, or raise the error of an invalid token."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            text = "Authentication failed. The 'Authorization' header is missing."
            raise _unauthorized(TENANT, "AuthenticationFailed", text)
        issuers = [entra(tenant) for tenant in TENANTS]
        try:
            claims = self._authority.verify(token, MANAGEMENT_AUDIENCES, issuers)
        except jwt.ExpiredSignatureError:
            now = f"{datetime.now(UTC):%m/%d/%Y %I:%M:%S %p}"
            text = f"The access token expiry UTC time '{now}' is earlier than current UTC time '{now}'."
            raise _unauthorized(TENANT, "ExpiredAuthenticationToken", text) from None
        except jwt.InvalidAudienceError:
            text = (
                "The access token has been obtained for wrong audience or resource. It should exactly match with one of the allowed "
                f"audiences '{"','".join(MANAGEMENT_AUDIENCES)}'."
            )
            raise _unauthorized(TENANT, "InvalidAuthenticationTokenAudience", text) from None
        except jwt.InvalidTokenError:
            text = "The access token is invalid."
            raise _unauthorized(TENANT, "InvalidAuthenticationToken", text) from None
        request[PRINCIPAL] = claims["oid"]
        return _Caller(claims["oid"], claims.get("upn", claims["oid"]), claims["tid"])


_NAME = r"[^/]+"
_TYPES = "|".join(map(re.escape, (SITES, COMPONENTS, RULES)))


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)


_SUBSCRIPTION = rf"/subscriptions/(?P<subscription>{_NAME})"
_GROUP = rf"{_SUBSCRIPTION}/resourceGroups/(?P<group>{_NAME})"
_SITE = rf"{_GROUP}/providers/(?P<type>{re.escape(SITES)})/(?P<name>{_NAME})"
_SUBSCRIPTIONS = _pattern("/subscriptions/?")
_OF_SUBSCRIPTION = _pattern(rf"{_SUBSCRIPTION}/providers/(?P<type>{_TYPES})")
_OF_GROUP = _pattern(rf"{_GROUP}/providers/(?P<type>{_TYPES})")
_RESOURCE = _pattern(rf"{_GROUP}/providers/(?P<type>{_TYPES})/(?P<name>{_NAME})")
_RULE = _pattern(rf"{_GROUP}/providers/(?P<type>{re.escape(RULES)})/(?P<name>{_NAME})")
_SETTINGS = _pattern(rf"{_SITE}/config/appsettings")
_SETTINGS_LIST = _pattern(rf"{_SITE}/config/appsettings/list")
_EXPORT = _pattern(
    rf"{_GROUP}/providers/(?P<type>Microsoft\.Resources/deployments)/(?P<name>{_NAME})/exportTemplate"
)
_ANYTHING = _pattern(rf"{_SUBSCRIPTION}(?:/resourceGroups/(?P<group>{_NAME}))?(?:/.+)?/providers/.+")


def _type_of(path: str) -> str:
    """Return the type in a path; without `/providers/` it is `subscriptions`."""
    if "/providers/" not in path.lower():
        return "subscriptions"
    namespace, *names = re.split("/providers/", path, flags=re.IGNORECASE)[-1].split("/")
    kind = "/".join([namespace, *names[::2]])
    found = next((name for name in _STORED if name.lower() == kind.lower()), None)
    if found is None:
        raise _unknown_type(path)
    return found


def in_progress(status: int = 409) -> ApiError:
    """Return App Service's error while another change is in progress."""
    at, ids = f"{datetime.now(UTC):%m/%d/%Y %I:%M:%S %p}", (uuid.uuid4(), uuid.uuid4())
    details = f"Id: {ids[0]}, OperationName: Update, CreatedTime: {at}, RequestId: {ids[1]}, EntityType: 3"
    text = f"Cannot modify this site because another operation is in progress. Details: {details}"
    return _of_app_service(status, "Conflict", text, ExtendedCode="59203")


def throttled(seconds: int = 17) -> ApiError:
    """Return the error of a throttled caller: elastic/integrations#8575."""
    text = (
        "Number of requests for action 'Microsoft.Web/sites/read' exceeded the limit of '400' for time interval '00:05:00'. "
        f"Please try again after '{seconds}' seconds."
    )
    body = {"error": {"code": "ResourceRequestsThrottled", "message": text}}
    return ApiError(429, body, {"Retry-After": str(seconds)})


def _wrong_tenant(theirs: str, ours: str) -> ApiError:
    return _unauthorized(
        ours,
        "InvalidAuthenticationTokenTenant",
        f"The access token is from the wrong issuer '{entra(theirs)}'. It must match the tenant '{entra(ours)}' associated with this "
        f"subscription. Please use the authority (URL) 'https://login.windows.net/{ours}' to get the token. Note, if the subscription is "
        "transferred to another tenant there is no impact to the services, but information about new tenant could take time to propagate "
        "(up to an hour). If you just transferred your subscription and see this error message, please try back later.",
    )


def _unknown_type(path: str) -> ApiError:
    return _error(404, "InvalidResourceType", f"The resource type of '{path}' could not be found.")


def _not_found(kind: str, name: str, group: str) -> ApiError:
    text = f"The Resource '{kind}/{name}' under resource group '{group}' was not found."
    more = "For more details please go to https://aka.ms/ARMResourceNotFoundFix"
    return _error(404, "ResourceNotFound", f"{text} {more}")


def _no_group(call: _Call) -> ApiError:
    text = f"Resource group '{call.parts['group']}' could not be found."
    return _error(404, "ResourceGroupNotFound", text)


def _check_version(version: str | None, kind: str) -> None:
    if not version:
        text = "The api-version query parameter (?api-version=) is required for all requests."
        raise _error(400, "MissingApiVersionParameter", text)
    known = next(found for name, found in (_VERSIONS | _STORED).items() if name.lower() == kind.lower())
    if version not in known:
        text = f"The api-version '{version}' is invalid. The supported versions are '{','.join(known)}'."
        raise _error(400, "InvalidApiVersionParameter", text)


async def _content(request: web.Request) -> dict[str, Any]:
    try:
        content = json.loads(await request.read())
    except ValueError:
        content = None
    if not isinstance(content, dict):
        text = "The request content was invalid and could not be deserialized."
        raise _error(400, "InvalidRequestContent", text)
    return content


def _unauthorized(tenant_id: str, code: str, message: str) -> ApiError:
    challenge = f'Bearer authorization_uri="https://login.windows.net/{tenant_id}", error="invalid_token", error_description="{message}"'
    return ApiError(401, {"error": {"code": code, "message": message}}, {"WWW-Authenticate": challenge})


def _error(status: int, code: str, message: str) -> ApiError:
    return ApiError(status, {"error": {"code": code, "message": message}})


def _of_app_service(status: int, code: str, message: str, **entity: str) -> ApiError:
    details = [
        {"Message": message},
        {"Code": code},
        {"ErrorEntity": {**entity, "Code": code, "Message": message}},
    ]
    body = {"Code": code, "Message": message, "Target": None, "Details": details, "Innererror": None}
    return ApiError(status, body)
