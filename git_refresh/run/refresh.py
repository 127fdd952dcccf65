"""The run: one token for the fleet, every workspace's credential, then every folder, within a budget.

    settings → Azure DevOps token → per workspace: sign in, store the Git credential → bring each folder to its ref → report

All credentials are queued before any folder, so a run that is killed midway has done what matters.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue
from uuid import uuid4

from git_refresh.clock import Clock, Deadline
from git_refresh.diagnosis.explain import (
    Diagnosis,
    Facts,
    clock_skew,
    explain,
    finding,
    interrupted,
    out_of_time,
)
from git_refresh.outlet import Outlet
from git_refresh.report import CredentialReport, Report, TokenReport, WorkspaceReport, log_run, log_workspace
from git_refresh.run.pool import Pool
from git_refresh.run.shared import Run
from git_refresh.run.workspace import WorkspaceRefresh, folder_reports
from git_refresh.schedule import lapses_before
from git_refresh.seams import Services, Unwatched, Watcher
from git_refresh.settings.entries import Entry, Rejected
from git_refresh.settings.load import Settings
from git_refresh.symptom import ServiceError
from git_refresh.values import AZURE_DEVOPS, Problem, Token

GRACE = 2.0
"""Seconds past the budget in which operations that it has just ended may still say so themselves."""


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
    notes: tuple[Problem, ...] = ()  # what workspaces say comes last: it may crowd out nothing else
    token: Token | None = None
    try:
        token = services.token(AZURE_DEVOPS)
    except ServiceError as error:
        failure = explain(error.symptom, facts)
        workspaces = [_report_of(entry, failure, run_id, facts, outlet) for entry in settings.entries]
    else:
        facts = Facts(vault=settings.key_vault_url or "", object_id=token.object_id)
        shown = Shown(watcher, outlet) if watcher else Unwatched()
        run = Run(settings, services, services.heads(token), deadline, token, facts, dry_run, shown)
        workspaces = _refresh_all(run, run_id, outlet)
        notes = run.notes()
    behind = services.clock_behind()
    short = [] if token is None else _short_token(token, next_run, behind, facts)
    problems += [*_about_time(late, behind, facts), *notes]
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
    pool = Pool(run.settings.concurrency)
    finished: SimpleQueue[WorkspaceRefresh] = SimpleQueue()
    works = {
        index: WorkspaceRefresh(entry, run, pool.submit, finished.put)
        for index, entry in enumerate(run.settings.entries)
        if isinstance(entry, Entry)
    }
    for work in works.values():
        work.start()
    reports: dict[str, WorkspaceReport] = {}
    why = out_of_time
    try:
        pool.start()
        for _ in works:
            try:
                work = finished.get(timeout=max(0.0, run.deadline.remaining() + GRACE))
            except Empty:
                break
            reports[work.workspace.host] = _done(work, why, run, run_id, outlet)
    except KeyboardInterrupt:
        why = interrupted
    finally:
        pool.close()
    return [
        _report_of(entry, None, run_id, run.facts, outlet)
        if isinstance(entry, Rejected)
        else reports.get(entry.workspace.host) or _done(works[index], why, run, run_id, outlet)
        for index, entry in enumerate(run.settings.entries)
    ]


def _done(
    work: WorkspaceRefresh, why: Callable[[Facts], Diagnosis], run: Run, run_id: str, outlet: Outlet
) -> WorkspaceReport:
    """A workspace's report, as of now, shown and logged, where it is cleaned; what is returned is cleaned with the whole report."""
    report = work.report(why)
    run.watcher.done(report)
    log_workspace(run_id, report, outlet)
    return report


def _report_of(
    entry: Entry | Rejected, failure: Diagnosis | None, run_id: str, facts: Facts, outlet: Outlet
) -> WorkspaceReport:
    """The report of a workspace that nothing was done for."""
    if isinstance(entry, Rejected):
        message = " ".join(str(problem) for problem in entry.problems)
        report = WorkspaceReport(
            entry.name, entry.host, "rejected", error=finding("invalid_settings", facts, problem=message)
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


def _short_token(token: Token, next_run: datetime, behind: timedelta, facts: Facts) -> list[Problem]:
    if not lapses_before(next_run, token.expires_at, behind):
        return []
    told = finding(
        "short_token",
        facts,
        which="that was stored",
        ends=f"{token.expires_at:%H:%M:%S} UTC",
        next_run=f"the next run is due at {next_run:%H:%M:%S} UTC",
    )
    return [Problem("token", str(told))]


def _about_time(late: timedelta, behind: timedelta, facts: Facts) -> list[Problem]:
    problems = []
    if late:
        told = finding("late_run", facts, minutes=f"{late / timedelta(minutes=1):.0f}")
        problems.append(Problem("timer", str(told)))
    if behind:
        problems.append(Problem("clock", str(clock_skew(behind, facts))))
    return problems
