"""Options that several commands share: where the settings are from, how much is shown, and in which colors."""

import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from git_refresh import __version__
from git_refresh.model.hosts import parse_trusted_hosts
from git_refresh.output.redact import escape_unprintable, redact, shown_proxy
from git_refresh.output.shell import NO_COMMAND, Command, Invocation, command
from git_refresh.settings.names import SETTINGS

# Every renderer reads these, and they decide nothing but the output. click keeps them for one invocation, never for the process.
_QUIET, _VERBOSE, _COLOURLESS = "git_refresh.quiet", "git_refresh.verbose", "git_refresh.colourless"
_PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
_OF_CONNECTIONS = ("NO_PROXY", "no_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


FILE = click.Path(allow_dash=True, path_type=Path)
"""What is wrong with it is told by what reads it, under --json as JSON."""


LIST = Path("workspaces.json")
"""The file in the current directory that is read where none is named."""


list_argument = click.argument("workspaces", type=FILE, required=False, metavar="[FILE]")


@dataclass(frozen=True, slots=True)
class SettingsSource:
    """Where the settings are from, as the command line names it."""

    file: Path | None = None
    """None: `LIST` if it exists, else the environment."""
    trusted_hosts: tuple[str, ...] = ()
    """Where the caller's own tokens can go besides the built-in domains."""


def settings_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add --settings and --trust-host to a command, which gets both as its `source`.

    Without --trust-host, the settings of a file lead no token of the caller out of Azure.
    """

    @wraps(command)
    def sourced(
        *arguments: object, file: Path | None, trust_host: tuple[str, ...], **options: object
    ) -> None:
        command(*arguments, source=SettingsSource(file, trust_host), **options)

    return click.option(
        "--settings",
        "file",
        type=FILE,
        help="Read the app settings from this file: a workspaces.json, a local.settings.json, or what az functionapp config "
        "appsettings list --output json prints; - reads stdin. Without it: from ./workspaces.json, if it exists, else from the "
        "environment.",
    )(
        click.option(
            "--trust-host",
            multiple=True,
            metavar="HOST",
            callback=_read_hosts,
            help="Let your own sign-in's tokens go to this host too: a name (a.b.c), a suffix (.b.c) or an IP address. "
            "TRUSTED_HOSTS in a file alone does not. May be repeated.",
        )(sourced)
    )


def trusted_app_hosts_option[F: Callable[..., Any]](command: F) -> F:
    """Add --trust-host to a command that changes what the app trusts, as its `trust_host`."""
    return click.option(
        "--trust-host",
        multiple=True,
        metavar="HOST",
        callback=_read_hosts,
        help="Let the app's tokens go to this host of TRUSTED_HOSTS too: a name (a.b.c), a suffix (.b.c) or an IP address. "
        "TRUSTED_HOSTS in a file alone does not. May be repeated.",
    )(command)


def _read_hosts(
    _context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]
) -> tuple[str, ...]:
    for host in given:
        _, complaints = parse_trusted_hosts(host)
        if complaints or "," in host or not host.strip():
            raise click.BadParameter(
                complaints[0] if complaints else "must be one host name, suffix or IP address"
            )
    return tuple(dict.fromkeys(host.strip().lower() for host in given))


def naming(file: Path | None) -> Command:
    """Return the option that names the file of the settings; nothing where none was named. A piped file has no name."""
    if file is None:
        return NO_COMMAND
    return command(" --settings {file}", file=str(LIST if str(file) == "-" else file))


def invocation(typed: Command) -> Invocation:
    """Return how the program was started, with the options that a command needs to read the same settings."""
    context = click.get_current_context(silent=True)
    return (
        Invocation(Command(context.find_root().command_path), typed) if context else Invocation(options=typed)
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
            callback=_keep(_COLOURLESS),
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


def colourless() -> bool:
    """Whether nothing is to be coloured or linked."""
    return _is_on(_COLOURLESS)


def tell_what_is_used(files: Sequence[Path], values: Mapping[str, str], *, environment: bool) -> None:
    """Say on stderr where the settings are from; with --verbose also versions, and what connections go through.

    Args:
        files: those that were read; the last one wins.
        values: all settings, by name.
        environment: whether the environment was read too.
    """
    from_environment = environment and (not files or any(os.environ.get(name) for name in SETTINGS))
    names = ["stdin" if str(file) == "-" else escape_unprintable(str(file)) for file in files]
    place = " and ".join(["the environment"] * from_environment + names)
    if not verbose():
        if not quiet():
            line = {"event": "git_refresh.settings", "source": place}
            click.echo(json.dumps(line) if _prints_json() else f"Settings: {place}.", err=True)
        return
    found = ", ".join(name for name in SETTINGS if values.get(name)) or "none"
    lines = [
        f"git_refresh {__version__}, Python {platform.python_version()}, {platform.system()}",
        f"settings: {place} ({found})",
        *(f"{name}: {shown_proxy(os.environ[name])}" for name in _PROXIES if os.environ.get(name)),
        *(f"{name}: {redact(os.environ[name])}" for name in _OF_CONNECTIONS if os.environ.get(name)),
    ]
    click.echo("\n".join(lines), err=True)


def _prints_json() -> bool:
    """Whether stderr has log lines alone, which are JSON."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.params.get("as_json"))


def _is_on(key: str) -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(key))


def _keep(key: str) -> Callable[[click.Context, click.Parameter, bool], None]:
    def keep(context: click.Context, _parameter: click.Parameter, on: bool) -> None:  # noqa: FBT001  # click's signature
        context.meta[key] = on
        if context.meta.get(_QUIET) and context.meta.get(_VERBOSE):
            raise click.UsageError("--quiet and --verbose contradict each other; write one of them")

    return keep
