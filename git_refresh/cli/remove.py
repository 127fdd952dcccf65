"""`onboard --remove`: print the commands that remove what `onboard` granted and runs stored."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from rich.console import Console
from rich.text import Text

from git_refresh.cli import render
from git_refresh.cli.deployed import AppName, deploy_command, find
from git_refresh.cli.findings import MARK, Finding, fold, show_finding
from git_refresh.cli.scope import Scope, narrow
from git_refresh.cli.shared import finish, put_out
from git_refresh.failures.diagnosis import diagnose
from git_refresh.failures.failure import ServiceError
from git_refresh.model.clock import Deadline, SystemClock
from git_refresh.output.log import RedactingLogger
from git_refresh.output.text import count
from git_refresh.run.pool import Executor
from git_refresh.settings.entries import Entry
from git_refresh.settings.load import Settings, SettingsError

if TYPE_CHECKING:
    from git_refresh.admin.onboarding import OnboardOptions
    from git_refresh.admin.removal import Removal
    from git_refresh.admin.services import AdminServices

_LIMIT_S = 900.0
"""Time for all reads. Each call has a shorter limit."""


@dataclass(frozen=True, slots=True)
class RemovalReport:
    """The existing objects and permissions, in the order in which to remove them."""

    removals: "tuple[Removal, ...]"
    interrupted: bool = False

    @property
    def complete(self) -> bool:
        """True if everything could be read. An app is optional unless --app names it."""
        return not self.interrupted and all(
            removal.status != "failed" and (removal.status != "skipped" or removal.kind == "app")
            for removal in self.removals
        )

    def as_dict(self) -> dict[str, Any]:
        return {
            "version": 1,
            "result": "ok" if self.complete else "failed",
            "commands": [removal.command for removal in self.removals if removal.status == "remove"],
            "removals": [removal.as_dict() for removal in self.removals],
        }


def show_removals(
    settings: Settings,
    only: tuple[str, ...],
    app: AppName,
    file: Path | None,
    given: "OnboardOptions",
    logger: RedactingLogger,
    *,
    as_json: bool,
) -> NoReturn:
    """Print the commands, and exit.

    Raises:
        SettingsError: `only` has a name that is not in the list, or the network settings are invalid.
    """
    from git_refresh.admin.onboarding import Onboarding  # noqa: PLC0415  # keeps --help fast
    from git_refresh.admin.services import AdminServices  # noqa: PLC0415

    chosen = narrow(settings, Scope(only))
    chosen = replace(chosen, listed=settings.entries)
    deadline = Deadline.after(_LIMIT_S, SystemClock())
    executor = Executor(settings.concurrency, deadline)
    services = AdminServices(deadline, os.environ, logger)
    found: list[Removal] = []
    try:
        with render.console(stderr=True).status("Checking permissions …"):
            found.append(_app(services, app, chosen, file))
            found += Onboarding(chosen, services, given, executor).removals()
    except KeyboardInterrupt:
        executor.interrupted = True
    finally:
        services.close()
    report = logger.redact(RemovalReport(tuple(found), executor.interrupted))
    put_out(logger, as_json, report.as_dict(), lambda: _show(report, render.console()))
    finish(ok=report.complete, interrupted=executor.interrupted)


def _app(services: "AdminServices", named: AppName, chosen: Settings, file: Path | None) -> "Removal":
    """Return the removal for the deployed app. Only an app that --app names must exist."""
    from git_refresh.admin.removal import Removal, of_app, remaining  # noqa: PLC0415  # keeps --help fast
    from git_refresh.admin.values import DiagnosedError  # noqa: PLC0415

    unknown = Removal("app", f"function app {named.name or 'APP'}", "was not checked", status="skipped")
    why = "if it refreshes these workspaces, its next run stores their credentials again; add --app NAME"
    try:
        app = find(named, services)
        deployed = services.resource_manager().app_settings(app)
    except (ServiceError, DiagnosedError, SettingsError) as error:
        if not named.name:
            return replace(unknown, reason=why)
        diagnosis = error.diagnosis if isinstance(error, DiagnosedError) else diagnose(error, named.context())
        return replace(unknown, status="failed", error=diagnosis)
    hosts = [entry.workspace.host for entry in chosen.entries if isinstance(entry, Entry)]
    return of_app(app, deployed, hosts, deploy_command(file, app.name) if remaining(chosen) else None)


def _show(report: RemovalReport, out: Console) -> None:
    numbered = [removal for removal in report.removals if removal.status == "remove"]
    for number, removal in enumerate(numbered, start=1):
        fold(Text(f"{number:3}. "), _what(removal), out)
        for text in (*_side_effects(removal), removal.reason):
            if text:
                fold(Text("     "), Text(text, "dim"), out)
        fold(Text("     "), Text(removal.command), out, (removal.command,))
    for removal in report.removals:
        if removal.status in {"stays", "skipped"}:
            why = f"needed by {', '.join(removal.used_by)}" if removal.used_by else removal.reason
            mark = "=" if removal.status == "stays" else MARK["skipped"]
            fold(Text(f"  {mark}  ", "dim"), Text.assemble(_what(removal), f": {why}"), out)
    failed = [removal for removal in report.removals if removal.error is not None]
    show_finding([_finding(removal) for removal in failed], out)
    fold(Text(), Text(_summary(report.removals, len(numbered)), "bold"), out)


def _what(removal: "Removal") -> Text:
    return Text.assemble((f"{removal.location}: ", "bold"), removal.description)


def _side_effects(removal: "Removal") -> list[str]:
    affected = f"Also affects: {'; '.join(removal.affects)}." if removal.affects else ""
    return [affected, f"Requires {removal.required_role}." if removal.required_role else ""]


def _finding(removal: "Removal") -> Finding:
    assert removal.error is not None  # noqa: S101  # the caller chooses those with an error
    return Finding(
        "failed", f"{removal.location}: {removal.description}", removal.error.message, removal.error
    )


def _summary(removals: "Sequence[Removal]", commands: int) -> str:
    unread = sum(removal.error is not None for removal in removals)
    stay = sum(removal.status == "stays" for removal in removals)
    parts = [
        count(commands, "command"),
        f"{stay} unchanged" if stay else "",
        f"{unread} not read" if unread else "",
    ]
    what = (
        "To remove these permissions, run the commands in this order." if commands else "Nothing to remove."
    )
    return f"No changes made. {what} {', '.join(filter(None, parts))}."
