"""How much a command tells, and in which colours: options that check, plan, run and status share."""

import os
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from git_refresh import __version__
from git_refresh.redact import shown, visible
from git_refresh.settings.names import SETTINGS

_QUIET, _VERBOSE = "git_refresh.quiet", "git_refresh.verbose"
_OF_CONNECTIONS = (
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
)


settings_option = click.option(
    "--settings",
    "file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="Read the app settings from a file instead of the environment: a workspaces.json, a local.settings.json, "
    "or what az functionapp config appsettings list prints; - reads it from stdin.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object; logs go to stderr."
)


def output_options[F: Callable[..., Any]](command: F) -> F:
    """Add --quiet, --verbose and --no-color to a command, which does not get to see them: `quiet` and `verbose` tell."""
    for option in (
        click.option(
            "--no-color",
            is_flag=True,
            expose_value=False,
            callback=_without_colour,
            help="No colours and no links, as with NO_COLOR=1.",
        ),
        click.option(
            "--verbose",
            "-v",
            is_flag=True,
            expose_value=False,
            callback=_keep(_VERBOSE),
            help="Also tell on stderr what was used, and the log lines as the deployed app writes them.",
        ),
        click.option(
            "--quiet",
            "-q",
            is_flag=True,
            expose_value=False,
            callback=_keep(_QUIET),
            help="Show only what is not well, and the last line. With --json: no log lines.",
        ),
    ):
        command = option(command)
    return command


def quiet() -> bool:
    """Whether only what is not well is to be shown."""
    return _is_on(_QUIET)


def verbose() -> bool:
    """Whether everything is to be told."""
    return _is_on(_VERBOSE)


def tell_what_is_used(file: Path | None, environ: Mapping[str, str]) -> None:
    """With --verbose, before anything is done: versions, where the settings are from, and what connections go through."""
    if not verbose():
        return
    found = ", ".join(name for name in SETTINGS if environ.get(name)) or "none"
    place = "the environment" if file is None else visible(str(file))
    lines = [
        f"git_refresh {__version__}, Python {platform.python_version()}, {platform.system()}",
        f"settings: {place} ({found})",
        *(f"{name}: {shown(environ[name])}" for name in _OF_CONNECTIONS if environ.get(name)),
    ]
    click.echo("\n".join(lines), err=True)


def _is_on(key: str) -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(key))


def _keep(key: str) -> Callable[[click.Context, click.Parameter, bool], None]:
    def keep(context: click.Context, _parameter: click.Parameter, on: bool) -> None:  # noqa: FBT001  # click's signature
        context.meta[key] = on
        if context.meta.get(_QUIET) and context.meta.get(_VERBOSE):
            raise click.UsageError("--quiet and --verbose contradict each other; write one of them")

    return keep


def _without_colour(context: click.Context, _parameter: click.Parameter, on: bool) -> None:  # noqa: FBT001  # click's signature
    """By the variable that rich reads, for as long as the command runs."""
    if not on:
        return
    before = os.environ.get("NO_COLOR")
    os.environ["NO_COLOR"] = "1"

    def restore() -> None:
        del os.environ["NO_COLOR"]
        if before is not None:
            os.environ["NO_COLOR"] = before

    context.call_on_close(restore)
