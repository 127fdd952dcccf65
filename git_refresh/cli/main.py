"""The commands. Exit code 0: fine; 1: something failed; 2: settings or usage wrong, nothing was run."""

import io
import json
import os
import sys
from functools import partial
from pathlib import Path

import click

from git_refresh import __version__
from git_refresh.cli import options, render
from git_refresh.cli.check import check_live, check_proxy, check_settings, skipped_layers
from git_refresh.cli.checks import Check, CheckReport, failed
from git_refresh.cli.diff import diff
from git_refresh.cli.explain import explain
from git_refresh.cli.init import init
from git_refresh.cli.last_run import read_report
from git_refresh.cli.onboard import onboard
from git_refresh.cli.options import SettingsSource
from git_refresh.cli.rotate import rotate
from git_refresh.cli.run import changes_something, end, refresh
from git_refresh.cli.schema import schema
from git_refresh.cli.scope import Scope, narrow, scope_options
from git_refresh.cli.shared import (
    CHANGES,
    FAILED,
    INTERRUPTED,
    WRONG,
    CommandSettings,
    allow,
    exit_with_problems,
    given_settings,
    outlet_for,
    places_of,
    put_out,
)
from git_refresh.cli.status import show_status
from git_refresh.cli.status import status as status_of
from git_refresh.failures.diagnosis import DiagnosisContext, interrupted
from git_refresh.model.values import Problem
from git_refresh.settings.load import Settings, SettingsError, load

_list_argument = click.argument("workspaces", type=options.FILE, required=False, metavar="[FILE]")

_NO_JOBS = "Jobs were not looked at: add --jobs."


class _Commands(click.Group):
    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort):  # before there was anything to report, or at a question
            render.say("Interrupted; nothing was run.")
            sys.exit(INTERRUPTED)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="git_refresh")
def main() -> None:
    """Keep the Git credentials and Git folders of a fleet of Databricks workspaces fresh.

    Exit codes: 0 success, 1 something failed, 2 wrong settings or usage (nothing was run), 130 interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower() != "utf-8":
            stream.reconfigure(encoding="utf-8")  # on Windows a pipe has an encoding without ✓


@main.command(short_help="Is everything in place?")
@_list_argument
@click.option("--offline", is_flag=True, help="Stop after the settings: call no service.")
@scope_options
@click.option(
    "--jobs",
    is_flag=True,
    help="Look at the jobs with a Git source in Azure DevOps too, as whoever is signed in.",
)
@options.settings_option
@options.json_option
@options.output_options
def check(
    workspaces: Path | None, source: SettingsSource, scope: Scope, *, offline: bool, jobs: bool, as_json: bool
) -> None:
    """Is everything in place? Checks every layer and writes nothing.

    FILE is a workspaces.json to check instead of the WORKSPACES setting, for example before it is set.
    """
    if offline and jobs:
        raise click.UsageError("--offline and --jobs contradict each other; write one of them")
    logger = outlet_for(as_json=as_json)
    checks: list[Check]
    settings: Settings | None = None
    given = CommandSettings({}, source)
    scheduled = False  # before they are read, nothing can be said to be missing
    because = "the app settings are wrong"
    problems: tuple[Problem, ...] = ()
    try:
        given = given_settings(source, workspaces, tells=False)
        scheduled = workspaces is None or source.file is not None  # a list alone has none
        listed = load(given.values, whole=not (offline and workspaces))
        because, problems = "there is no such part of the list", listed.problems
        part = narrow(listed, scope)
        because = "you have not allowed where the list leads"
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
            checks += skipped_layers("the app settings are wrong", below="settings", jobs=jobs)
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
    if any(check.error and check.error.code == "interrupted" for check in report.checks):
        sys.exit(INTERRUPTED)
    nothing_run = settings is None or offline
    sys.exit(0 if report.result == "ok" else WRONG if nothing_run else FAILED)


@main.command(short_help="What would a run do, and why?")
@_list_argument
@click.option(
    "--changes", is_flag=True, help="Show only what changes; each credential gets its next token anyway."
)
@click.option(
    "--exit-code",
    is_flag=True,
    help="Exit with 3 when a credential or a Git folder would be created or a folder moved.",
)
@scope_options
@options.settings_option
@options.json_option
@options.output_options
def plan(
    workspaces: Path | None,
    source: SettingsSource,
    scope: Scope,
    *,
    changes: bool,
    exit_code: bool,
    as_json: bool,
) -> None:
    """What would a run do, and why? Uses the same code as a run, and writes nothing.

    It cannot foresee what only an attempt shows, such as uncommitted changes in a Git folder.
    FILE is a workspaces.json to plan for instead of the WORKSPACES setting, for example before it is set.
    """
    show = partial(render.show_plan, changes=changes)
    report = refresh(source, scope, show, as_json=as_json, dry_run=True, workspaces=workspaces)
    end(report, CHANGES if exit_code and changes_something(report) else 0)


@main.command()
@scope_options
@options.settings_option
@click.option(
    "--yes",
    "-y",
    is_flag=True,
    help="Do not ask whether your own token may be stored, where there is no managed identity.",
)
@click.option(
    "--slice",
    "number",
    type=int,
    metavar="N",
    help="Refresh only the N-th slice of the list, as FAN_OUT=queue cuts it: the number that alerts and log lines name.",
)
@options.json_option
@options.output_options
def run(source: SettingsSource, scope: Scope, number: int | None, *, yes: bool, as_json: bool) -> None:
    """Refresh every workspace once, as the timer does.

    It runs as whoever is signed in, and assumes that the next run is in 15 minutes; check looks at the schedule. Where that is you and not
    a managed identity, it stores your own token: it asks first.
    """
    if number is not None and scope:
        raise click.UsageError("--slice is a part of the list by itself; leave out --only and --folder")
    end(refresh(source, scope, render.show_report, as_json=as_json, dry_run=False, number=number, yes=yes))


@main.command(name="schema", short_help="The JSON Schema of a workspaces.json.")
def print_schema() -> None:
    """Print the JSON Schema of a workspaces.json, for editors and pipelines."""
    with render.writing():
        render.echo(json.dumps(schema(), indent=2, ensure_ascii=False))


@main.command(short_help="How do things stand, workspace by workspace?")
@click.option(
    "--report",
    "last",
    type=options.FILE,
    help="What run --json has printed: tells when the tokens end that this run has stored.",
)
@options.settings_option
@options.json_option
@options.output_options
def status(source: SettingsSource, last: Path | None, *, as_json: bool) -> None:
    """How do things stand? Shows each workspace's Git credential, and each Git folder's branch and commit. Writes nothing.

    It does not ask Azure DevOps whether a folder is at the latest commit (plan does), nor whether all rights are there (check does).
    """
    logger = outlet_for(as_json=as_json)
    try:
        stored = read_report(last) if last else None
        given = given_settings(source)
        settings = allow(load(given.values), given.source)
        with render.console(stderr=True).status("Looking …"):
            report = status_of(settings, logger, stored)
    except SettingsError as error:
        exit_with_problems(error.problems, as_json=as_json)
    put_out(
        logger,
        as_json,
        report.as_dict(),
        lambda: show_status(report, render.console(), with_ends=stored is not None),
    )
    if any(error.code == "interrupted" for workspace in report.workspaces for error in workspace.errors()):
        sys.exit(INTERRUPTED)
    sys.exit(0 if report.result == "ok" else FAILED)


main.add_command(diff)
main.add_command(explain)
main.add_command(init)
main.add_command(onboard)
main.add_command(rotate)
