"""Computes the new app settings of a function app from a file. Pure functions.

Settings of other products stay unchanged.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from git_refresh.failures.diagnosis import Diagnosis, DiagnosisContext, finding
from git_refresh.model.hosts import parse_trusted_hosts, split_url
from git_refresh.model.values import folder_key, patterns_above
from git_refresh.output.redact import looks_like_secret, redact
from git_refresh.output.text import count
from git_refresh.settings.json_text import JsonError, parse
from git_refresh.settings.models import Folder, Workspace, default_name
from git_refresh.settings.names import MOST_BYTES, PREVIOUS, SET_BY_DEPLOY, SETTINGS

PAUSE = "AzureWebJobs.refresh_git.Disabled"
"""The app setting that disables the function. The first deployment of infra/ sets it."""
OF_TEMPLATE = tuple(name for name in SETTINGS if name not in SET_BY_DEPLOY)
"""Settings that only a deployment of infra/ sets."""

_JSON: Mapping[str, type] = {"WORKSPACES": list, "WORKSPACE_DEFAULTS": dict}
_SAME_AS_UNSET = {"WORKSPACE_DEFAULTS": "{}", "FAN_OUT": "off"}
"""Values that mean the same as a missing setting."""

_REFERENCE = re.compile(r"@Microsoft\.(KeyVault|AppConfiguration)\(", re.IGNORECASE)

Action = Literal["added", "removed", "changed"]
_KNOWN = {*Workspace.model_fields, *Folder.model_fields}
_NO_VALUE = "***"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `old` and `new` are redacted JSON; None for a missing value."""

    action: Action
    setting: str
    workspace: str | None = None
    folder: str | None = None
    key: str | None = None
    old: str | None = None
    new: str | None = None


@dataclass(frozen=True, slots=True)
class Deployment:
    """App settings before and after. Security: the repr hides values, which can be secrets of others."""

    existing: Mapping[str, str] = field(repr=False)
    wanted: Mapping[str, str] = field(repr=False)
    staying: tuple[str, ...] = ()
    """Settings that stay because the file does not have them."""
    not_set: tuple[str, ...] = ()
    """Settings with another value in the file that only a deployment of infra/ sets."""
    is_previous: bool = False
    """True if the result equals the settings before the last deployment."""

    @property
    def changes_app(self) -> bool:
        return self.wanted != self.existing

    @property
    def is_first(self) -> bool:
        """True if the app has no list yet, and the first deployment paused it."""
        return _is_paused_without_list(self.existing)

    @property
    def resumes(self) -> bool:
        """True if this deployment ends the pause."""
        return is_paused(self.existing) and not is_paused(self.wanted)

    @property
    def drops_defaults(self) -> bool:
        """True if the file has a list without defaults, but the app has defaults."""
        before, after = (each.get("WORKSPACE_DEFAULTS", "") for each in (self.existing, self.wanted))
        return after == "{}" and not _means_the_same("WORKSPACE_DEFAULTS", before, after)

    @property
    def keeps_previous(self) -> bool:
        """True if `restore` can return to the replaced values."""
        return all(name in self.wanted for name in PREVIOUS.values())

    def references(self) -> list[str]:
        """Return the settings whose Key Vault or App Configuration reference the app already has.

        Only Azure can resolve it, so the value cannot be checked.
        """
        kept = {name: {self.existing.get(name), self.existing.get(PREVIOUS[name])} for name in SET_BY_DEPLOY}
        return [
            name
            for name in SET_BY_DEPLOY
            if (value := self.wanted.get(name, "")) in kept[name] and _REFERENCE.match(value.strip())
        ]

    def too_long(self) -> Iterator[tuple[str, int, int]]:
        """Yield name, size, and limit in bytes of changed settings that are too long to restore later."""
        for name, previous in PREVIOUS.items():
            value = self.wanted.get(name, "")
            if value != self.existing.get(name, "") and not _fits(previous, value):
                yield name, _bytes(value), MOST_BYTES - _bytes(f"{previous}=")

    def newly_trusted(self) -> list[str]:
        """Return the entries of `TRUSTED_HOSTS` that the app does not trust yet."""
        trusted, _ = parse_trusted_hosts(self.existing.get("TRUSTED_HOSTS", ""))
        wanted, _ = parse_trusted_hosts(self.wanted.get("TRUSTED_HOSTS", ""))
        return sorted(entry for entry in wanted.entries if not trusted.trusts(entry))

    def changes(self) -> list[Change]:
        return list(compare(_parsed(self.existing), _parsed(self.wanted)))

    def replaced_principals(self) -> list[str]:
        """Return the workspaces whose `client_id` changes. The previous principal's credential stays."""
        before, after = (_by_host(_parsed(each)) for each in (self.existing, self.wanted))
        return [
            after[host][0]
            for host, (_, entry) in before.items()
            if host in after and _client_id(entry) not in {"", _client_id(after[host][1])}
        ]

    def left_behind(self) -> list[tuple[str, Diagnosis]]:
        """Return workspace name and finding for each object removed from the list but not from the workspace."""
        return list(what_stays(_parsed(self.existing), _parsed(self.wanted)))


_OF_MANY_PROGRAMS = {"AZURE_CLIENT_ID", "KEY_VAULT_URL", "TRUSTED_HOSTS"}


def is_ours(settings: Mapping[str, str]) -> bool:
    """Return whether these are the app settings of this product."""
    return any(name in settings for name in SETTINGS.keys() - _OF_MANY_PROGRAMS)


def is_paused(settings: Mapping[str, str]) -> bool:
    """Return whether `PAUSE` disables the function."""
    return settings.get(PAUSE, "").strip().lower() in {"true", "1"}


def _is_paused_without_list(settings: Mapping[str, str]) -> bool:
    return is_paused(settings) and not settings.get("WORKSPACES", "").strip()


def listed_hosts(settings: Mapping[str, str]) -> set[str]:
    return set(_by_host(_parsed(settings)))


def deploy(existing: Mapping[str, str], file: Mapping[str, str]) -> Deployment:
    """Return the deployment of a file's settings. Settings that the file does not have stay.

    A file with `WORKSPACES` but without `WORKSPACE_DEFAULTS` removes the defaults, which belong to the previous list.
    """
    new = {name: _compact(name, file[name]) for name in SET_BY_DEPLOY if name in file}
    if "WORKSPACES" in new:
        new.setdefault("WORKSPACE_DEFAULTS", "{}")
    staying = tuple(name for name in SET_BY_DEPLOY if name not in new and existing.get(name, "").strip())
    not_set = tuple(
        name
        for name in OF_TEMPLATE
        if name in file and not _means_the_same(name, existing.get(name, ""), file[name])
    )
    wanted = _with_new_values(existing, new)
    before = restore(existing)
    is_previous = (
        wanted != existing
        and before is not None
        and all(
            _means_the_same(name, wanted.get(name, ""), before.wanted.get(name, "")) for name in SET_BY_DEPLOY
        )
    )
    return Deployment(existing, wanted, staying, not_set, is_previous)


def restore(existing: Mapping[str, str]) -> Deployment | None:
    """Return the deployment of the previous values; None if they are incomplete, or the app had no list.

    The stored previous values stay, so a second restore changes nothing.
    """
    if (
        not all(name in existing for name in PREVIOUS.values())
        or not existing[PREVIOUS["WORKSPACES"]].strip()
    ):
        return None
    wanted = dict(existing)
    for name, previous in PREVIOUS.items():
        if not _means_the_same(name, existing.get(name, ""), existing[previous]):
            _set_or_remove(wanted, name, existing[previous])
    return Deployment(existing, wanted)


def _with_new_values(existing: Mapping[str, str], new: Mapping[str, str]) -> Mapping[str, str]:
    """Return the app settings with new values. Keeps replaced values, and ends the first pause."""
    changed = {
        name: value for name, value in new.items() if not _means_the_same(name, existing.get(name, ""), value)
    }
    if not changed:
        return existing
    wanted = dict(existing)
    for name, value in changed.items():
        _set_or_remove(wanted, name, value)
    kept = {previous: existing.get(name, "") for name, previous in PREVIOUS.items()}
    if all(_fits(previous, value) for previous, value in kept.items()):
        wanted |= kept
    else:
        wanted = {name: value for name, value in wanted.items() if name not in kept}
    if _is_paused_without_list(existing) and wanted.get("WORKSPACES", "").strip():
        del wanted[PAUSE]
    return wanted


def _set_or_remove(settings: dict[str, str], name: str, value: str) -> None:
    if value.strip():
        settings[name] = value
    else:
        settings.pop(name, None)


def _means_the_same(name: str, old: str, new: str) -> bool:
    default = _SAME_AS_UNSET.get(name, "")
    old, new = (value.strip() or default for value in (old, new))
    if old == new:
        return True
    before, after = (_parsed({name: value}) for value in (old, new))
    return name in _JSON and bool(before) and bool(after) and not any(compare(before, after))


def _compact(name: str, value: str) -> str:
    """Return JSON without white space, and other values stripped."""
    try:
        content = parse(value) if name in _JSON else None
    except JsonError:
        content = None
    return (
        value.strip() if content is None else json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    )


def _fits(name: str, value: str) -> bool:
    return _bytes(f"{name}={value}") <= MOST_BYTES


def _bytes(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))


def _parsed(settings: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings that `deploy` sets, with JSON parsed. Omits invalid values."""
    found: dict[str, Any] = {}
    for name in SET_BY_DEPLOY:
        text = settings.get(name, "").strip()
        if not text:
            continue
        try:
            value = parse(text) if name in _JSON else text
        except JsonError:
            continue
        if isinstance(value, _JSON.get(name, str)):
            found[name] = value
    return found


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    """Yield all differences in the order of the settings and of the new list."""
    for name in SET_BY_DEPLOY:
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
    """Yield the differences of workspaces with the same name or, if it was renamed, the same URL."""
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
        # An empty list differs from a missing one, which inherits the folders of the defaults.
        folders = key == "folders" and all(isinstance(value, list | None) for value in (before, after))
        if folders and (before or after):
            yield from _folders(place, before or [], after or [])
        elif key not in old or key not in new or _json(before) != _json(after):
            yield _change(
                place,
                key,
                _value(key, before) if key in old else None,
                _value(key, after) if key in new else None,
            )


def _json(value: object) -> str:
    """Return JSON for a comparison that distinguishes 1 from true."""
    return json.dumps(value, sort_keys=True)


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
    """Return redacted JSON. Security: hides every value with a key that suggests a secret."""
    text = json.dumps(value, ensure_ascii=False)
    names = f"{key} {text}" if isinstance(value, dict | list) else key
    suspicious = key not in _KNOWN and re.search("secret|token|password|pat|key", names, re.IGNORECASE)
    return _NO_VALUE if suspicious or looks_like_secret(text) else redact(text)


def _change(place: Place, key: str | None, old: str | None, new: str | None) -> Change:
    action: Action = "added" if old is None else "removed" if new is None else "changed"
    if place[0] in SETTINGS and place[1] is None and key is None:
        old, new = (None if value is None else _value("", value) for value in (old, new))
    return Change(action, *place, None if key is None else redact(key), old, new)


def what_stays(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, Diagnosis]]:
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
    """Return name and entry with the defaults, by URL. Omits entries without a valid URL."""
    defaults = settings.get("WORKSPACE_DEFAULTS") or {}
    entries = {
        name: {**defaults, **entry} for name, entry in _by_name(settings.get("WORKSPACES") or []).items()
    }
    return {host: (redact(name), entry) for name, entry in entries.items() if (host := _url(entry))}


def _url(entry: Mapping[str, Any]) -> str:
    """Return the URL of a workspace without path and port; empty if it is invalid."""
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


def _client_id(entry: Mapping[str, Any]) -> str:
    return str(entry.get("client_id") or "").lower()


def _listed(entry: Mapping[str, Any], key: str) -> Sequence[Any]:
    value = entry.get(key)
    return value if isinstance(value, list) else []


def _path(item: object) -> str:
    path = item.get("path") if isinstance(item, dict) else item
    return path if isinstance(path, str) and not looks_like_secret(path) else ""


def _key(item: object) -> str:
    return folder_key(_path(item))
