"""What the commands have in common: exit codes, where the settings are from, and where their output goes."""

import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from git_refresh.cli import options, terminal
from git_refresh.cli.files import read_settings
from git_refresh.cli.findings import Places
from git_refresh.outlet import Outlet, log_to_stderr
from git_refresh.settings.entries import Entry
from git_refresh.settings.load import Settings, SettingsError
from git_refresh.settings.names import SETTINGS
from git_refresh.values import Problem

FAILED, WRONG, CHANGES, INTERRUPTED = 1, 2, 3, 130


def outlet_for(*, as_json: bool) -> Outlet:
    """Where everything goes out. Under --json the log lines go to stderr; people are shown the same otherwise."""
    log_to_stderr(quiet=options.quiet() or not (as_json or options.verbose()))
    return Outlet()


def environment(
    file: Path | None, workspaces: Path | None = None
) -> tuple[Mapping[str, str], Collection[str]]:
    """The process's environment, with the app settings taken from the files that are given; and what names these have.

    As with `func start`, a settings file's other values (a proxy, say) become environment variables too.

    Raises:
        SettingsError: a file cannot be used.
    """
    named: dict[str, str] = {}
    if file is not None:
        named |= read_settings(file)
        for name in SETTINGS:
            os.environ.pop(name, None)
    if workspaces is not None:
        named |= read_settings(workspaces)
    os.environ.update(named)
    if not SETTINGS.keys() & os.environ.keys():
        message = "the environment has none; name a file that contains them: --settings workspaces.json"
        raise SettingsError([Problem("app settings", message)])
    options.tell_what_is_used(file, os.environ)
    return os.environ, named


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
