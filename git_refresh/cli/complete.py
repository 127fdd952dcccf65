"""Shell completion of workspaces, folders, and secrets from the list that the command would read.

Calls no service. An unreadable list completes nothing and prints nothing.
"""

from collections.abc import Iterable
from pathlib import Path

import click

from git_refresh.cli.options import SettingsSource
from git_refresh.cli.shared import read_values, settings_files
from git_refresh.output.redact import escape_unprintable
from git_refresh.settings.entries import Entry, Rejected
from git_refresh.settings.load import load


def names(context: click.Context, _parameter: click.Parameter, typed: str) -> list[str]:
    """Return the workspace names that start with the typed text, or with its part after the last comma."""
    before, comma, begun = typed.rpartition(",")
    taken = {name for given in (*context.params.get("only", ()), before) for name in given.split(",")}
    found = (entry.name for entry in _entries(context) if entry.name not in taken)
    return [f"{before}{comma}{name}" for name in _beginning(begun, found)]


def folders(context: click.Context, _parameter: click.Parameter, typed: str) -> list[str]:
    """Return the paths of the list's Git folders, limited to the workspaces of `--only`."""
    chosen = {name for given in context.params.get("only", ()) for name in given.split(",")}
    entries = [entry for entry in _entries(context) if not chosen or entry.name in chosen]
    listed = (
        folder.path for entry in entries if isinstance(entry, Entry) for folder in entry.workspace.folders
    )
    return _beginning(typed, (path for path in listed if path not in context.params.get("folder", ())))


def secrets(context: click.Context, _parameter: click.Parameter, typed: str) -> list[str]:
    """Return the names that the list has for its OAuth secrets in Key Vault."""
    found = [entry.workspace.oauth for entry in _entries(context) if isinstance(entry, Entry)]
    given = context.params.get("names") or ()
    return _beginning(
        typed, (oauth.secret_name for oauth in found if oauth and oauth.secret_name not in given)
    )


def _entries(context: click.Context) -> tuple[Entry | Rejected, ...]:
    try:
        source, workspaces = SettingsSource(context.params.get("file")), _file(context)
        # Reading a pipe would block the shell.
        if not all(file.is_file() for file in settings_files(source, workspaces)):
            return ()
        return load(read_values(source, workspaces).values, whole=False).entries
    except Exception:  # noqa: BLE001  # the command itself reports the problem
        return ()


def _file(context: click.Context) -> Path | None:
    """Return the entered FILE. Click leaves it in `args` if an option without its value follows."""
    takes_one = any(each.name == "workspaces" for each in context.command.params)
    left = Path(context.args[0]) if takes_one and context.args else None
    return context.params.get("workspaces") or left


def _beginning(typed: str, found: Iterable[str]) -> list[str]:
    return [
        text for text in dict.fromkeys(found) if text.startswith(typed) and escape_unprintable(text) == text
    ]
