"""What the commands have in common: exit codes, where the settings are from, and where their output goes."""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from git_refresh.cli import options, terminal
from git_refresh.cli.files import read_settings
from git_refresh.cli.findings import Places
from git_refresh.cli.trust import with_allowed
from git_refresh.outlet import Outlet, log_to_stderr
from git_refresh.redact import shown
from git_refresh.settings.entries import Entry
from git_refresh.settings.load import Settings, SettingsError
from git_refresh.settings.names import SETTINGS, environment_names, unknown_names
from git_refresh.values import Problem

FAILED, WRONG, CHANGES, INTERRUPTED = 1, 2, 3, 130


def outlet_for(*, as_json: bool) -> Outlet:
    """Where everything goes out. Under --json the log lines go to stderr; people are shown the same otherwise."""
    log_to_stderr(quiet=options.quiet() or not (as_json or options.verbose()))
    return Outlet()


@dataclass(frozen=True, slots=True)
class Given:
    """The app settings that a command works with. What it runs in is the process's environment, whatever they are."""

    values: Mapping[str, str]
    """By name."""
    named: Collection[str] = ()
    """What files name, whether or not it is used."""


def given_settings(file: Path | None, workspaces: Path | None = None, *, tells: bool = True) -> Given:
    """The app settings: those of the files that are given, else of the environment.

    Args:
        file: takes the place of the environment.
        workspaces: is used over either.
        tells: whether to name on stderr what a file has that is not used.

    Raises:
        SettingsError: a file cannot be used.
    """
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
    options.keep_file(workspaces or file)
    if tells:
        _tell_ignored([*environment_names(named), *unknown_names(named)])
    return Given(with_allowed(values), tuple(dict.fromkeys(named)))


_NAMED = 10


def _tell_ignored(names: Sequence[str]) -> None:
    if names and not options.quiet():
        more = f" and {len(names) - _NAMED} more" if names[_NAMED:] else ""
        said = ", ".join(map(shown, names[:_NAMED]))
        terminal.say(f"Ignored in the file, because this app has no such setting: {said}{more}.")


def put_out(outlet: Outlet, as_json: bool, value: Mapping[str, Any], show: Callable[[], None]) -> None:  # noqa: FBT001  # private
    with terminal.writing():
        if as_json:
            terminal.echo(outlet.json(value, indent=2))
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
