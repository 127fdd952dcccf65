"""The options that name the deployed function app, and access to the app's logs."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING

import click

from git_refresh.admin.values import DiagnosedError
from git_refresh.cli import options
from git_refresh.failures.diagnosis import DiagnosisContext, diagnose, finding
from git_refresh.failures.failure import ServiceError
from git_refresh.model.clock import Deadline, SystemClock
from git_refresh.model.values import GUID, RESOURCE_MANAGER, Problem
from git_refresh.output.log import RedactingLogger
from git_refresh.output.redact import redact
from git_refresh.output.shell import NO_COMMAND, Command, command
from git_refresh.output.text import first_of
from git_refresh.settings.load import SettingsError

if TYPE_CHECKING:
    from git_refresh.admin.logs import AppLogs
    from git_refresh.admin.resource_manager import FunctionApp
    from git_refresh.admin.services import AdminServices

NAMED_BY_INFRA = "func-git-refresh-"
"""Prefix of the names of function apps that infra/ creates."""

_LIMIT_S = 300.0
"""Time to find the deployed app and to read its logs."""

_MAX_NAMES = 10


@dataclass(frozen=True, slots=True)
class AppName:
    """The options that name the deployed app."""

    name: str = ""
    """Empty: the only app in the subscription that infra/ created."""
    group: str = ""
    subscription: str = ""

    def context(self) -> DiagnosisContext:
        invocation = options.invocation(NO_COMMAND)
        return DiagnosisContext(
            app=self.name, group=self.group, subscription=self.subscription, invocation=invocation
        )


class _Named(click.ParamType[str]):
    """A name or ID, restricted because it becomes part of a URL."""

    def __init__(self, name: str, pattern: str, advice: str) -> None:
        self.name = name
        self._pattern = re.compile(pattern)
        self._advice = advice

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not self._pattern.fullmatch(str(value)):
            self.fail(f'"{redact(str(value))}" {self._advice}', param, ctx)
        return str(value)


# https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
APP_NAME = _Named("name", r"[A-Za-z0-9-]{2,60}", "must be the name of a function app: letters, digits and -")
GROUP_NAME = _Named("name", r"[\w().-]{0,89}[\w()-]", "must be the name of a resource group")
SUBSCRIPTION_ID = _Named("id", GUID.pattern, "must be the ID of a subscription, as the Azure portal shows it")


def app_options(
    default: str = "", *, required: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the options that name the app to a command, as its `app`. `default` extends the help of --app."""

    def add(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def with_app(
            *arguments: object,
            name: str | None,
            group: str | None,
            subscription: str | None,
            **others: object,
        ) -> None:
            command(*arguments, app=AppName(name or "", group or "", subscription or ""), **others)

        for option in (
            click.option(
                "--subscription",
                type=SUBSCRIPTION_ID,
                metavar="ID",
                help="Subscription ID of the app.  [default: that of the Azure CLI]",
            ),
            click.option(
                "--resource-group",
                "group",
                type=GROUP_NAME,
                metavar="NAME",
                help="Resource group of the app.  [default: found by the app's name]",
            ),
            click.option(
                "--app",
                "name",
                type=APP_NAME,
                required=required,
                metavar="NAME",
                help=f"Name of the deployed function app. {default}".strip(),
            ),
        ):
            with_app = option(with_app)
        return with_app

    return add


def deploy_command(file: Path | None, app: str = "NAME") -> Command:
    named = command(" {file}", file=str(file)) if file is not None and str(file) != "-" else NO_COMMAND
    return options.invocation(named).of("deploy{options} --app {app} --apply --wait", app=app)


@contextmanager
def logs_of(named: AppName, logger: RedactingLogger) -> "Iterator[AppLogs]":
    """Open the logs of the deployed app.

    Raises:
        DiagnosedError: a call to Azure failed, the app does not exist, or its logs cannot be read.
        SettingsError: `named` does not identify one app, or the network settings are invalid.
    """
    from git_refresh.admin.services import AdminServices  # noqa: PLC0415  # keeps --help fast

    context = named.context()
    with closing(AdminServices(Deadline.after(_LIMIT_S, SystemClock()), os.environ, logger)) as services:
        try:
            app = find(named, services)
            context = replace(context, app=app.name, group=app.group, subscription=app.subscription_id)
            logs = open_logs(services, app)
            context = logs.about
            yield logs
        except ServiceError as error:
            raise DiagnosedError(diagnose(error, context)) from None


def open_logs(services: "AdminServices", app: "FunctionApp") -> "AppLogs":
    """Open the logs of an app.

    Raises:
        ServiceError: a call to Azure failed.
        DiagnosedError: the app has no Application Insights component.
    """
    context = DiagnosisContext(app=app.name, group=app.group, subscription=app.subscription_id)
    component = services.resource_manager().component_id(app)
    if component is None:
        raise DiagnosedError(finding("component_not_found", context))
    person = services.token(RESOURCE_MANAGER).object_id
    return services.logs(replace(context, component=component, object_id=person))


def find(named: AppName, services: "AdminServices") -> "FunctionApp":
    """Return the named app, or the only app that infra/ created.

    Raises:
        ServiceError: a call to Azure failed.
        DiagnosedError: the named app does not exist.
        SettingsError: no app is named, and infra/ created none or several.
    """
    if named.name:
        return services.find_app(named.name, named.subscription, named.group)
    found = [
        app
        for app in services.apps(named.subscription)
        if app.name.casefold().startswith(NAMED_BY_INFRA)
        and named.group.casefold() in {"", app.group.casefold()}
    ]
    if len(found) == 1:
        return found[0]
    names = first_of([redact(app.name) for app in found], _MAX_NAMES)
    message = f"must name one of these apps: {names}" if found else "is missing: infra/ created no app here"
    raise SettingsError([Problem("--app", message)])
