"""Which secrets of Key Vault a list has, and with which service principal each."""

from collections.abc import Mapping, Sequence

from git_refresh.admin.rotation.decide import RotationTarget
from git_refresh.output.redact import redact
from git_refresh.output.text import closest, first_of
from git_refresh.settings.entries import Entry
from git_refresh.settings.load import Settings

_MAX_NAMES = 5


def targets_of(settings: Settings) -> tuple[list[RotationTarget], dict[str, list[str]]]:
    """The secrets of the list; and those that stand with several service principals, by name, with their application ids."""
    found: dict[str, list[Entry]] = {}
    for entry in settings.entries:
        if isinstance(entry, Entry) and entry.workspace.oauth is not None:
            found.setdefault(entry.workspace.oauth.secret_name.lower(), []).append(entry)
    targets, mixed = [], {}
    for entries in found.values():
        oauths = [entry.workspace.oauth for entry in entries if entry.workspace.oauth]
        client_ids = list(dict.fromkeys(oauth.client_id.lower() for oauth in oauths))
        name = oauths[0].secret_name
        if len(client_ids) > 1:
            mixed[name] = client_ids
        else:
            workspaces = tuple(entry.name for entry in entries)
            hosts = tuple(dict.fromkeys(entry.workspace.host for entry in entries))
            targets.append(RotationTarget(name, oauths[0].client_id, hosts, workspaces))
    return targets, mixed


def sibling_names(
    target: RotationTarget, targets: Sequence[RotationTarget], mixed: Mapping[str, Sequence[str]]
) -> list[str]:
    """The other names that stand with its service principal, be it among others: their secrets may be its, too."""
    client_id = target.client_id.lower()
    others = [
        each.name for each in targets if each.name != target.name and each.client_id.lower() == client_id
    ]
    return others + [name for name, client_ids in mixed.items() if client_id in client_ids]


def why_not_there(name: str, there: Sequence[str], settings: Settings) -> str:
    """What to write instead of a name that no secret of the list has."""
    given = f'"{redact(name)}"'
    for entry in settings.entries:
        if isinstance(entry, Entry) and entry.name == name:
            oauth = entry.workspace.oauth
            if oauth is not None:
                return f"{given} is a workspace; write the name of its secret: {oauth.secret_name}"
            return f"{given} is a workspace that signs in without an OAuth secret (auth is {entry.workspace.auth})"
    if not there:
        return f"{given} is no secret of the list: no workspace in it signs in with one"
    if near := closest(name, there):
        return f'{given} is no secret of the list; did you mean "{near[0]}"?'
    return f"{given} is no secret of the list; write one of {first_of(there, _MAX_NAMES)}"
