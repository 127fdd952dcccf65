"""`onboard`: grant the permissions that a list needs. It never removes any."""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

import click
from rich.status import Status
from rich.text import Text

from git_refresh.cli import ask, options, render
from git_refresh.cli.check import check_live
from git_refresh.cli.check_settings import check_settings, missing_beside
from git_refresh.cli.checks import CheckReport
from git_refresh.cli.deployed import AppName, app_options, deploy_command
from git_refresh.cli.files import write_client_id
from git_refresh.cli.findings import MARK, STYLE, Finding, Places, fold, show_finding
from git_refresh.cli.options import SettingsSource, quiet
from git_refresh.cli.remove import show_removals
from git_refresh.cli.scope import only_option
from git_refresh.cli.shared import (
    allow,
    exit_with_problems,
    finish,
    given_settings,
    outlet_for,
    places_of,
    put_out,
    settings_files,
)
from git_refresh.model.clock import Deadline, SystemClock
from git_refresh.model.values import GUID, Problem
from git_refresh.output.log import RedactingLogger
from git_refresh.output.redact import escape_unprintable, redact
from git_refresh.output.shell import Command
from git_refresh.output.text import count
from git_refresh.run.pool import Executor
from git_refresh.settings.entries import Entry, Rejected
from git_refresh.settings.json_text import JsonError, parse
from git_refresh.settings.load import Settings, SettingsError, load

if TYPE_CHECKING:
    from git_refresh.admin.grants import Grant
    from git_refresh.admin.onboarding import Onboarding

BUDGET_S = 14_400.0
"""Time for the whole command, mainly for the confirmation. Each call has a shorter limit."""

_UNKNOWN_ID = "00000000-0000-0000-0000-000000000000"
_SHOW_OBJECT_ID = (
    "az functionapp identity show --name APP --resource-group GROUP --query principalId --output tsv"
)
_NO_OBJECT_ID = Problem(
    "--object-id",
    "is missing: the list has no AZURE_CLIENT_ID, so onboard cannot find the app's identity; set it to the output of: "
    + _SHOW_OBJECT_ID,
    commands=(_SHOW_OBJECT_ID,),
)


@click.command()
@click.option("--apply", "apply_", is_flag=True, help="Grant after confirmation, then run check.")
@click.option("--yes", "-y", is_flag=True, help="Skip the confirmation. Requires --apply.")
@click.option(
    "--object-id", metavar="ID", help="Object (principal) ID of the app's system-assigned identity."
)
@click.option("--account-id", metavar="ID", help="Databricks account ID, if the workspaces do not report it.")
@click.option(
    "--new-principal",
    metavar="NAME",
    help="Create a service principal, add its client_id to the list, and exit.",
)
@click.option("--remove", "removes", is_flag=True, help="List the commands that remove these permissions.")
@only_option("Requires --remove.")
@app_options("Requires --remove. Default: the only app that infra/ created.")
@options.settings_option
@options.json_option
@options.output_options
def onboard(  # noqa: PLR0913  # one for each option
    source: SettingsSource,
    *,
    removes: bool,
    only: tuple[str, ...],
    app: AppName,
    apply_: bool,
    yes: bool,
    object_id: str | None,
    account_id: str | None,
    new_principal: str | None,
    as_json: bool,
) -> None:
    """Grant the permissions that a list needs.

    By default, shows a plan. With --apply, grants what is missing after confirmation, and runs check. Uses your Azure CLI account (az
    login). Never removes a permission. If you cannot grant a permission, shows the required role and the command for that
    administrator.

    In Azure DevOps, adds the app's identity to each organization with access level Basic, and to the Readers of each project in the list.
    In Databricks, grants the service principal workspace access, and CAN MANAGE on Git folders or on the parent of a missing one. For
    authentication, creates a federation policy, or an OAuth secret in Key Vault.

    With --remove, shows what exists and the commands that remove it. Removes nothing.

    Exit codes: 0 nothing failed; 1 a grant failed or needs another administrator; 2 invalid settings or usage; 130 interrupted.
    """
    if yes and not apply_:
        raise click.UsageError("--yes needs --apply")
    if removes and (apply_ or new_principal is not None):
        raise click.UsageError("--remove cannot be combined with --apply or --new-principal")
    if not removes and (only or app != AppName()):
        raise click.UsageError("--only, --app, --resource-group, and --subscription need --remove")
    logger = outlet_for(as_json=as_json)
    try:
        _check_options(object_id, account_id, new_principal, asks_blindly=apply_ and as_json and not yes)
        given = given_settings(source)
        settings = allow(
            _settings(given.values, new=new_principal is not None, object_id=object_id), given.source
        )
        from git_refresh.admin.onboarding import Onboarding, OnboardOptions  # noqa: PLC0415  # keeps --help fast
        from git_refresh.admin.services import AdminServices  # noqa: PLC0415

        wanted = OnboardOptions(object_id, account_id, _UNKNOWN_ID if new_principal else None)
        if removes:
            show_removals(settings, only, app, given.source.file, wanted, logger, as_json=as_json)
        deadline = Deadline.after(BUDGET_S, SystemClock())
        executor = Executor(settings.concurrency, deadline)
        services = AdminServices(deadline, os.environ, logger)
        onboarding = Onboarding(settings, services, wanted, executor)
        display = OnboardView(logger, places_of(settings), deploy_command(given.source.file), as_json=as_json)
        checked = None

        def check() -> CheckReport:
            checks = check_settings(given.values, (), settings, named=given.named)
            return CheckReport((*checks, *check_live(settings, given.values, logger)))

        try:
            checked = _plan_and_grant(onboarding, display, new_principal, check, applies=apply_, yes=yes)
            executor.interrupted = executor.interrupted or (checked is not None and checked.interrupted)
        except KeyboardInterrupt:
            executor.interrupted = True
        finally:
            _print_new_principal(onboarding.grants)
            written = _save_client_id(onboarding.grants, settings_files(given.source))
            services.close()
    except SettingsError as error:
        exit_with_problems(error.problems, as_json=as_json)
    grants = tuple(onboarding.grants)
    done = OnboardResult(grants, checked, applied=apply_, interrupted=executor.interrupted, written=written)
    put_out(logger, as_json, done.as_dict(), lambda: display.show_summary(done))
    finish(ok=done.result == "ok", interrupted=executor.interrupted)


def _plan_and_grant(
    onboarding: "Onboarding",
    display: "OnboardView",
    new_principal: str | None,
    check: Callable[[], CheckReport],
    *,
    applies: bool,
    yes: bool,
) -> CheckReport | None:
    with display.waiting("Checking permissions …"):
        onboarding.plan(new_principal)
    display.show_plan(onboarding.grants)
    granted = applies and _grant(onboarding, display, yes=yes)
    if not applies or new_principal is not None:
        return None
    if granted:
        with display.waiting("Waiting until every grant is visible …"):
            onboarding.wait_until_visible()
    with display.waiting("Checking …"):
        return check()


def _print_new_principal(found: "Sequence[Grant]") -> None:
    """Print the application ID of a new service principal before a failure can lose it."""
    for grant in found:
        if grant.client_id is not None:
            with suppress(OSError):  # the summary on stdout also has the ID
                render.say(f"Created a service principal with application ID {grant.client_id}")


def _save_client_id(found: "Sequence[Grant]", files: Sequence[Path]) -> Path | None:
    """Add the ID of a new service principal to its settings file. Return the file; None if unchanged."""
    for grant in found:
        for file in files:
            if grant.client_id is not None and str(file) != "-":
                with suppress(OSError, UnicodeDecodeError):  # the summary then shows the ID
                    return file if write_client_id(file, grant.client_id) else None
    return None


def _grant(onboarding: "Onboarding", display: "OnboardView", *, yes: bool) -> bool:
    """Grant the planned permissions after confirmation. Return False if none is planned.

    Raises:
        SettingsError: the caller declined, or the input is not a terminal.
    """
    planned = sum(grant.status == "planned" for grant in onboarding.grants)
    if not planned:
        return False
    if not yes:
        ask.agree("onboard --apply", [f"This grants {count(planned, 'permission')}. Continue?"])
    with display.waiting("Granting …"):
        onboarding.apply_all(display.show_grant)
    return True


def _check_options(
    object_id: str | None, account_id: str | None, name: str | None, *, asks_blindly: bool
) -> None:
    problems = [
        Problem(option, f'"{redact(value)}" must be an ID like {_UNKNOWN_ID}')
        for option, value in (("--object-id", object_id), ("--account-id", account_id))
        if value is not None and not GUID.fullmatch(value)
    ]
    if asks_blindly:
        problems.append(Problem("onboard --apply", ask.NOT_WITH_JSON))
    if name is not None and not re.fullmatch(r"[\w.() -]{1,100}", name):
        message = f'"{redact(name)}" must consist of letters, digits, spaces, and . _ - ( )'
        problems.append(Problem("--new-principal", message))
    if problems:
        raise SettingsError(problems)


def _settings(environ: Mapping[str, str], *, new: bool, object_id: str | None) -> Settings:
    """Return the settings of a list that `check --offline` accepts.

    Raises:
        SettingsError: the list has a mistake, or does not identify the app.
    """
    settings = load(_with_placeholder(environ) if new else environ)
    found = [*settings.problems, *missing_beside(environ, settings)]
    lines = check_settings(environ, found, settings, scheduled=False)
    if wrong_lines := [Problem(line.subject, line.message) for line in lines if line.status == "failed"]:
        raise SettingsError(wrong_lines)
    if new and not any(_needs_principal(entry) for entry in settings.entries):
        message = (
            "has no use: no entry would use the new service principal. It needs an entry without client_id, "
            'with "auth": "federated" or "oauth_secret" (the default)'
        )
        raise SettingsError([Problem("--new-principal", message)])
    if not new and object_id is None and any(zone.identity is None for zone in settings.zones()):
        raise SettingsError([_NO_OBJECT_ID])
    return settings


def _needs_principal(entry: Entry | Rejected) -> bool:
    return (
        isinstance(entry, Entry)
        and entry.workspace.auth != "managed_identity"
        and entry.workspace.client_id == _UNKNOWN_ID
    )


def _with_placeholder(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return the settings with a placeholder for the `client_id` of the new principal.

    Raises:
        SettingsError: the list has a `client_id`.
    """
    try:
        defaults = parse(environ.get("WORKSPACE_DEFAULTS", "") or "{}")
    except JsonError:
        return environ  # `load` reports the mistake
    if not isinstance(defaults, dict):
        return environ
    if "client_id" in defaults:
        message = "needs a list without client_id, but WORKSPACE_DEFAULTS has one; omit the option"
        raise SettingsError([Problem("--new-principal", message)])
    return {**environ, "WORKSPACE_DEFAULTS": json.dumps({**defaults, "client_id": _UNKNOWN_ID})}


_SIGN = {"exists": "=", "planned": "+", "granted": "✓", "skipped": MARK["skipped"]}
_STYLE = {**STYLE, "exists": "dim", "planned": "green", "granted": "green"}
_SAID = {
    "planned": "to grant",
    "exists": "already granted",
    "failed": "failed",
    "skipped": "skipped",
}


@dataclass(frozen=True, slots=True)
class OnboardResult:
    grants: "tuple[Grant, ...]"
    checked: CheckReport | None
    applied: bool
    interrupted: bool
    written: Path | None = None
    """The settings file, if the application ID of a new service principal was added to it."""

    @property
    def result(self) -> Literal["ok", "failed"]:
        """`failed` also if a grant was skipped because another one failed."""
        skipped = any(grant.status == "skipped" and grant.needs for grant in self.grants)
        failed = skipped or self.interrupted or any(grant.error is not None for grant in self.grants)
        return "failed" if failed or (self.checked and self.checked.result == "failed") else "ok"

    def as_dict(self) -> dict[str, Any]:
        return {
            "version": 1,
            "result": self.result,
            "applied": self.applied,
            "grants": [grant.as_dict() for grant in self.grants],
            "check": self.checked.as_dict() if self.checked else None,
        }


class OnboardView:
    """The plan, the progress, and the summary on a terminal. With `--json`, only the progress."""

    def __init__(
        self, logger: RedactingLogger, places: Places, next_command: Command, *, as_json: bool
    ) -> None:
        self._logger = logger
        self._places = places
        self._next_command = next_command
        self._shows = not as_json
        self._lock = Lock()
        self._status: Status | None = None
        self._out = render.console()
        self._err = render.console(stderr=True)

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        with self._err.status(what) as status:
            with self._lock:
                self._status = status
            try:
                yield
            finally:
                with self._lock:
                    self._status = None

    def show_plan(self, found: "Sequence[Grant]") -> None:
        if not self._shows:
            return
        by_place: dict[str, list[Grant]] = {}
        for grant in found:
            if not (quiet() and grant.status == "exists"):
                by_place.setdefault(grant.location, []).append(grant)
        with render.writing():
            for place, grants in by_place.items():
                self._say(self._logger.redact_text(place), "bold")
                for grant in grants:
                    self._line(grant, "")
            numbers = {status: sum(grant.status == status for grant in found) for status in _SAID}
            summary = ", ".join(f"{number} {_SAID[status]}" for status, number in numbers.items() if number)
            self._say(f"Plan: {summary or 'no permissions'}.", "bold")

    def _say(self, text: str, style: str = "") -> None:
        fold(Text(), Text(text, style), self._out)

    def show_grant(self, grant: "Grant") -> None:
        if self._shows:
            with self._lock, render.writing():
                if self._status is not None:  # the status line would overwrite the result
                    self._status.stop()
                self._line(grant, f"{self._logger.redact_text(grant.location)}: ")
                if self._status is not None:
                    self._status.start()

    def _line(self, grant: "Grant", place: str) -> None:
        what = self._logger.redact_text(grant.description)
        if grant.error is not None:
            error = self._logger.redact(grant.error)
            show_finding([Finding("failed", f"{place}{what}", error.message, error)], self._out, indent=2)
            return
        mark = Text(f"  {_SIGN[grant.status]} ", _STYLE[grant.status])
        why = f": {self._logger.redact_text(grant.reason)}" if grant.reason else ""
        style = "dim" if grant.status == "exists" else ""
        fold(mark, Text.assemble((place, "bold"), (what, style), why), self._out)

    def _show_new_principal(self, done: OnboardResult) -> None:
        for grant in done.grants:
            if grant.client_id is not None and done.written is not None:
                file = escape_unprintable(str(done.written))
                self._say(f"Added its client_id to {file}. Next: run onboard again without --new-principal.")
            elif grant.client_id is not None:
                self._say("Add this to WORKSPACE_DEFAULTS, then run onboard again without --new-principal:")
                self._say(f'  "client_id": "{self._logger.redact_text(grant.client_id)}"')

    def show_summary(self, done: OnboardResult) -> None:
        if done.interrupted:
            granted = any(grant.status == "granted" for grant in done.grants)
            self._say(ask.after_interrupt(changed=granted), "red")
        elif not done.applied and any(grant.status == "planned" for grant in done.grants):
            self._say(ask.ADD_APPLY)
        elif not done.applied and done.grants and all(grant.status == "exists" for grant in done.grants):
            self._say("No permission is missing.")
        self._show_new_principal(done)
        unseen = [grant for grant in done.grants if grant.error and grant.error.code == "grant_not_visible"]
        for grant in unseen:
            self._line(grant, f"{self._logger.redact_text(grant.location)}: ")
        if done.checked is not None:
            self._out.print()
            render.show_check(self._logger.redact(done.checked), self._out, self._places)
            failed = sum(grant.error is not None for grant in done.grants)
            if failed:
                missing = f"{count(failed, 'permission')} {'is' if failed == 1 else 'are'} missing"
                self._say(f"{missing}. Resolve the lines marked ✗, then run onboard again.")
            elif done.result == "ok" and not quiet():
                text = f"All permissions are granted. Next, deploy the list: {self._next_command}"
                fold(Text(), Text(text), self._out, (self._next_command,))
