"""`onboard`: grant what a list needs, plan first. It only ever adds, with the sign-in of whoever types it."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from git_refresh.cli import options, terminal, wrong
from git_refresh.cli.checks import CheckReport, count
from git_refresh.cli.crew import Crew
from git_refresh.cli.findings import MARK, STYLE, Told, fold, tell
from git_refresh.cli.live import check_live
from git_refresh.cli.shared import FAILED, INTERRUPTED, WRONG, environment, outlet_for, places_of, put_out
from git_refresh.clock import Deadline, SystemClock
from git_refresh.outlet import Outlet
from git_refresh.settings.entries import Entry
from git_refresh.settings.fields import is_guid
from git_refresh.settings.load import Settings, SettingsError, load
from git_refresh.values import Problem

if TYPE_CHECKING:
    from git_refresh.admin.grants import Grant
    from git_refresh.admin.onboarding import Onboarding

BUDGET_S = 3000.0
"""Seconds for everything, the answer to the question included: the Azure CLI's tokens last little longer."""

_UNKNOWN_ID = "00000000-0000-0000-0000-000000000000"
_SIGN = {**MARK, "there": "=", "planned": "+", "done": "✓"}
_STYLE = {**STYLE, "there": "dim", "planned": "green", "done": "green"}


@click.command(short_help="Grant what a list needs: a plan first, then --apply.")
@click.option("--apply", "apply_", is_flag=True, help="Do what the plan shows, after a question; then check.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
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
    "name",
    metavar="NAME",
    help="Make a service principal of this name, where the list has no client_id yet, and nothing else.",
)
@options.settings_option
@options.json_option
@options.output_options
def onboard(  # noqa: PLR0913  # one for each option
    file: Path | None,
    *,
    apply_: bool,
    yes: bool,
    object_id: str | None,
    account_id: str | None,
    name: str | None,
    as_json: bool,
) -> None:
    """Grant what the list needs. Without --apply it only looks, and shows what it would do.

    Looks at, and with --apply adds: the app's identity in each Azure DevOps organization, with Basic access and in the Readers of the
    projects that the list names; the service principal in each workspace; its federation policy, or its OAuth secret, which goes straight
    into Key Vault; Can Manage on the Git folders, or on the directory above one that is missing.

    It acts as whoever has typed az login, and nothing is ever taken away. What takes another person is shown with the command to type.

    Exit codes: 0 all is there, or could be granted; 1 something failed or takes somebody else; 2 wrong settings or usage.
    """
    outlet = outlet_for(as_json=as_json)
    _checked_ids({"--object-id": object_id, "--account-id": account_id}, as_json=as_json)
    try:
        environ, _ = environment(file)
        settings = _settings(environ, new=name is not None)
        if name is None and object_id is None and any(zone.identity is None for zone in settings.zones()):
            raise SettingsError([_NO_OBJECT_ID])
        from git_refresh.admin.onboarding import Given, Onboarding  # noqa: PLC0415  # the SDKs take a second: not for --help
        from git_refresh.admin.services import AdminServices  # noqa: PLC0415

        deadline = Deadline.after(BUDGET_S, SystemClock())
        services = AdminServices(deadline, environ, outlet)
        crew = Crew(settings.concurrency, deadline)
        onboarding = Onboarding(settings, services, Given(object_id, account_id), crew.each)
        try:
            work = _Work(onboarding, settings, environ, outlet, crew, as_json=as_json)
            work.do(name, apply_=apply_, yes=yes)
        finally:
            onboarding.close()
    except SettingsError as error:
        wrong.end(error.problems, as_json=as_json)


_NO_OBJECT_ID = Problem(
    "--object-id",
    "is missing: the list names no user-assigned identity (AZURE_CLIENT_ID), so it has to be told who the app is; write what this prints: "
    "az functionapp identity show --name APP --resource-group GROUP --query principalId --output tsv",
)


def _checked_ids(given: Mapping[str, str | None], *, as_json: bool) -> None:
    wrong_ones = [
        Problem(option, f'"{outlet_text(value)}" must be an id like {_UNKNOWN_ID}')
        for option, value in given.items()
        if value is not None and not is_guid(value)
    ]
    if wrong_ones:
        wrong.end(wrong_ones, as_json=as_json)


def outlet_text(value: str) -> str:
    """What somebody has typed, as it may be shown."""
    return Outlet().text(value, 100)


def _settings(environ: Mapping[str, str], *, new: bool) -> Settings:
    """The settings, without a single mistake: rights are not given by a list that is half understood.

    Raises:
        SettingsError: there is one.
    """
    if new:
        environ = _with_placeholder(environ)
    settings = load(environ)
    if settings.problems:
        raise SettingsError(list(settings.problems))
    return settings


def _with_placeholder(environ: Mapping[str, str]) -> Mapping[str, str]:
    """The settings as if the list had a `client_id` already: it is what is to be made.

    Raises:
        SettingsError: it has one.
    """
    try:
        defaults = json.loads(environ.get("WORKSPACE_DEFAULTS", "") or "{}")
    except ValueError:
        return environ  # what is wrong with it is told by who reads it
    if isinstance(defaults, dict) and "client_id" in defaults:
        message = "is for a list without client_id, and WORKSPACE_DEFAULTS has one; leave the option out"
        raise SettingsError([Problem("--new-principal", message)])
    if isinstance(defaults, dict):
        return {**environ, "WORKSPACE_DEFAULTS": json.dumps({**defaults, "client_id": _UNKNOWN_ID})}
    return environ


class _Work:
    """One onboarding, shown."""

    def __init__(  # noqa: PLR0913  # each a fact of its own
        self,
        onboarding: "Onboarding",
        settings: Settings,
        environ: Mapping[str, str],
        outlet: Outlet,
        crew: Crew,
        *,
        as_json: bool,
    ) -> None:
        self._onboarding = onboarding
        self._settings = settings
        self._environ = environ
        self._outlet = outlet
        self._crew = crew
        self._as_json = as_json
        self._out = terminal.console()
        self._err = terminal.console(stderr=True)

    def do(self, name: str | None, *, apply_: bool, yes: bool) -> None:
        """Look, show, ask, give, look again, check.

        Raises:
            SystemExit: always, unless all is well.
            SettingsError: there is nobody to ask, or the answer is no.
        """
        with self._err.status("Looking …"):
            found = self._onboarding.new_principal(name) if name else self._onboarding.look()
        planned = [grant for grant in found if grant.status == "planned"]
        if not self._as_json:
            self._show(found)
        checked: CheckReport | None = None
        if apply_ and planned:
            self._ask(planned, yes=yes)
            self._give(planned)
            if name is None and not self._crew.interrupted:
                with self._err.status("Looking whether all of it is to be seen …"):
                    self._onboarding.see(planned)
        if apply_ and name is None and not self._crew.interrupted:
            with self._err.status("Checking …"):
                checked = CheckReport(tuple(check_live(self._settings, self._environ, self._outlet)))
        self._end(found, checked, applied=apply_)

    def _ask(self, planned: Sequence["Grant"], *, yes: bool) -> None:
        if yes:
            return
        number = count(len(planned), "right")
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            message = f"this would grant {number}, and there is nobody to ask; add --yes if that is meant"
            raise SettingsError([Problem("onboard --apply", message)])
        if not click.confirm(f"Grant {number}, as shown?", err=True):
            raise SettingsError([Problem("onboard --apply", "was declined; nothing was granted")])

    def _give(self, planned: Sequence["Grant"]) -> None:
        """One after the other: each is shown when it is done."""
        try:
            for grant in planned:
                with self._err.status(f"{self._outlet.text(grant.where)}: {self._outlet.text(grant.what)} …"):
                    self._onboarding.give(grant)
                if not self._as_json:
                    self._line(grant, with_place=True)
        except KeyboardInterrupt:
            self._crew.interrupted = True

    def _show(self, found: Sequence["Grant"]) -> None:
        """By place, in the manner of a plan."""
        by_place: dict[str, list[Grant]] = {}
        for grant in found:
            if not (options.quiet() and grant.status == "there"):
                by_place.setdefault(grant.where, []).append(grant)
        with terminal.writing():
            for place, grants in by_place.items():
                self._out.print(Text(self._outlet.text(place), "bold"))
                for grant in grants:
                    self._line(grant)
            self._out.print(Text(self._summary(found), "bold"))

    def _line(self, grant: "Grant", *, with_place: bool = False) -> None:
        what, place = self._outlet.text(grant.what), self._outlet.text(grant.where)
        if grant.error is not None:
            error = self._outlet.clean(grant.error)
            where = f"{place}: {what}" if with_place else what
            tell([Told("failed", where, error.message, error)], self._out, indent=2)
            return
        mark = Text(f"  {_SIGN[grant.status]} ", _STYLE[grant.status])
        why = f": {self._outlet.text(grant.why)}" if grant.why else ""
        start = ((f"{place}: ", "bold"),) if with_place else ()
        style = "dim" if grant.status == "there" else ""
        fold(mark, Text.assemble(*start, (what, style), why), self._out)

    def _summary(self, found: Sequence["Grant"]) -> str:
        numbers = {status: sum(grant.status == status for grant in found) for status in _SAID}
        said = [f"{number} {_SAID[status]}" for status, number in numbers.items() if number]
        return f"Plan: {', '.join(said) or 'nothing'}."

    def _end(self, found: Sequence["Grant"], checked: CheckReport | None, *, applied: bool) -> None:
        red = any(grant.error is not None or _is_left(grant) for grant in found)
        red = red or (checked is not None and checked.result == "failed")
        result = "failed" if red else "ok"
        report: dict[str, Any] = {
            "version": 1,
            "result": result,
            "applied": applied,
            "grants": [grant.as_dict() for grant in found],
            "check": checked.as_dict() if checked else None,
        }
        put_out(self._outlet, self._as_json, report, lambda: self._last(found, checked, applied=applied))
        if self._crew.interrupted:
            sys.exit(INTERRUPTED)
        sys.exit(FAILED if red else 0)

    def _last(self, found: Sequence["Grant"], checked: CheckReport | None, *, applied: bool) -> None:
        if self._crew.interrupted:
            self._out.print(Text("Interrupted. What was granted stays; run it again for the rest.", "red"))
        elif not applied and any(grant.status == "planned" for grant in found):
            self._out.print("Nothing was granted: add --apply to do it.")
        elif checked is not None:
            self._out.print()
            terminal.show_check(self._outlet.clean(checked), self._out, places_of(self._settings))


_SAID = {
    "planned": "to grant",
    "there": "there already",
    "failed": "failed or for somebody else",
    "skipped": "left out",
}


def _is_left(grant: "Grant") -> bool:
    """Whether it was left out for the failure of another."""
    return grant.status == "skipped" and grant.needs is not None
