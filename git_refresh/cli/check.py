"""`check`: a read-only check of each layer, with cause and remedy under each failure.

    settings → identity → Key Vault → Azure DevOps → workspace → Git credential → Git folders → jobs (--jobs)

Checks that depend on a failed check are skipped. `check` uses the clients, decisions, and failure table of a run.
"""

import os
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import click

from git_refresh.admin.values import JobsClientFactory
from git_refresh.cli import options, render
from git_refresh.cli.check_devops import RefChecks, named_sources
from git_refresh.cli.check_jobs import JobsCheck
from git_refresh.cli.check_schedule import NAME
from git_refresh.cli.check_settings import check_proxy, check_settings, workspaces_of
from git_refresh.cli.check_workspace import WorkspaceCheck
from git_refresh.cli.checks import LAYERS, Check, CheckReport, Layer, failed, skipped, warning
from git_refresh.cli.jobs import WorkspaceAccess
from git_refresh.cli.options import SettingsSource
from git_refresh.cli.scope import Scope, narrow, scope_options
from git_refresh.cli.shared import (
    WRONG,
    CommandSettings,
    allow,
    finish,
    given_settings,
    outlet_for,
    places_of,
    put_out,
)
from git_refresh.failures.diagnosis import (
    Diagnosis,
    DiagnosisContext,
    clock_skew,
    diagnose,
    explain,
    finding,
    interrupted,
    out_of_time,
)
from git_refresh.failures.failure import Service, ServiceError, ServiceFailure
from git_refresh.model.clock import Deadline, SystemClock
from git_refresh.model.schedule import DEFAULT_INTERVAL, expires_before, gaps
from git_refresh.model.values import AZURE_DATABRICKS, TOKEN_EXCHANGE, Problem
from git_refresh.output.log import RedactingLogger
from git_refresh.output.shell import Invocation
from git_refresh.output.text import count
from git_refresh.run.context import SECRET_WARNING, Run, facts_of_workspace
from git_refresh.run.decide import Source
from git_refresh.run.pool import MAX_THREADS, Executor
from git_refresh.run.ports import Clouds
from git_refresh.run.refresh import walk
from git_refresh.run.report import WorkspaceReport
from git_refresh.settings.entries import Entry, Rejected
from git_refresh.settings.load import Settings, SettingsError, load
from git_refresh.settings.models import Workspace

_NO_JOBS = "Jobs were not checked. To check them, add --jobs."


@click.command()
@options.list_argument
@click.option("--offline", is_flag=True, help="Validate only the settings, without calling a service.")
@scope_options
@click.option(
    "--jobs",
    is_flag=True,
    help="Also check jobs with a Git source in Azure DevOps, with your Azure CLI account.",
)
@options.settings_option
@options.json_option
@options.output_options
def check(
    workspaces: Path | None, source: SettingsSource, scope: Scope, *, offline: bool, jobs: bool, as_json: bool
) -> None:
    """Check settings, permissions, and connections. Read-only.

    FILE is a workspaces.json to check instead of the WORKSPACES setting.

    Exit codes: 0 success; 1 a check failed; 2 invalid settings or usage; 130 interrupted.
    """
    if offline and jobs:
        raise click.UsageError("--offline cannot be combined with --jobs")
    logger = outlet_for(as_json=as_json)
    checks: list[Check]
    settings: Settings | None = None
    given = CommandSettings({}, source)
    scheduled = False  # for an unreadable file, report no missing schedule
    because = "the app settings are invalid"
    problems: tuple[Problem, ...] = ()
    try:
        given = given_settings(source, workspaces, tells=False)
        scheduled = workspaces is None or source.file is not None  # a workspaces.json has no schedule
        listed = load(given.values, whole=not (offline and workspaces))
        because, problems = "the list has no such workspace or folder", listed.problems
        part = narrow(listed, scope)
        because = "you did not allow sending your tokens to all hosts of the list"
        settings = listed if offline else allow(part, given.source)
        checks = check_settings(
            given.values, settings.problems, settings, scheduled=scheduled, named=given.named
        )
    except SettingsError as error:
        problems = (*error.problems, *problems)
        checks = check_settings(given.values, problems, None, scheduled=scheduled, named=given.named)
    if settings is not None:
        checks += check_proxy(settings, os.environ, offline=offline)
    if settings is None and not offline:
        checks += skipped_layers(because, below="settings", jobs=jobs)
    elif settings is not None and not offline:
        try:
            with render.console(stderr=True).status("Checking …"):
                checks += check_live(settings, given.values, logger, jobs=jobs)
        except KeyboardInterrupt:
            checks.append(failed("identity", "everything", interrupted(DiagnosisContext())))
        except SettingsError as error:
            settings = None
            checks += check_settings({}, error.problems, None, scheduled=False)
            checks += skipped_layers("the app settings are invalid", below="settings", jobs=jobs)
    report = logger.redact(CheckReport(tuple(checks)))
    put_out(
        logger,
        as_json,
        report.as_dict(),
        lambda: render.show_check(
            report,
            render.console(),
            places_of(settings),
            left_out="" if jobs or offline or settings is None else _NO_JOBS,
        ),
    )
    if report.result == "failed" and not report.interrupted and (settings is None or offline):
        sys.exit(WRONG)
    finish(ok=report.result == "ok", interrupted=report.interrupted)


def skipped_layers(because: str, *, below: str, jobs: bool = False) -> list[Check]:
    """Return a skipped line for each layer below one that could not be checked."""
    layers = [layer for layer in LAYERS[LAYERS.index(below) + 1 :] if jobs or layer != "job"]
    return [replace(skipped(layer, "everything", because), whole_layer=True) for layer in layers]


def check_live(
    settings: Settings, values: Mapping[str, str], logger: RedactingLogger, *, jobs: bool = False
) -> list[Check]:
    """Connect to the services, and check all layers below the settings.

    `values` has the settings by name. REFRESH_SCHEDULE determines how long a token must be valid.

    Raises:
        SettingsError: the CA certificates cannot be read, or the proxy cannot be used.
    """
    from git_refresh import app  # noqa: PLC0415  # loading the SDKs takes a second
    from git_refresh.admin.jobs import HttpJobsClientFactory  # noqa: PLC0415
    from git_refresh.admin.reader import AdminReader  # noqa: PLC0415

    interval = max(gaps(values.get(NAME), SystemClock().now()))
    with closing(
        app.connect(settings, os.environ, logger, jobs_client_shares_token=jobs, admin=AdminReader)
    ) as clouds:
        factory = HttpJobsClientFactory(clouds.network) if jobs else None
        return check_clouds(
            clouds.settings,
            clouds,
            clouds.deadline,
            interval=interval,
            jobs=factory,
            threads=clouds.threads,
        )


def check_clouds(
    settings: Settings,
    clouds: Clouds,
    deadline: Deadline,
    *,
    interval: timedelta = DEFAULT_INTERVAL,
    jobs: JobsClientFactory | None = None,
    threads: int = MAX_THREADS,
) -> list[Check]:
    """Check all layers below the settings, and return the lines ordered by layer.

    A token must be valid for `interval`, the longest time between two runs. A failed call becomes a failed line.
    """
    found = [
        skipped("workspace", entry.name, "the entry in WORKSPACES is invalid")
        for entry in settings.entries
        if isinstance(entry, Rejected)
    ]
    walked = walk(settings, clouds, deadline, threads=threads)
    executor = Executor(settings.concurrency, deadline)
    executor.interrupted = walked.interrupted
    reports = walked.by_host()
    for zone in walked.zones.values():
        services, own = clouds.services(zone.zone), zone.settings
        subject = "Azure CLI" if services.identity is Service.AZURE_CLI else str(zone.zone)
        if zone.run is None:
            unfinished = interrupted if walked.interrupted else out_of_time
            failure = zone.failure or unfinished(zone.context)
            found += _without_token(
                own, subject, failure, alone=len(walked.zones) == 1, jobs=jobs is not None
            )
            continue
        lines = _ZoneCheck(zone.run, reports, executor, subject).checks(interval, clouds, jobs)
        if services.identity is Service.AZURE_CLI:
            as_itself = {each.name for each in workspaces_of(own) if each.auth == "managed_identity"}
            lines = (_about_your_account(line, as_itself, settings.invocation) for line in lines)
        found += lines
    if walked.as_admin:
        found.append(warning("identity", "Azure CLI", finding("read_as_admin", DiagnosisContext())))
    if behind := clouds.clock_behind():  # last, because responses show the clock skew
        found.append(warning("identity", "clock", clock_skew(behind, DiagnosisContext())))
    return sorted(found, key=lambda check: LAYERS.index(check.layer))


_MISSING_PERMISSIONS = frozenset(
    {"key_vault_forbidden", "key_vault_access_policy", "devops_not_a_member", "devops_no_access"}
)
"""Codes of missing permissions. On a laptop, your account lacks them, perhaps not the app's identity."""


def _about_your_account(check: Check, as_itself: Collection[str], invocation: Invocation) -> Check:
    """Replace cause and remedy of an error that proves nothing about the app, only about your account.

    `as_itself` has the names of the workspaces with `auth: managed_identity`.
    """
    is_yours = check.error is not None and (
        check.error.code in _MISSING_PERMISSIONS
        or (check.error.code == "not_in_workspace" and check.subject in as_itself)
    )
    if check.error is None or not is_yours:
        return check
    cause = "This check used your account, which lacks the permission. The app's identity might have it."
    onboard = invocation.of("onboard{options}")
    remedy = (
        "To check with your account, get the permission yourself. To check the permissions of the app's identity, run: "
        f"{onboard}"
    )
    yours = replace(check.error, cause=cause, remedy=remedy, kind="your account", commands=(onboard,))
    return replace(check, error=yours)


def _without_token(
    settings: Settings, subject: str, failure: Diagnosis, *, alone: bool, jobs: bool
) -> list[Check]:
    because = "the identity cannot get a token for Azure DevOps"
    if alone:
        return [failed("identity", subject, failure), *skipped_layers(because, below="identity", jobs=jobs)]
    layers: list[Layer] = ["workspace", "job"] if jobs else ["workspace"]
    below = [skipped(layer, each.name, because) for each in workspaces_of(settings) for layer in layers]
    return [failed("identity", subject, failure), *below]


_SECOND_TOKENS = (
    ("managed_identity", AZURE_DATABRICKS, "tokens for Azure Databricks"),
    ("federated", TOKEN_EXCHANGE, "assertions for token federation"),
)
"""Authentication methods for which the identity needs a second token: method, resource, name."""


class _ZoneCheck:
    """The check of one trust zone whose identity has a token."""

    def __init__(
        self, run: Run, reports: Mapping[str, WorkspaceReport], executor: Executor, subject: str
    ) -> None:
        self._run = run
        self._executor = executor
        self._subject = subject
        self._entries = [entry for entry in run.settings.entries if isinstance(entry, Entry)]
        self._workspaces = [entry.workspace for entry in self._entries]
        self._reports = [reports[workspace.host] for workspace in self._workspaces]
        self._refs = RefChecks(run)

    def checks(self, interval: timedelta, clouds: Clouds, jobs: JobsClientFactory | None) -> Iterator[Check]:
        secrets = {name: self._secret(name, user) for name, user in self._secret_users().items()}
        yield from secrets.values()
        sources = self._sources()
        accesses = [WorkspaceAccess(workspace) for workspace in self._workspaces]
        for entry, report, access in zip(self._entries, self._reports, accesses, strict=True):
            lines = WorkspaceCheck(entry, report, self._run, secrets, access).checks()
            yield from (replace(line, about=access.workspace.name) for line in lines)
        if jobs is not None:
            jobs_check = JobsCheck(self._run, self._refs, jobs, self._executor)
            yield from jobs_check.checks(accesses, self._unfinished)
        yield from self._refs.checks(self._run.context, sources)
        yield from self._about_identity(interval, clouds.clock_behind())

    def _sources(self) -> set[Source]:
        """Return each repository and ref to show. Looks up those that the dry run did not reach."""
        folders = [
            (folder.seen.source, folder.seen.wanted.ref, folder.action)
            for report in self._reports
            for folder in report.folders
            if folder.seen and folder.seen.source
        ]
        seen = {
            source for source, _, action in folders if source in self._run.answers and action != "skipped"
        }
        seen.update(*(report.credential.rejected_by for report in self._reports if report.credential))
        named = named_sources(self._workspaces, seen)
        named += [(repository, ref) for (repository, _), ref, _ in folders if ref]
        self._executor.each(list(dict.fromkeys(named)), self._refs.look)
        return {*seen, *named}

    def _about_identity(self, interval: timedelta, behind: timedelta) -> Iterator[Check]:
        subject, now, ends = self._subject, self._run.deadline.clock.now(), self._run.token.expires_at
        identity = (
            f"object ID {self._run.token.object_id}"
            if self._run.token.object_id
            else "token without object ID"
        )
        left = f"{ends:%H:%M} UTC, in {count(round((ends - now).total_seconds() / 60), 'minute')}"
        message = f"{identity}, token for Azure DevOps expires at {left}"
        own = self._run.services.identity is Service.AZURE_CLI
        if own:
            message += " (your account; the app's identity needs the same permissions)"
        yield Check("identity", subject, "ok", message)
        if expires_before(now + interval, ends, behind):
            gap = count(round(interval.total_seconds() / 60), "minute")
            between = f"up to {gap} pass between two runs"
            # For your account only a warning, because tokens of the app's identity can have another lifetime.
            which = "of your account" if own else "for Azure DevOps"
            diagnosis = finding(
                "token_expires_before_next_run", self._run.context, which=which, ends=left, next_run=between
            )
            yield (warning if own else failed)("identity", subject, diagnosis)
        for auth, resource, what in _SECOND_TOKENS:
            if any(
                workspace.auth == auth and not self._run.reads_as_admin(workspace)
                for workspace in self._workspaces
            ):
                try:
                    self._run.services.token(resource)
                except ServiceError as error:
                    yield (warning if own else failed)(
                        "identity", subject, diagnose(error, self._run.context)
                    )
                else:
                    yield Check("identity", subject, "ok", f"can also get {what}")

    def _unfinished(self) -> Diagnosis:
        return (interrupted if self._executor.interrupted else out_of_time)(self._run.context)

    def _secret_users(self) -> dict[str, Workspace]:
        users: dict[str, Workspace] = {}
        for workspace in self._workspaces:
            if workspace.oauth is not None:
                users.setdefault(workspace.oauth.secret_name, workspace)
        return users

    def _secret(self, name: str, user: Workspace) -> Check:
        context = facts_of_workspace(self._run.context, user)
        secret = self._run.secrets.get(name)
        if secret is None:
            return failed("key_vault", name, self._unfinished())
        if isinstance(secret, ServiceFailure):
            return failed("key_vault", name, explain(secret, context))
        now, ends = self._run.deadline.clock.now(), secret.expires_at
        if secret.valid_from is not None and secret.valid_from > now:
            begins = f"{secret.valid_from:%Y-%m-%d %H:%M} UTC"
            return warning("key_vault", name, finding("secret_not_yet_valid", context, begins=begins))
        if ends is None:
            return warning("key_vault", name, finding("secret_without_expiration", context))
        left = ends - now
        when = f"expires on {ends:%Y-%m-%d}, in {count(left.days, 'day')}"
        if left < SECRET_WARNING:
            return warning("key_vault", name, finding("secret_expires_soon", context, ends=when))
        return Check("key_vault", name, "ok", f"can be read, {when}", kind="can be read")
