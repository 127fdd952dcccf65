"""`status`: the Git credentials and Git folders of each workspace. Calls no Azure DevOps API."""

import os
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Protocol

import click
from rich.console import Console
from rich.text import Text

from git_refresh.admin.runs import StoredTokens
from git_refresh.admin.values import DiagnosedError
from git_refresh.cli import options, render
from git_refresh.cli.checks import Status
from git_refresh.cli.deployed import AppName, app_options, logs_of
from git_refresh.cli.files import read_text
from git_refresh.cli.findings import (
    STYLE,
    Finding,
    alike,
    code_style,
    explain,
    fold,
    of_problem,
    once,
    show_finding,
    show_line,
)
from git_refresh.cli.options import SettingsSource, quiet
from git_refresh.cli.shared import (
    allow,
    exit_with_problems,
    finish,
    given_settings,
    outlet_for,
    put_out,
)
from git_refresh.failures.diagnosis import Diagnosis, DiagnosisContext, finding, noted
from git_refresh.model.clock import Deadline
from git_refresh.model.values import GitFolder, Problem, Zone, json_of, utc_text
from git_refresh.output.log import RedactingLogger
from git_refresh.output.text import count
from git_refresh.run.context import facts_of_workspace
from git_refresh.run.decide import federated_credential, own_credential
from git_refresh.run.pool import MAX_THREADS
from git_refresh.run.ports import Clouds
from git_refresh.run.refresh import walk
from git_refresh.run.report import PLACES, CredentialReport, FolderReport, WorkspaceReport
from git_refresh.settings.entries import Entry
from git_refresh.settings.json_text import JsonError, parse
from git_refresh.settings.load import Settings, SettingsError, load


@click.command()
@click.option(
    "--report",
    "last",
    type=options.FILE,
    metavar="FILE",
    help="Show when tokens expire, from the output of run --json.",
)
@app_options("Shows when stored tokens expire, from the app's logs.")
@options.settings_option
@options.json_option
@options.output_options
def status(source: SettingsSource, last: Path | None, app: AppName, *, as_json: bool) -> None:
    """Show Git credentials and folders of each workspace. Read-only.

    To compare folders with Azure DevOps, use plan. To check permissions, use check.

    Exit codes: 0 success; 1 a workspace failed; 2 invalid settings or usage; 130 interrupted.
    """
    if last and app.name:
        raise click.UsageError("--report cannot be combined with --app")
    if (app.group or app.subscription) and not app.name:
        raise click.UsageError("--resource-group and --subscription require --app")
    logger = outlet_for(as_json=as_json)
    try:
        stored: Stored | None = read_report(last) if last else None
        given = given_settings(source)
        settings = allow(load(given.values), given.source)
        with render.console(stderr=True).status("Reading …"):
            logs = _logs(app, logger) if app.name else None
            stored = logs.stored if logs else stored
            report = replace(_read(settings, logger, stored), logs=logs)
    except SettingsError as error:
        exit_with_problems(error.problems, as_json=as_json)
    put_out(
        logger,
        as_json,
        report.as_dict(),
        lambda: show_status(report, render.console(), with_ends=stored is not None),
    )
    errors = [error.code for workspace in report.workspaces for error in workspace.errors()]
    finish(ok=report.result == "ok", interrupted="interrupted" in errors)


@dataclass(frozen=True, slots=True)
class CredentialStatus:
    """The Git credential for Azure DevOps of one principal."""

    principal: str
    status: Status
    message: str
    id: int | None = None
    username: str | None = None
    expires_at: datetime | None = None
    """Expiration of the stored token, from the run's report or the logs. None: unknown."""
    error: Diagnosis | None = None

    @property
    def is_stored(self) -> bool:
        """True for a stored token. A federated credential has none."""
        return self.id is not None and (self.error is None or self.error.code != "federated_credential")


@dataclass(frozen=True, slots=True)
class FolderStatus:
    path: str
    status: Status
    message: str
    branch: str | None = None
    commit: str | None = None
    error: Diagnosis | None = None
    in_general: str = field(default="", compare=False)
    """The message without branches and commits. Not in the JSON."""


@dataclass(frozen=True, slots=True)
class WorkspaceStatus:
    name: str
    host: str
    status: Status
    message: str
    error: Diagnosis | None = None
    credentials: tuple[CredentialStatus, ...] = ()
    folders: tuple[FolderStatus, ...] = ()

    def statuses(self) -> list[Status]:
        return [item.status for item in self._parts()]

    @property
    def worst(self) -> Status:
        """The status that counts for the whole workspace. Skipped folders do not count."""
        statuses = self.statuses()
        return next((status for status in _SEVERE if status in statuses), "ok")

    def errors(self) -> list[Diagnosis]:
        return [item.error for item in self._parts() if item.error is not None]

    def _parts(self) -> "tuple[WorkspaceStatus | CredentialStatus | FolderStatus, ...]":
        return (self, *self.credentials, *self.folders)


@dataclass(frozen=True, slots=True)
class StatusReport:
    """All workspaces, in the order of the settings."""

    workspaces: tuple[WorkspaceStatus, ...]
    logs: "AppLogsStatus | None" = None
    """None: not requested."""
    problems: tuple[Problem, ...] = ()
    """Warnings that concern all workspaces."""

    @property
    def result(self) -> Literal["ok", "failed"]:
        unread = self.logs is not None and self.logs.error is not None
        failed = any("failed" in workspace.statuses() for workspace in self.workspaces)
        return "failed" if failed or unread else "ok"

    def as_dict(self) -> dict[str, Any]:
        return {
            "version": 1,
            "result": self.result,
            "logs": self.logs and self.logs.as_dict(),
            "problems": [json_of(problem) for problem in self.problems],
            "workspaces": [json_of(workspace) for workspace in self.workspaces],
        }


_SEVERE: tuple[Status, ...] = ("failed", "warning")
_COUNTED: dict[Status, str] = {"ok": "ok", "warning": "with warnings", "failed": "failed"}


@dataclass(frozen=True, slots=True)
class StoredToken:
    """The token in a workspace's Git credential."""

    status: Status
    message: str
    expires_at: datetime | None = None
    error: Diagnosis | None = None


class Stored(Protocol):
    """A source of expiration dates, which Databricks does not return: a run's report or the app's logs."""

    def status_of(self, host: str, zone: Zone, now: datetime) -> StoredToken: ...


@dataclass(frozen=True, slots=True)
class LastRun:
    """A run, read from its report.

    Attributes:
        tokens: identity, tenant, and expiration of each stored token.
        actions: the action on the credential of each workspace, by URL.
    """

    started_at: datetime
    tokens: tuple[tuple[str | None, str | None, datetime], ...]
    actions: Mapping[str, str]

    def _expires_at(self, zone: Zone) -> datetime | None:
        tenant = zone.devops.tenant_id if zone.devops else None
        return min(
            (
                expires_at
                for identity, of, expires_at in self.tokens
                if identity == zone.identity and tenant in {None, of}
            ),
            default=None,
        )

    def status_of(self, host: str, zone: Zone, now: datetime) -> StoredToken:
        run = f"the run of {_at(self.started_at)}"
        action = self.actions.get(host)
        if action is None:
            return StoredToken("warning", f"this workspace is not in the report of {run}")
        expires_at = self._expires_at(zone)
        if action not in {"created", "updated"} or expires_at is None:
            return StoredToken("warning", f"{run} stored no token ({action})")
        left = expires_at - now
        if left <= timedelta():
            message = f"token of {run} expired at {_at(expires_at)}, {_minutes(-left)} ago (a later run might have stored another)"
            return StoredToken("warning", message, expires_at)
        return StoredToken(
            "ok", f"token of {run} expires at {_at(expires_at)}, in {_minutes(left)}", expires_at
        )


LONGEST_TOKEN = timedelta(hours=25)
"""Period to search for stored tokens. A managed identity token is valid for at most a day."""


@dataclass(frozen=True, slots=True)
class LoggedTokens:
    """The tokens that the deployed app stored, from its logs."""

    tokens: StoredTokens
    context: DiagnosisContext

    def status_of(self, host: str, zone: Zone, now: datetime) -> StoredToken:
        """Return the state of the latest stored token: failed if it has expired, or no run stored one."""
        stored, other = (self.tokens.latest(host, stored=each) for each in (True, False))
        if stored is None and not self.tokens.complete:
            return StoredToken("warning", "Log Analytics returned only part of the log lines")
        if stored is None:
            return self._expired(host, f"No run has stored a token since {_at(self.tokens.since)}")
        run = f"the run of {_at(stored.timestamp)}"
        tenant = zone.devops.tenant_id if zone.devops else None
        ends_at = self.tokens.expires_at(stored.run_id, zone.identity, tenant)
        if ends_at is None:
            return StoredToken("warning", f"{run} stored a token, but its log line has no expiration")
        left = ends_at - now
        if left <= timedelta():
            what = f"The token that {run} stored expired at {_at(ends_at)}, {_minutes(-left)} ago"
            return self._expired(host, what, ends_at)
        message = f"token of {run} expires at {_at(ends_at)}, in {_minutes(left)}"
        if other is not None and other.timestamp > stored.timestamp:
            message += (
                f"; the run of {_at(other.timestamp)} stored no token ({other.credential or 'rejected'})"
            )
            return StoredToken("warning", message, ends_at)
        return StoredToken("ok", message, ends_at)

    def _expired(self, host: str, what: str, ends_at: datetime | None = None) -> StoredToken:
        error = finding("stored_token_expired", replace(self.context, host=host), what=what)
        return StoredToken("failed", error.message, ends_at, error)


@dataclass(frozen=True, slots=True)
class AppLogsStatus:
    """The tokens in the logs of the deployed app, or the error of reading the logs."""

    app: str
    stored: LoggedTokens | None = None
    error: Diagnosis | None = None

    def as_dict(self) -> dict[str, Any]:
        newest = self.stored.tokens.newest_line if self.stored else None
        return {
            "app": self.app,
            "newest_line_at": newest and utc_text(newest),
            "error": self.error and json_of(self.error),
        }


def _logs(named: AppName, logger: RedactingLogger) -> AppLogsStatus:
    """Read the tokens that the deployed app stored.

    Raises:
        SettingsError: the network settings are invalid.
    """
    try:
        with logs_of(named, logger) as logs:
            return AppLogsStatus(logs.about.app, LoggedTokens(logs.stored_tokens(LONGEST_TOKEN), logs.about))
    except DiagnosedError as error:
        found = logger.redact(error.diagnosis)
    return AppLogsStatus(named.name, error=found)


def _at(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _minutes(time: timedelta) -> str:
    return count(round(time / timedelta(minutes=1)), "minute")


def read_report(file: Path) -> LastRun:
    """Read the output of `run --json`.

    Raises:
        SettingsError: the file cannot be read, or contains something else.
    """
    where, text = read_text(file)
    try:
        report = parse(text)
        if isinstance(report, dict) and report.get("dry_run") is True:
            raise SettingsError(
                [Problem(where, "is the report of a plan, which stores no token; use that of a run")]
            )
        return _last_run(report)
    except JsonError as error:
        problem = Problem(where, str(error))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        problem = Problem(where, "is not the output of run --json")
    raise SettingsError([problem])


def _last_run(report: Any) -> LastRun:  # noqa: ANN401  # unchecked JSON of the file
    return LastRun(
        _moment(report["started_at"]),
        tuple(
            (token["identity"], token["tenant"], _moment(token["expires_at"])) for token in report["tokens"]
        ),
        {
            entry["host"]: str((entry["credential"] or {"action": entry["result"]})["action"])
            for entry in report["workspaces"]
        },
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _read(settings: Settings, logger: RedactingLogger, last: Stored | None) -> StatusReport:
    """Connect to the services and read every workspace.

    Raises:
        SettingsError: the CA certificates cannot be read, or the proxy cannot be used.
    """
    from git_refresh import app  # noqa: PLC0415  # loading the SDKs takes a second
    from git_refresh.admin.reader import AdminReader  # noqa: PLC0415  # same

    with closing(app.connect(settings, os.environ, logger, admin=AdminReader)) as clouds:
        return logger.redact(look(clouds.settings, clouds, clouds.deadline, last, threads=clouds.threads))


def look(
    settings: Settings,
    clouds: Clouds,
    deadline: Deadline,
    last: Stored | None = None,
    *,
    threads: int = MAX_THREADS,
) -> StatusReport:
    """Read every workspace. Never raises for a service."""
    walked = walk(settings, clouds, deadline, asks_devops=False, threads=threads)
    shown = _Rendering(settings, last, deadline.clock.now(), as_admin=walked.as_admin)
    notes = [noted("sign-in", finding("read_as_admin", DiagnosisContext()))] if walked.as_admin else []
    return StatusReport(
        tuple(
            shown.workspace(entry, report) if isinstance(entry, Entry) else _unread(report)
            for entry, report in zip(settings.entries, walked.workspaces, strict=True)
        ),
        problems=tuple(notes),
    )


def _unread(report: WorkspaceReport) -> WorkspaceStatus:
    message = report.error.message if report.error else ""
    return WorkspaceStatus(report.name, report.host, "failed", message, report.error)


@dataclass(frozen=True, slots=True)
class _Rendering:
    """The conversion of run reports into statuses."""

    settings: Settings
    last: Stored | None
    now: datetime
    as_admin: bool
    """True if workspaces with `auth: federated` were read with the Azure CLI account."""

    def workspace(self, entry: Entry, report: WorkspaceReport) -> WorkspaceStatus:
        if report.credential is None or report.credential.stored is None:
            return _unread(report)
        as_admin = self.as_admin and entry.workspace.federated
        how = "read with your account, for" if as_admin else "signed in as"
        found = WorkspaceStatus(
            report.name,
            report.host,
            "ok",
            f"{how} {_principal(entry, None)}",
            credentials=tuple(
                self._credential(entry, each) for each in (report.credential, *report.additional)
            ),
            folders=tuple(_folders(entry, report)),
        )
        if report.error is None or report.error.code in {error.code for error in found.errors()}:
            return found
        return replace(found, status="failed", message=report.error.message, error=report.error)

    def _credential(self, entry: Entry, report: CredentialReport) -> CredentialStatus:
        workspace, principal = entry.workspace, _principal(entry, report.principal_id)
        if report.stored is None:
            message = report.error.message if report.error else ""
            return CredentialStatus(principal, "failed", message, error=report.error)
        own = own_credential(report.stored, workspace.git_username)
        if own is None and (federated := federated_credential(report.stored)) is not None:
            context = facts_of_workspace(DiagnosisContext(invocation=self.settings.invocation), workspace)
            diagnosis = finding("federated_credential", context, id=federated.id)
            return CredentialStatus(
                principal, "warning", diagnosis.message, federated.id, federated.username, error=diagnosis
            )
        if own is None:
            message = "missing for Azure DevOps; pulls fail until a run creates it"
            return CredentialStatus(principal, "failed", message)
        message = f"user name {own.username}" + (
            f", of {principal}" if report.principal_id is not None else ""
        )
        if self.last is None:
            return CredentialStatus(principal, "ok", message, own.id, own.username)
        token = self.last.status_of(workspace.host, self.settings.zone(workspace), self.now)
        text = token.message if token.error else f"{message}; {token.message}"
        return CredentialStatus(
            principal, token.status, text, own.id, own.username, token.expires_at, token.error
        )


def _principal(entry: Entry, principal_id: int | None) -> str:
    if principal_id is not None:
        return f"service principal {principal_id}"
    return facts_of_workspace(DiagnosisContext(), entry.workspace).principal


def _folders(entry: Entry, report: WorkspaceReport) -> Iterator[FolderStatus]:
    yield from map(_folder, report.single_folders)
    for pattern in report.patterns:
        state: Status = "failed" if pattern.failed else "warning"
        yield FolderStatus(pattern.path, state, pattern.diagnosis.message, error=pattern.diagnosis)
    for bad in entry.bad_folders:
        if bad.path is None:
            diagnosis = finding("invalid_folder", DiagnosisContext(), problem=bad.problem)
            yield FolderStatus("a folder", "failed", diagnosis.message, error=diagnosis)


def _folder(report: FolderReport) -> FolderStatus:
    at = report.seen.folder if report.seen else None
    found = FolderStatus(
        report.path,
        "ok",
        _where(at),
        at.branch if at else None,
        at.commit if at else None,
        in_general="as in the settings",
    )
    wanted = report.seen.wanted.ref if report.seen else None
    match report.action:
        case "failed" if report.error is not None:
            return replace(
                found, status="failed", message=report.error.message, error=report.error, in_general=""
            )
        case "skipped":
            return FolderStatus(report.path, "skipped", report.why)
        case "created":
            return FolderStatus(report.path, "warning", f"{report.why} yet; a run creates it")
        case "unchanged":
            message = f"{found.message}; {report.why}"
            return replace(found, status="warning", message=message, error=report.note, in_general="")
        case _ if at is not None and wanted is not None and at.branch != wanted.branch:
            message = f"{found.message}, but the settings have {wanted}"
            general = "on another branch than in the settings"
            return replace(found, status="warning", message=message, in_general=general)
    return found


def _where(folder: GitFolder | None) -> str:
    if folder is None:
        return ""
    branch = f"on branch {folder.branch}" if folder.branch else "detached HEAD"
    return f"{branch}, at {folder.commit[:8]}" if folder.commit else f"{branch}, without a commit"


_EXPIRY = "Databricks does not return when a stored token expires. To show it, add --app NAME, or --report FILE (output of run --json)."


def show_status(report: StatusReport, out: Console, *, with_ends: bool) -> None:
    _show_workspaces(report, out)
    errors = [
        Finding("failed", "", error.message, error) for each in report.workspaces for error in each.errors()
    ]
    explained = set()
    for item, _ in once(errors, alike(errors), lambda item: item.location, few=lambda _: 1):
        if item.error and (text := (item.error.code, item.error.cause, item.error.remedy)) not in explained:
            explained.add(text)
            explain(item.error, out, Text(), Text(item.error.code, code_style(item.error.code, out)))
    if not quiet():
        show_finding([*map(of_problem, report.problems)], out)
    if report.logs is not None:
        _show_logs(report.logs, out)
    credentials = [each for workspace in report.workspaces for each in workspace.credentials]
    unknown = not with_ends and any(credential.is_stored for credential in credentials)
    if unknown and not quiet() and report.result == "ok":
        fold(Text(), Text(_EXPIRY, "dim"), out)
    worst = [workspace.worst for workspace in report.workspaces]
    counts = ((worst.count(status), name) for status, name in _COUNTED.items())
    counted = ", ".join(f"{number} {name}" for number, name in counts if number)
    message = f"{count(len(report.workspaces), 'workspace')}: {counted}."
    if unknown:
        message += " Stored tokens were not verified."
    fold(Text(), Text(message, STYLE[report.result]), out)


def _show_workspaces(report: StatusReport, out: Console) -> None:
    shown = [
        workspace for workspace in report.workspaces if not quiet() or set(workspace.statuses()) != {"ok"}
    ]
    same: dict[Hashable, list[WorkspaceStatus]] = {}
    for workspace in shown:
        same.setdefault(_outcome(workspace), []).append(workspace)
    for workspace, names in once(shown, _outcome, lambda workspace: workspace.name):
        alone = names == workspace.name
        fold(Text(), Text.assemble((names, "bold"), f"  {workspace.host}" if alone else ""), out)
        lines = [*_lines(workspace)] if alone else _distinct_lines(same[_outcome(workspace)])
        few: Callable[[Finding], int] = (lambda _: PLACES) if alone else (lambda _: 1)
        for line, where in once(lines, alike(lines), lambda line: line.location, few):
            if not quiet() or line.status != "ok":
                general = line.in_general if where != line.location else ""
                show_line(replace(line, location=where, message=general or line.message), out, indent=2)


def _show_logs(logs: AppLogsStatus, out: Console) -> None:
    if logs.error is not None:
        show_finding([Finding("failed", "logs", logs.error.message, logs.error)], out)
    elif logs.stored is not None and not quiet():
        tokens = logs.stored.tokens
        seen = (
            f"The newest log line of {logs.app} is from {_at(tokens.newest_line)}."
            if tokens.newest_line
            else f"The logs of {logs.app} show no run since {_at(tokens.since)}."
        )
        fold(Text(), Text(f"{seen} Log lines appear a few minutes after a run.", "dim"), out)


def _outcome(workspace: WorkspaceStatus) -> Hashable:
    """Return the key for merging workspaces: their lines or, if they failed, the kinds of their failures."""
    lines = [*_lines(workspace, with_ids=False)]
    if not workspace.errors():
        return tuple((line.status, line.location, line.message) for line in lines)
    return frozenset(
        (line.status, line.error.code, line.error.kind) if line.error else (line.status, line.in_general)
        for line in lines
    )


def _distinct_lines(workspaces: Sequence[WorkspaceStatus]) -> list[Finding]:
    lines: dict[Hashable, Finding] = {}
    for line in (line for workspace in workspaces for line in _lines(workspace, with_ids=False)):
        lines.setdefault(
            (line.status, line.location, line.error.code if line.error else line.in_general), line
        )
    return list(lines.values())


def _lines(workspace: WorkspaceStatus, *, with_ids: bool = True) -> Iterator[Finding]:
    """Yield the lines of a workspace. Without IDs, they can be merged with those of other workspaces."""
    failed = "sign-in" if workspace.status == "failed" else ""
    yield Finding(workspace.status, failed, workspace.message, workspace.error, in_general="signed in")
    for credential in workspace.credentials:
        id_ = f" {credential.id}" if credential.id and with_ids else ""
        id_ = f" of {credential.principal}" if credential.error and len(workspace.credentials) > 1 else id_
        message = credential.message
        yield Finding(
            credential.status, f"Git credential{id_}", message, credential.error, in_general=message
        )
    for folder in workspace.folders:
        message = folder.in_general or folder.message
        kind = "" if with_ids else message
        yield Finding(folder.status, folder.path, folder.message, folder.error, kind, message)
