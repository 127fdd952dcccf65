"""The extras of `python -m localcloud`: more content for the small fleet, and texts about it."""

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
"""Seconds that a user's tokens are valid: a day, without a new sign-in."""
SERVICES = ("identity", "keyvault", "devops")
FAULTS = {**NAMED, **refusals.DATABRICKS, **refusals.DEVOPS}
"""The faults that `--fault` can name."""

SHOWN = 20
"""Workspaces whose contents are listed."""


def furnish(fleet: Fleet, *, edits: bool = False, secret_ends: float | None = None) -> Fleet:
    """Add branches, tags and work: a folder on each kind of ref, and a new commit on `main`.

    `edits`: the first workspace has uncommitted changes that conflict with that commit.
    `secret_ends`: days until the OAuth secret expires; negative: since it expired.
    """
    etl, reports = fleet.repositories
    first = fleet.workspaces[0]
    etl.tag(TAG)
    reports.tag(TAG, annotated=True)
    etl.commit({"jobs/load.py": "print('load in parallel')\n"}, branch=BRANCH, message="Load in parallel")
    first.add_folder("/Repos/etl/next", etl, branch=BRANCH)
    first.add_folder("/Repos/etl/release", etl)
    if edits and (folder := first.folder("/Repos/etl/prod")):
        folder.edit("jobs/load.py", "print('load, with an uncommitted fix')\n")
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
    """Return an admin of the whole fleet, whose OAuth secret can be rotated."""
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
    """Set the OAuth secret's expiration date to this many days from now."""
    fleet.vault.set(SECRET_NAME, SECRET, expires_on=datetime.now(UTC) + timedelta(days=days))


def named(name: str) -> str:
    """Return the name of a fault: `accepts-and-hangs` is `accepts and hangs`.

    Raises:
        ValueError: the fault is unknown; the message suggests a similar one.
    """
    known = {_letters(known): known for known in FAULTS}
    if _letters(name) in known:
        return known[_letters(name)]
    near = difflib.get_close_matches(_letters(name), known, 1)
    mean = f"did you mean {known[near[0]]!r}? " if near else ""
    raise ValueError(f"unknown fault {name!r}; {mean}--fault list shows all.")


def _letters(name: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", name.lower().replace("'", "")))


def fault(fleet: Fleet, name: str, place: str | None) -> Fault:
    """Return the fault of this name at this place.

    The default place is every workspace, or Azure DevOps for its own faults.

    Raises:
        ValueError: the place is unknown, or cannot have this fault.
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
        raise ValueError(f"unknown place {place!r}; use one of {', '.join(places)}.")
    if place == "identity" and isinstance(action, Connect):
        raise ValueError(f"the identity endpoint uses plain HTTP, so it cannot have the fault {name!r}.")
    # A workspace runs git, not the app; the app uses Azure DevOps' REST API only.
    rest = place == "devops" and not isinstance(action, Connect)
    return Fault(action, service=place, route="/_apis/" if rest else None)


def contents(fleet: Fleet) -> Iterator[str]:
    """Yield the contents of the cloud, line by line."""
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
            f"    {path:<20} missing; the next run clones it"
            for path in wanted[name]
            if not workspace.folder(path)
        )
    if len(fleet.workspaces) > SHOWN:
        yield f"  and {len(fleet.workspaces) - SHOWN} more"
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
    """Return the branches or tags with their commits."""
    refs = repository.refs().items()
    return {name.removeprefix(place): peeled or oid for name, (oid, peeled) in refs if name.startswith(place)}


def _end(end: datetime | None) -> str:
    if end is None:
        return "does not expire"
    days = (end - datetime.now(UTC)) / timedelta(days=1)
    when = f"{end:%Y-%m-%d %H:%M} UTC"
    return f"expired {when}, {-days:.0f} days ago" if days < 0 else f"expires {when}, in {days:.0f} days"


def variant(git_folders: str | None, settings: Iterable[str]) -> Variant:
    """Return the variant of all workspaces: the defaults, changed by each `name=value`.

    Raises:
        ValueError: the name or value is unknown; the message lists the known ones.
    """
    wanted = Variant()
    for text in ([f"git_folders={git_folders}"] if git_folders else []) + list(settings):
        wanted.set(text)
    return wanted


def exports(variables: Mapping[str, str], az: Path) -> Iterator[str]:
    """Yield lines for a shell; the stand-in for `az` comes first on its PATH."""
    yield from (f"export {name}={shlex.quote(value)}" for name, value in variables.items())
    yield f'export PATH={shlex.quote(str(az))}:"$PATH"'


def commands(settings: Path | None, app: str) -> Iterator[str]:
    """Yield commands to try: with the list, then with the deployed app, which needs a file."""
    options = f" --settings {shlex.quote(str(settings))}" if settings else ""
    tried = [f"{command}{options}" for command in ("check", "plan", "run", "onboard", "rotate")]
    tried += [f"deploy {shlex.quote(str(settings))} --app {app}"] if settings else []
    return (f".venv/bin/python -m git_refresh {command}" for command in (*tried, f"runs --app {app}"))


def deployed(fleet: Fleet) -> Iterator[str]:
    """Yield the resources in Azure, line by line."""
    app = fleet.app
    yield f"Azure, subscription {app.group.subscription.name}, resource group {app.group.name}"
    state = "with this list" if app.settings.get("WORKSPACES") else "without a list, paused"
    yield f"  function app {app.name}, {state}"


def pushing(cloud: Cloud, repository: Repository) -> Iterator[str]:
    """Yield commands that clone, commit and push as a person with permission to push.

    Token, proxy and authority are stored in the clone only, which is deleted with the cloud. No credential
    helper sees them.
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
    yield "unset GIT_SSL_CAINFO"  # it would override the clone's own
    yield f"git clone {settings} {repository.url} {clone}"
    yield f"cd {clone}"
    yield """echo "print('load, fastest')" > jobs/load.py"""
    yield 'git commit -am "Load fastest" && git push && cd -'
