"""Reads the entries of `WORKSPACES`.

The run skips an invalid folder, and the workspace of an invalid entry. Each problem has its location.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ValidationError

from git_refresh.model.hosts import TrustedHosts
from git_refresh.model.repository import repository_url
from git_refresh.model.values import Problem, folder_key
from git_refresh.output.redact import REVOKE_IT, looks_like_secret, redact
from git_refresh.settings.json_text import JsonObject
from git_refresh.settings.models import Folder, Workspace, default_name
from git_refresh.settings.pasted import powershell_items, remains, rest_of
from git_refresh.settings.problems import DEFAULTS, JOINED, OWN_KEYS, kind_of, problem_of

MAX_WORKSPACES = 5_000
"""Maximum workspaces in the list, and Git folders of one workspace: more than an app can refresh."""


@dataclass(frozen=True, slots=True)
class BadFolder:
    path: str | None
    problem: Problem
    key: str = field(default="", repr=False)
    """Key of the folder (`values.folder_key`), if the entry has a path."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A valid workspace entry."""

    workspace: Workspace
    bad_folders: tuple[BadFolder, ...] = ()
    paths: frozenset[str] = frozenset()
    """Keys of the selected Git folders or paths with `/*`; empty for all."""
    whole: "Entry | None" = None
    """The entry with all folders; None if all are selected."""
    notes: tuple[Problem, ...] = ()
    """Warnings about values in an unusual but unambiguous form."""

    @property
    def left_out(self) -> frozenset[str]:
        """Keys of invalid and unselected folder entries, which paths with `/*` must not match."""
        whole = self.whole or self
        listed = {folder.key for folder in whole.workspace.folders}
        wrong = {folder.key for folder in whole.bad_folders}
        return frozenset(listed - {folder.key for folder in self.workspace.folders} | wrong)

    @property
    def name(self) -> str:
        return self.workspace.name

    @property
    def problems(self) -> tuple[Problem, ...]:
        return tuple(folder.problem for folder in self.bad_folders)


@dataclass(frozen=True, slots=True)
class Rejected:
    """An invalid entry of `WORKSPACES`."""

    name: str
    host: str
    problems: tuple[Problem, ...]
    folders: frozenset[str] = frozenset()
    """Keys of its Git folders with a readable path."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """Keys that `WORKSPACE_DEFAULTS` adds to every entry."""

    keys: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, Any] = field(default_factory=dict)
    """Validated arrays, because validating long ones for each entry would delay the start."""
    notes: tuple[Problem, ...] = ()


def read_entries(
    listed: Sequence[object], defaults: Defaults, trusted: TrustedHosts, *, identity: str | None = None
) -> list[Entry | Rejected]:
    """Read the entries of `WORKSPACES` with the defaults, in their order.

    `identity` is the client ID for entries without one.
    """
    entries: list[Entry | Rejected] = []
    seen: dict[str, str] = {}
    for index, item in enumerate(listed):
        where = f"WORKSPACES[{index}]"
        short = {"host": item} if isinstance(item, str) else item
        if not isinstance(short, dict):
            problem = Problem(where, f"must be a workspace's address or an object, not {kind_of(item)}")
            entries.append(Rejected(where, "", (problem,)))
            continue
        if isinstance(url := short.get("workspaceUrl"), str):
            entries.append(_line_of_az(where, short, url))
            continue
        written, short, renamed = short, *_renamed(where, short)
        inherited = {key: value for key, value in defaults.arrays.items() if key not in short}
        entry = _entry(where, {**defaults.keys, **short}, trusted, _twice(where, written), inherited)
        if isinstance(entry, Entry):
            entry = replace(entry, notes=(*renamed, *entry.notes))
        if isinstance(entry, Entry):
            entry = _unless_seen(entry, where, seen)
        if isinstance(entry, Entry) and entry.workspace.devops and not (entry.workspace.identity or identity):
            entry = _rejected(entry, Problem(f"{where}.devops", _SYSTEM_ASSIGNED))
        entries.append(entry)
    return entries


_SYSTEM_ASSIGNED = (
    "needs a user-assigned managed identity: an app registration cannot trust a system-assigned one; write the client id of one in "
    "identity, or in AZURE_CLIENT_ID"
)


def read_defaults(value: dict[str, Any], trusted: TrustedHosts) -> tuple[Defaults, tuple[Problem, ...]]:
    """Read `WORKSPACE_DEFAULTS`. Return the defaults, or `LACKING_NOTHING` with the problems."""
    where = DEFAULTS
    written, value, renamed = value, *_renamed(where, value)
    problems = [
        Problem(f"{where}.{key}", "belongs to one workspace; write it in WORKSPACES")
        for key in OWN_KEYS
        if key in value
    ]
    # The other keys of this workspace are valid, so every problem is about the defaults.
    whole = {**LACKING_NOTHING.keys, **value, "host": "https://adb-0.0.azuredatabricks.net", "name": "x"}
    entry = _entry(where, whole, trusted, _twice(where, written))
    problems += entry.problems
    if problems or isinstance(entry, Rejected):
        return LACKING_NOTHING, tuple(problems)
    arrays: dict[str, Any] = {
        key: getattr(entry.workspace, key) for key in ("folders", "additional_principal_ids") if key in value
    }
    return Defaults(
        {key: value[key] for key in value if key not in arrays}, arrays, (*renamed, *entry.notes)
    ), ()


LACKING_NOTHING = Defaults({"client_id": "00000000-0000-0000-0000-000000000000", "client_secret_name": "x"})
"""Replaces invalid defaults, so entries do not report the keys that they lack as a result."""


def _renamed(where: str, written: dict[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """Replace old names of keys, with a warning. An error would let the workspace's credential expire."""
    if _OLD_PRINCIPALS not in written:
        return written, []
    old, value = (
        written[_OLD_PRINCIPALS],
        {key: each for key, each in written.items() if key != _OLD_PRINCIPALS},
    )
    new = value.get(_PRINCIPALS, [])
    if isinstance(old, list) and isinstance(new, list):
        value[_PRINCIPALS] = [*new, *(each for each in old if each not in new)]
    else:
        value.setdefault(_PRINCIPALS, old)
    return value, [_was_renamed(f"{where}.{_OLD_PRINCIPALS}", _PRINCIPALS)]


def _was_renamed(where: str, name: str) -> Problem:
    return Problem(where, f'was renamed; write "{name}"', RENAMED + name, severity="warning")


RENAMED = "renamed to "
"""Start of the kind of a problem about an old name."""
_OLD_PRINCIPALS, _PRINCIPALS = "run_as", "additional_principal_ids"


def _unless_seen(entry: Entry, where: str, seen: dict[str, str]) -> Entry | Rejected:
    host, name = entry.workspace.host, entry.workspace.name
    for key, value in (("host", host), ("name", name)):
        if (first := seen.get(f"{key} {value.casefold()}")) is not None:
            advice = (
                "keep one entry for it, with all its folders" if key == "host" else "give each its own name"
            )
            problem = Problem(
                f"{where}.{key}", f'"{redact(value)}" is already in {first}; {advice}', f"{key} twice"
            )
            return _rejected(entry, problem)
    seen[f"host {host.casefold()}"] = seen[f"name {name.casefold()}"] = where
    return entry


def _rejected(entry: Entry, problem: Problem) -> Rejected:
    folders = _keys(entry.workspace.folders, entry.bad_folders)
    return Rejected(entry.name, entry.workspace.host, (problem,), folders)


def _keys(folders: Sequence[Folder], bad: Sequence[BadFolder]) -> frozenset[str]:
    return frozenset({folder.key for folder in folders} | {folder.key for folder in bad if folder.key})


def _twice(where: str, item: dict[str, Any]) -> list[Problem]:
    """Return the problems of duplicate keys, which JSON allows."""
    keys = [*item.twice] if isinstance(item, JsonObject) else []
    inner = item.get("devops")
    keys += [f"devops.{key}" for key in inner.twice] if isinstance(inner, JsonObject) else []
    return [Problem(f"{where}.{redact(key)}", "is written more than once; keep one") for key in keys]


def _entry(
    where: str,
    data: dict[str, Any],
    trusted: TrustedHosts,
    problems: list[Problem],
    inherited: Mapping[str, Any] = MappingProxyType({}),
) -> Entry | Rejected:
    notes: list[Problem] = []
    folders, bad = _folders(f"{where}.folders", data.get("folders", []), trusted, notes)
    # A problem in the folders must not reject the entry: the workspace's credential would expire.
    bad += [BadFolder(None, problem) for problem in problems if problem.location == f"{where}.folders"]
    own = {key: value for key, value in data.items() if key != "folders"}
    workspace, found = _validated(Workspace, where, own, trusted)
    problems = [problem for problem in problems if problem.location != f"{where}.folders"] + found
    if workspace is None or problems:
        host = _quotable(data.get("host")) or ""
        name = _quotable(data.get("name"))
        name = name or (default_name(host) if host else where)
        problems += [folder.problem for folder in bad]
        keys = _keys(inherited.get("folders", folders), bad)
        return Rejected(redact(name), redact(host), tuple(problems), keys)
    if rest_of(str(data["host"])):
        used = f"contains more than the workspace's address; {workspace.host} is used"
        notes.append(Problem(f"{where}.host", used, "more than a host", severity="warning"))
    return Entry(
        workspace.model_copy(update={"folders": folders, **inherited}), tuple(bad), notes=tuple(notes)
    )


def _line_of_az(where: str, line: Mapping[str, Any], url: str) -> Rejected:
    advice = f'looks like output of az databricks workspace list; write "https://{redact(url)}" instead'
    problem = Problem(where, REVOKE_IT if looks_like_secret(url) else advice)
    return Rejected(redact(_quotable(line.get("name")) or where), "", (problem,))


def _quotable(value: object) -> str | None:
    return value if isinstance(value, str) and not looks_like_secret(value) else None


def _folders(
    where: str, listed: object, trusted: TrustedHosts, notes: list[Problem]
) -> tuple[tuple[Folder, ...], list[BadFolder]]:
    if not isinstance(listed, list):
        message = f"must be an array of folders, in [ ], not {kind_of(listed)}{_as_array(listed)}"
        return (), [BadFolder(None, Problem(where, message))]
    if len(listed) > MAX_WORKSPACES:
        message = (
            f"contains {len(listed):,} folders; write at most {MAX_WORKSPACES:,}, or a path ending in /*"
        )
        return (), [BadFolder(None, Problem(where, message))]
    good: dict[str, Folder] = {}
    bad: list[BadFolder] = []
    for index, item in enumerate(listed):
        place = f"{where}[{index}]"
        short = {"path": item} if isinstance(item, str) else item
        if not isinstance(short, dict):
            problem = Problem(place, f"must be a path or an object, not {kind_of(item)}")
            bad.append(BadFolder(None, problem))
            continue
        current = short
        if short.get("on_conflict") == "report":
            current = {**short, "on_conflict": "fail"}
            notes.append(_was_renamed(f"{place}.on_conflict", "fail"))
        written = _quotable(short.get("path"))
        path = None if written is None else redact(written)
        key = folder_key(written.strip()) if written else ""
        folder, problems = _validated(Folder, place, current, trusted)
        problems = _twice(place, short) + problems
        if folder is None or problems:
            bad += [BadFolder(path, problem, key) for problem in problems]
        elif folder.key in good:
            problem = Problem(
                f"{place}.path", f'"{path}" is listed twice in this workspace; keep one', "path twice"
            )
            bad.append(BadFolder(None, problem))
        else:
            good[folder.key] = folder
            notes += _note_of_url(place, short, folder)
    return tuple(good.values()), bad


def _as_array(value: object) -> str:
    """Return the advice for folders that are not an array. PowerShell can write one as items and count."""
    match value:
        case {"value": list(), "Count": int()}:
            return '; write only what follows "value":, the array in [ ]'
        case str() if why := remains(value):
            return f"; it {why}"
        case str() if powershell_items(value):
            return f"; {JOINED}"
        case str() | dict():
            return '; put [ ] around it: ["/Repos/…"]'
        case _:
            return ""


def _note_of_url(place: str, written: Mapping[str, Any], folder: Folder) -> list[Problem]:
    if folder.url is None or not (read := repository_url(str(written["url"]))).differs:
        return []
    used = f"{read.differs}; {redact(folder.url)} is used"
    if read.ref is not None and folder.ref is None:
        kind, name = read.ref
        used += f', without its {kind}; to be on it, write "{kind}": "{redact(name)}"'
    if read.commit:
        used += ", without its commit: a folder follows a branch or a tag"
    return [Problem(f"{place}.url", used, f"repository that {read.differs}", severity="warning")]


def _validated[M: BaseModel](
    model: type[M], where: str, data: dict[str, Any], trusted: TrustedHosts
) -> tuple[M | None, list[Problem]]:
    try:
        return model.model_validate(data, context={"trusted": trusted}), []
    except ValidationError as error:
        details = error.errors(include_url=False)
    deeper = {detail["loc"][:-1] for detail in details if detail["loc"]}
    # Pydantic also reports an array as too short if all its items are invalid.
    found = [detail for detail in details if detail["type"] != "too_short" or detail["loc"] not in deeper]
    return None, [problem_of(where, detail, model, data) for detail in found]
