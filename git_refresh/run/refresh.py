"""The run: one token for the fleet, every workspace's credential, then every folder, within a budget.

    settings → Azure DevOps token → per workspace: sign in, store the Git credential → bring each folder to its ref → report

All credentials are queued before any folder, so a run that is killed midway has done what matters.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue
from uuid import uuid4

from pydantic import SecretStr

from git_refresh.clock import Clock, Deadline
from git_refresh.diagnosis.explain import Diagnosis, Facts, explain, finding
from git_refresh.hosts import TrustedHosts
from git_refresh.outlet import Outlet
from git_refresh.report import CredentialReport, Report, TokenReport, WorkspaceReport, log_run, log_workspace
from git_refresh.repository import Repository
from git_refresh.run.pool import Pool
from git_refresh.run.workspace import WorkspaceRefresh, folder_reports
from git_refresh.schedule import lapses_before
from git_refresh.seams import Api, Heads, Services, Unwatched, Watcher
from git_refresh.settings.entries import Entry, Rejected
from git_refresh.settings.load import Settings
from git_refresh.settings.models import Workspace
from git_refresh.symptom import ServiceError
from git_refresh.values import AZURE_DATABRICKS, AZURE_DEVOPS, Head, Problem, Ref, Token

GRACE = 2.0
"""Seconds past the budget in which operations that it has just ended may still say so themselves."""

NOTES = 10
"""How often the report says something that is no failure about one workspace or service: none may crowd out the others."""

SECRET_WARNING = timedelta(days=30)
"""How long before its end an OAuth secret is pointed out."""


@dataclass(slots=True)
class Run:
    """One run, as its workspaces see it (`seams.Surroundings`)."""

    settings: Settings
    services: Services
    heads: Heads
    deadline: Deadline
    azure_devops_token: Token
    facts: Facts
    dry_run: bool
    pool: Pool
    watcher: Watcher = field(default_factory=Unwatched)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _notes: dict[Problem, str] = field(default_factory=dict)

    @property
    def token(self) -> SecretStr:
        return self.azure_devops_token.value

    @property
    def trusted(self) -> TrustedHosts:
        return self.settings.trusted

    def sign_in(self, workspace: Workspace) -> Api:
        """A workspace's API, with a managed-identity token or for the OAuth secret in Key Vault."""
        if workspace.auth == "managed_identity":
            return self.services.workspace(workspace.host, self.services.token(AZURE_DATABRICKS).value)
        assert workspace.client_id and workspace.client_secret_name  # noqa: S101, PT018  # for the type checker: the model requires both
        secret = self.services.secret(workspace.client_secret_name)
        if secret.expires_at is not None and secret.expires_at - self.deadline.clock.now() < SECRET_WARNING:
            facts = replace(self.facts, secret=workspace.client_secret_name, client_id=workspace.client_id)
            message = f"The secret expires at {secret.expires_at:%Y-%m-%d %H:%M} UTC."
            found = _problem(workspace.client_secret_name, "secret_expires_soon", message, facts)
            self.note(found.where, found.where, found.message)
        return self.services.workspace(
            workspace.host, self.services.sign_in(workspace.host, workspace.client_id, secret.value)
        )

    def may_be_asked(self, repository: Repository) -> bool:
        """Where the token goes is decided by the settings: not by the URL that a workspace says a folder has."""
        return repository.origin in self.settings.origins

    def head(self, repository: Repository, ref: Ref | None) -> Head:
        return self.heads.head(repository, ref)

    def submit(self, task: Callable[[], None]) -> None:
        self.pool.submit(task)

    def note(self, about: str, where: str, message: str) -> None:
        with self._lock:
            said = list(self._notes.values()).count(about)
            if said < NOTES:
                self._notes[Problem(where, message)] = about
            elif said == NOTES:
                self._notes[Problem(about, "There is more of this kind than is told here.")] = about

    def notes(self) -> tuple[Problem, ...]:
        with self._lock:
            return tuple(self._notes)


def refresh(  # noqa: PLR0913  # each a fact of its own, given by name
    settings: Settings,
    services: Services,
    deadline: Deadline,
    *,
    next_run: datetime,
    outlet: Outlet,
    late: timedelta = timedelta(),
    dry_run: bool = False,
    watcher: Watcher | None = None,
) -> Report:
    """Refresh the whole fleet once. Never raises for what a service does; the report tells.

    Args:
        settings: whom to refresh.
        services: how to reach the clouds.
        deadline: when the budget is over; its clock tells the time.
        next_run: when the next run is due; a token that ends before is reported as `short_token`.
        outlet: where log lines go out; the report has passed it too.
        late: how much later than scheduled this run began.
        dry_run: look, decide and report, but write nothing.
        watcher: who is shown what is under way.
    """
    clock = deadline.clock
    started_at, started, run_id = clock.now(), clock.monotonic(), str(uuid4())
    facts = Facts(vault=settings.key_vault_url or "")
    problems = list(settings.problems)
    token: Token | None = None
    try:
        token = services.token(AZURE_DEVOPS)
    except ServiceError as error:
        failure = explain(error.symptom, facts)
        workspaces = [_report_of(entry, failure, run_id, facts, outlet) for entry in settings.entries]
    else:
        pool = Pool(settings.concurrency)
        facts = Facts(vault=settings.key_vault_url or "", object_id=token.object_id)
        heads, watcher = services.heads(token), Shown(watcher or Unwatched(), outlet)
        run = Run(settings, services, heads, deadline, token, facts, dry_run, pool, watcher)
        try:
            workspaces = _refresh_all(run, run_id, outlet)
        finally:
            pool.close()
        problems += run.notes()
    behind = services.clock_behind()
    short = [] if token is None else _short_token(token, next_run, started_at, behind, facts)
    problems += _about_time(late, behind, facts)
    fine = not short and not settings.problems and all(workspace.result == "ok" for workspace in workspaces)
    report = outlet.clean(
        Report(
            run_id=run_id,
            started_at=started_at,
            duration_s=clock.monotonic() - started,
            dry_run=dry_run,
            result="ok" if fine else "failed",
            token=_token_report(token, clock),
            problems=tuple(short + problems),
            workspaces=tuple(workspaces),
        )
    )
    log_run(report, outlet)
    return report


class Shown:
    """Passes on to a watcher what may be shown (`seams.Watcher`)."""

    def __init__(self, watcher: Watcher, outlet: Outlet) -> None:
        self._watcher = watcher
        self._outlet = outlet

    def doing(self, name: str, what: str) -> None:
        self._watcher.doing(self._outlet.text(name), self._outlet.text(what))

    def done(self, report: WorkspaceReport) -> None:
        self._watcher.done(self._outlet.clean(report))


def _refresh_all(run: Run, run_id: str, outlet: Outlet) -> list[WorkspaceReport]:
    """Work on every workspace at once; log each when it is done, here, on the invocation's own thread."""
    finished: SimpleQueue[WorkspaceRefresh] = SimpleQueue()
    works = {
        index: WorkspaceRefresh(entry, run, finished.put)
        for index, entry in enumerate(run.settings.entries)
        if isinstance(entry, Entry)
    }
    reports: dict[str, WorkspaceReport] = {}
    for work in works.values():
        work.start()
    run.pool.start()
    for _ in works:
        try:
            work = finished.get(timeout=max(0.0, run.deadline.remaining() + GRACE))
        except Empty:
            break
        report = reports[work.workspace.host] = work.report()
        run.watcher.done(report)
        log_workspace(run_id, report, outlet)
    result = []
    for index, entry in enumerate(run.settings.entries):
        if isinstance(entry, Rejected):
            result.append(_report_of(entry, None, run_id, run.facts, outlet))
            continue
        late = reports.get(entry.workspace.host)
        if late is None:
            late = works[index].report()
            run.watcher.done(late)
            log_workspace(run_id, late, outlet)
        result.append(late)
    return result


def _report_of(
    entry: Entry | Rejected, failure: Diagnosis | None, run_id: str, facts: Facts, outlet: Outlet
) -> WorkspaceReport:
    """The report of a workspace that nothing was done for."""
    if isinstance(entry, Rejected):
        message = " ".join(str(problem) for problem in entry.problems)
        report = WorkspaceReport(
            entry.name, entry.host, "rejected", error=finding("invalid_settings", message, facts)
        )
    else:
        workspace = entry.workspace
        folders = folder_reports(workspace, entry.bad_folders, {}, None, facts)
        report = WorkspaceReport(
            workspace.name, workspace.host, "failed", CredentialReport("failed"), folders, failure
        )
    log_workspace(run_id, report, outlet)
    return report


def _token_report(token: Token | None, clock: Clock) -> TokenReport | None:
    return TokenReport(token.expires_at, (token.expires_at - clock.now()).total_seconds()) if token else None


def _short_token(
    token: Token, next_run: datetime, now: datetime, behind: timedelta, facts: Facts
) -> list[Problem]:
    if not lapses_before(next_run, token.expires_at, now, behind):
        return []
    message = f"The token that was stored ends at {token.expires_at:%H:%M:%S} UTC, and the next run is due at {next_run:%H:%M:%S} UTC."
    return [_problem("token", "short_token", message, facts)]


def _about_time(late: timedelta, behind: timedelta, facts: Facts) -> list[Problem]:
    problems = []
    if late:
        message = f"This run began {late.total_seconds() / 60:.0f} minutes late."
        problems.append(_problem("timer", "late_run", message, facts))
    if behind:
        direction = "behind" if behind > timedelta() else "ahead"
        message = f"This machine's clock is {abs(behind).total_seconds() / 60:.0f} minutes {direction}."
        problems.append(_problem("clock", "clock_skew", message, facts))
    return problems


def _problem(where: str, code: str, message: str, facts: Facts) -> Problem:
    return Problem(where, str(finding(code, message, facts)))
