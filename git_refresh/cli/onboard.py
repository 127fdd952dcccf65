"""`onboard`: grant what a list needs, plan first. It only ever adds, with the sign-in of whoever types it."""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
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
from git_refresh.cli.deployed import AppName, app_options, deploying
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
"""Seconds for everything, the answer to the question included. Each call has a limit of its own, of seconds."""

_UNKNOWN_ID = "00000000-0000-0000-0000-000000000000"
_SHOW_OBJECT_ID = (
    "az functionapp identity show --name APP --resource-group GROUP --query principalId --output tsv"
)
_NO_OBJECT_ID = Problem(
    "--object-id",
    "is missing: the list names no user-assigned identity (AZURE_CLIENT_ID), so it has to be told who the app is; write what this prints: "
    + _SHOW_OBJECT_ID,
    commands=(_SHOW_OBJECT_ID,),
)


@click.command(short_help="Grant what a list needs: a plan first, then --apply.")
@click.option("--apply", "apply_", is_flag=True, help="Do what the plan shows, after a question; then check.")
@click.option("--yes", "-y", is_flag=True, help="With --apply: do not ask.")
@click.option(
    "--object-id",
    metavar="ID",
    help="Object id of the app's system-assigned identity (az functionapp identity show … --query principalId); "
    "user-assigned ones are looked up by their client ids.",
)
@click.option(
    "--account-id",
    metavar="ID",
    help="Id of the Databricks account, where the workspaces do not tell it.",
)
@click.option(
    "--new-principal",
    metavar="NAME",
    help="Create a service principal of this name for a list that has no client_id, and write its client_id into the file. Nothing else.",
)
@click.option(
    "--remove",
    "removes",
    is_flag=True,
    help="Show what exists of all this, and the commands that remove it. Nothing is removed.",
)
@only_option
@app_options(
    "With --remove: whether it still has the workspaces. Default: the only one that infra/ has created."
)
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
    """Grant what the list needs. Without --apply it only looks, and shows what it would do.

    Looks at, and with --apply adds: the app's identity in each Azure DevOps organization, with Basic access and in the Readers of the
    projects that the list names; the service principal in each workspace; its federation policy, or its OAuth secret, which goes straight
    into Key Vault; Can Manage on the Git folders, or on the directory above one that is missing.

    It acts as whoever has typed az login, and nothing is ever taken away. What takes another person is shown with the command to type.

    With --remove it only reads, and prints the commands that take all of this back, in order, each with who else loses by it; with --only,
    for these workspaces: what others of the list use stays.

    Exit codes: 0 all is there, or could be granted, or with --remove read; 1 something failed or takes somebody else; 2 wrong settings or
    usage.
    """
    if yes and not apply_:
        raise click.UsageError("--yes needs --apply")
    if removes and (apply_ or new_principal is not None):
        raise click.UsageError("--remove goes with neither --apply nor --new-principal")
    if not removes and (only or app != AppName()):
        raise click.UsageError("--only, --app, --resource-group and --subscription need --remove")
    logger = outlet_for(as_json=as_json)
    try:
        _check_options(object_id, account_id, new_principal, asks_blindly=apply_ and as_json and not yes)
        given = given_settings(source)
        settings = allow(
            _settings(given.values, new=new_principal is not None, object_id=object_id), given.source
        )
        from git_refresh.admin.onboarding import Onboarding, OnboardOptions  # noqa: PLC0415  # the SDKs take a second: not for --help
        from git_refresh.admin.services import AdminServices  # noqa: PLC0415

        wanted = OnboardOptions(object_id, account_id, _UNKNOWN_ID if new_principal else None)
        if removes:
            show_removals(settings, only, app, given.source.file, wanted, logger, as_json=as_json)
        deadline = Deadline.after(BUDGET_S, SystemClock())
        executor = Executor(settings.concurrency, deadline)
        services = AdminServices(deadline, os.environ, logger)
        onboarding = Onboarding(settings, services, wanted, executor)
        display = OnboardView(logger, places_of(settings), deploying(given.source.file), as_json=as_json)
        checked = None
        try:
            try:
                with display.waiting("Looking …"):
                    onboarding.plan(new_principal)
                display.plan(onboarding.grants)
                if apply_ and _give(onboarding, display, yes=yes) and new_principal is None:
                    with display.waiting("Waiting until every grant is visible …"):
                        onboarding.see()
                if apply_ and new_principal is None:
                    with display.waiting("Checking …"):
                        checks = check_settings(given.values, (), settings, named=given.named)
                        checked = CheckReport((*checks, *check_live(settings, given.values, logger)))
            except KeyboardInterrupt:
                executor.interrupted = True
            executor.interrupted = executor.interrupted or (checked is not None and checked.interrupted)
        finally:
            _tell_made(onboarding.grants)
            written = _write_made(onboarding.grants, settings_files(given.source))
            services.close()
    except SettingsError as error:
        exit_with_problems(error.problems, as_json=as_json)
    grants = tuple(onboarding.grants)
    done = OnboardResult(grants, checked, applied=apply_, interrupted=executor.interrupted, written=written)
    put_out(logger, as_json, done.as_dict(), lambda: display.end(done))
    finish(ok=done.result == "ok", interrupted=executor.interrupted)


def _tell_made(found: "Sequence[Grant]") -> None:
    """Say which service principal was made, before anything else is written: no other place has its application ID."""
    for grant in found:
        if grant.client_id is not None:
            with suppress(OSError):  # stdout may still be read
                render.say(f"A service principal was made. Its application ID: {grant.client_id}")


def _write_made(found: "Sequence[Grant]", files: Sequence[Path]) -> Path | None:
    """Write the application ID of the service principal that was made into the file of settings, and return the file if it has it now."""
    for grant in found:
        for file in files:
            if grant.client_id is not None and str(file) != "-":
                with suppress(
                    OSError, UnicodeDecodeError
                ):  # the ID is shown in any case, with where to write it
                    return file if write_client_id(file, grant.client_id) else None
    return None


def _give(onboarding: "Onboarding", display: "OnboardView", *, yes: bool) -> bool:
    """Give what is planned, each shown when it is done; whether there was anything.

    Raises:
        SettingsError: the answer is no, or there is nobody to ask.
        KeyboardInterrupt: somebody has ended it.
    """
    planned = sum(grant.status == "planned" for grant in onboarding.grants)
    if not planned:
        return False
    if not yes:
        number = count(planned, "right")
        ask.agree(
            "onboard --apply",
            [f"Grant {number}, as shown?"],
            without_terminal=f"this would grant {number}, and there is nobody to ask; add --yes if that is meant",
            declined="was declined; nothing was granted",
        )
    with display.waiting("Granting …"):
        onboarding.apply_all(display.given)
    return True


def _check_options(
    object_id: str | None, account_id: str | None, name: str | None, *, asks_blindly: bool
) -> None:
    """Whether what was typed can be meant.

    Raises:
        SettingsError: it cannot.
    """
    problems = [
        Problem(option, f'"{redact(value)}" must be an id like {_UNKNOWN_ID}')
        for option, value in (("--object-id", object_id), ("--account-id", account_id))
        if value is not None and not GUID.fullmatch(value)
    ]
    if asks_blindly:
        message = "shows nothing that a question could be about; add --yes"
        problems.append(Problem("onboard --apply --json", message))
    if name is not None and not re.fullmatch(r"[\w.() -]{1,100}", name):
        message = f'"{redact(name)}" must be a name of letters, digits, spaces and . _ - ( )'
        problems.append(Problem("--new-principal", message))
    if problems:
        raise SettingsError(problems)


def _settings(environ: Mapping[str, str], *, new: bool, object_id: str | None) -> Settings:
    """The settings, without a single mistake: rights are not given by a list that `check --offline` rejects.

    Raises:
        SettingsError: there is one, or it cannot be told who the app is.
    """
    settings = load(_with_placeholder(environ) if new else environ)
    found = [*settings.problems, *missing_beside(environ, settings)]
    lines = check_settings(environ, found, settings, scheduled=False)
    if wrong_lines := [Problem(line.subject, line.message) for line in lines if line.status == "failed"]:
        raise SettingsError(wrong_lines)
    if new and not any(_wants_one(entry) for entry in settings.entries):
        message = (
            'is for a list whose entries have no client_id, and "auth": "federated" or "oauth_secret" (the default); '
            "no entry of this one would use the new service principal"
        )
        raise SettingsError([Problem("--new-principal", message)])
    if not new and object_id is None and any(zone.identity is None for zone in settings.zones()):
        raise SettingsError([_NO_OBJECT_ID])
    return settings


def _wants_one(entry: Entry | Rejected) -> bool:
    return (
        isinstance(entry, Entry)
        and entry.workspace.auth != "managed_identity"
        and entry.workspace.client_id == _UNKNOWN_ID
    )


def _with_placeholder(environ: Mapping[str, str]) -> Mapping[str, str]:
    """The settings as if the list had a `client_id` already: it is what is to be made.

    Raises:
        SettingsError: it has one.
    """
    try:
        defaults = parse(environ.get("WORKSPACE_DEFAULTS", "") or "{}")
    except JsonError:
        return environ  # what is wrong with it is told by who reads it
    if not isinstance(defaults, dict):
        return environ
    if "client_id" in defaults:
        message = "is for a list without client_id, and WORKSPACE_DEFAULTS has one; leave the option out"
        raise SettingsError([Problem("--new-principal", message)])
    return {**environ, "WORKSPACE_DEFAULTS": json.dumps({**defaults, "client_id": _UNKNOWN_ID})}


_SIGN = {"exists": "=", "planned": "+", "granted": "✓", "skipped": MARK["skipped"]}
_STYLE = {**STYLE, "exists": "dim", "planned": "green", "granted": "green"}
_SAID = {
    "planned": "to grant",
    "exists": "there already",
    "failed": "that you cannot grant",
    "skipped": "left out",
}


@dataclass(frozen=True, slots=True)
class OnboardResult:
    """What came of it."""

    grants: "tuple[Grant, ...]"
    checked: CheckReport | None
    applied: bool
    interrupted: bool
    written: Path | None = None
    """The file that has the new service principal's application ID now."""

    @property
    def result(self) -> Literal["ok", "failed"]:
        """Red too where something was left out for the failure of another."""
        left = any(grant.status == "skipped" and grant.needs for grant in self.grants)
        failed = left or self.interrupted or any(grant.error is not None for grant in self.grants)
        return "failed" if failed or (self.checked and self.checked.result == "failed") else "ok"

    def as_dict(self) -> dict[str, Any]:
        """As `--json` has it."""
        return {
            "version": 1,
            "result": self.result,
            "applied": self.applied,
            "grants": [grant.as_dict() for grant in self.grants],
            "check": self.checked.as_dict() if self.checked else None,
        }


class OnboardView:
    """Where people look on; under `--json` nobody does."""

    def __init__(self, logger: RedactingLogger, places: Places, following: Command, *, as_json: bool) -> None:
        """Keep what the lines are made of; `following` is the command to run when all is granted."""
        self._logger = logger
        self._places = places
        self._following = following
        self._shows = not as_json
        self._lock = Lock()
        self._status: Status | None = None
        self._out = render.console()
        self._err = render.console(stderr=True)

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Say what is waited for, as long as it is."""
        with self._err.status(what) as status:
            with self._lock:
                self._status = status
            try:
                yield
            finally:
                with self._lock:
                    self._status = None

    def plan(self, found: "Sequence[Grant]") -> None:
        """Everything, by place, and how much of each."""
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
            self._say(f"Plan: {summary or 'nothing'}.", "bold")

    def _say(self, text: str, style: str = "") -> None:
        fold(Text(), Text(text, style), self._out)

    def given(self, grant: "Grant") -> None:
        """What came of one."""
        if self._shows:
            with self._lock, render.writing():
                if self._status is not None:  # it would be written over
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

    def _made(self, done: OnboardResult) -> None:
        """Say what to do with the new service principal's application ID."""
        for grant in done.grants:
            if grant.client_id is not None and done.written is not None:
                file = escape_unprintable(str(done.written))
                self._say(f"{file} has its client_id now. Next: run onboard again without --new-principal.")
            elif grant.client_id is not None:
                self._say("Write into WORKSPACE_DEFAULTS, and run onboard again without --new-principal:")
                self._say(f'  "client_id": "{self._logger.redact_text(grant.client_id)}"')

    def end(self, done: OnboardResult) -> None:
        """What comes last."""
        if done.interrupted:
            granted = any(grant.status == "granted" for grant in done.grants)
            what = "What was granted stays; run it again for the rest." if granted else "Nothing was granted."
            self._say(f"Interrupted. {what}", "red")
        elif not done.applied and any(grant.status == "planned" for grant in done.grants):
            self._say("Nothing was granted yet: add --apply.")
        elif not done.applied and done.grants and all(grant.status == "exists" for grant in done.grants):
            self._say("Nothing is missing.")
        self._made(done)
        unseen = [grant for grant in done.grants if grant.error and grant.error.code == "grant_not_visible"]
        for grant in unseen:
            self._line(grant, f"{self._logger.redact_text(grant.location)}: ")
        if done.checked is not None:
            self._out.print()
            render.show_check(self._logger.redact(done.checked), self._out, self._places)
            missing = sum(grant.error is not None for grant in done.grants)
            if missing:
                verb = "takes" if missing == 1 else "take"
                self._say(
                    f"Not all is granted: {missing} {verb} somebody else or failed, see ✗ above; then type it again."
                )
            elif done.result == "ok" and not quiet():
                self._say(f"All is granted. Next, deploy the list: {self._following}")
