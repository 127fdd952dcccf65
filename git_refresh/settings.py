"""App settings → typed settings, with every problem found at once and named by its place.

A typo must cost as little as it can: a bad folder costs that folder, a bad entry that workspace, and only what concerns
all of them stops the run.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from git_refresh.hosts import NO_HOSTS, Domain, TrustedHosts, origin_of, parse_trusted_hosts, split_url
from git_refresh.models import Folder, Workspace, default_name
from git_refresh.problems import Problem, kind_of, problem_of
from git_refresh.redact import shown
from git_refresh.schedule import is_schedule


class SettingsError(Exception):
    """Nothing can be run with these settings."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class BadFolder:
    """A folder entry that was left out."""

    path: str | None
    problem: Problem


@dataclass(frozen=True, slots=True)
class Entry:
    """One workspace that can be worked on."""

    workspace: Workspace
    bad_folders: tuple[BadFolder, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejected:
    """One entry of `WORKSPACES` that cannot."""

    name: str
    host: str
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """All that a run needs to know. Times in seconds."""

    entries: tuple[Entry | Rejected, ...]
    problems: tuple[Problem, ...] = ()
    key_vault_url: str | None = None
    client_id: str | None = None
    trusted: TrustedHosts = NO_HOSTS
    concurrency: int = 32
    timeout_s: float = 540.0


SETTINGS = {
    "WORKSPACES",
    "WORKSPACE_DEFAULTS",
    "KEY_VAULT_URL",
    "REFRESH_SCHEDULE",
    "AZURE_CLIENT_ID",
    "TRUSTED_HOSTS",
    "REFRESH_CONCURRENCY",
    "REFRESH_TIMEOUT_SECONDS",
    "FAN_OUT",
}
"""Every app setting that the code reads."""


def load(environ: Mapping[str, str]) -> Settings:
    """Read and validate the app settings.

    Raises:
        SettingsError: something is wrong that concerns every workspace; nothing may be run.
    """
    fatal: list[Problem] = []
    trusted, complaints = parse_trusted_hosts(environ.get("TRUSTED_HOSTS", ""))
    fatal += [Problem("TRUSTED_HOSTS", complaint) for complaint in complaints]
    concurrency = _number(environ, "REFRESH_CONCURRENCY", 32, range(1, 257), fatal)
    timeout_s = _number(environ, "REFRESH_TIMEOUT_SECONDS", 540, range(30, 3601), fatal)
    client_id = _client_id(environ, fatal)
    vault = _key_vault_url(environ, trusted, fatal)
    _schedule(environ, fatal)
    if (fan_out := environ.get("FAN_OUT", "").strip() or "off") != "off":
        fatal.append(
            Problem(
                "FAN_OUT", f'"{shown(fan_out)}" is not available in this version; write "off" or remove it'
            )
        )
    defaults = _defaults(environ, trusted, fatal)
    listed = _array(environ, fatal)
    entries = tuple(_entries(listed, defaults, trusted))
    good = [entry.workspace for entry in entries if isinstance(entry, Entry)]
    if not environ.get("KEY_VAULT_URL", "").strip() and any(ws.auth == "oauth_secret" for ws in good):
        fatal.append(
            Problem(
                "KEY_VAULT_URL",
                "is missing, and a workspace reads its secret there; write https://NAME.vault.azure.net",
            )
        )
    if fatal:
        raise SettingsError(fatal + _not_yet_said(fatal, _problems_of(entries)))
    return Settings(
        entries, tuple(_problems_of(entries)), vault, client_id, trusted, concurrency, float(timeout_s)
    )


def _problems_of(entries: tuple[Entry | Rejected, ...]) -> list[Problem]:
    return [
        problem
        for entry in entries
        for problem in (
            entry.problems
            if isinstance(entry, Rejected)
            else [folder.problem for folder in entry.bad_folders]
        )
    ]


def _not_yet_said(fatal: list[Problem], more: list[Problem]) -> list[Problem]:
    """Leaves out what every entry has inherited from WORKSPACE_DEFAULTS."""
    said = {(problem.where.removeprefix("WORKSPACE_DEFAULTS"), problem.message) for problem in fatal}
    return [problem for problem in more if (problem.where.partition("]")[2], problem.message) not in said]


def _number(environ: Mapping[str, str], name: str, default: int, allowed: range, fatal: list[Problem]) -> int:
    text = environ.get(name, "").strip()
    if not text:
        return default
    if re.fullmatch(r"\d{1,9}", text) and int(text) in allowed:
        return int(text)
    fatal.append(
        Problem(
            name,
            f'"{shown(text)}" must be a whole number from {allowed[0]} to {allowed[-1]}; default {default}',
        )
    )
    return default


def _client_id(environ: Mapping[str, str], fatal: list[Problem]) -> str | None:
    text = environ.get("AZURE_CLIENT_ID", "").strip()
    if text and not re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", text):
        fatal.append(
            Problem(
                "AZURE_CLIENT_ID",
                f'"{shown(text)}" must be the client id of a user-assigned managed identity, like '
                "00000000-0000-0000-0000-000000000000; remove it to use the system-assigned one",
            )
        )
    return text or None


def _key_vault_url(environ: Mapping[str, str], trusted: TrustedHosts, fatal: list[Problem]) -> str | None:
    text = environ.get("KEY_VAULT_URL", "").strip()
    if not text:
        return None
    try:
        origin = origin_of(text, Domain.KEY_VAULT, trusted)
        rest = split_url(text)
        if rest.path.strip("/") or rest.query or rest.fragment:
            raise ValueError(f"must end after the host name; write {origin}")  # noqa: TRY301  # one place words them all
    except ValueError as error:
        fatal.append(Problem("KEY_VAULT_URL", f'"{shown(text)}" {error}'))
        return None
    return origin


def _schedule(environ: Mapping[str, str], fatal: list[Problem]) -> None:
    text = environ.get("REFRESH_SCHEDULE", "").strip()
    if text and not is_schedule(text):
        advice = 'must be six fields of NCRONTAB, seconds first; "0 */15 * * * *" is every 15 minutes'
        fatal.append(Problem("REFRESH_SCHEDULE", f'"{shown(text)}" {advice}'))


def _json(name: str, text: str, fatal: list[Problem]) -> Any:  # noqa: ANN401  # whatever somebody typed
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        place = (
            f"line {error.lineno}, column {error.colno}: {error.msg}"
            if isinstance(error, json.JSONDecodeError)
            else "it is nested too deeply"
        )
        fatal.append(Problem(name, f"is not valid JSON: {place}"))
        return None


def _array(environ: Mapping[str, str], fatal: list[Problem]) -> list[object]:
    text = environ.get("WORKSPACES", "").strip()
    example = 'write a JSON array of workspaces: [{"host": "https://adb-….azuredatabricks.net", …}]'
    if not text:
        fatal.append(Problem("WORKSPACES", f"is missing; {example}"))
        return []
    before = len(fatal)
    value = _json("WORKSPACES", text, fatal)
    if len(fatal) > before:
        return []
    if not isinstance(value, list):
        fatal.append(Problem("WORKSPACES", f"must be an array, in [ ], and is {kind_of(value)}; {example}"))
        return []
    if not value:
        fatal.append(Problem("WORKSPACES", f"is empty; {example}"))
    return value


def _defaults(environ: Mapping[str, str], trusted: TrustedHosts, fatal: list[Problem]) -> dict[str, Any]:
    text = environ.get("WORKSPACE_DEFAULTS", "").strip()
    before = len(fatal)
    value = _json("WORKSPACE_DEFAULTS", text, fatal) if text else {}
    if len(fatal) > before:
        return {}
    if not isinstance(value, dict):
        fatal.append(Problem("WORKSPACE_DEFAULTS", f"must be an object, in {{ }}, and is {kind_of(value)}"))
        return {}
    fatal += [
        Problem(f"WORKSPACE_DEFAULTS.{key}", "belongs to one workspace; write it in WORKSPACES")
        for key in ("host", "name")
        if key in value
    ]
    # Held against a workspace that lacks nothing, so that every complaint is about the defaults themselves.
    whole = {
        "client_id": "-",
        "client_secret_name": "x",
        **value,
        "host": "https://x.azuredatabricks.net",
        "name": "x",
    }
    entry = _entry("WORKSPACE_DEFAULTS", whole, trusted)
    fatal += _problems_of((entry,))
    return value


def _entries(listed: list[object], defaults: dict[str, Any], trusted: TrustedHosts) -> list[Entry | Rejected]:
    entries: list[Entry | Rejected] = []
    seen: dict[str, str] = {}
    for index, item in enumerate(listed):
        where = f"WORKSPACES[{index}]"
        short = {"host": item} if isinstance(item, str) else item
        if not isinstance(short, dict):
            problem = Problem(where, f"must be a workspace's address or an object, and is {kind_of(item)}")
            entries.append(Rejected(f"#{index}", "", (problem,)))
            continue
        entry = _entry(where, {**defaults, **short}, trusted)
        if isinstance(entry, Entry):
            entry = _unless_seen(entry, where, seen)
        entries.append(entry)
    return entries


def _unless_seen(entry: Entry, where: str, seen: dict[str, str]) -> Entry | Rejected:
    host, name = entry.workspace.host, entry.workspace.name
    for key, value in (("host", host), ("name", name)):
        if (first := seen.get(f"{key} {value.casefold()}")) is not None:
            advice = (
                "keep one entry for it, with all its folders"
                if key == "host"
                else "give each a name of its own"
            )
            return Rejected(
                name,
                host,
                (Problem(f"{where}.{key}", f'"{shown(value)}" stands in {first} already; {advice}'),),
            )
    seen[f"host {host.casefold()}"] = seen[f"name {name.casefold()}"] = where
    return entry


def _entry(where: str, data: dict[str, Any], trusted: TrustedHosts) -> Entry | Rejected:
    folders, bad = _folders(f"{where}.folders", data.get("folders", []), trusted)
    try:
        workspace = Workspace.model_validate({**data, "folders": folders}, context={"trusted": trusted})
    except ValidationError as error:
        problems = [problem_of(where, detail, Workspace) for detail in error.errors(include_url=False)]
        host = data.get("host") if isinstance(data.get("host"), str) else ""
        name = data.get("name") if isinstance(data.get("name"), str) else default_name(host or "?")
        problems += [folder.problem for folder in bad]
        return Rejected(shown(str(name)), shown(str(host)), tuple(problems))
    return Entry(workspace, tuple(bad))


def _folders(where: str, listed: object, trusted: TrustedHosts) -> tuple[tuple[Folder, ...], list[BadFolder]]:
    if not isinstance(listed, list):
        return (), [
            BadFolder(None, Problem(where, f"must be an array of folders, in [ ], and is {kind_of(listed)}"))
        ]
    good: dict[str, Folder] = {}
    bad: list[BadFolder] = []
    for index, item in enumerate(listed):
        place = f"{where}[{index}]"
        short = {"path": item} if isinstance(item, str) else item
        path = short.get("path") if isinstance(short, dict) else None
        path = shown(path) if isinstance(path, str) else None
        if not isinstance(short, dict):
            bad.append(
                BadFolder(None, Problem(place, f"must be a path or an object, and is {kind_of(item)}"))
            )
            continue
        try:
            folder = Folder.model_validate(short, context={"trusted": trusted})
        except ValidationError as error:
            details = error.errors(include_url=False)
            bad += [BadFolder(path, problem_of(place, detail, Folder)) for detail in details]
            continue
        if folder.key in good:
            bad.append(
                BadFolder(
                    None, Problem(f"{place}.path", f'"{path}" is listed twice in this workspace; keep one')
                )
            )
            continue
        good[folder.key] = folder
    return tuple(good.values()), bad
