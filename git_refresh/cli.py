"""The commands. Exit code 0: fine; 1: something failed; 2: settings or usage wrong, nothing was run."""

import json
import logging
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import click

from git_refresh import __version__, terminal
from git_refresh.problems import Problem
from git_refresh.report import Report
from git_refresh.settings import SETTINGS, SettingsError

FAILED, WRONG = 1, 2

_settings_option = click.option(
    "--settings",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read the app settings from a file like local.settings.json instead of the environment.",
)
_json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object; logs go to stderr."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="git_refresh")
def main() -> None:
    """Keep the Git credentials and Git folders of a fleet of Databricks workspaces fresh."""


@main.command()
@_settings_option
@_json_option
def run(file: Path | None, as_json: bool) -> None:  # noqa: FBT001  # click passes options by name
    """Refresh every workspace once, as the timer does."""
    _log_to_stderr(as_json)
    try:
        environ = _environment(file)
        from git_refresh import app  # noqa: PLC0415  # the SDKs take a second: not for --help, nor for a wrong option

        report = app.run(environ)
    except SettingsError as error:
        if as_json:
            click.echo(json.dumps(_not_run(error).as_dict(), indent=2, ensure_ascii=False))
        else:
            terminal.show_problems(error.problems)
        sys.exit(WRONG)
    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=2, ensure_ascii=False))
    else:
        terminal.show_report(report)
    sys.exit(0 if report.result == "ok" else FAILED)


def _not_run(error: SettingsError) -> Report:
    return Report("", datetime.now(UTC), 0.0, False, "failed", None, tuple(error.problems), ())


def _log_to_stderr(as_json: bool) -> None:  # noqa: FBT001  # private
    """Under --json the log lines go to stderr; for people the table says it all."""
    logger = logging.getLogger("git_refresh")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    handler = logging.StreamHandler() if as_json else logging.NullHandler()
    logger.addHandler(handler)


def _environment(file: Path | None) -> Mapping[str, str]:
    """The process's environment, with the app settings taken from the file if one is given.

    As with `func start`, the file's other values (a proxy, say) become environment variables too.
    """
    if file is None:
        return os.environ
    values = _values(file)
    for name in SETTINGS:
        os.environ.pop(name, None)
    os.environ.update(values)
    return os.environ


def _values(file: Path) -> dict[str, str]:
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        place = (
            f"line {error.lineno}, column {error.colno}: {error.msg}"
            if isinstance(error, json.JSONDecodeError)
            else error
        )
        raise SettingsError([Problem(str(file), f"cannot be read as JSON: {place}")]) from None
    values = content.get("Values") if isinstance(content, dict) else None
    if not isinstance(values, dict):
        raise SettingsError(
            [Problem(str(file), 'must have the form {"IsEncrypted": false, "Values": {"WORKSPACES": "[…]"}}')]
        )
    wrong = [
        Problem(
            f"{file}: Values.{name}",
            "must be text in double quotes, with its own quotes escaped: the file holds what an environment variable can",
        )
        for name, value in values.items()
        if not isinstance(value, str)
    ]
    if wrong:
        raise SettingsError(wrong)
    return values
