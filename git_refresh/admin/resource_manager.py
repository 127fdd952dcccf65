"""Azure Resource Manager: the deployed function app, its app settings and its alert rules, as a signed-in person reads and sets them.

Facts: Azure/azure-rest-api-specs, `specification/web/resource-manager/Microsoft.Web/AppService/stable/2025-03-01` (app settings are
replaced whole, and have no `etag`), `specification/monitor/resource-manager/Microsoft.Insights` (`scheduledQueryRules`),
https://learn.microsoft.com/rest/api/resources/subscriptions/list
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Annotated
from urllib.parse import parse_qsl, quote, urlsplit

from pydantic import AfterValidator, Field, WrapValidator

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
"""Pages of a list. A subscription with more function apps needs --resource-group."""
MAX_NAMED_GROUPS = 5

MAX_SUBSCRIPTIONS = 30
"""Subscriptions that are searched for an app that is not in the chosen one."""

READS_AFTERWARDS = 3
"""How often app settings are read after they were set, until they are the ones that were set."""
BETWEEN_READS_S = 1.0
DATE_PRECISION = timedelta(seconds=1)
"""Of the `Date` of a response, which has no fractions of a second."""

_WEB = {"api-version": "2025-03-01"}
_SUBSCRIPTIONS = {"api-version": "2022-12-01"}
_ALERT_RULES = {"api-version": "2026-03-01"}
_COMPONENTS = {"api-version": "2020-02-02"}

_COMPONENT_TAG = "hidden-link: /app-insights-resource-id"
"""The tag with which the portal, the Azure CLI and infra/ name the Application Insights component of an app."""

_RESOURCE_ID = re.compile(r"(?i)/subscriptions/[0-9a-f-]{36}/[\w()./ -]{1,900}")


def _is_resource_id(text: str) -> bool:
    return _RESOURCE_ID.fullmatch(text) is not None and not {".", ".."} & set(text.split("/"))


def _checked(text: str) -> str:
    if not _is_resource_id(text):
        raise ValueError("no resource ID")
    return text


_ResourceId = Annotated[str, Field(strict=True), AfterValidator(_checked)]
"""It becomes part of an address, so nothing else is taken."""
_SITE = re.compile(
    rf"(?i)/subscriptions/({GUID.pattern})/resourceGroups/([^/]+)/providers/Microsoft\.Web/sites/([^/]+)"
)


class _Resource(Response):
    id: _ResourceId
    name: Word
    tags: Annotated[dict[str, str] | None, WrapValidator(or_nothing)] = None


class _List[T](Response):
    """A page of a list."""

    value: list[T] = Field(max_length=5_000)
    nextLink: Annotated[str, Field(max_length=4_096)] = ""  # noqa: N815  # Resource Manager's name


class _Subscription(Response):
    subscriptionId: Annotated[str, Field(strict=True, pattern=rf"^{GUID.pattern}$")]  # noqa: N815
    displayName: Word = ""  # noqa: N815


class _Settings(Response):
    """`StringDictionary`: of every name that the app has, whoever set it."""

    properties: dict[str, Annotated[str, Field(strict=True)]] = Field(max_length=10_000, repr=False)


class _RuleProperties(Response):
    enabled: bool = True


class _Rule(_Resource):
    properties: _RuleProperties = _RuleProperties()


@dataclass(frozen=True, slots=True)
class Subscription:
    """An Azure subscription that the signed-in person can read."""

    id: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class FunctionApp:
    """A deployed function app."""

    id: str
    name: str
    group: str
    """Its resource group."""
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
    """Azure Resource Manager, as one person may use it. Every method raises `ServiceError` if it fails."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    def now(self) -> datetime:
        """Return the time at Resource Manager, by its responses, at most a second late; before the first, this machine's."""
        there = self._rest.time.now()
        return there + DATE_PRECISION if there else self._rest.network.deadline.clock.now()

    def subscriptions(self) -> list[Subscription]:
        """Return the subscriptions that the person can read, in the tenant of the sign-in."""
        what = Operation.LIST_SUBSCRIPTIONS.of()
        found = self._pages(what, "/subscriptions", _List[_Subscription], _SUBSCRIPTIONS)
        return [Subscription(each.subscriptionId.lower(), each.displayName) for each in found]

    def app(self, name: str, subscription_id: str, group: str = "") -> FunctionApp | None:
        """Return the function app of this name, in any letter case; None if the subscription or the group has none.

        Raises:
            DiagnosedError: more than one resource group has one. The names of apps with a unique default host name can be alike.
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
        """Return all apps of a subscription."""
        what = Operation.FIND_APP.of("in the subscription")
        return [self._app(what, site) for site in self._sites(what, subscription_id)]

    def component_id(self, app: FunctionApp) -> str | None:
        """Return the resource ID of the app's Application Insights component; None if there is none.

        It is the one that a tag of the app names, else the one of the app's name in its resource group.
        """
        if app.component_id:
            return app.component_id
        path = f"{app.group_id}/providers/Microsoft.Insights/components/{app.name}"
        what = Operation.FIND_COMPONENT.of(app.name)
        found = none_if_missing(lambda: self._get(what, path, _Resource, _COMPONENTS))
        return found.id if found else None

    def app_settings(self, app: FunctionApp) -> dict[str, str]:
        """Return all app settings. Values can be secrets of others."""
        return self._send(
            "POST",
            Operation.READ_APP_SETTINGS.of(app.name),
            f"{app.id}/config/appsettings/list",
            _Settings,
            _WEB,
            repeat=Retry.IDEMPOTENT,
        ).properties

    def set_app_settings(self, app: FunctionApp, settings: Mapping[str, str]) -> None:
        """Replace all app settings, which restarts the app. It is not sent twice: read them after a failure."""
        what = Operation.SET_APP_SETTINGS.of(app.name)
        body = {"properties": dict(settings)}
        self._send("PUT", what, f"{app.id}/config/appsettings", Nothing, _WEB, body=body)

    def alert_rules(self, app: FunctionApp) -> list[AlertRule]:
        """Return the log search alert rules in the app's resource group."""
        path = f"{app.group_id}/providers/Microsoft.Insights/scheduledQueryRules"
        what = Operation.LIST_ALERT_RULES.of(app.name)
        rules = self._pages(what, path, _List[_Rule], _ALERT_RULES)
        return [AlertRule(rule.id, rule.name, rule.properties.enabled) for rule in rules]

    def enable(self, rule: AlertRule) -> None:
        """Enable an alert rule."""
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
        """The entries of a list, page by page. The next page is an address, which must be of the same service."""
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
    """Return the function app of this name in a subscription; empty: the Azure CLI uses none.

    If it is not there and `searches`, the person's other subscriptions are searched, so that the remedy names the right one.

    Raises:
        ServiceError: Azure cannot be asked.
        DiagnosedError: it is not there.
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
    """The app, if the subscription can be read and has it."""
    try:
        return manager.app(name, subscription_id, group)
    except ServiceError as error:
        if error.failure.status is None:
            raise
    return None


@dataclass(frozen=True, slots=True)
class AppSettingsChange:
    """A change from the app settings that a person was shown to those that they want. The API has no `etag`."""

    manager: ResourceManager
    app: FunctionApp
    shown: Mapping[str, str] = field(repr=False)
    wanted: Mapping[str, str] = field(repr=False)

    def check_unchanged(self) -> None:
        """Check that the app still has what was shown.

        Raises:
            ServiceError: the app settings cannot be read.
            DiagnosedError: somebody else has changed them since.
        """
        if self.manager.app_settings(self.app) != self.shown:
            raise DiagnosedError(finding("app_settings_changed", self._context))

    def make(self, clock: Clock) -> datetime:
        """Set the app settings, and return when.

        They are read right before and right after: a lost response is settled by what is there.

        Raises:
            ServiceError: they could not be set or read.
            DiagnosedError: somebody else changed them at the same time.
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
        for attempt in range(READS_AFTERWARDS):
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


def _encoded(path: str) -> str:
    return quote(path, safe="/()%")


_WRONG_TENANT = re.compile(
    rf"must match (?:one of )?the tenants? .{{0,10}}https://sts\.windows\.net/({GUID.pattern})"
)
"""How Resource Manager names the tenant that a subscription belongs to."""


def _naming_tenant[T](call: Callable[[], T]) -> T:
    """Return what a call returns; if the token is of another tenant than the subscription, its failure names the right one."""
    try:
        return call()
    except ServiceError as error:
        failure = error.failure
    named = _WRONG_TENANT.search(failure.message)
    raise ServiceError(replace(failure, tenant=named[1]) if named else failure)
