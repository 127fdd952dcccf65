"""What the commands have in common: exit codes, where the settings are from, where output goes, where a sign-in's tokens go.

A file's `TRUSTED_HOSTS` says where the app may send tokens. It does not decide where the token of a person goes who only looks at the
file. The environment is the caller's own, so its `TRUSTED_HOSTS` holds.
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
    """Where everything goes out. Under --json the log lines go to stderr; people are shown the same otherwise."""
    log_to_stderr(quiet=options.quiet() or not (as_json or options.verbose()))
    return RedactingLogger()


@dataclass(frozen=True, slots=True)
class CommandSettings:
    """The app settings that a command works with. They never change the environment of the process."""

    values: Mapping[str, str]
    """By name."""
    source: SettingsSource
    """What commands that repeat this one have to name."""
    named: Collection[str] = ()
    """What files name, whether or not it is used."""


def given_settings(
    source: SettingsSource, workspaces: Path | None = None, *, tells: bool = True
) -> CommandSettings:
    """The app settings: those of the files that are given, else of `./workspaces.json`, else of the environment.

    Args:
        source: its file takes the place of the environment.
        workspaces: a list that is used over either.
        tells: whether to name on stderr what a file has that is not used.

    Raises:
        SettingsError: a file cannot be used.
    """
    read = read_values(source, workspaces)
    values, files = read.values, settings_files(source, workspaces)
    if not SETTINGS.keys() & values.keys():
        message = f"the environment has none, and there is no {LIST} here; name a file that contains them: --settings FILE"
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
    """The app settings as they were found."""

    values: Mapping[str, str]
    """By name."""
    named: tuple[str, ...]
    """All that the files name."""
    environment: bool
    """Whether the environment was read too."""


def read_values(source: SettingsSource, workspaces: Path | None = None) -> ReadValues:
    """Read the settings, and say nothing of it.

    Raises:
        SettingsError: a file cannot be used.
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
    """Return the files to read the settings from, the last one over the others: those that are named, else `./workspaces.json`."""
    named = [each for each in (source.file, workspaces) if each is not None]
    # A link that leads nowhere is a broken file, not a missing one.
    return named or ([LIST] if os.path.lexists(LIST) else [])


_MAX_NAMES = 10


def _tell_ignored(names: Sequence[str]) -> None:
    if names and not options.quiet():
        named = first_of([redact(name) for name in names], _MAX_NAMES)
        render.say(f"Ignored in the file, because this app has no such setting: {named}.")


def put_out(
    logger: RedactingLogger,
    as_json: bool,  # noqa: FBT001  # private
    value: Mapping[str, Any],
    show: Callable[[], None],
) -> None:
    with render.writing():
        if as_json:
            render.echo(logger.json(value, indent=2))
        else:
            show()


def places_of(settings: Settings | None) -> Places:
    """Where in the settings each workspace is, by its name."""
    entries = (settings.listed or settings.entries) if settings else ()
    return {
        entry.workspace.name: f"WORKSPACES[{index}]"
        for index, entry in enumerate(entries)
        if isinstance(entry, Entry)
    }


def exit_with_problems(problems: Sequence[Problem], *, as_json: bool) -> NoReturn:
    """Say what is wrong, a line each on stderr or one JSON object on stdout.

    Raises:
        SystemExit: always, with 2.
    """
    problems = RedactingLogger().redact(list(problems))
    if as_json:
        listed = [json_of(problem) for problem in problems]
        with render.writing():
            render.echo(json.dumps({"version": 1, "result": "failed", "problems": listed}, indent=2))
    else:
        show_finding([*map(of_problem, problems)], render.console(stderr=True))
    sys.exit(WRONG)


def finish(*, ok: bool, interrupted: bool) -> NoReturn:
    """End the command.

    Raises:
        SystemExit: always, with the code of what came of it.
    """
    sys.exit(INTERRUPTED if interrupted else 0 if ok else FAILED)


_MOST_NAMED = 5
"""Hosts, each by its own name, of one question."""


def with_allowed(values: Mapping[str, str], allowed: Sequence[str]) -> Mapping[str, str]:
    """The settings by name, with what was allowed on the command line among `TRUSTED_HOSTS`."""
    if not allowed:
        return values
    listed = [each for each in (values.get("TRUSTED_HOSTS", "").strip(), *allowed) if each]
    return {**values, "TRUSTED_HOSTS": ",".join(listed)}


def allow(settings: Settings, source: SettingsSource) -> Settings:
    """The settings, as far as the person who runs the command lets tokens go where they lead; asks on a terminal.

    Raises:
        SettingsError: a host is not allowed; nothing may be contacted.
    """
    typed = source.trusted_hosts
    own, _ = parse_trusted_hosts(os.environ.get("TRUSTED_HOSTS", ""))
    allowed = TrustedHosts([*own.entries, *typed])
    asked = {host: place for host, place in _beyond(settings) if not allowed.trusts(host)}
    if asked:
        typed = (*typed, *_ask(asked, settings.trusted))
    return replace(settings, invocation=options.invocation(Command(naming(source.file) + _trusting(typed))))


def _beyond(settings: Settings) -> Iterator[tuple[str, str]]:
    """Each host outside of the built-in domains that gets a token, with the place that names it."""
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
    """The hosts, or what covers them in `TRUSTED_HOSTS` where they are many, once the person has agreed."""
    hosts: Sequence[str] = list(asked)
    if len(hosts) > _MOST_NAMED:
        covering = [entry for entry in trusted.entries if any(map(TrustedHosts([entry]).trusts, hosts))]
        hosts = sorted(covering)
    named = ", ".join(f"{host} ({asked[host]})" if host in asked else host for host in hosts)
    ask.agree(
        "TRUSTED_HOSTS",
        [
            f"TRUSTED_HOSTS in the file names hosts outside of Azure: {named}. Send your own sign-in's tokens there?"
        ],
        without_terminal=f"in a file does not let your own sign-in go to {named}; if you trust it, add{_trusting(hosts)}",
        declined=f"was declined: {named}; nothing was contacted",
    )
    return hosts


def _trusting(hosts: Sequence[str]) -> Command:
    """The option for each, as a command line repeats them."""
    return Command("".join(command(" --trust-host {host}", host=host) for host in hosts))
