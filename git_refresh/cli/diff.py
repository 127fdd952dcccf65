"""`diff`: what would change in the app settings, by setting, workspace, Git folder and key; without asking anybody."""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import click
from rich.console import Console
from rich.text import Text

from git_refresh.cli import options, render
from git_refresh.cli.files import read_settings
from git_refresh.cli.findings import Finding, fold, show_finding
from git_refresh.cli.shared import exit_with_problems
from git_refresh.failures.diagnosis import Diagnosis, DiagnosisContext, finding
from git_refresh.model.hosts import split_url
from git_refresh.model.values import Problem, folder_key, json_of, patterns_above
from git_refresh.output.redact import escape_unprintable, looks_like_secret, redact
from git_refresh.output.text import count
from git_refresh.settings.json_text import JsonError, parse
from git_refresh.settings.load import SettingsError
from git_refresh.settings.models import Folder, Workspace, default_name
from git_refresh.settings.names import SETTINGS

DIFFERENT = 3

Action = Literal["added", "removed", "changed"]
_SIGN = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow")}
_KNOWN = {*Workspace.model_fields, *Folder.model_fields}
_NO_VALUE = "***"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `old` and `new` are JSON as it may be shown; None where there is nothing."""

    action: Action
    setting: str
    workspace: str | None = None
    folder: str | None = None
    key: str | None = None
    old: str | None = None
    new: str | None = None


@click.command(short_help="What would change if a list were deployed?")
@click.argument("file", type=options.FILE)
@click.argument("deployed", type=options.FILE, default="-", required=False)
@options.json_option
def diff(file: Path, deployed: Path, *, as_json: bool) -> None:
    """What would change if FILE were deployed over DEPLOYED? Calls no service.

    Both are files as check takes them; DEPLOYED is read from stdin unless it is named:

    \b
    az functionapp config appsettings list --name APP --resource-group GROUP --output json | git-refresh diff workspaces.json

    + is in FILE alone, - in DEPLOYED alone, ~ has another value. A FILE that is a list is compared with the deployed list
    alone. What is no setting of this app is not looked at, and secrets are not shown.

    Exit codes: 0 nothing differs, 3 something does, 2 wrong usage or unreadable.
    """  # noqa: D301  # click's mark for a paragraph that it must not fold
    if str(deployed) == "-" and str(file) != "-" and sys.stdin.isatty():
        raise click.UsageError(
            "name two files, or pipe what is deployed: az functionapp config appsettings list … --output json | … diff FILE"
        )
    if str(file) == str(deployed):
        raise click.UsageError("FILE and DEPLOYED are the same")
    try:
        old, new = _read(file, deployed)
    except SettingsError as error:
        exit_with_problems(error.problems, as_json=as_json)
    changes, stays = list(compare(old, new)), list(what_stays(old, new))
    with render.writing():
        if as_json:
            result = "different" if changes else "same"
            listed = [asdict(change) for change in changes]
            told = [{"workspace": name, **json_of(each)} for name, each in stays]
            value = {"version": 1, "result": result, "changes": listed, "stays": told}
            render.echo(json.dumps(value, indent=2))
        else:
            show_changes(changes, f"from {_name(deployed)} to {_name(file)}", render.console(), stays)
    sys.exit(DIFFERENT if changes else 0)


def _read(file: Path, deployed: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The deployed settings and those of the file.

    Raises:
        SettingsError: they cannot be compared.
    """
    new, old = read_settings(file).values, read_settings(deployed).values
    if not new.keys() & SETTINGS.keys():
        raise SettingsError([Problem(_name(file), "contains none of this app's settings")])
    if new.keys() == {"WORKSPACES"}:
        old = {"WORKSPACES": old.get("WORKSPACES", "")}
    return _parsed(_name(deployed), old), _parsed(_name(file), new)


def _name(file: Path) -> str:
    return "stdin" if str(file) == "-" else escape_unprintable(str(file))


def _parsed(where: str, settings: Mapping[str, str]) -> dict[str, Any]:
    """The settings of this app that are set, the JSON ones as values.

    Raises:
        SettingsError: one is not JSON, or not of the type that it has to be.
    """
    found: dict[str, Any] = {}
    problems: list[Problem] = []
    types: dict[str, tuple[type, str]] = {
        "WORKSPACES": (list, "must be an array"),
        "WORKSPACE_DEFAULTS": (dict, "must be an object"),
    }
    for name in SETTINGS:
        text = settings.get(name, "").strip()
        if not text:
            continue
        if name not in types:
            found[name] = text
            continue
        wanted, complaint = types[name]
        try:
            found[name] = parse(text)
        except JsonError as error:
            problems.append(Problem(f"{where}: {name}", str(error)))
        else:
            problems += [] if isinstance(found[name], wanted) else [Problem(f"{where}: {name}", complaint)]
    if problems:
        raise SettingsError(problems)
    return found


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    """All differences, in the order of the settings and of the new list."""
    for name in SETTINGS:
        before, after = old.get(name), new.get(name)
        if name == "WORKSPACES":
            yield from _workspaces(before or [], after or [])
        elif name == "WORKSPACE_DEFAULTS":
            yield from _keys((name, None, None), before or {}, after or {})
        elif before != after:
            yield _change((name, None, None), None, before, after)


Place = tuple[str, str | None, str | None]
"""Setting, workspace, folder."""


def _workspaces(old: Sequence[Any], new: Sequence[Any]) -> Iterator[Change]:
    """Workspaces by their names; one that has another name now, by its address."""
    before, after = _by_name(old), _by_name(new)
    hosts = {_host(entry): name for name, entry in before.items() if name not in after}
    pairs = [
        (name, name if name in before else hosts.pop(_host(entry), None)) for name, entry in after.items()
    ]
    for name, was in pairs:
        place = ("WORKSPACES", redact(name), None)
        if was is None:
            yield _change(place, None, None, _summary(after[name]))
        else:
            yield from _keys(place, before[was], after[name])
    kept = {was for _, was in pairs}
    for name in (name for name in before if name not in kept):
        yield _change(("WORKSPACES", redact(name), None), None, _summary(before[name]), None)


def _by_name(listed: Sequence[Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for index, item in enumerate(listed):
        entry = {"host": item} if isinstance(item, str) else item if isinstance(item, dict) else {"": item}
        host, name = entry.get("host"), entry.get("name")
        if not isinstance(name, str) or not name:
            name = default_name(host) if isinstance(host, str) and host else f"WORKSPACES[{index}]"
        found[name if name not in found else f"{name}, WORKSPACES[{index}]"] = entry
    return found


def _host(entry: Mapping[str, Any]) -> str:
    return str(entry.get("host", "")).strip().rstrip("/").casefold()


def _summary(entry: Mapping[str, Any]) -> str:
    folders = entry.get("folders")
    number = f", {count(len(folders), 'Git folder')}" if isinstance(folders, list) and folders else ""
    return f"{redact(str(entry.get('host', '')))}{number}"


def _keys(place: Place, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for key in dict.fromkeys((*new, *old)):
        before, after = old.get(key), new.get(key)
        if key == "folders" and all(isinstance(value, list | None) for value in (before, after)):
            yield from _folders(place, before or [], after or [])
        elif key not in old or key not in new or before != after:
            yield _change(
                place,
                key,
                _value(key, before) if key in old else None,
                _value(key, after) if key in new else None,
            )


def _folders(place: Place, old: Sequence[Any], new: Sequence[Any]) -> Iterator[Change]:
    before, after = _by_path(old), _by_path(new)
    for path in dict.fromkeys((*after, *before)):
        at = (place[0], place[1], redact((after.get(path) or before[path])["path"]))
        was, now = ({k: v for k, v in side.get(path, {}).items() if k != "path"} for side in (before, after))
        if path in before and path in after:
            yield from _keys(at, was, now)
        else:
            yield _change(
                at,
                None,
                _pairs(was) if path in before else None,
                _pairs(now) if path in after else None,
            )


def _by_path(listed: Sequence[Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for index, item in enumerate(listed):
        folder = {"path": item} if isinstance(item, str) else item if isinstance(item, dict) else {"": item}
        path = folder.get("path")
        path = path if isinstance(path, str) and path else f"folders[{index}]"
        key = folder_key(path)
        found[key if key not in found else f"{key}, folders[{index}]"] = {**folder, "path": path}
    return found


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{redact(key)} {_value(key, value)}" for key, value in values.items())


def _value(key: str, value: object) -> str:
    """A value as JSON. One that could be a secret is not shown, whatever it looks like: its key may say so."""
    text = json.dumps(value, ensure_ascii=False)
    suspicious = key not in _KNOWN and re.search("secret|token|password|pat|key", key, re.IGNORECASE)
    return _NO_VALUE if suspicious or looks_like_secret(text) else redact(text)


def _change(place: Place, key: str | None, old: str | None, new: str | None) -> Change:
    action: Action = "added" if old is None else "removed" if new is None else "changed"
    if place[0] in SETTINGS and place[1] is None and key is None:
        old, new = (None if value is None else _value("", value) for value in (old, new))
    return Change(action, *place, None if key is None else redact(key), old, new)


def what_stays(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, Diagnosis]]:
    """What is left in a workspace of all that the new list has no more; each with the workspace's name."""
    before, after = (_by_host(settings) for settings in (old, new))
    for host, (name, entry) in before.items():
        context = DiagnosisContext(host=host, principal=_principal(entry))
        if host not in after:
            yield name, finding("workspace_removed", context)
            continue
        now = after[host][1]
        kept = {_key(item) for item in _listed(now, "folders")}
        for path in filter(None, map(_path, _listed(entry, "folders"))):
            key = folder_key(path)
            if not kept & {key, *patterns_above(key.removesuffix("/*"))}:
                at = replace(context, path=redact(path.rstrip("/").removesuffix("/*")))
                whole = key.endswith("/*")
                yield name, finding("pattern_removed", at) if whole else finding("folder_removed", at)
        kept_ids = {str(id_) for id_ in _listed(now, "additional_principal_ids")}
        for id_ in (str(id_) for id_ in _listed(entry, "additional_principal_ids")):
            if id_ not in kept_ids and id_.isdecimal():
                yield name, finding("principal_removed", replace(context, principal_id=id_))


def _by_host(settings: Mapping[str, Any]) -> dict[str, tuple[str, dict[str, Any]]]:
    """The entries with an address that can be read, over the defaults, each with its name."""
    defaults = settings.get("WORKSPACE_DEFAULTS") or {}
    entries = {
        name: {**defaults, **entry} for name, entry in _by_name(settings.get("WORKSPACES") or []).items()
    }
    return {host: (redact(name), entry) for name, entry in entries.items() if (host := _address(entry))}


def _address(entry: Mapping[str, Any]) -> str:
    """The address of a workspace, without what may follow the host; empty: it has none."""
    try:
        host = split_url(_host(entry)).hostname
    except ValueError:
        return ""
    return f"https://{host}" if host else ""


def _principal(entry: Mapping[str, Any]) -> str:
    if entry.get("auth") == "managed_identity":
        return "the app's managed identity"
    client_id = entry.get("client_id")
    if not isinstance(client_id, str) or looks_like_secret(client_id):
        return DiagnosisContext().principal
    return f"service principal {redact(client_id)}"


def _listed(entry: Mapping[str, Any], key: str) -> Sequence[Any]:
    value = entry.get(key)
    return value if isinstance(value, list) else []


def _path(item: object) -> str:
    path = item.get("path") if isinstance(item, dict) else item
    return path if isinstance(path, str) and not looks_like_secret(path) else ""


def _key(item: object) -> str:
    return folder_key(_path(item))


def show_changes(
    changes: Sequence[Change], what: str, out: Console, stays: Sequence[tuple[str, Diagnosis]] = ()
) -> None:
    """A line for each difference, what stays where something is no longer listed, and how many differences there are."""
    for change in changes:
        sign, style = _SIGN[change.action]
        parts = [change.workspace or change.setting, *(part for part in (change.folder, change.key) if part)]
        old_new = " → ".join(value for value in (change.old, change.new) if value)
        said = f": {old_new}" if old_new else ""
        fold(Text(f"{sign} ", style), Text.assemble((" ".join(parts), "bold"), said), out)
    show_finding([Finding("warning", name, each.message, each) for name, each in stays], out)
    number = count(len(changes), "difference") if changes else "No difference"
    fold(Text(), Text(f"{number}, {what}.", "bold"), out)
