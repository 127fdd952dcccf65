"""Options that several commands share: source of the settings, trusted hosts, and output."""

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

# Keys of click's context, which lasts for one invocation.
_QUIET, _VERBOSE, _COLORLESS = "git_refresh.quiet", "git_refresh.verbose", "git_refresh.colorless"
_PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
_OF_CONNECTIONS = ("NO_PROXY", "no_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


FILE = click.Path(allow_dash=True, path_type=Path)
"""A file that need not exist: the command reports a missing file itself, with --json as JSON."""

LIST = Path("workspaces.json")
"""The default file, in the current directory."""

list_argument = click.argument("workspaces", type=FILE, required=False, metavar="[FILE]")


@dataclass(frozen=True, slots=True)
class SettingsSource:
    """The source of the settings, from the command line."""

    file: Path | None = None
    """None: `LIST` if it exists, otherwise the environment."""
    trusted_hosts: tuple[str, ...] = ()
    """Hosts outside the built-in domains that can receive the caller's tokens."""


def settings_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add --settings and --trust-host to a command, which receives both as `source`."""

    @wraps(command)
    def sourced(
        *arguments: object, file: Path | None, trust_host: tuple[str, ...], **options: object
    ) -> None:
        command(*arguments, source=SettingsSource(file, trust_host), **options)

    return click.option(
        "--settings",
        "file",
        type=FILE,
        metavar="FILE",
        help="App settings file, or - for stdin. Default: ./workspaces.json if it exists, otherwise the environment.",
    )(
        click.option(
            "--trust-host",
            multiple=True,
            metavar="HOST",
            callback=_read_hosts,
            help="Allow sending your tokens to this host: name, .suffix, or IP address. Repeatable.",
        )(sourced)
    )


def trusted_app_hosts_option[F: Callable[..., Any]](command: F) -> F:
    """Add --trust-host to a command that changes TRUSTED_HOSTS of the app."""
    return click.option(
        "--trust-host",
        multiple=True,
        metavar="HOST",
        callback=_read_hosts,
        help="Allow sending the app's tokens to this host: name, .suffix, or IP address. Repeatable.",
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
    """Return the --settings option for this file; empty for None. For stdin, it names `LIST`."""
    if file is None:
        return NO_COMMAND
    return command(" --settings {file}", file=str(LIST if str(file) == "-" else file))


def invocation(typed: Command) -> Invocation:
    """Return the program as started, with the options that suggested commands repeat."""
    context = click.get_current_context(silent=True)
    return (
        Invocation(Command(context.find_root().command_path), typed) if context else Invocation(options=typed)
    )


json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object. Logs go to stderr."
)


def output_options[F: Callable[..., Any]](command: F) -> F:
    """Add --quiet, --verbose, and --no-color to a command. Read them with the functions below."""
    for option in (
        click.option(
            "--no-color",
            is_flag=True,
            expose_value=False,
            callback=_keep(_COLORLESS),
            help="Print without colors and links, like NO_COLOR=1.",
        ),
        click.option(
            "--verbose",
            "-v",
            is_flag=True,
            expose_value=False,
            callback=_keep(_VERBOSE),
            help="Also print versions, settings sources, proxies, and the app's log lines to stderr.",
        ),
        click.option(
            "--quiet",
            "-q",
            is_flag=True,
            expose_value=False,
            callback=_keep(_QUIET),
            help="Show only warnings, failures, and the summary. With --json: no log lines.",
        ),
    ):
        command = option(command)
    return command


def quiet() -> bool:
    return _is_on(_QUIET)


def verbose() -> bool:
    return _is_on(_VERBOSE)


def colorless() -> bool:
    return _is_on(_COLORLESS)


def tell_what_is_used(files: Sequence[Path], values: Mapping[str, str], *, environment: bool) -> None:
    """Print the sources of the settings to stderr. With --verbose, also versions and connection settings.

    `environment` is true if the environment was read too. Values of later files replace those of earlier ones.
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
    """Return whether stderr must contain only JSON lines."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.params.get("as_json"))


def _is_on(key: str) -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(key))


def _keep(key: str) -> Callable[[click.Context, click.Parameter, bool], None]:
    def keep(context: click.Context, _parameter: click.Parameter, on: bool) -> None:  # noqa: FBT001  # click's signature
        context.meta[key] = on
        if context.meta.get(_QUIET) and context.meta.get(_VERBOSE):
            raise click.UsageError("--quiet cannot be combined with --verbose")

    return keep
