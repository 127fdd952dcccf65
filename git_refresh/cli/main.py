"""The command group `git-refresh`."""

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
        except (KeyboardInterrupt, click.Abort):  # before the command could report anything, or at a prompt
            render.say("Interrupted. No changes made.")
            sys.exit(INTERRUPTED)


@click.group("git-refresh", cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="git-refresh")
def main() -> None:
    """Refresh Git credentials and folders of Databricks workspaces.

    Exit codes: 0 success, 1 failure, 2 invalid settings or usage, 3 changes pending (--exit-code), 130 interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower() != "utf-8":
            stream.reconfigure(encoding="utf-8")  # the encoding of a pipe on Windows has no ✓


for command in (check, deploy, explain, init, onboard, plan, print_schema, rotate, run, runs, status):
    main.add_command(command)
