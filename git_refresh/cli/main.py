"""The command line. Exit code 0: fine; 1: something failed; 2: settings or usage wrong, nothing was run."""

import io
import sys

import click

from git_refresh import __version__
from git_refresh.cli import render
from git_refresh.cli.check import check
from git_refresh.cli.deploy import deploy
from git_refresh.cli.explain import explain
from git_refresh.cli.init import init
from git_refresh.cli.onboard import onboard
from git_refresh.cli.rotate import rotate
from git_refresh.cli.run import plan, run
from git_refresh.cli.runs import runs
from git_refresh.cli.schema import print_schema
from git_refresh.cli.shared import INTERRUPTED
from git_refresh.cli.status import status


class _Commands(click.Group):
    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort):  # before there was anything to report, or at a question
            render.say("Interrupted; nothing was run.")
            sys.exit(INTERRUPTED)


@click.group("git-refresh", cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="git-refresh")
def main() -> None:
    """Keep the Git credentials and Git folders of a fleet of Databricks workspaces fresh.

    Exit codes: 0 success, 1 something failed, 2 wrong settings or usage (nothing was run), 3 with --exit-code something to do,
    130 interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower() != "utf-8":
            stream.reconfigure(encoding="utf-8")  # on Windows a pipe has an encoding without ✓


for command in (check, deploy, explain, init, onboard, plan, print_schema, rotate, run, runs, status):
    main.add_command(command)
