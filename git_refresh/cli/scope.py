"""`--only` and `--folder` of check, plan, and run: the part of the list to process.

A command processes each workspace and folder of the part in the same way as in the whole list.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

import click

from git_refresh.cli import complete
from git_refresh.model.values import Problem, folder_key, listed_as
from git_refresh.output.redact import redact
from git_refresh.output.text import closest, first_of
from git_refresh.settings.entries import Entry, Rejected
from git_refresh.settings.load import Settings, SettingsError

_MAX_NAMES = 5


@dataclass(frozen=True, slots=True)
class Scope:
    """The requested part of the list, as entered. Empty: the whole list."""

    names: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.names or self.paths)


def only_option[F: Callable[..., Any]](condition: str = "") -> Callable[[F], F]:
    """Return the option --only. `condition` extends its help."""
    return click.option(
        "--only",
        multiple=True,
        metavar="NAME[,NAME]",
        shell_complete=complete.names,
        help=" ".join(filter(None, ("Process only these workspaces.", condition, "Repeatable."))),
    )


def scope_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add --only and --folder to a command, which receives both as `scope`."""

    @wraps(command)
    def scoped(*arguments: object, only: tuple[str, ...], folder: tuple[str, ...], **options: object) -> None:
        command(*arguments, scope=Scope(only, folder), **options)

    for option in (
        click.option(
            "--folder",
            multiple=True,
            metavar="PATH",
            shell_complete=complete.folders,
            help="Process only this Git folder or /* pattern, and its workspaces' credentials. Repeatable.",
        ),
        only_option(),
    ):
        scoped = option(scoped)
    return scoped


def narrow(settings: Settings, wanted: Scope) -> Settings:
    """Return the settings with only the requested part of the list.

    Raises:
        SettingsError: the list lacks a requested workspace or folder.
    """
    if not wanted:
        return settings
    problems: list[Problem] = []
    entries: Sequence[Entry | Rejected] = settings.entries
    if wanted.names:
        names = _names(wanted.names, [entry.name for entry in entries], problems)
        entries = [entry for entry in entries if entry.name in names]
    if wanted.paths and not problems:
        entries = _narrowed(entries, wanted, problems)
    if problems:
        raise SettingsError(problems)
    return settings.narrowed(entries)


def _names(given: Iterable[str], listed: Sequence[str], problems: list[Problem]) -> set[str]:
    names: set[str] = set()
    for text in given:
        # A name can contain a comma.
        for name in [text] if text.strip() in listed else text.split(","):
            if name.strip() in listed:
                names.add(name.strip())
            else:
                found = (
                    f'"{redact(name.strip())}" is not a workspace in the list' if name.strip() else "is empty"
                )
                problems.append(Problem("--only", f"{found}; {_instead(name, listed)}"))
    return names


def _narrowed(
    entries: Sequence[Entry | Rejected], wanted: Scope, problems: list[Problem]
) -> list[Entry | Rejected]:
    """Return the workspaces that have a requested folder, limited to these folders.

    Add a problem for each path that no workspace has.
    """
    keys = {folder_key(path.strip()): path for path in wanted.paths}
    named = bool(wanted.names)
    for key, path in keys.items():
        if not any(_has(entry, key, named=named) for entry in entries):
            listed = sorted({listed for entry in entries for listed in _keys(entry)})
            where = (
                f"of {first_of(list(dict.fromkeys(entry.name for entry in entries)), _MAX_NAMES)}"
                if named
                else "in the list"
            )
            found = f'"{redact(path)}" is not a Git folder {where}, and no /* pattern matches it'
            problems.append(
                Problem("--folder", f"{found if path.strip() else 'is empty'}; {_instead(key, listed)}")
            )
    chosen = [entry for entry in entries if any(_has(entry, key, named=named) for key in keys)]
    if named and not problems:
        having = {entry.name for entry in chosen}
        for name in dict.fromkeys(entry.name for entry in entries if entry.name not in having):
            message = f'"{redact(name)}" has none of the Git folders of --folder; remove it'
            problems.append(Problem("--only", message))
    return [_with(entry, keys, named=named) for entry in chosen]


def _has(entry: Entry | Rejected, key: str, *, named: bool) -> bool:
    """Return whether an entry has a Git folder.

    If --only names the workspace, an invalid entry or folder counts too. Otherwise, its problem would not be reported.
    """
    if _wanted_by(key, _keys(entry)) is not None:
        return True
    return named and (isinstance(entry, Rejected) or any(not folder.key for folder in entry.bad_folders))


def _keys(entry: Entry | Rejected) -> frozenset[str]:
    if isinstance(entry, Rejected):
        return entry.folders
    listed = {folder.key for folder in entry.workspace.folders}
    return frozenset(listed | {folder.key for folder in entry.bad_folders if folder.key})


def _wanted_by(key: str, listed: Collection[str]) -> str | None:
    """Return the listed path that covers `key`, or None. Only the same pattern covers a pattern."""
    return None if key.endswith("/*") and key not in listed else listed_as(key, listed)


def _with(entry: Entry | Rejected, keys: Collection[str], *, named: bool) -> Entry | Rejected:
    if isinstance(entry, Rejected):
        return entry
    listed = _keys(entry)
    chosen = {_wanted_by(key, listed) for key in keys}
    folders = tuple(folder for folder in entry.workspace.folders if folder.key in chosen)
    bad = tuple(folder for folder in entry.bad_folders if folder.key in chosen or (named and not folder.key))
    workspace = entry.workspace.model_copy(update={"folders": folders})
    paths = frozenset(key for key in keys if _wanted_by(key, listed) is not None)
    return Entry(workspace, bad, paths, entry, entry.notes)


def _instead(text: str, listed: Sequence[str]) -> str:
    """Return the advice: the nearest name of the list, or its first names."""
    if not listed:
        return "the list has none"
    if near := closest(text, listed):
        return f'did you mean "{redact(near[0])}"?'
    named = [f'"{redact(name)}"' for name in dict.fromkeys(listed)]
    return f"write {'one of ' if named[1:] else ''}{first_of(named, _MAX_NAMES)}"
