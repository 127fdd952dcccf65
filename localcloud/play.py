"""What `python -m localcloud` adds to the small fleet, what it says of it, and what there is to try."""

import difflib
import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from localcloud import refusals
from localcloud.cloud import Cloud
from localcloud.databricks.folder import Folder
from localcloud.databricks.variant import Variant
from localcloud.devops.repository import Repository
from localcloud.faults import NAMED, Connect, Fault
from localcloud.fleet import ORGANIZATION, SECRET, SECRET_NAME, Fleet, real_secret
from localcloud.people import Person

TAG, BRANCH = "v1.0.0", "next"
PERSON = "you@contoso.com"
SIGN_IN_S = 86_400.0
"""Seconds that tokens of whoever plays live: nobody signs in again."""
SERVICES = ("identity", "keyvault", "devops")
FAULTS = {**NAMED, **refusals.DATABRICKS, **refusals.DEVOPS}
"""Every fault that can be asked for by its name."""

SHOWN = 20
"""Workspaces whose contents are listed."""


def furnish(fleet: Fleet, *, edits: bool = False, secret_ends: float | None = None) -> Fleet:
    """Give it branches, tags and something to do: a folder on each kind of ref, and `main` a commit ahead of them.

    Args:
        fleet: as it was seeded.
        edits: the first workspace has uncommitted edits, in the way of that commit.
        secret_ends: days until the OAuth secret ends; negative: since it ended.
    """
    etl, reports = fleet.repositories
    first = fleet.workspaces[0]
    etl.tag(TAG)
    reports.tag(TAG, annotated=True)
    etl.commit({"jobs/load.py": "print('load in parallel')\n"}, branch=BRANCH, message="Load in parallel")
    first.add_folder("/Repos/etl/next", etl, branch=BRANCH)
    first.add_folder("/Repos/etl/release", etl)
    if edits and (folder := first.folder("/Repos/etl/prod")):
        folder.edit("jobs/load.py", "print('load, with a fix that nobody has committed')\n")
    etl.commit({"jobs/load.py": "print('load, faster')\n"}, message="Load faster")
    if secret_ends is not None:
        end_secret(fleet, secret_ends)
    entries = json.loads(fleet.settings["WORKSPACES"])
    entries[0]["folders"] += [
        {"path": "/Repos/etl/next", "branch": BRANCH},
        {"path": "/Repos/etl/release", "tag": TAG},
    ]
    fleet.app.settings["WORKSPACES"] = json.dumps(entries)
    own = {name: fleet.app.settings[name] for name in ("WORKSPACES", "AZURE_CLIENT_ID")}
    return replace(fleet, settings={**fleet.settings, **own})


def admin(cloud: Cloud, fleet: Fleet) -> Person:
    """Who plays: an administrator of all of it, of a secret that is the principal's own, too, so that it can be rotated."""
    you = cloud.person(PERSON.partition("@")[0])
    cloud.devops.organization(ORGANIZATION).add_administrator(you.object_id)
    cloud.account.admins.add(you.object_id)
    for workspace in fleet.workspaces:
        workspace.add_user(you, admin=True)
    fleet.vault.allow_writing(you.object_id)
    fleet.app.group.assign(you.object_id, "Contributor")
    end = fleet.vault.ends[SECRET_NAME]
    real_secret(cloud, fleet, ((end or datetime.now(UTC)) - datetime.now(UTC)) / timedelta(days=1))
    return you


def end_secret(fleet: Fleet, days: float) -> None:
    """Let the OAuth secret end in so many days; negative: so many days ago."""
    fleet.vault.set(SECRET_NAME, SECRET, expires_on=datetime.now(UTC) + timedelta(days=days))


def named(name: str) -> str:
    """The name of a fault that somebody means: `accepts-and-hangs` is `accepts and hangs`.

    Raises:
        ValueError: there is no such fault; says which is near.
    """
    known = {_letters(known): known for known in FAULTS}
    if _letters(name) in known:
        return known[_letters(name)]
    near = difflib.get_close_matches(_letters(name), known, 1)
    mean = f"did you mean {known[near[0]]!r}? " if near else ""
    raise ValueError(f"{name!r} is not a fault; {mean}To list all: --fault list")


def _letters(name: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", name.lower().replace("'", "")))


def fault(fleet: Fleet, name: str, place: str | None) -> Fault:
    """The fault of this name, where it is wanted; else in every workspace, or in Azure DevOps if only that has it.

    Raises:
        ValueError: there is no such place, or it cannot be there.
    """
    action = FAULTS[name]()
    if place is None and name in refusals.DEVOPS:
        place = "devops"
    if (name in refusals.DATABRICKS and place in SERVICES) or (name in refusals.DEVOPS and place != "devops"):
        raise ValueError(f"{place} cannot have the fault {name!r}.")
    if place is None:
        return Fault(action, service="databricks")
    if place in fleet.by_name:
        return Fault(action, host=fleet.by_name[place].host)
    if place not in SERVICES:
        places = [*list(fleet.by_name)[:3], *(["…"] if len(fleet.by_name) > 3 else []), *SERVICES]  # noqa: PLR2004
        raise ValueError(f"{place!r} is not a location; write one of {', '.join(places)}.")
    if place == "identity" and isinstance(action, Connect):
        raise ValueError(
            f"the identity endpoint uses HTTP without TLS, so it cannot have the fault {name!r}."
        )
    # The workspaces' own Git is not the app's: of Azure DevOps, its REST API goes wrong.
    rest = place == "devops" and not isinstance(action, Connect)
    return Fault(action, service=place, route="/_apis/" if rest else None)


def contents(fleet: Fleet) -> Iterator[str]:
    """What is in the cloud, line by line."""
    wanted = {
        entry["name"]: [folder["path"] if isinstance(folder, dict) else folder for folder in entry["folders"]]
        for entry in json.loads(fleet.settings["WORKSPACES"])
    }
    yield "Workspaces"
    for name, workspace in list(fleet.by_name.items())[:SHOWN]:
        stored = "a Git credential" if workspace.credentials else "no Git credential yet"
        yield f"  {name}  {workspace.url}  ({stored})"
        for folder in sorted(workspace.folders, key=lambda folder: folder.path):
            yield f"    {folder.path:<20} {_state(folder, fleet)}"
        yield from (
            f"    {path:<20} missing; a run clones it" for path in wanted[name] if not workspace.folder(path)
        )
    if len(fleet.workspaces) > SHOWN:
        yield f"  and {len(fleet.workspaces) - SHOWN} more with the same Git folders"
    yield "Repositories"
    for repository in fleet.repositories:
        yield f"  {repository.url}"
        for kind, place in (("branch", "refs/heads/"), ("tag", "refs/tags/")):
            for name, commit in _refs(repository, place).items():
                yield f"    {kind:<6} {name:<13} {commit[:8]}"
    yield f"Secrets of {fleet.vault.url}"
    yield from (f"  {name:<25} {_end(end)}" for name, end in fleet.vault.ends.items())


def _state(folder: Folder, fleet: Fleet) -> str:
    repository = next(known for known in fleet.repositories if known.url == folder.url)
    tags = [name for name, commit in _refs(repository, "refs/tags/").items() if commit == folder.head]
    at = f"branch {folder.branch}" if folder.branch else f"tag {tags[0]}" if tags else "detached HEAD"
    return f"{at:<13} {folder.head[:8]}{'  with uncommitted changes' if folder.dirty else ''}"


def _refs(repository: Repository, place: str) -> dict[str, str]:
    """The branches or tags, each with its commit."""
    refs = repository.refs().items()
    return {name.removeprefix(place): peeled or oid for name, (oid, peeled) in refs if name.startswith(place)}


def _end(end: datetime | None) -> str:
    if end is None:
        return "does not expire"
    days = (end - datetime.now(UTC)) / timedelta(days=1)
    when = f"{end:%Y-%m-%d %H:%M} UTC"
    return (
        f"expired on {when}, {-days:.0f} days ago" if days < 0 else f"expires on {when}, in {days:.0f} days"
    )


def variant(git_folders: str | None, settings: Iterable[str]) -> Variant:
    """How all workspaces answer: as ever, but for what is asked for as `name=value`.

    Raises:
        ValueError: there is no such variant; says which there are.
    """
    wanted = Variant()
    for text in ([f"git_folders={git_folders}"] if git_folders else []) + list(settings):
        wanted.set(text)
    return wanted


def exports(variables: Mapping[str, str], az: Path) -> Iterator[str]:
    """The lines that a shell takes; the stand-in for `az` comes first on its PATH."""
    yield from (f"export {name}={shlex.quote(value)}" for name, value in variables.items())
    yield f'export PATH={shlex.quote(str(az))}:"$PATH"'


def commands(settings: Path | None, app: str) -> Iterator[str]:
    """What to try: with the list, then with the deployed app of this name, to which only a file can be deployed."""
    options = f" --settings {shlex.quote(str(settings))}" if settings else ""
    tried = [f"{command}{options}" for command in ("check", "plan", "run", "onboard", "rotate")]
    tried += [f"deploy {shlex.quote(str(settings))} --app {app}"] if settings else []
    return (f".venv/bin/python -m git_refresh {command}" for command in (*tried, f"runs --app {app}"))


def deployed(fleet: Fleet) -> Iterator[str]:
    """What is in Azure, line by line."""
    app = fleet.app
    yield f"Azure, subscription {app.group.subscription.name}, resource group {app.group.name}"
    state = "with this list" if app.settings.get("WORKSPACES") else "disabled, without a list"
    yield f"  function app {app.name}, {state}"


def pushing(cloud: Cloud, repository: Repository) -> Iterator[str]:
    """Commands that clone, commit and push as a person who may: with a token, the proxy and its authority.

    All of it is kept in the clone, which goes with the cloud, and no credential helper hears of it.
    """
    cloud.devops.organization(ORGANIZATION).add_member(PERSON, contributor=True)
    environment = cloud.environment()
    options = {
        "http.proxy": environment["HTTPS_PROXY"],
        "http.sslCAInfo": environment["REQUESTS_CA_BUNDLE"],
        "http.extraHeader": f"Authorization: Bearer {cloud.devops.personal_access_token(PERSON)}",
    }
    settings = " ".join(f"-c {shlex.quote(f'{key}={value}')}" for key, value in options.items())
    clone = shlex.quote(str(cloud.directory / repository.name))
    yield "unset GIT_SSL_CAINFO"  # which would win over the clone's own
    yield f"git clone {settings} {repository.url} {clone}"
    yield f"cd {clone}"
    yield """echo "print('load, fastest')" > jobs/load.py"""
    yield 'git commit -am "Load fastest" && git push && cd -'
