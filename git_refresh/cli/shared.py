"""What the commands have in common: exit codes, where the settings are from, and where their output goes."""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from git_refresh.cli import options, render
from git_refresh.cli.files import read_settings
from git_refresh.cli.findings import Places
from git_refresh.cli.options import SettingsSource
from git_refresh.cli.trust import with_allowed
from git_refresh.model.values import Problem
from git_refresh.output.log import RedactingLogger, log_to_stderr
from git_refresh.output.redact import redact
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
    """The app settings: those of the files that are given, else of the environment.

    Args:
        source: its file takes the place of the environment.
        workspaces: a list that is used over either.
        tells: whether to name on stderr what a file has that is not used.

    Raises:
        SettingsError: a file cannot be used.
    """
    file = source.file
    values: dict[str, str] = {}
    named: list[str] = []
    for each in (file, workspaces):
        if each is not None:
            read = read_settings(each)
            values |= read.values
            named += read.names
    if file is None:
        values = {**os.environ, **values}
    if not SETTINGS.keys() & values.keys():
        message = "the environment has none; name a file that contains them: --settings workspaces.json"
        raise SettingsError([Problem("app settings", message)])
    options.tell_what_is_used(file, values)
    if tells:
        _tell_ignored([*environment_names(named), *unknown_names(named)])
    return CommandSettings(
        with_allowed(values, source.trusted_hosts),
        replace(source, file=workspaces or file),
        tuple(dict.fromkeys(named)),
    )


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
