"""Exit codes, settings, output, and trusted hosts of all commands.

`TRUSTED_HOSTS` in a file applies to the app's tokens, not to those of the user who reads the file. `TRUSTED_HOSTS` in the environment
applies to both.
"""

import json
import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from git_refresh.cli import ask, options, render
from git_refresh.cli.files import read_settings
from git_refresh.cli.findings import Places, of_problem, show_finding
from git_refresh.cli.options import LIST, SettingsSource, naming
from git_refresh.model.hosts import Domain, TrustedHosts, parse_trusted_hosts
from git_refresh.model.values import Problem, json_of
from git_refresh.output.log import RedactingLogger, log_to_stderr
from git_refresh.output.redact import redact
from git_refresh.output.shell import Command, command
from git_refresh.output.text import first_of
from git_refresh.settings.entries import Entry
from git_refresh.settings.load import Settings, SettingsError
from git_refresh.settings.names import SETTINGS, environment_names, unknown_names

FAILED, WRONG, CHANGES, INTERRUPTED = 1, 2, 3, 130


def outlet_for(*, as_json: bool) -> RedactingLogger:
    """Return the logger that redacts all output. It writes log lines only with --json or --verbose."""
    log_to_stderr(quiet=options.quiet() or not (as_json or options.verbose()))
    return RedactingLogger()


@dataclass(frozen=True, slots=True)
class CommandSettings:
    """The app settings of a command. They never change the environment of the process.

    Attributes:
        values: texts by name.
        source: the source that suggested commands name.
        named: all names in files, used or not.
    """

    values: Mapping[str, str]
    source: SettingsSource
    named: Collection[str] = ()


def given_settings(
    source: SettingsSource, workspaces: Path | None = None, *, tells: bool = True
) -> CommandSettings:
    """Read the app settings from files, otherwise `./workspaces.json`, otherwise the environment.

    `workspaces` replaces the list of the other source. With `tells`, prints ignored names in files to stderr.

    Raises:
        SettingsError: a file is invalid, or no setting was found.
    """
    read = read_values(source, workspaces)
    values, files = read.values, settings_files(source, workspaces)
    if not SETTINGS.keys() & values.keys():
        message = f"the environment has none, and {LIST} does not exist here; add --settings FILE"
        raise SettingsError([Problem("app settings", message)])
    options.tell_what_is_used(files, values, environment=read.environment)
    if tells:
        _tell_ignored([*environment_names(read.named), *unknown_names(read.named)])
    return CommandSettings(
        with_allowed(values, source.trusted_hosts),
        replace(source, file=workspaces or source.file),
        read.named,
    )


@dataclass(frozen=True, slots=True)
class ReadValues:
    """The app settings as read.

    Attributes:
        values: texts by name.
        named: all names in files.
        environment: True if the environment was read too.
    """

    values: Mapping[str, str]
    named: tuple[str, ...]
    environment: bool


def read_values(source: SettingsSource, workspaces: Path | None = None) -> ReadValues:
    """Read the settings without printing anything.

    Raises:
        SettingsError: a file is invalid.
    """
    files = settings_files(source, workspaces)
    environment = source.file is None and (workspaces is not None or not files)
    values = dict(os.environ) if environment else {}
    named: list[str] = []
    for file in files:
        found = read_settings(file)
        values |= found.values
        named += found.names
    return ReadValues(values, tuple(dict.fromkeys(named)), environment)


def settings_files(source: SettingsSource, workspaces: Path | None = None) -> list[Path]:
    """Return the named files, otherwise `./workspaces.json` if it exists. Later files take precedence."""
    named = [each for each in (source.file, workspaces) if each is not None]
    # lexists: a dangling link is reported as an unreadable file.
    return named or ([LIST] if os.path.lexists(LIST) else [])


_MAX_NAMES = 10


def _tell_ignored(names: Sequence[str]) -> None:
    if names and not options.quiet():
        named = first_of([redact(name) for name in names], _MAX_NAMES)
        render.say(f"Ignored in the file (not settings of this app): {named}.")


def put_out(
    logger: RedactingLogger,
    as_json: bool,  # noqa: FBT001  # the option's value
    value: Mapping[str, Any],
    show: Callable[[], None],
) -> None:
    with render.writing():
        if as_json:
            render.echo(logger.json(value, indent=2))
        else:
            show()


def places_of(settings: Settings | None) -> Places:
    entries = (settings.listed or settings.entries) if settings else ()
    return {
        entry.workspace.name: f"WORKSPACES[{index}]"
        for index, entry in enumerate(entries)
        if isinstance(entry, Entry)
    }


def exit_with_problems(problems: Sequence[Problem], *, as_json: bool) -> NoReturn:
    """Print the problems as lines to stderr, or as one JSON object to stdout, and exit with 2."""
    problems = RedactingLogger().redact(list(problems))
    if as_json:
        listed = [json_of(problem) for problem in problems]
        with render.writing():
            render.echo(json.dumps({"version": 1, "result": "failed", "problems": listed}, indent=2))
    else:
        show_finding([*map(of_problem, problems)], render.console(stderr=True))
    sys.exit(WRONG)


def finish(*, ok: bool, interrupted: bool) -> NoReturn:
    sys.exit(INTERRUPTED if interrupted else 0 if ok else FAILED)


_MOST_NAMED = 5
"""Hosts that a prompt lists individually. With more, it shows entries of TRUSTED_HOSTS."""


def with_allowed(values: Mapping[str, str], allowed: Sequence[str]) -> Mapping[str, str]:
    """Return the settings with the hosts of --trust-host added to `TRUSTED_HOSTS`."""
    if not allowed:
        return values
    listed = [each for each in (values.get("TRUSTED_HOSTS", "").strip(), *allowed) if each]
    return {**values, "TRUSTED_HOSTS": ",".join(listed)}


def allow(settings: Settings, source: SettingsSource) -> Settings:
    """Return the settings if the user allows their hosts, by --trust-host, environment, or prompt.

    Raises:
        SettingsError: the user did not allow a host. No service must be called.
    """
    typed = source.trusted_hosts
    own, _ = parse_trusted_hosts(os.environ.get("TRUSTED_HOSTS", ""))
    allowed = TrustedHosts([*own.entries, *typed])
    asked = {host: place for host, place in _beyond(settings) if not allowed.trusts(host)}
    if asked:
        typed = (*typed, *_ask(asked, settings.trusted))
    return replace(settings, invocation=options.invocation(Command(naming(source.file) + _trusting(typed))))


def _beyond(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield each host outside the built-in domains that would receive a token, with its location."""
    named = [
        (f"host of {entry.workspace.name}", entry.workspace.host, Domain.DATABRICKS)
        for entry in settings.entries
        if isinstance(entry, Entry)
    ]
    named += [("url of a Git folder", origin, Domain.AZURE_DEVOPS) for origin in sorted(settings.origins())]
    named += [("KEY_VAULT_URL", settings.key_vault_url or "", Domain.KEY_VAULT)]
    for place, origin, domain in named:
        host = urlsplit(origin).hostname or ""
        if host and not domain.has(host):
            yield host, place


def _ask(asked: Mapping[str, str], trusted: TrustedHosts) -> Sequence[str]:
    """Ask to allow hosts. Return these or, if many, the entries of `TRUSTED_HOSTS` that cover them."""
    hosts: Sequence[str] = list(asked)
    if len(hosts) > _MOST_NAMED:
        covering = [entry for entry in trusted.entries if any(map(TrustedHosts([entry]).trusts, hosts))]
        hosts = sorted(covering)
    named = ", ".join(f"{host} ({asked[host]})" if host in asked else host for host in hosts)
    ask.agree(
        "TRUSTED_HOSTS",
        [
            f"This sends tokens of your account to hosts outside Azure, which TRUSTED_HOSTS in the file lists: {named}. Continue?"
        ],
        without_terminal=f"in a file does not allow sending your tokens to {named}; to allow it, add{_trusting(hosts)}",
        declined=f"canceled: {named}; no service was called",
    )
    return hosts


def _trusting(hosts: Sequence[str]) -> Command:
    return Command("".join(command(" --trust-host {host}", host=host) for host in hosts))
