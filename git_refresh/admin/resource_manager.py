"""Client of Azure Resource Manager for function apps, their app settings, and alert rules.

Facts: Azure/azure-rest-api-specs, `specification/web/resource-manager/Microsoft.Web/AppService/stable/2025-03-01` (app settings are
replaced whole, and have no `etag`), `specification/monitor/resource-manager/Microsoft.Insights` (`scheduledQueryRules`),
https://learn.microsoft.com/rest/api/resources/subscriptions/list
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Annotated, Any
from urllib.parse import parse_qsl, quote, urlsplit

from pydantic import AfterValidator, ConfigDict, Field, WrapValidator

from git_refresh.admin.values import DiagnosedError
from git_refresh.clients.responses import Response, Word, or_nothing
from git_refresh.clients.rest import Nothing, Rest
from git_refresh.clients.retry import Retry
from git_refresh.failures.diagnosis import DiagnosisContext, finding
from git_refresh.failures.failure import Attempt, Operation, ServiceError, none_if_missing
from git_refresh.model.clock import Clock
from git_refresh.model.values import GUID
from git_refresh.model.waiting import pause
from git_refresh.output.text import first_of

MAX_PAGES = 50
"""Pages of one list. A subscription with more pages of function apps needs --resource-group."""
MAX_NAMED_GROUPS = 5

MAX_SUBSCRIPTIONS = 30
"""Subscriptions to search for an app that the chosen one does not have."""

MAX_VERIFY_READS = 3
"""Reads of the app settings until they show the new values."""
BETWEEN_READS_S = 1.0
DATE_PRECISION = timedelta(seconds=1)
"""The `Date` of a response has no fractions of a second."""

_WEB = {"api-version": "2025-03-01"}
_SUBSCRIPTIONS = {"api-version": "2022-12-01"}
_ALERT_RULES = {"api-version": "2026-03-01"}
_COMPONENTS = {"api-version": "2020-02-02"}

_COMPONENT_TAG = "hidden-link: /app-insights-resource-id"
"""Tag of an app that names its Application Insights component."""

_RESOURCE_ID = re.compile(r"(?i)/subscriptions/[0-9a-f-]{36}/[\w()./ -]{1,900}")


def _is_resource_id(text: str) -> bool:
    return _RESOURCE_ID.fullmatch(text) is not None and not {".", ".."} & set(text.split("/"))


def _checked(text: str) -> str:
    if not _is_resource_id(text):
        raise ValueError("no resource ID")
    return text


_ResourceId = Annotated[str, Field(strict=True), AfterValidator(_checked)]
"""Security: it becomes part of a URL, so nothing else is accepted."""
_SITE = re.compile(
    rf"(?i)/subscriptions/({GUID.pattern})/resourceGroups/([^/]+)/providers/Microsoft\.Web/sites/([^/]+)"
)


class _Resource(Response):
    id: _ResourceId
    name: Word
    tags: Annotated[dict[str, str] | None, WrapValidator(or_nothing)] = None


class _Whole(Response):
    """A resource with all properties."""

    model_config = ConfigDict(extra="allow")


class _List[T](Response):
    value: list[T] = Field(max_length=5_000)
    nextLink: Annotated[str, Field(max_length=4_096)] = ""  # noqa: N815  # Resource Manager's name


class _Subscription(Response):
    subscriptionId: Annotated[str, Field(strict=True, pattern=rf"^{GUID.pattern}$")]  # noqa: N815
    displayName: Word = ""  # noqa: N815


class _Settings(Response):
    """`StringDictionary` in the specification, with the settings of other tools too."""

    properties: dict[str, Annotated[str, Field(strict=True)]] = Field(max_length=10_000, repr=False)


class _RuleProperties(Response):
    enabled: bool = True


class _Rule(_Resource):
    properties: _RuleProperties = _RuleProperties()


@dataclass(frozen=True, slots=True)
class Subscription:
    id: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class FunctionApp:
    id: str
    name: str
    group: str
    """Name of its resource group."""
    subscription_id: str
    component_id: str = ""
    """Resource ID of its Application Insights component, if a tag names it."""

    @property
    def group_id(self) -> str:
        """Resource ID of its resource group."""
        return f"/subscriptions/{self.subscription_id}/resourceGroups/{self.group}"


@dataclass(frozen=True, slots=True)
class AlertRule:
    """A log search alert rule."""

    id: str
    name: str
    enabled: bool = True


class ResourceManager:
    """Client of Resource Manager. Every method raises `ServiceError` if the call fails."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    def now(self) -> datetime:
        """Return the service's time, rounded up by a second; before the first response, this machine's."""
        service_time = self._rest.time.now()
        return service_time + DATE_PRECISION if service_time else self._rest.network.deadline.clock.now()

    def subscriptions(self) -> list[Subscription]:
        """Return the subscriptions that the caller can read in their tenant."""
        what = Operation.LIST_SUBSCRIPTIONS.of()
        found = self._pages(what, "/subscriptions", _List[_Subscription], _SUBSCRIPTIONS)
        return [Subscription(each.subscriptionId.lower(), each.displayName) for each in found]

    def app(self, name: str, subscription_id: str, group: str = "") -> FunctionApp | None:
        """Return the function app of this name, in any letter case; None if missing.

        Raises:
            DiagnosedError: several resource groups have one, which is possible with unique default host names.
        """
        what = Operation.FIND_APP.of(name)
        if group:
            path = f"/subscriptions/{subscription_id}/resourceGroups/{group}/providers/Microsoft.Web/sites/{name}"
            site = none_if_missing(lambda: self._get(what, path, _Resource, _WEB))
            return self._app(what, site) if site else None
        sites = self._sites(what, subscription_id)
        found = [self._app(what, site) for site in sites if site.name.casefold() == name.casefold()]
        if len(found) > 1:
            context = DiagnosisContext(app=name, subscription=subscription_id)
            groups = first_of([app.group for app in found], MAX_NAMED_GROUPS)
            raise DiagnosedError(finding("function_app_ambiguous", context, groups=groups))
        return found[0] if found else None

    def apps(self, subscription_id: str) -> list[FunctionApp]:
        what = Operation.FIND_APP.of("in the subscription")
        return [self._app(what, site) for site in self._sites(what, subscription_id)]

    def component_id(self, app: FunctionApp) -> str | None:
        """Return the resource ID of the app's Application Insights component; None if missing.

        If no tag names the component, it must have the app's name and resource group.
        """
        if app.component_id:
            return app.component_id
        path = f"{app.group_id}/providers/Microsoft.Insights/components/{app.name}"
        what = Operation.FIND_COMPONENT.of(app.name)
        found = none_if_missing(lambda: self._get(what, path, _Resource, _COMPONENTS))
        return found.id if found else None

    def app_settings(self, app: FunctionApp) -> dict[str, str]:
        """Return all app settings. Security: values can be secrets of other tools."""
        return self._send(
            "POST",
            Operation.READ_APP_SETTINGS.of(app.name),
            f"{app.id}/config/appsettings/list",
            _Settings,
            _WEB,
            repeat=Retry.IDEMPOTENT,
        ).properties

    def set_app_settings(self, app: FunctionApp, settings: Mapping[str, str]) -> None:
        """Replace all app settings, which restarts the app. Never repeated. After a failure, read them."""
        what = Operation.SET_APP_SETTINGS.of(app.name)
        body = {"properties": dict(settings)}
        self._send("PUT", what, f"{app.id}/config/appsettings", Nothing, _WEB, body=body)

    def alert_rules(self, app: FunctionApp) -> list[AlertRule]:
        """Return the log search alert rules in the app's resource group."""
        path = f"{app.group_id}/providers/Microsoft.Insights/scheduledQueryRules"
        what = Operation.LIST_ALERT_RULES.of(app.name)
        rules = self._pages(what, path, _List[_Rule], _ALERT_RULES)
        return [AlertRule(rule.id, rule.name, rule.properties.enabled) for rule in rules]

    def read(self, path: str, version: str) -> Mapping[str, Any] | None:
        """Return a resource by its ID; None if it does not exist."""
        what = Operation.READ_OBJECTS.of(_type_of(path))
        found = none_if_missing(lambda: self._get(what, path, _Whole, {"api-version": version}))
        return found.model_dump() if found else None

    def read_all(self, path: str, version: str, **query: str) -> list[Mapping[str, Any]]:
        what = Operation.READ_OBJECTS.of(_type_of(path))
        found = self._pages(what, path, _List[_Whole], {"api-version": version, **query})
        return [each.model_dump() for each in found]

    def template(self, deployment_id: str) -> Mapping[str, Any]:
        """Return the template of a deployment."""
        what = Operation.READ_OBJECTS.of("the deployed template")
        query = {"api-version": "2025-04-01"}
        path = f"{deployment_id}/exportTemplate"
        found = self._send("POST", what, path, _Whole, query, repeat=Retry.IDEMPOTENT)
        template = found.model_dump().get("template")
        if not isinstance(template, dict):
            raise self._rest.unexpected(what)
        return template

    def enable(self, rule: AlertRule) -> None:
        body = {"properties": {"enabled": True}}
        what = Operation.ENABLE_ALERT_RULE.of(rule.name)
        self._send("PATCH", what, rule.id, Nothing, _ALERT_RULES, body=body, repeat=Retry.IDEMPOTENT)

    def _sites(self, what: Attempt, subscription_id: str) -> Iterator[_Resource]:
        path = f"/subscriptions/{subscription_id}/providers/Microsoft.Web/sites"
        return self._pages(what, path, _List[_Resource], _WEB)

    def _app(self, what: Attempt, site: _Resource) -> FunctionApp:
        found = _SITE.fullmatch(site.id)
        if found is None:
            raise self._rest.unexpected(what)
        component = next(
            (value for tag, value in (site.tags or {}).items() if tag.casefold() == _COMPONENT_TAG), ""
        )
        return FunctionApp(
            site.id, found[3], found[2], found[1].lower(), component if _is_resource_id(component) else ""
        )

    def _pages[T: Response](
        self, what: Attempt, path: str, model: type[_List[T]], query: Mapping[str, str]
    ) -> Iterator[T]:
        """Yield the entries of a list. Security: the URL of the next page must have the same origin."""
        for _ in range(MAX_PAGES):
            page = self._get(what, path, model, query)
            yield from page.value
            if not page.nextLink:
                return
            following = urlsplit(page.nextLink)
            if (
                f"{following.scheme}://{following.netloc}".casefold().removesuffix(":443")
                != self._rest.origin
            ):
                break
            path, query = following.path, dict(parse_qsl(following.query))
        raise self._rest.unexpected(what)

    def _get[M: Response](self, what: Attempt, path: str, model: type[M], query: Mapping[str, str]) -> M:
        return _naming_tenant(lambda: self._rest.get(what, _encoded(path), model, query))

    def _send[M: Response](  # one for each part of a request
        self,
        method: str,
        what: Attempt,
        path: str,
        model: type[M],
        query: Mapping[str, str],
        *,
        body: object = None,
        repeat: Retry = Retry.IF_THROTTLED,
    ) -> M:
        def send() -> M:
            return self._rest.send(method, what, _encoded(path), model, query=query, body=body, repeat=repeat)

        return _naming_tenant(send)


def find_app(
    manager: ResourceManager, name: str, subscription_id: str, group: str = "", *, searches: bool = True
) -> FunctionApp:
    """Return the function app of this name. An empty subscription ID means that the Azure CLI has none.

    If the app is missing and `searches` is set, searches the caller's other subscriptions, so the remedy can name the right one.

    Raises:
        ServiceError: a call to Azure failed.
        DiagnosedError: the subscription does not have the app.
    """
    app = manager.app(name, subscription_id, group) if subscription_id else None
    if app is not None:
        return app
    others = manager.subscriptions()[:MAX_SUBSCRIPTIONS] if searches else []
    for other in others:
        found = _if_readable(manager, name, other.id, group) if other.id != subscription_id else None
        if found is not None:
            elsewhere = DiagnosisContext(app=name, subscription=other.id, group=found.group)
            raise DiagnosedError(finding("function_app_elsewhere", elsewhere))
    context = DiagnosisContext(app=name, subscription=subscription_id, group=group)
    code = "function_app_not_found" if subscription_id else "subscription_not_chosen"
    raise DiagnosedError(finding(code, context))


def _if_readable(manager: ResourceManager, name: str, subscription_id: str, group: str) -> FunctionApp | None:
    try:
        return manager.app(name, subscription_id, group)
    except ServiceError as error:
        if error.failure.status is None:
            raise
    return None


@dataclass(frozen=True, slots=True)
class AppSettingsChange:
    """A change from the shown app settings to the wanted ones, in an API without `etag`."""

    manager: ResourceManager
    app: FunctionApp
    shown: Mapping[str, str] = field(repr=False)
    wanted: Mapping[str, str] = field(repr=False)

    def check_unchanged(self) -> None:
        """Check that the app still has the shown settings.

        Raises:
            ServiceError: the app settings cannot be read.
            DiagnosedError: another caller has changed them.
        """
        if self.manager.app_settings(self.app) != self.shown:
            raise DiagnosedError(finding("app_settings_changed", self._context))

    def make(self, clock: Clock) -> datetime:
        """Set the app settings, and return the time.

        Reads them before and after, because another caller might change them, and a response can be lost.

        Raises:
            ServiceError: the app settings could not be set or read.
            DiagnosedError: another caller changed them at the same time.
        """
        self.check_unchanged()
        lost: ServiceError | None = None
        try:
            self.manager.set_app_settings(self.app, self.wanted)
        except ServiceError as error:
            if not error.failure.outcome_unknown:
                raise
            lost = error
        set_at = self.manager.now()
        found = self.shown
        for attempt in range(MAX_VERIFY_READS):
            if attempt:
                pause(clock, BETWEEN_READS_S)
            found = self.manager.app_settings(self.app)
            if found == self.wanted:
                return set_at
        if lost is not None and found == self.shown:
            raise lost
        raise DiagnosedError(finding("app_settings_not_kept", self._context))

    @property
    def _context(self) -> DiagnosisContext:
        return DiagnosisContext(
            app=self.app.name, group=self.app.group, subscription=self.app.subscription_id
        )


def _type_of(path: str) -> str:
    """Return the resource type in the path of a resource or a list."""
    namespace, *names = path.rpartition("/providers/")[2].split("/")
    return "/".join([namespace, *names[::2]])


def _encoded(path: str) -> str:
    return quote(path, safe="/()%")


_WRONG_TENANT = re.compile(
    rf"must match (?:one of )?the tenants? .{{0,10}}https://sts\.windows\.net/({GUID.pattern})"
)
"""Resource Manager's text that names the tenant of a subscription."""


def _naming_tenant[T](call: Callable[[], T]) -> T:
    """Return the result of a call. The failure for a wrong tenant has the tenant of the subscription."""
    try:
        return call()
    except ServiceError as error:
        failure = error.failure
    named = _WRONG_TENANT.search(failure.message)
    raise ServiceError(replace(failure, tenant=named[1]) if named else failure)
