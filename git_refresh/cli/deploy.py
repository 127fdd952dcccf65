"""`deploy`: set a workspace list in the deployed app, or restore the previous one."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from rich.console import Console
from rich.text import Text

from git_refresh.admin.deployment import (
    PAUSE,
    Change,
    Deployment,
    is_ours,
    is_paused,
    restore,
)
from git_refresh.admin.deployment import (
    deploy as deployed,
)
from git_refresh.admin.runs import LONGEST_RUN, VISIBLE_AFTER, LoggedRun
from git_refresh.admin.values import DiagnosedError
from git_refresh.cli import ask, options, render
from git_refresh.cli.check_settings import check_settings
from git_refresh.cli.checks import Check, CheckReport, failed
from git_refresh.cli.deployed import NAMED_BY_INFRA, AppName, app_options, open_logs
from git_refresh.cli.files import FileSettings, is_read, read_settings
from git_refresh.cli.findings import STYLE, Finding, fold, show_finding
from git_refresh.cli.options import SettingsSource
from git_refresh.cli.runs import History, show_history
from git_refresh.cli.runs import clock as utc_clock
from git_refresh.cli.shared import (
    CHANGES,
    FAILED,
    INTERRUPTED,
    WRONG,
    exit_with_problems,
    outlet_for,
    put_out,
    settings_files,
)
from git_refresh.failures.diagnosis import Diagnosis, DiagnosisContext, diagnose, finding
from git_refresh.failures.failure import ServiceError
from git_refresh.model.clock import Deadline, SystemClock
from git_refresh.model.hosts import TrustedHosts
from git_refresh.model.schedule import Schedule
from git_refresh.model.values import Problem, json_of, utc_text
from git_refresh.model.waiting import pause
from git_refresh.output.redact import escape_unprintable
from git_refresh.output.shell import NO_COMMAND, Command, command
from git_refresh.output.text import count, first_of
from git_refresh.settings.load import SettingsError, load
from git_refresh.settings.names import SETTINGS

if TYPE_CHECKING:
    from git_refresh.admin.logs import AppLogs
    from git_refresh.admin.resource_manager import AlertRule, FunctionApp, ResourceManager
    from git_refresh.admin.services import AdminServices

BUDGET_S = 14_400.0
"""Time for the whole command, mainly for the confirmation. Each call has a shorter limit."""
MAX_UNTIL_DUE = timedelta(hours=2)
"""If the next run is due later, --wait does not wait for it."""
POLL_S = 20.0
MAX_RESTART = timedelta(minutes=1)
ALERT_RULES = "ar-git-refresh-"
"""Prefix of the names of alert rules that infra/ creates."""
_SIGN = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow")}


@click.command()
@options.list_argument
@app_options(required=True)
@click.option("--apply", "applies", is_flag=True, help="Deploy after confirmation.")
@click.option("--yes", "-y", is_flag=True, help="Skip the confirmation. Requires --apply.")
@click.option(
    "--previous", is_flag=True, help="Restore the settings from before the last deployment. Takes no FILE."
)
@click.option("--wait", is_flag=True, help="Wait for the first run with these settings. Requires --apply.")
@click.option("--exit-code", is_flag=True, help="Exit with 3 if differences exist.")
@options.trusted_app_hosts_option
@options.json_option
@options.output_options
def deploy(  # noqa: PLR0913  # one for each option
    workspaces: Path | None,
    app: AppName,
    trust_host: tuple[str, ...],
    *,
    applies: bool,
    yes: bool,
    previous: bool,
    wait: bool,
    exit_code: bool,
    as_json: bool,
) -> None:
    """Deploy a workspace list to the function app.

    FILE is a workspaces.json.  [default: ./workspaces.json]

    By default, shows what would change. With --apply, sets the app settings after confirmation, and restarts the app. A run in progress
    stops. A scheduled run starts again at once. Uses your Azure CLI account (az login).

    App settings that FILE does not have stay. To change REFRESH_SCHEDULE, FAN_OUT, and AZURE_CLIENT_ID, deploy infra/. To restore the
    previous values, use --previous.

    Exit codes: 0 success; 1 the deployment or, with --wait, the run failed; 2 invalid settings or usage; 3 differences exist
    (--exit-code); 130 interrupted.
    """
    file = _file(workspaces, previous=previous)
    if yes and not applies:
        raise click.UsageError("--yes needs --apply")
    if wait and not applies:
        raise click.UsageError("--wait needs --apply")
    if applies and as_json and not yes:
        raise click.UsageError(ask.NOT_WITH_JSON)
    logger = outlet_for(as_json=as_json)
    try:
        given = _given(file)
        from git_refresh.admin.services import AdminServices  # noqa: PLC0415  # keeps --help fast

        with closing(AdminServices(Deadline.after(BUDGET_S, SystemClock()), os.environ, logger)) as services:
            work = _Work(services, given, app, _typed(workspaces, app, previous=previous))
            with render.console(stderr=True).status("Comparing …"):
                report = work.plan(previous=previous)
            asks = applies and not yes and report.result == "different"
            if applies and report.result == "different":
                if asks:
                    show_deployment(logger.redact(report), render.console(stderr=True), asks=True)
                report = _apply(work, report, trust_host, asks=asks, waits=wait)
    except SettingsError as error:
        exit_with_problems(error.problems, as_json=as_json)
    report = logger.redact(report)
    shown = partial(show_deployment, report, was_shown=asks)
    put_out(logger, as_json, report.as_dict(), lambda: shown(render.console()))
    sys.exit(report.exit_code(applies=applies, reports_changes=exit_code))


def _file(file: Path | None, *, previous: bool) -> Path | None:
    if previous:
        if file is not None:
            raise click.UsageError("--previous cannot be combined with FILE")
        return None
    files = settings_files(SettingsSource(file))
    if not files:
        raise click.UsageError(f"FILE is missing, and {options.LIST} does not exist")
    return files[0]


def _given(file: Path | None) -> FileSettings:
    """Return the settings of a file; without a file, none.

    Raises:
        SettingsError: the file cannot be read, or has nothing to deploy.
    """
    if file is None:
        return FileSettings({}, ())
    given = read_settings(file)
    options.tell_what_is_used([file], given.values, environment=False)
    where = "stdin" if str(file) == "-" else escape_unprintable(str(file))
    if not given.values.keys() & SETTINGS.keys():
        raise SettingsError([Problem(where, "contains none of this app's settings")])
    if "WORKSPACE_DEFAULTS" in given.values and "WORKSPACES" not in given.values:
        message = "cannot be deployed without WORKSPACES; add WORKSPACES to the file"
        raise SettingsError([Problem(f"{where}: WORKSPACE_DEFAULTS", message)])
    return given


def _typed(file: Path | None, named: AppName, *, previous: bool) -> Command:
    """Return the caller's command without --apply and the options for it."""
    parts = [command(" {file}", file=str(file))] if file else []
    parts += [Command(" --previous")] if previous else []
    parts.append(command(" --app {app}", app=named.name))
    parts += [command(" --resource-group {group}", group=named.group)] if named.group else []
    parts += [command(" --subscription {id}", id=named.subscription)] if named.subscription else []
    return Command(str(options.invocation(NO_COMMAND).of("deploy")) + "".join(parts))


Result = Literal["same", "different", "deployed", "failed", "interrupted"]


@dataclass(frozen=True, slots=True)
class DeployReport:
    """A deployment that is planned or was attempted."""

    result: Result
    app: "FunctionApp | None" = None
    changes: tuple[Change, ...] = ()
    left_behind: tuple[tuple[str, Diagnosis], ...] = ()
    staying: tuple[str, ...] = ()
    not_set: tuple[str, ...] = ()
    newly_trusted: tuple[str, ...] = ()
    resumes: bool = False
    is_first: bool = False
    checks: tuple[Check, ...] = ()
    notes: tuple[Diagnosis, ...] = ()
    """Warnings about the app or the file."""
    alerts_enabled: tuple[str, ...] = ()
    """Alert rules that were enabled, or will be."""
    next_run: datetime | None = None
    paused: bool = False
    """True if the function stays disabled, so no run follows."""
    error: Diagnosis | None = None
    run: History | None = None
    """The first run with these settings, with --wait."""
    stopped_waiting: bool = False
    """True if Ctrl+C ended the wait for the run."""
    wrong_usage: bool = False
    """True if the error is invalid usage, not a failed call."""
    replaced_principals: tuple[str, ...] = ()
    """Workspaces whose `client_id` changes."""

    def as_dict(self) -> dict[str, Any]:
        app = self.app
        return {
            "version": 1,
            "result": self.result,
            "app": app
            and {"name": app.name, "resource_group": app.group, "subscription_id": app.subscription_id},
            "changes": [asdict(change) for change in self.changes],
            "left_behind": [{"workspace": name, **json_of(each)} for name, each in self.left_behind],
            "staying": list(self.staying),
            "not_set": list(self.not_set),
            "newly_trusted": list(self.newly_trusted),
            "ends_pause": self.resumes,
            "alerts_enabled": list(self.alerts_enabled),
            "checks": [json_of(check) for check in self.checks],
            "notes": [json_of(note) for note in self.notes],
            "next_run": self.next_run and utc_text(self.next_run),
            "run": self.run.runs[0].as_dict() if self.run else None,
            "error": json_of(self.error) if self.error else None,
        }

    def exit_code(self, *, applies: bool, reports_changes: bool) -> int:
        if self.result == "interrupted" or self.stopped_waiting:
            return INTERRUPTED
        if self.result == "deployed":  # with --wait, the run can fail or be missing
            return FAILED if self.error or (self.run and self.run.result == "failed") else 0
        if self.result == "failed":
            return WRONG if self.wrong_usage or self.error is None else FAILED
        return CHANGES if reports_changes and not applies and self.result == "different" else 0


@dataclass
class _Work:
    services: "AdminServices"
    given: FileSettings
    named: AppName
    typed: Command
    _rules: "list[AlertRule]" = field(default_factory=list)
    _deployment: Deployment | None = None
    _set_at: datetime | None = None

    def plan(self, *, previous: bool) -> DeployReport:
        named = self.named
        context = named.context()
        app = None
        try:
            app = self.services.find_app(named.name, named.subscription, named.group)
            context = _context(app)
            deployment = self._deploying(self._manager.app_settings(app), context, previous=previous)
            self._deployment = deployment
            return self._planned(app, deployment, context)
        except DiagnosedError as error:
            return DeployReport("failed", app, error=error.diagnosis, wrong_usage=True)
        except ServiceError as error:
            return DeployReport("failed", app, error=diagnose(error, context))

    def _deploying(
        self, existing: Mapping[str, str], context: DiagnosisContext, *, previous: bool
    ) -> Deployment:
        """Return the deployment for an app that has the `existing` settings.

        Raises:
            DiagnosedError: the app is another product, or has no previous settings.
        """
        if not is_ours(existing):
            raise DiagnosedError(finding("not_a_git_refresh_app", context))
        deployment = restore(existing) if previous else deployed(existing, self.given.values)
        if deployment is None:
            raise DiagnosedError(finding("no_previous_settings", context))
        return deployment

    @property
    def _manager(self) -> "ResourceManager":
        return self.services.resource_manager()

    def _planned(self, app: "FunctionApp", deployment: Deployment, context: DiagnosisContext) -> DeployReport:
        checks = _checks(deployment, self.given.names)
        is_wrong = any(check.status == "failed" for check in checks)
        notes = [finding("defaults_removed", context)] if deployment.drops_defaults else []
        notes += [] if is_wrong else self._notes(app, deployment, context)
        result: Result = "failed" if is_wrong else "different" if deployment.changes_app else "same"
        return DeployReport(
            result,
            app,
            tuple(deployment.changes()),
            tuple(deployment.left_behind()),
            deployment.staying,
            deployment.not_set,
            tuple(deployment.newly_trusted()),
            deployment.resumes,
            deployment.is_first,
            tuple(checks),
            tuple(notes),
            tuple(rule.name for rule in self._to_enable(deployment)),
            _next_run(deployment, self._manager.now()),
            is_paused(deployment.wanted),
            replaced_principals=tuple(deployment.replaced_principals()),
        )

    def _notes(
        self, app: "FunctionApp", deployment: Deployment, context: DiagnosisContext
    ) -> Iterator[Diagnosis]:
        if deployment.is_previous:
            yield finding("file_is_previous", context)
        if deployment.changes_app and not deployment.keeps_previous:
            yield finding("previous_too_long", context)
        try:
            rules = self._manager.alert_rules(app)
        except ServiceError as error:
            if deployment.resumes:  # a first list without alerts would fail silently
                raise
            yield diagnose(error, context)
            return
        self._rules = [rule for rule in rules if _is_of(app, rule)]
        disabled = [rule.name for rule in self._rules if not rule.enabled]
        if not self._rules:
            yield finding("alert_rules_missing", context)
        elif disabled and not deployment.is_first:
            yield finding("alert_rules_disabled", context, rules=first_of(disabled, _MOST_NAMED))

    def _to_enable(self, deployment: Deployment) -> "list[AlertRule]":
        """Return the alert rules that the first list enables."""
        return [rule for rule in self._rules if not rule.enabled] if deployment.resumes else []

    def untrusted(self, report: DeployReport, flags: Sequence[str]) -> list[str]:
        """Return the hosts that the app would newly trust and that no flag names."""
        allowed = TrustedHosts(flags)
        return [host for host in report.newly_trusted if not allowed.trusts(host)]

    def apply(self, plan: DeployReport) -> DeployReport:
        """Deploy the plan, if the app settings have not changed since."""
        deployment, app = self._deployment, plan.app
        from git_refresh.admin.resource_manager import AppSettingsChange  # noqa: PLC0415  # keeps --help fast

        assert deployment is not None  # noqa: S101  # the plan has it
        assert app is not None  # noqa: S101
        context = _context(app)
        enabled: list[str] = []
        try:
            with render.console(stderr=True).status("Deploying …"):
                change = AppSettingsChange(self._manager, app, deployment.existing, deployment.wanted)
                change.check_unchanged()
                # Alerts first: an app with a list must not fail silently.
                for rule in self._to_enable(deployment):
                    self._manager.enable(rule)
                    enabled.append(rule.name)
                self._set_at = change.make(self.services.deadline.clock)
        except KeyboardInterrupt:
            return replace(plan, result="interrupted", alerts_enabled=tuple(enabled))
        except DiagnosedError as error:
            return replace(plan, result="failed", error=error.diagnosis, alerts_enabled=tuple(enabled))
        except ServiceError as error:
            return replace(
                plan, result="failed", error=diagnose(error, context), alerts_enabled=tuple(enabled)
            )
        next_run = _next_run(deployment, self._set_at)
        return replace(plan, result="deployed", next_run=next_run, alerts_enabled=tuple(enabled))

    def wait(self, done: DeployReport) -> DeployReport:
        """Wait for the first run with the new settings until it is overdue."""
        assert done.app is not None  # noqa: S101  # the plan has it
        if done.paused:
            return done
        context, clock = _context(done.app), self.services.deadline.clock
        set_at = self._set_at or clock.now()
        until_due = (done.next_run or set_at) - set_at
        # If the next run is too far away, wait only for a run that the restart cut off and started again.
        until_due = until_due if until_due <= MAX_UNTIL_DUE else timedelta()
        deadline = Deadline.after((until_due + LONGEST_RUN + 2 * VISIBLE_AFTER).total_seconds(), clock)
        try:
            logs = open_logs(self.services, done.app)
            context = logs.about
            latest = clock.now() + timedelta(seconds=deadline.remaining())
            what = f"Waiting for the first run until {latest:%H:%M} UTC. Logs are delayed by some minutes …"
            with render.console(stderr=True).status(what):
                while (run := _first_run(logs, set_at)) is None:
                    if deadline.remaining() <= 0:
                        return replace(done, error=finding("run_not_seen", context))
                    pause(clock, POLL_S)
        except KeyboardInterrupt:
            return replace(done, error=finding("run_not_seen", context), stopped_waiting=True)
        except DiagnosedError as error:
            return replace(done, error=error.diagnosis)
        except ServiceError as error:
            return replace(done, error=diagnose(error, context))
        return replace(done, run=run)


def _first_run(logs: "AppLogs", set_at: datetime) -> History | None:
    """Return the first run that started after the deployment; None until it is completed and visible.

    Raises:
        ServiceError: the logs cannot be read, and a retry would not help.
    """
    now = logs.now()
    try:
        found = logs.runs(now - set_at + timedelta(minutes=1))
    except ServiceError as error:
        if error.failure.outcome_unknown or error.failure.throttled:
            return None
        raise
    began = [run for run in found.runs if run.started_at >= set_at and not _cut_off(run, set_at)]
    first = min(began, key=lambda run: run.started_at, default=None)
    if first is None or first.result == "running":
        return None
    about = logs.about
    newest = found.newest_line
    return History(
        about.app, about.component, set_at, now, newest, found.complete, (first,), first, (), False, ()
    )


def _cut_off(run: LoggedRun, set_at: datetime) -> bool:
    """Return whether the restart cut off this run. Its first line can be later than the deployment."""
    codes = {failure.code for failure in run.failures}
    return codes == {"run_not_completed"} and run.started_at < set_at + MAX_RESTART


_MOST_NAMED = 5


def _is_of(app: "FunctionApp", rule: "AlertRule") -> bool:
    """Return whether infra/ created the alert rule for this app, by the suffix of both names.

    For an app with another name, the suffix is ignored.
    """
    app_name, name = app.name.casefold(), rule.name.casefold()
    of_infra = app_name.startswith(NAMED_BY_INFRA)
    ending = f"-{app_name.removeprefix(NAMED_BY_INFRA)}" if of_infra else ""
    return name.startswith(ALERT_RULES) and name.endswith(ending)


def _context(app: "FunctionApp") -> DiagnosisContext:
    return AppName(app.name, app.group, app.subscription_id).context()


def _checks(deployment: Deployment, named: Sequence[str]) -> list[Check]:
    """Return the lines of `check --offline` for the new settings and the names in the file."""
    values = {name: value for name, value in deployment.wanted.items() if is_read(name)}
    try:
        settings = load(values)
        checks = check_settings(values, settings.problems, settings, named=named)
    except SettingsError as error:
        checks = check_settings(values, error.problems, None, named=named)
    too_long = [
        failed(
            "settings",
            name,
            finding("long_setting", DiagnosisContext(), setting=name, size=f"{size:,}", most=f"{most:,}"),
        )
        for name, size, most in deployment.too_long()
        if not any((check.subject, check.status) == (name, "failed") for check in checks)
    ]
    references = deployment.references()
    checks = [check for check in checks if check.subject not in references or check.status != "failed"]
    checks += [Check("settings", name, "warning", _UNCHECKED) for name in references]
    replaced = {check.subject for check in too_long}
    return [
        *(check for check in checks if check.subject not in replaced or check.status == "failed"),
        *too_long,
    ]


_UNCHECKED = "is a reference that only Azure can resolve, so its value was not checked"


def _next_run(deployment: Deployment, now: datetime) -> datetime | None:
    """Return when the next run is due; None if the schedule is invalid or the function disabled."""
    if is_paused(deployment.wanted):
        return None
    try:
        return Schedule.read(deployment.wanted.get("REFRESH_SCHEDULE", "")).next_after(now)
    except ValueError:
        return None


def _trusting(hosts: Sequence[str], typed: Command) -> Command:
    flags = "".join(command(" --trust-host {host}", host=host) for host in hosts)
    return Command(f"{typed}{flags} --apply")


def _apply(
    work: _Work, plan: DeployReport, trust_host: Sequence[str], *, asks: bool, waits: bool
) -> DeployReport:
    """Deploy after confirmation. Security: a file must not make the app send tokens to new hosts.

    Raises:
        SettingsError: a new host is not confirmed, the caller declined, or the input is not a terminal.
    """
    hosts = work.untrusted(plan, trust_host)
    if hosts:
        again = Command(f"{_trusting(hosts, work.typed)} --yes")
        named = ", ".join(hosts)
        message = f"names hosts that the app does not trust yet: {named}. To trust them, run: {again}"
        if not asks:
            raise SettingsError([Problem("TRUSTED_HOSTS", message, commands=(again,))])
        question = f"This lets the app send its tokens to hosts outside Azure: {named}. Continue?"
        ask.agree("TRUSTED_HOSTS", [question], without_terminal=message)
    if asks:
        ask.agree(
            "deploy --apply", [f"This sets the app settings of {work.named.name} and restarts it. Continue?"]
        )
    report = work.apply(plan)
    return work.wait(report) if waits and report.result == "deployed" else report


def show_deployment(
    report: DeployReport, out: Console, *, asks: bool = False, was_shown: bool = False
) -> None:
    """Print the changes, warnings, and what happens next. If the plan `was_shown`, print only the result."""
    if not was_shown:
        _show_plan(report, out)
    if report.error is not None and report.result != "deployed":
        show_finding([Finding("failed", "", report.error.message, report.error)], out)
    for line, style in _ending(report, asks=asks):
        fold(Text(), Text(line, style), out)
    if report.error is not None and report.result == "deployed":
        show_finding([Finding("failed", "", report.error.message, report.error)], out)
    if report.run is not None:
        show_history(report.run, out, only_failed=False)


def _show_plan(report: DeployReport, out: Console) -> None:
    if report.app is not None and not options.quiet():
        app = report.app
        fold(
            Text(),
            Text.assemble(
                (app.name, "bold"), f", resource group {app.group}, subscription {app.subscription_id}"
            ),
            out,
        )
    wrong = any(check.status == "failed" for check in report.checks)
    if not wrong:
        for change in report.changes:
            _show_change(change, out)
        _show_settings(report, out)
        show_finding([Finding("warning", name, each.message, each) for name, each in report.left_behind], out)
        show_finding([*_replaced(report)], out)
    if report.checks and (wrong or not options.quiet()):
        render.show_check(CheckReport(report.checks), out)
    show_finding([Finding("warning", "", note.message, note) for note in report.notes], out)


def _replaced(report: DeployReport) -> Iterator[Finding]:
    if report.replaced_principals:
        names = first_of(report.replaced_principals, _MOST_NAMED)
        listing = options.invocation(NO_COMMAND).of("onboard --remove --settings FILE")
        message = (
            "client_id changes, and the Git credential of the previous service principal stays. "
            f"To list the commands that delete it, run with the previous list: {listing}"
        )
        yield Finding("warning", names, message, commands=(listing,))


def _show_change(change: Change, out: Console) -> None:
    sign, style = _SIGN[change.action]
    parts = [change.workspace or change.setting, *(part for part in (change.folder, change.key) if part)]
    old_new = " → ".join(value for value in (change.old, change.new) if value)
    fold(
        Text(f"{sign} ", style),
        Text.assemble((" ".join(parts), "bold"), f": {old_new}" if old_new else ""),
        out,
    )


def _show_settings(report: DeployReport, out: Console) -> None:
    """Print the settings that stay although a change might be expected, and the side effects."""
    if options.quiet():
        return
    if report.staying:
        fold(
            Text("= ", "dim"),
            Text(f"Unchanged, because the file does not have them: {', '.join(report.staying)}."),
            out,
        )
    if report.not_set:
        names = ", ".join(report.not_set)
        fold(
            Text("! ", "yellow"),
            Text(f"Not deployed, because only a deployment of infra/ sets them: {names}."),
            out,
        )
    if report.newly_trusted:
        hosts = ", ".join(report.newly_trusted)
        fold(Text("! ", "yellow"), Text(f"New hosts that receive the app's tokens: {hosts}."), out)
    if report.resumes:
        fold(
            Text("~ ", "yellow"),
            Text(
                f"{'Ended' if report.result == 'deployed' else 'Ends'} the pause of the first deployment ({PAUSE})."
            ),
            out,
        )
    if report.alerts_enabled:
        number = count(len(report.alerts_enabled), "alert rule")
        enabled = report.result in {"deployed", "failed", "interrupted"}
        verb, when = ("Enabled", "") if enabled else ("Enables", ", before it deploys the list")
        fold(Text("~ ", "yellow"), Text(f"{verb} {number}{when}."), out)


def _ending(report: DeployReport, *, asks: bool) -> Iterator[tuple[str, str]]:
    match report.result:
        case "same":
            yield "No differences. The app already has these settings.", STYLE["ok"]
        case "interrupted":
            yield ask.after_interrupt(changed=True), STYLE["failed"]
        case "failed":
            if report.error is None:
                yield "No changes made.", STYLE["failed"]
        case "different" | "deployed":
            number = count(len(report.changes), "difference")
            if report.result == "different":
                yield f"{number}. {_RESTARTS}", "bold"
            else:
                yield f"Deployed {number}. The app restarts.", STYLE["ok"]
            if report.paused:
                yield (
                    f"The function is disabled, so no run follows. To enable it, delete the app setting {PAUSE}.",
                    STYLE["warning"],
                )
            elif report.next_run is not None:
                yield f"The next run starts at {utc_clock(report.next_run)} (REFRESH_SCHEDULE).", ""
            if report.result == "different" and not asks:
                yield ask.ADD_APPLY, ""


_RESTARTS = "Deploying restarts the app. A run in progress stops. A scheduled run starts again at once."
