"""`rotate`: replace OAuth secrets that expire soon, with the Azure CLI account of an admin."""

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.text import Text

from git_refresh.admin.rotation.decide import Decision, places, targets_of, why_not_listed
from git_refresh.admin.rotation.report import RotationReport, SecretReport
from git_refresh.admin.rotation.work import MAX_PARALLEL_WORKSPACES, Rotation
from git_refresh.admin.values import SignIn
from git_refresh.cli import ask, complete, options, render
from git_refresh.cli.findings import STYLE, Finding, fold, of_problem, show_finding
from git_refresh.cli.options import SettingsSource, quiet
from git_refresh.cli.shared import (
    allow,
    exit_with_problems,
    finish,
    given_settings,
    outlet_for,
    put_out,
)
from git_refresh.failures.diagnosis import DiagnosisContext, diagnose, finding
from git_refresh.failures.failure import ServiceError
from git_refresh.model.clock import Deadline, SystemClock
from git_refresh.model.values import KEY_VAULT, Problem
from git_refresh.output.log import RedactingLogger
from git_refresh.output.redact import redact
from git_refresh.output.text import count, first_of
from git_refresh.run.pool import Executor
from git_refresh.settings.entries import Rejected
from git_refresh.settings.load import Settings, SettingsError, load

if TYPE_CHECKING:
    from git_refresh.admin.services import AdminServices

_MAX_DAYS = 730
_MIN_LIMIT_S = 540.0
"""Least time for all rotations. The app's REFRESH_TIMEOUT_SECONDS can be too short for one."""
_ROLLBACK_S = 60.0


class _Days(click.ParamType[timedelta]):
    name = "days"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"([0-9]{1,4})d", str(value))
        if found is None or not 0 < int(found[1]) <= _MAX_DAYS:
            meant = _MAX_DAYS if found and int(found[1]) else 60
            self.fail(f'"{redact(str(value))}" must be from 1d to {_MAX_DAYS}d; write {meant}d', param, ctx)
        return timedelta(days=int(found[1]))


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=complete.secrets)
@click.option(
    "--within",
    type=_Days(),
    default="60d",
    show_default=True,
    metavar="DAYS",
    help="Rotate secrets that expire within DAYS (1d to 730d) and are past half their lifetime.",
)
@click.option(
    "--lifetime",
    type=_Days(),
    metavar="DAYS",
    help="Lifetime of new secrets (1d to 730d).  [default: that of the previous secret]",
)
@click.option("--force", is_flag=True, help="Rotate each NAME now, for example because a secret was leaked.")
@click.option("--apply", "applies", is_flag=True, help="Rotate after confirmation.")
@click.option("--yes", "-y", is_flag=True, help="Skip the confirmation. Requires --apply.")
@click.option(
    "--allow-unreachable",
    is_flag=True,
    help="Store a new secret even if some workspaces cannot be reached to test it.",
)
@options.settings_option
@options.json_option
@options.output_options
def rotate(  # noqa: PLR0913  # one for each option
    names: Sequence[str],
    within: timedelta,
    lifetime: timedelta | None,
    source: SettingsSource,
    *,
    force: bool,
    applies: bool,
    yes: bool,
    allow_unreachable: bool,
    as_json: bool,
) -> None:
    """Replace OAuth secrets that expire soon.

    NAME is the name of a secret in Key Vault (client_secret_name).  [default: all secrets of the list]

    By default, shows a plan. With --apply, asks for confirmation. Then creates each new secret in Databricks, tests it in every
    workspace that uses it, and stores it as the next version in Key Vault. Uses your Azure CLI account (az login).

    A rotation at least one day later deletes the previous secret, if rotate or onboard created it and all workspaces accept the new one.

    Exit codes: 0 success; 1 failure; 2 invalid settings or usage; 130 interrupted.
    """
    if yes and not applies:
        raise click.UsageError("--yes needs --apply")
    if force and not names:
        raise click.UsageError("--force needs the NAME of each secret to rotate")
    logger = outlet_for(as_json=as_json)
    try:
        given = given_settings(source)
        settings = allow(load(given.values), given.source)
        command = _Command(settings, logger, within, lifetime, force=force, as_json=as_json)
        command.choose(names, allow_unreachable=allow_unreachable)
        report = command.plan()
        if applies and not report.interrupted:
            acts = any(secret.acts for secret in report.secrets)
            if acts and not yes:
                untried = [] if allow_unreachable else _untried_hosts(report)
                _ask(logger.redact(report), untried, as_json=as_json)
                command.allowed |= set(untried)
            report = command.apply(report) if acts else replace(report, applied=True)
    except SettingsError as error:
        exit_with_problems(error.problems, as_json=as_json)
    report = logger.redact(report)
    put_out(logger, as_json, report.as_dict(), lambda: show_rotation(report, render.console()))
    finish(ok=report.result == "ok", interrupted=report.interrupted)


class _Command:
    """The secrets of a list, rotated one after the other.

    Attributes:
        allowed: hosts of workspaces where a new secret need not be tried if they cannot be reached.
    """

    def __init__(
        self,
        settings: Settings,
        logger: RedactingLogger,
        within: timedelta,
        lifetime: timedelta | None,
        *,
        force: bool,
        as_json: bool,
    ) -> None:
        self._settings = settings
        self._logger = logger
        self._within = within
        self._lifetime = lifetime
        self._force = force
        self._as_json = as_json
        rejected = [entry for entry in settings.entries if isinstance(entry, Rejected)]
        self._problems = tuple(problem for entry in rejected for problem in entry.problems)
        self._targets = targets_of(settings)
        self.allowed = set[str]()
        self._approved: dict[str, Decision] = {}

    def choose(self, names: Sequence[str], *, allow_unreachable: bool) -> None:
        """Keep only the secrets with these names; without names, all.

        Raises:
            SettingsError: the list does not have one of the secrets.
        """
        listed = {target.name.lower(): target.name for target in self._targets}
        problems = [
            Problem("NAME", why_not_listed(name, list(listed.values()), self._settings))
            for name in names
            if name.lower() not in listed
        ]
        if problems:
            raise SettingsError(problems)
        wanted = {listed[name.lower()] for name in names} or set(listed.values())
        self._targets = [target for target in self._targets if target.name in wanted]
        if allow_unreachable:
            self.allowed |= {host for target in self._targets for host in target.hosts}

    def plan(self) -> RotationReport:
        def look(rotation: Rotation) -> SecretReport:
            report, decision = rotation.plan()
            if decision is not None and decision.acts:
                self._approved[report.name] = decision
            return report

        waiting = nullcontext() if self._as_json else render.console(stderr=True).status("Checking secrets …")
        with waiting:
            return self._each(look, applied=False)

    def apply(self, plan: RotationReport) -> RotationReport:
        """Do the planned steps that are still due."""
        unchanged = {secret.name: secret for secret in plan.secrets if secret.name not in self._approved}
        return self._each(
            lambda rotation: rotation.apply(self._approved[rotation.target.name]),
            applied=True,
            as_planned=unchanged,
        )

    def _each(
        self,
        work: Callable[[Rotation], SecretReport],
        *,
        applied: bool,
        as_planned: Mapping[str, SecretReport] | None = None,
    ) -> RotationReport:
        """Do `work` for each secret, with a new deadline and sign-in, because a confirmation can take long."""
        from git_refresh.admin.services import AdminServices  # noqa: PLC0415  # keeps --help fast

        settings, reports, interrupted = self._settings, [], False
        url = settings.key_vault_url or ""
        clock = SystemClock()
        deadline = Deadline.after(max(settings.timeout_s, _MIN_LIMIT_S), clock)
        # Clients have more time than rotations, to delete a secret that could not be stored.
        services = AdminServices(Deadline(clock, deadline.at + _ROLLBACK_S), os.environ, self._logger)
        try:
            vault = services.vault(url) if self._targets else None
            context = DiagnosisContext(vault=url, invocation=settings.invocation)
            try:
                context = replace(context, object_id=_caller_id(services) if self._targets else "")
            except KeyboardInterrupt:
                interrupted = True
            for target in self._targets:
                if target.shared_by:
                    shared = finding(
                        "secret_shared_by_principals",
                        DiagnosisContext(secret=target.name),
                        client_ids=", ".join(target.shared_by),
                    )
                    reports.append(SecretReport(target.name, "", "", (), "failed", errors=(shared,)))
                    continue
                assert vault is not None  # noqa: S101  # opened because a target exists
                if as_planned and target.name in as_planned:
                    reports.append(as_planned[target.name])
                    continue
                rotation = Rotation(
                    target,
                    vault=vault,
                    services=services,
                    executor=Executor(MAX_PARALLEL_WORKSPACES, deadline),
                    deadline=deadline,
                    within=self._within,
                    context=context,
                    lifetime=self._lifetime,
                    force=self._force,
                    hold=_HOLD if self._problems else "",
                    allowed=frozenset(self.allowed),
                    on_step=self._say if applied else lambda _: None,
                )
                if interrupted:
                    reports.append(rotation.interrupted())
                    continue
                try:
                    reports.append(work(rotation))
                except KeyboardInterrupt:
                    reports.append(rotation.interrupted())
                    interrupted = True
                except Exception as error:  # noqa: BLE001  # a bug must not stop the other secrets
                    reports.append(rotation.failed(diagnose(error, DiagnosisContext())))
        finally:
            services.close()
        return RotationReport(tuple(reports), self._problems, applied, interrupted)

    def _say(self, what: str) -> None:
        if not self._as_json and not options.quiet():
            render.say(self._logger.redact_text(what))


_HOLD = "an entry of the list is invalid, and might use it"


def _caller_id(services: "AdminServices") -> str:
    """Return the object ID of the Azure CLI account; empty without a token. The first read reports why."""
    try:
        return services.token(KEY_VAULT).object_id
    except ServiceError:
        return ""


def _untried_hosts(plan: RotationReport) -> list[str]:
    found = [
        each.host
        for secret in plan.secrets
        if secret.action == "rotate"
        for each in secret.not_signed_in
        if each.result is SignIn.UNREACHABLE
    ]
    return list(dict.fromkeys(found))


def _ask(plan: RotationReport, untried: Sequence[str], *, as_json: bool) -> None:
    """Ask for confirmation, also for workspaces where a new secret cannot be tested.

    Raises:
        SettingsError: the caller declined, or cannot be asked.
    """
    if as_json:
        raise SettingsError([Problem("rotate --apply", ask.NOT_WITH_JSON)])
    if sys.stdin.isatty() and sys.stderr.isatty():
        show_rotation(plan, render.console(stderr=True), asks=True)
    created = sum(secret.action == "rotate" for secret in plan.secrets)
    deleted = sum(each.action == "delete" for secret in plan.secrets for each in secret.previous)
    parts = [f"creates and stores {count(created, 'OAuth secret')}"] if created else []
    parts += [f"deletes {count(deleted, 'previous OAuth secret')}"] if deleted else []
    questions = [f"This {' and '.join(parts)}. Continue?"]
    if untried:
        questions.insert(0, f"This stores a new OAuth secret that {places(untried)} cannot test. Continue?")
    ask.agree("rotate --apply", questions)


def show_rotation(report: RotationReport, out: Console, *, asks: bool = False) -> None:
    for secret in [] if quiet() else report.secrets:
        _show_secret(secret, out)
    if report.secrets and not quiet():
        out.print()
    show_finding(_findings(report), out)
    style = STYLE[report.result]
    if not report.secrets and not report.problems:
        nothing = "Nothing to rotate: no workspace of the list signs in with an OAuth secret."
        fold(Text(), Text(nothing, style), out)
        return
    fold(Text(), Text(report.summary(), style if report.applied else "bold"), out)
    if report.interrupted:
        fold(Text(), Text(ask.after_interrupt(changed=report.applied), STYLE["failed"]), out)
    elif not asks and not report.applied and any(secret.acts for secret in report.secrets):
        fold(Text(), Text(ask.ADD_APPLY), out)


def _show_secret(secret: SecretReport, out: Console) -> None:
    principal = f"  service principal {secret.client_id}" if secret.client_id else ""
    used = (
        f", {first_of(secret.workspaces, 1, 'workspace')}, managed in {secret.host}"
        if secret.workspaces
        else ""
    )
    fold(Text(), Text.assemble((secret.name, "bold"), f"{principal}{used}"), out)
    for mark, step in _steps(secret):
        fold(mark, step, out)


def _findings(report: RotationReport) -> list[Finding]:
    findings = [
        Finding("failed", secret.name, error.message, error)
        for secret in report.secrets
        for error in secret.errors
    ]
    findings += [
        Finding("warning", each.host, each.error.message, each.error)
        for secret in report.secrets
        for each in secret.not_signed_in
    ]
    findings += [
        # A kind for each finding, because each remedy has another command.
        Finding("warning", secret.name, each.note.message, replace(each.note, kind=each.id))
        for secret in report.secrets
        for each in secret.unmanaged
    ]
    return [*findings, *map(of_problem, report.problems)]


def _steps(secret: SecretReport) -> Iterator[tuple[Text, Text]]:
    sign, style = {
        "rotate": ("+", "created"),
        "rotated": ("+", "created"),
        "unchanged": ("=", "unchanged"),
        "failed": ("✗", "failed"),
    }[secret.action]
    what = {
        "rotate": "create and store a new OAuth secret",
        "rotated": f"created and stored OAuth secret {secret.new_id}",
        "unchanged": "unchanged",
        "failed": "not rotated",
    }[secret.action]
    until = (
        f", which expires on {secret.expires_at:%Y-%m-%d}"
        if secret.action == "rotated" and secret.expires_at
        else ""
    )
    yield _step(sign, style, f"{what}{until}", secret.reason)
    for each in secret.previous:
        created = f" of {each.created_at:%Y-%m-%d}" if each.created_at else ""
        name = f"previous OAuth secret {each.id}{created}"
        match each.action:
            case "delete":
                yield _step("-", "failed", f"delete {name}", "it was replaced")
            case "deleted":
                yield _step("-", "failed", f"deleted {name}", "it was replaced")
            case "failed":
                yield _step("✗", "failed", f"could not delete {name}", "")
            case "kept":
                until = (
                    f"a run might use it until {each.kept_until:%Y-%m-%d %H:%M} UTC"
                    if each.kept_until
                    else each.reason
                )
                yield _step("=", "unchanged", f"keep {name}", until)


def _step(sign: str, style: str, what: str, why: str) -> tuple[Text, Text]:
    return Text(f"  {sign} ", STYLE[style]), Text.assemble(what, (f": {why}" if why else "", "dim"))
